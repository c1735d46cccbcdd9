-- Row security, grants and policies of our own tables.  Safe to run again; examples for your tables are in examples/.
-- By tern: tern code install policies.  By psql, in one transaction: psql -1 -v ON_ERROR_STOP=1 -f policies/install.sql.
do $$
begin
  if current_user <> 'fluxbase_owner' then
    raise exception using errcode = '42501', message = 'run this as fluxbase_owner',
      detail = 'add role=fluxbase_owner to the connection string';
  end if;
end $$;

-- What somebody made in public must not be bound into functions and views of ours, however well it fits.
set local search_path = pg_catalog, pg_temp;

-- Row security is switched under ACCESS EXCLUSIVE: rather give up than stop every request behind a long reader.
set local lock_timeout = '2s';

--{{/*
\ir auth.sql
--*/}}
--{{"\n"}}{{ template "auth.sql" . }}
--{{/*
\ir audit.sql
--*/}}
--{{"\n"}}{{ template "audit.sql" . }}
--{{/*
\ir ratelimit.sql
--*/}}
--{{"\n"}}{{ template "ratelimit.sql" . }}
--{{/*
\ir fluxbase.sql
--*/}}
--{{"\n"}}{{ template "fluxbase.sql" . }}
--{{/*
\ir checksum.sql
--*/}}
--{{"\n"}}{{ template "checksum.sql" . }}
