package guard_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// hostReaders are the files that may look at what a request says of our own name, and why.
var hostReaders = map[string]string{
	"controlplane/guard/crosssite.go": "compares it with the origin that the browser names: both come from the browser, which keeps our cookies for that host alone",
}

// readsHost are the ways to it, those of Echo included; Echo's way to the client's address trusts any header.
var readsHost = regexp.MustCompile(`\b(r|req|request|Request\(\))\.Host\b|(?i:x-forwarded-(host|proto|port|server)|x-original-host|x-host\b)|\.RealIP\(|\.Scheme\(\)|\.IsTLS\(\)`)

// No code path reads the host of a request to build a link: links are made of settings.
func TestNobodyReadsTheHost(t *testing.T) {
	t.Parallel()
	root, files := filepath.Join("..", ".."), 0
	for _, dir := range []string{"controlplane", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			name, err := filepath.Rel(root, path)
			if err != nil || hostReaders[filepath.ToSlash(name)] != "" {
				return err
			}
			for i, line := range strings.Split(string(text), "\n") {
				code, _, _ := strings.Cut(line, "//")
				if found := readsHost.FindString(code); found != "" {
					t.Errorf("%s:%d reads %s", name, i+1, found)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 100 {
		t.Errorf("only %d files were looked at", files)
	}
}
