// Command checksum writes checksum.sql of each code package below the repository's root, its one argument.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "checksum:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: checksum ROOT")
	}
	for _, name := range install.Packages {
		text, err := install.ChecksumSQL(os.DirFS(args[0]), name)
		if err != nil {
			return err
		}
		path := filepath.Join(args[0], name, "checksum.sql")
		if old, err := os.ReadFile(path); err == nil && string(old) == text {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
