-- Four people, two organizations, a few thousand rows.  The password of all four: set fluxbase.demo_password first.
select auth.create_user(p_email => e, p_password => current_setting('fluxbase.demo_password'),
                        p_user_metadata => jsonb_build_object('name', initcap(split_part(e, '@', 1))))
from unnest(array['ann@example.com', 'bob@example.com', 'cara@example.com', 'dan@example.com']) e;

insert into auth.organizations (slug, name) values ('north', 'North Ltd'), ('south', 'South Ltd');

insert into auth.memberships (org_id, user_id, role)
select o.id, u.id, m.role
from (values ('north', 'ann@example.com', 'owner'), ('north', 'bob@example.com', 'member'),
             ('south', 'cara@example.com', 'owner'), ('south', 'dan@example.com', 'member'),
             ('south', 'bob@example.com', 'member')) m (slug, email, role)
join auth.organizations o on o.slug = m.slug
join auth.users u on u.email = m.email;

insert into public.notes (user_id, body, created_at)
select u.id, format('Note %s of %s', n, split_part(u.email, '@', 1)), now() - n * interval '1 hour'
from auth.users u cross join generate_series(1, 500) n
where u.email in ('ann@example.com', 'bob@example.com', 'cara@example.com', 'dan@example.com');

insert into public.projects (org_id, name)
select o.id, format('%s project %s', o.name, n)
from auth.organizations o cross join generate_series(1, 10) n
where o.slug in ('north', 'south');

insert into public.tasks (org_id, project_id, assignee_id, title, done)
select p.org_id, p.id,
       (select m.user_id from auth.memberships m where m.org_id = p.org_id order by m.user_id offset n % 2 limit 1),
       format('Task %s', n), n % 3 = 0
from public.projects p cross join generate_series(1, 100) n;

analyze public.notes;
analyze public.projects;
analyze public.tasks;
