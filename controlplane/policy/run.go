package policy

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Options say how files are planned and applied.
type Options struct {
	Set         string        // name of the set that the files make; sets do not touch each other's objects
	LockTimeout time.Duration // how long to wait for the lock of one table
	Retries     int           // how often to begin anew when a lock was not had
	// Retrying is told before each new attempt, and why; nil tells nobody.
	Retrying func(err error)
}

// Change is one fact about access that is gone or has come.
type Change struct {
	Come bool
	Fact string
}

// Result is what the files change.
type Result struct {
	Changes []Change
	Lost    []string      // what the files made before on tables that are gone, or have another name and keep it
	Locked  int           // tables that were locked with ACCESS EXCLUSIVE
	Took    time.Duration // for how long
}

// Plan finds out what applying the files would change, and changes nothing.
func Plan(ctx context.Context, conn *pgx.Conn, files []File, o Options) (*Result, error) {
	return attempt(ctx, conn, files, o, false)
}

// Apply makes the access rules of the database those of the files. When they already are, nothing is written.
func Apply(ctx context.Context, conn *pgx.Conn, files []File, o Options) (*Result, error) {
	return attempt(ctx, conn, files, o, true)
}

// attempt runs the files, anew after a pause when somebody holds a lock.
func attempt(ctx context.Context, conn *pgx.Conn, files []File, o Options, commit bool) (*Result, error) {
	for try, pause := 0, 250*time.Millisecond; ; try, pause = try+1, min(2*pause, 8*time.Second) {
		result, err := run(ctx, conn, files, o, commit)
		var pe *pgconn.PgError
		if err == nil || !errors.As(err, &pe) || !inTheWay(pe) {
			return result, err
		}
		if try >= o.Retries {
			return nil, fmt.Errorf("gave up after %d attempts, a table is in use%s: %w", try+1, inUse(ctx, conn), err)
		}
		if o.Retrying != nil {
			o.Retrying(err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause + rand.N(pause)):
		}
	}
}

// inTheWay says that somebody else did something at the same time, and that it may work a moment later.
func inTheWay(pe *pgconn.PgError) bool {
	switch pe.Code {
	case "55P03", "40P01", "40001":
		return true
	}
	return pe.Code == "XX000" && strings.HasPrefix(pe.Message, "tuple concurrently ") // two GRANTs on one table
}

// inUse names up to five processes that hold a lock of a table of the application, longest transaction first. Who they are
// PostgreSQL tells their own role and members of pg_read_all_stats.
func inUse(ctx context.Context, conn *pgx.Conn) string {
	var text string
	err := conn.QueryRow(ctx, `
		select coalesce(' (' || string_agg(x.line, ', ') || ')', '') from (
			select format('%s by process %s', string_agg(distinct format('%I.%I', n.nspname, c.relname), ', '), l.pid) || coalesce(' of ' || a.usename, '')
				|| coalesce(' since ' || to_char(a.xact_start, 'HH24:MI:SS'), '') as line
			from pg_locks l join pg_class c on c.oid = l.relation and c.relkind in ('r', 'p') join pg_namespace n on n.oid = c.relnamespace
			left join pg_stat_activity a on a.pid = l.pid
			where l.locktype = 'relation' and l.granted and l.pid <> pg_backend_pid()
				and l.database = (select d.oid from pg_database d where d.datname = current_database())
				and n.nspname not in ('pg_catalog', 'pg_toast', 'auth', 'audit', 'ratelimit', 'fluxbase')
			group by l.pid, a.usename, a.xact_start order by a.xact_start nulls last limit 5) x`).Scan(&text)
	if err != nil {
		return "" // it explains an error, and is none
	}
	return text
}

var (
	//go:embed surroundings.sql
	surroundingsSQL string
	//go:embed written.sql
	writtenSQL string
	//go:embed lost.sql
	lostSQL string
)

