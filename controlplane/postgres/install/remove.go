package install

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// dropPackages is replaced below.
func dropPackages(ctx context.Context, tx pgx.Tx) error { return nil }
