package server_test

import (
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

const notes = `
create table public.notes (id bigint generated always as identity primary key,
  user_id uuid not null default auth.current_user_id(), body text not null);
alter table public.notes enable row level security, force row level security;
create policy notes_owner on public.notes to authenticated
  using (user_id = (select auth.current_user_id())) with check (user_id = (select auth.current_user_id()));
grant select, insert, update, delete on public.notes to authenticated;
select fluxbase.reload();`

func TestMainJob(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	s.CreateUser(t, "ann@example.com")
	k := s.Login(t, "ann@example.com")
	t.Log(string(s.Do(t, "GET", "/auth/v1/user", nil, k.Bearer()).Body))
}