var (
	errNotInstalled = errors.New("this database has no Fluxbase, or that of an older release: fluxbase migrate")
	errNoAdmin      = errors.New("the login is no member of fluxbase_admin: grant fluxbase_admin to it")
)

// AsAdmin runs fn in a transaction as fluxbase_admin, which Lock, Drift and Check need, or says why it cannot. The role ends
// with the transaction: behind a connection pooler the session may be somebody else's next.
func AsAdmin(ctx context.Context, conn *pgx.Conn, fn func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var installed, member bool
		err := tx.QueryRow(ctx, `
			select to_regprocedure('auth.policy_objects()') is not null,
			       exists (select from pg_roles r where r.rolname = 'fluxbase_admin' and pg_has_role(r.oid, 'member'))`).Scan(&installed, &member)
		switch {
		case err != nil:
			return err
		case !installed:
			return errNotInstalled
		case !member:
			return errNoAdmin
		}
		if _, err := tx.Exec(ctx, `set local role fluxbase_admin`); err != nil {
			return err
		}
		return fn(tx)
	})
}

// applyLock lets one process at a time apply. It spells policy.
const applyLock int64 = 0x706f6c696379

// session is one transaction.
type session struct {
	tx       pgx.Tx
	asAdmin  string // becomes a role that may use our functions
	asCaller string // becomes what the connection was
	checking string // client_connection_check_interval
}

func run(ctx context.Context, conn *pgx.Conn, files []File, o Options, commit bool) (*Result, error) {
	// One snapshot: what others make meanwhile is not the files'. It is taken with the lock, so that the second to apply
	// sees what the first one made.
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		return nil, err
	}
	for {
		var alone bool
		if err := tx.QueryRow(ctx, `select pg_try_advisory_xact_lock($1)`, applyLock).Scan(&alone); err != nil {
			return nil, errors.Join(err, tx.Rollback(context.WithoutCancel(ctx)))
		}
		if alone {
			break
		}
		if err := tx.Rollback(ctx); err != nil {
			return nil, err
		}
		if err := waitForOthers(ctx, conn); err != nil {
			return nil, err
		}
		if tx, err = conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}); err != nil {
			return nil, err
		}
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to undo after a commit
	s := &session{tx: tx}
	if err := s.prepare(ctx, o); err != nil {
		return nil, err
	}
	before, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	worldBefore, err := s.world(ctx)
	if err != nil {
		return nil, err
	}
	managed, err := s.managed(ctx, o.Set)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	bare, kept, err := s.takeAway(ctx, managed)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if err := s.execute(ctx, file, o.LockTimeout); err != nil {
			return nil, err
		}
	}
	made, err := s.takeStock(ctx, bare, kept)
	if err != nil {
		return nil, err
	}
	worldAfter, err := s.world(ctx)
	if err != nil {
		return nil, err
	}
	beside, err := compare(worldBefore, worldAfter)
	if err != nil {
		return nil, err
	}
	result := &Result{}
	if result.Lost, err = s.texts(ctx, lostSQL, managed); err != nil {
		return nil, err
	}
	if result.Locked, err = s.locked(ctx); err != nil {
		return nil, err
	}
	if result.Changes, err = s.drift(ctx, before); err != nil {
		return nil, err
	}
	result.Changes = append(result.Changes, beside...)
	if commit && (len(result.Changes) > 0 || !slices.Equal(made, managed)) {
		if err := s.save(ctx, o.Set, made, result.Changes); err != nil {
			return nil, err
		}
		if err := tx.Commit(ctx); err != nil {
			return nil, err
		}
	} else if err := tx.Rollback(ctx); err != nil {
		return nil, err
	}
	result.Took = time.Since(started)
	return result, nil
}

