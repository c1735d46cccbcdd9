package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// LockFile is the name of the lock file in a directory of policies, unless another is chosen.
const LockFile = "policies.lock"

// File is one SQL file of a directory.
type File struct {
	Name string // slash-separated path in the directory
	Text string
}

// ReadFiles returns the .sql files of a directory and its subdirectories in the order of their names. Hidden
// directories and those named test or tests are left out. A link to another directory is an error: it is not followed, and
// to leave it out would take its rules away.
func ReadFiles(dir fs.FS) ([]File, error) {
	var files []File
	err := fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(base, ".") || base == "test" || base == "tests"):
			return fs.SkipDir
		case d.IsDir() || strings.HasPrefix(base, ".") || base == "test" || base == "tests":
			return nil
		case d.Type()&fs.ModeSymlink != 0 && isDir(dir, name):
			return fmt.Errorf("%s is a link to a directory, which is not followed", name)
		case !isSQL(name):
			return nil
		}
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return err
		}
		files = append(files, File{Name: name, Text: strings.TrimPrefix(string(text), "\ufeff")})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the policy files: %w", err)
	}
	// An empty directory would take all rules away: rather a mistyped path than a wish.
	if len(files) == 0 {
		return nil, errors.New("there is no .sql file in the directory")
	}
	return files, nil
}

func isSQL(name string) bool { return strings.EqualFold(path.Ext(name), ".sql") }

func isDir(dir fs.FS, name string) bool {
	info, err := fs.Stat(dir, name)
	return err == nil && info.IsDir()
}
