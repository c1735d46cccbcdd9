-- Example: everybody reads what is published, authors see and change their own.  Not part of the package: copy it,
-- change the names, run it as the owner of your tables, who is a member of fluxbase_author (for the foreign key).
create table public.articles (
  id bigint generated always as identity,
  author_id uuid not null default auth.current_user_id(),
  title text not null,
  published_at timestamptz,
  constraint articles_id_pk primary key (id),
  constraint articles_author_id_fk foreign key (author_id) references auth.users (id) on delete cascade
);
create index articles_author_id_idx on public.articles (author_id);
create index articles_published_at_idx on public.articles (published_at);

select auth.enable_rls(p_table => 'public.articles');

-- anon is a caller without a token.  Name the roles in every policy: one without TO holds for everybody.
grant select on public.articles to anon;
grant select, insert, update, delete on public.articles to authenticated, service_role;

create policy articles_public_read on public.articles for select to anon, authenticated
  using (published_at <= now());

-- Policies of one command are joined with OR: authors also see their drafts.
create policy articles_author on public.articles for all to authenticated
  using (author_id = (select auth.current_user_id()))
  with check (author_id = (select auth.current_user_id()));