// prepare bounds the waiting and finds out as whom our functions can be called.
func (s *session) prepare(ctx context.Context, o Options) error {
	_, err := s.tx.Exec(ctx, `select set_config('lock_timeout', $1, true)`, milliseconds(o.LockTimeout))
	if err != nil {
		return err
	}
	var installed, uses, member, counts bool
	err = s.tx.QueryRow(ctx, `
		select to_regprocedure('auth.policy_objects()') is not null, r.oid is not null and pg_has_role(r.oid, 'usage'),
		       r.oid is not null and pg_has_role(r.oid, 'member'), current_setting('track_counts')::boolean
		from (select 1) x left join pg_roles r on r.rolname = 'fluxbase_admin'`).Scan(&installed, &uses, &member, &counts)
	switch {
	case err != nil:
		return err
	case !installed:
		return errNotInstalled
	case !uses && !member:
		return errNoAdmin
	case !counts:
		return errors.New("track_counts is off: it must be on to see what the files write")
	case !uses:
		s.asAdmin, s.asCaller = `set local role fluxbase_admin`, `reset role`
	}
	// When we are killed PostgreSQL notices, and does not go on with our locks. Not every platform can.
	_, err = s.tx.Exec(ctx, `do $$ begin perform pg_catalog.set_config('client_connection_check_interval', '1s', true); exception when invalid_parameter_value then null; end $$`)
	if err != nil {
		return err
	}
	return s.tx.QueryRow(ctx, `select current_setting('client_connection_check_interval')`).Scan(&s.checking)
}

// waitForOthers returns when nobody applies, without a limit: nobody waits for who waits here.
func waitForOthers(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `select set_config('lock_timeout', '0', true), pg_advisory_xact_lock($1)`, applyLock)
		return err
	})
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%dms", max(d.Milliseconds(), 1)) }

// admin runs fn as a role that may use our functions.
func (s *session) admin(ctx context.Context, fn func() error) error {
	if s.asAdmin == "" {
		return fn()
	}
	if _, err := s.tx.Exec(ctx, s.asAdmin); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	_, err := s.tx.Exec(ctx, s.asCaller)
	return err
}

