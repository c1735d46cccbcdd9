-- What policies ask.  Signatures never change.  Tables: none here; organizations and roles are in context/membership.sql.
-- The user's id is cut out of the text ([1,"id",...), which is worth 3 us a request beside reading it as jsonb.
-- The bodies are bound expressions: PostgreSQL inlines them, and no search_path reaches them.
-- Executable by everybody: they tell a caller about the own request and nothing else, and a policy whose helper
-- is not executable would end in an error instead of no rows.

create or replace function auth.current_user_id()
returns uuid language sql stable parallel safe security invoker
return nullif(split_part(split_part(auth.verified_context_text(), ',', 2), '"', 2), '')::uuid;
revoke all on function auth.current_user_id() from public;
grant execute on function auth.current_user_id() to public;
comment on function auth.current_user_id() is 'Id of the signed-in user, null for nobody. In policies: (select auth.current_user_id()).';

create or replace function auth.uid()
returns uuid language sql stable parallel safe security invoker
return nullif(split_part(split_part(auth.verified_context_text(), ',', 2), '"', 2), '')::uuid;
revoke all on function auth.uid() from public;
grant execute on function auth.uid() to public;
comment on function auth.uid() is 'Short name of auth.current_user_id().';

create or replace function auth.session_id()
returns uuid language sql stable parallel safe security invoker
return (auth.verified_context() ->> 2)::uuid;
revoke all on function auth.session_id() from public;
grant execute on function auth.session_id() to public;
comment on function auth.session_id() is 'Id of the session of the request, null without one.';

create or replace function auth.aal()
returns text language sql stable parallel safe security invoker
return auth.verified_context() ->> 4;
revoke all on function auth.aal() from public;
grant execute on function auth.aal() to public;
comment on function auth.aal() is 'Authenticator assurance level of the session: aal1, aal2 or null (NIST SP 800-63B).';

create or replace function auth.role()
returns text language sql stable parallel safe security invoker
return auth.verified_context() ->> 5;
revoke all on function auth.role() from public;
grant execute on function auth.role() to public;
comment on function auth.role() is 'Database role of the request: anon, authenticated, service_role or one listed in request_roles.';

create or replace function auth.current_user_role()
returns text language sql stable parallel safe security invoker
return auth.verified_context() ->> 5;
revoke all on function auth.current_user_role() from public;
grant execute on function auth.current_user_role() to public;
comment on function auth.current_user_role() is 'Long name of auth.role().';

create or replace function auth.is_authenticated()
returns boolean language sql stable parallel safe security invoker
return coalesce(auth.verified_context() ->> 1, '') <> '';
revoke all on function auth.is_authenticated() from public;
grant execute on function auth.is_authenticated() to public;
comment on function auth.is_authenticated() is 'True when the request belongs to a signed-in user.';

create or replace function auth.jwt()
returns jsonb language plpgsql stable parallel safe security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_hash text := auth.verified_context() ->> 11;
  v_claims text := current_setting('request.jwt.claims', true);
begin
  if v_hash is null then
    return null;
  end if;
  if encode(sha256(convert_to(coalesce(v_claims, ''), 'UTF8')), 'hex') <> v_hash then
    raise exception using errcode = '42501', message = 'request claims were changed',
      detail = 'request.jwt.claims does not match the hash in the signed context';
  end if;
  return v_claims::jsonb;
end $$;
revoke all on function auth.jwt() from public;
grant execute on function auth.jwt() to public;
comment on function auth.jwt() is 'Verified claims of the access token, null without one; 42501 when they were changed.';

-- An address is an identity: without a user of ours it is nobody's, whatever a trusted issuer writes into its token.
create or replace function auth.email()
returns text language sql stable parallel safe security invoker
return case when auth.verified_context() ->> 1 is not null then auth.jwt() ->> 'email' end;
revoke all on function auth.email() from public;
grant execute on function auth.email() to public;
comment on function auth.email() is 'E-mail address in the access token, null without one or without a user.';
