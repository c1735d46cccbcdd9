// Package docs holds the guides, and the tests that keep them true: every block of SQL and shell in them and in the
// README is executed, every link leads somewhere, the claims of the security overview name code and tests that exist,
// and what is generated is current.
//
// A block is steered by comments right before its fence:
//
//	<!-- run: ROLE -->       SQL as superuser, or as a superuser who became that role; without it as the login app
//	<!-- run: server -->     shell, in the background until its page ends
//	<!-- fails: 42501 -->    SQL ends with this SQLSTATE; shell ends with this exit status
//	<!-- output -->          a block of text that is what the SQL block before it prints
//	<!-- not run: REASON --> the block is not executed; the reasons are a closed list
//
// One comment near the top of a page says where its blocks run:
//
//	<!-- environment: demo -->         the default: a running `fluxbase dev` with the demo, one for all these pages, so
//	                                   that none may need another or break it
//	<!-- environment: application -->  a cluster with an application's database, before anything is installed
//
// SQL blocks run in psql, each in a session of its own, in a database where everything is installed and the demo is
// loaded, one for each page. They run as the login app, who owns the database and the application's tables. Shell
// blocks of a page share variables and working directory. A console block holds commands after "$ " (continued after
// "> ") and what they print; ids, tokens, times and the version of the schema are masked before the two are compared,
// and a line "..." stands for any lines.
package docs

import (
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