func (s *session) texts(ctx context.Context, sql string, args ...any) ([]string, error) {
	rows, err := s.tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func (s *session) lock(ctx context.Context) (text string, err error) {
	err = s.admin(ctx, func() error {
		lines, err := s.texts(ctx, `select auth.policy_lock()`)
		text = strings.Join(lines, "\n")
		return err
	})
	return text, err
}

func (s *session) managed(ctx context.Context, set string) (keys []string, err error) {
	err = s.admin(ctx, func() error {
		return s.tx.QueryRow(ctx, `select auth.policy_set(p_name => $1)`, set).Scan(&keys)
	})
	return keys, err
}

// object is a row of auth.policy_objects().
type object struct {
	Key, Version, Removal string
}

func (o object) isFunction() bool {
	return strings.HasPrefix(o.Key, "function ") || strings.HasPrefix(o.Key, "procedure ")
}

func (s *session) objects(ctx context.Context) (objects []object, err error) {
	err = s.admin(ctx, func() error {
		rows, err := s.tx.Query(ctx, `select key, version, removal from auth.policy_objects()`)
		if err != nil {
			return err
		}
		objects, err = pgx.CollectRows(rows, pgx.RowToStructByPos[object])
		return err
	})
	return objects, err
}

// takeAway drops the policies and revokes the grants that the set made, and returns the version of every object that
// is then there, and the functions of the set. Those stay until the files have run: policies of others may call them.
func (s *session) takeAway(ctx context.Context, managed []string) (bare map[string]string, kept map[string]bool, err error) {
	objects, err := s.objects(ctx)
	if err != nil {
		return nil, nil, err
	}
	wanted := map[string]bool{}
	for _, key := range managed {
		wanted[key] = true
	}
	kept = map[string]bool{}
	var batch pgx.Batch
	var removed []string
	for _, o := range objects {
		switch {
		case !wanted[o.Key]:
		case o.isFunction():
			kept[o.Key] = true
		default:
			batch.Queue(o.Removal)
			removed = append(removed, o.Key)
		}
	}
	if len(removed) > 0 {
		results := s.tx.SendBatch(ctx, &batch)
		for _, key := range removed {
			if _, err := results.Exec(); err != nil {
				_ = results.Close() // says the same
				return nil, nil, fmt.Errorf("take away %s, which the files made before: %w", key, err)
			}
		}
		if err := results.Close(); err != nil {
			return nil, nil, err
		}
		if objects, err = s.objects(ctx); err != nil {
			return nil, nil, err
		}
	}
	bare = make(map[string]string, len(objects))
	for _, o := range objects {
		bare[o.Key] = o.Version
	}
	return bare, kept, nil
}

// takeStock drops the functions of the set that the files no longer make, and returns the keys of what they made.
func (s *session) takeStock(ctx context.Context, bare map[string]string, kept map[string]bool) ([]string, error) {
	objects, err := s.objects(ctx)
	if err != nil {
		return nil, err
	}
	var gone []string
	for _, o := range objects {
		if kept[o.Key] && bare[o.Key] == o.Version {
			gone = append(gone, o.Key)
		}
	}
	if gone != nil {
		if err := s.dropFunctions(ctx, gone); err != nil {
			return nil, err
		}
		// And their grants with them.
		if objects, err = s.objects(ctx); err != nil {
			return nil, err
		}
	}
	made := []string{}
	for _, o := range objects {
		version, before := bare[o.Key]
		if !before || version != o.Version && (kept[o.Key] || !o.isFunction()) {
			made = append(made, o.Key)
		}
	}
	slices.Sort(made)
	return made, nil
}

// dropFunctions drops functions and procedures, all in one statement: one may call another.
func (s *session) dropFunctions(ctx context.Context, keys []string) error {
	names := make([]string, len(keys))
	for i, key := range keys {
		_, names[i], _ = strings.Cut(key, " ")
	}
	_, err := s.tx.Exec(ctx, `drop routine `+strings.Join(names, ", "))
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == "2BP01" {
		// The hint of PostgreSQL would be to drop policies, too.
		return fmt.Errorf("%s: in the files no longer, and still in use\n  %s\nhint: keep it in the files, or change what uses it first",
			strings.Join(keys, ", "), strings.ReplaceAll(pe.Detail, "\n", "\n  "))
	}
	if err != nil {
		return fmt.Errorf("drop %s, in the files no longer: %w", strings.Join(keys, ", "), err)
	}
	return nil
}

// drift compares the surface with what it was; policies that only print differently are none.
func (s *session) drift(ctx context.Context, before string) (changes []Change, err error) {
	err = s.admin(ctx, func() error {
		changes, err = driftOf(ctx, s.tx, before)
		return err
	})
	return changes, err
}

// Queryer is a connection or a transaction.
type Queryer interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func driftOf(ctx context.Context, q Queryer, lock string) ([]Change, error) {
	rows, err := q.Query(ctx, `select change = '+', fact from auth.policy_drift(p_lock => $1)`, lock)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Change])
}

func (s *session) locked(ctx context.Context) (n int, err error) {
	err = s.tx.QueryRow(ctx, `
		select count(distinct l.relation) from pg_locks l join pg_class c on c.oid = l.relation
		where l.pid = pg_backend_pid() and l.mode = 'AccessExclusiveLock' and c.relkind in ('r', 'p')`).Scan(&n)
	return n, err
}

func (s *session) save(ctx context.Context, set string, made []string, changes []Change) error {
	facts := make([]string, len(changes))
	for i, c := range changes {
		facts[i] = c.String()
	}
	return s.admin(ctx, func() error {
		_, err := s.tx.Exec(ctx, `select auth.save_policy_set(p_name => $1, p_objects => $2, p_changes => $3)`, set, made, facts)
		return err
	})
}
