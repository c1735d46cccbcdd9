package policy

import (
	"context"
	"io/fs"
	"slices"
	"time"
)

// watchInterval is how often a watched directory is read.
const watchInterval = 150 * time.Millisecond

// Watch calls fn with the files of a directory, and again whenever they have changed, until ctx ends. Files that
// cannot be read are handed on as the error. A change counts when it is read twice: while an editor saves, a file may be
// empty or missing, and its rules would be taken away.
func Watch(ctx context.Context, dir fs.FS, fn func(files []File, err error)) {
	watch(ctx, func() ([]File, error) { return ReadFiles(dir) }, fn)
}

// reading is what was read at one time.
type reading struct {
	files   []File
	problem string
}

func (r reading) equal(o reading) bool {
	return r.problem == o.problem && slices.Equal(r.files, o.files)
}

func watch(ctx context.Context, read func() ([]File, error), fn func(files []File, err error)) {
	var told, last reading
	for first := true; ctx.Err() == nil; first = false {
		files, err := read()
		now := reading{files: files}
		if err != nil {
			now.problem = err.Error()
		}
		if first || now.equal(last) && !now.equal(told) {
			fn(files, err)
			told = now
		}
		last = now
		select {
		case <-ctx.Done():
		case <-time.After(watchInterval):
		}
	}
}
