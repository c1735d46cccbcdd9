package cluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// Download fetches prebuilt server binaries into dir, or to where Place says, checks them against the published SHA-256 and returns them;
// a second call with the same dir only returns them. It fetches over the network: call it when Find found nothing and
// the user agreed. The result is for development, not for production.
func Download(ctx context.Context, dir string) (Binaries, error) {
	dir, err := Place(dir)
	if err != nil {
		return Binaries{}, err
	}
	target := filepath.Join(dir, "postgresql")
	bin := filepath.Join(target, "bin")
	if b, err := At(ctx, bin); err == nil {
		return b, nil
	}
	scratch, err := os.MkdirTemp("", "fluxbase-download-")
	if err != nil {
		return Binaries{}, err
	}
	defer os.RemoveAll(scratch)
	port, err := freePort()
	if err != nil {
		return Binaries{}, err
	}
	// The library has no call that only fetches: it also makes and starts a cluster, which as root fails. What counts
	// is what it left in target.
	db := embedded.NewDatabase(embedded.DefaultConfig().
		Version(embedded.V18).
		Port(uint32(port)).
		CachePath(filepath.Join(dir, "cache")).
		BinariesPath(target).
		RuntimePath(filepath.Join(scratch, "run")).
		DataPath(filepath.Join(scratch, "data")).
		Logger(io.Discard))
	startErr := db.Start()
	if startErr == nil {
		if err := db.Stop(); err != nil {
			return Binaries{}, fmt.Errorf("stop the first run of the downloaded PostgreSQL: %w", err)
		}
	}
	b, err := At(ctx, bin)
	if err != nil && startErr != nil {
		return Binaries{}, fmt.Errorf("download PostgreSQL: %w", startErr)
	}
	return b, err
}
