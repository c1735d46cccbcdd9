-- Those of the keys ($1, as auth.policy_objects() makes them) that name a relation which is not there.
select k.key
from unnest($1::text[]) k (key)
cross join lateral (select '((?:"(?:[^"]|"")+"|[^". ]+)\.(?:"(?:[^"]|"")+"|[^" ]+))' as name) x
cross join lateral (select coalesce(substring(k.key from '^policy .* on ' || x.name || '$'), substring(k.key from '^grant .* on (?:table|sequence) ' || x.name || ' to ')) as name) r
where r.name is not null and pg_catalog.to_regclass(r.name) is null
order by k.key collate "C"
