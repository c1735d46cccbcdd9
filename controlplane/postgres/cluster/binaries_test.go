package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNewest(t *testing.T) {
	t.Parallel()
	fake := func(version string) string {
		dir := t.TempDir()
		script := fmt.Sprintf("#!/bin/sh\necho 'postgres (PostgreSQL) %s'\n", version)
		for _, name := range []string{"postgres", "initdb"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	old, v15, v18, beta, broken := fake("14.9"), fake("15.18 (Debian 15.18-1)"), fake("18.4"), fake("19beta1"), fake("")
	clientOnly := t.TempDir()
	for _, tc := range []struct {
		name string
		dirs []string
		want string
	}{
		{"newest of all", []string{v15, v18, old}, v18},
		{"first of equals", []string{v15, fake("15.2")}, v15},
		{"a beta counts", []string{v18, beta}, beta},
		{"unusable ones are passed over", []string{clientOnly, broken, "/nonexistent", v15}, v15},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := newest(t.Context(), tc.dirs)
			if err != nil || got.Dir != tc.want {
				t.Errorf("got %v, %v; want %s", got, err, tc.want)
			}
		})
	}
	_, err := newest(t.Context(), []string{old, clientOnly})
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), old+" (14)") || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("nothing usable: %v", err)
	}
}
