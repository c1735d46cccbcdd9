-- The same two functions without the check of the signature, for `fluxbase migrate --verified-context=off`.
-- Not part of the package's install.sql, which puts the verified ones back.  Signatures are the same; every helper stands
-- on these two, so all that read no table become expressions that PostgreSQL inlines.
-- What is lost: any SQL that runs in a request may then set the context and be whom it likes.
create or replace function auth.verified_context_text()
returns text language sql stable parallel safe security invoker
return nullif(current_setting('fluxbase.context', true), '');
revoke all on function auth.verified_context_text() from public;
grant execute on function auth.verified_context_text() to public;
comment on function auth.verified_context_text() is 'Text of the request''s context, not verified: verified context is off.';

create or replace function auth.jwt()
returns jsonb language sql stable parallel safe security invoker
return nullif(current_setting('request.jwt.claims', true), '')::jsonb;
revoke all on function auth.jwt() from public;
grant execute on function auth.jwt() to public;
comment on function auth.jwt() is 'Claims of the access token, null without one; not verified: verified context is off.';
