-- The signed request context: [1, user, session, org, aal, role, api key, ip, request id, actor, issued at, claims sha256].
-- Tables: fluxbase.context_keys.  Caller: anyone; a caller sees only the context of the own request.

-- Definer: it reads the key.  plpgsql: a definer function in language sql is planned again at every call.
-- One query answers everything, because each expression of a function is set up anew in every transaction.
create or replace function auth.verified_context_text()
returns text language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_text text := current_setting('fluxbase.context', true);
  v_fresh boolean; -- null when the signature is wrong
begin
  if v_text <> '' then
    -- Not v_text: the planner would work out the age of a text before anybody has looked at its signature.
    select case when encode(sha256(k.outer_pad || sha256(k.inner_pad || convert_to(current_setting('fluxbase.context'), 'UTF8'))), 'hex')
                     = current_setting('fluxbase.context_mac', true)
                then abs(date_part('epoch', now()) - split_part(current_setting('fluxbase.context'), ',', -2)::float8) <= 60 end
    into v_fresh from fluxbase.context_keys k;
    if v_fresh then
      return v_text;
    elsif v_fresh is null then
      raise exception using errcode = '42501', message = 'request context was changed',
        detail = 'the signature of fluxbase.context does not match',
        hint = 'only the server and auth.login_as() can set a request context';
    end if;
    -- A signed context that was overheard is worth nothing a minute later.
    raise exception using errcode = '42501', message = 'request context is too old',
      detail = 'it was issued more than 60 seconds before or after the transaction started',
      hint = 'compare the clocks of the server and of PostgreSQL';
  end if;
  return null;
end $$;
revoke all on function auth.verified_context_text() from public;
grant execute on function auth.verified_context_text() to public;
comment on function auth.verified_context_text() is
  'Text of the request''s context after its signature was checked; null when there is none, 42501 when it was changed.';

create or replace function auth.verified_context()
returns jsonb language sql stable parallel safe security invoker
return auth.verified_context_text()::jsonb;
revoke all on function auth.verified_context() from public;
grant execute on function auth.verified_context() to public;
comment on function auth.verified_context() is
  'Context of the request after its signature was checked; null when there is none, 42501 when it was changed.';

-- Signs a context.  Definer: it reads the key.  Caller: the owner's own functions.
create or replace function fluxbase.context_mac(p_context text)
returns text language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_inner bytea;
  v_outer bytea;
begin
  select k.inner_pad, k.outer_pad into strict v_inner, v_outer from fluxbase.context_keys k;
  return encode(sha256(v_outer || sha256(v_inner || convert_to(p_context, 'UTF8'))), 'hex');
end $$;
revoke all on function fluxbase.context_mac(text) from public;
comment on function fluxbase.context_mac(text) is 'HMAC-SHA256 of a context in hex, with the key of this database.';

create or replace function fluxbase.context_key()
returns bytea language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return (select k.key from fluxbase.context_keys k);
end $$;
revoke all on function fluxbase.context_key() from public;
grant execute on function fluxbase.context_key() to fluxbase_server;
comment on function fluxbase.context_key() is 'Key with which the server signs request contexts (32 bytes).';

create or replace function auth.rotate_context_key()
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_key bytea := sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
  v_inner bytea := decode(repeat('36', 64), 'hex');
  v_outer bytea := decode(repeat('5c', 64), 'hex');
begin
  for i in 0..31 loop
    v_inner := set_byte(v_inner, i, get_byte(v_key, i) # 54);
    v_outer := set_byte(v_outer, i, get_byte(v_key, i) # 92);
  end loop;
  update fluxbase.context_keys set key = v_key, inner_pad = v_inner, outer_pad = v_outer, created_at = now();
  perform audit.record(p_action => 'context_key.rotated');
end $$;
revoke all on function auth.rotate_context_key() from public;
grant execute on function auth.rotate_context_key() to fluxbase_admin;
comment on function auth.rotate_context_key() is 'Makes a new key for request contexts; servers read it at the first refused context.';
