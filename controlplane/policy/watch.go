package policy

import (
	"context"
	"io/fs"
	"slices"
	"time"
)

// watchInterval is how often a watched directory is read.
const watchInterval = 300 * time.Millisecond

// Watch calls fn with the files of a directory, and again whenever they have changed, until ctx ends. Files that
// cannot be read are handed on as the error.
func Watch(ctx context.Context, dir fs.FS, fn func(files []File, err error)) {
	var last []File
	var problem string
	for first := true; ctx.Err() == nil; first = false {
		files, err := ReadFiles(dir)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if first || text != problem || !slices.Equal(files, last) {
			fn(files, err)
		}
		last, problem = files, text
		select {
		case <-ctx.Done():
		case <-time.After(watchInterval):
		}
	}
}
