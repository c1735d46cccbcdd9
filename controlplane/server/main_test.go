package server_test

import (
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
