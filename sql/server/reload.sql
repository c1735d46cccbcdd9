-- Tells the servers that tables or functions of the data API have changed.  Caller: fluxbase_admin; others send the notification themselves.
create or replace function fluxbase.reload()
returns void language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  notify fluxbase_reload;
end $$;
revoke all on function fluxbase.reload() from public;
grant execute on function fluxbase.reload() to fluxbase_admin;
comment on function fluxbase.reload() is
  'After DDL: every server reads the catalog again when the transaction commits. Servers also notice by themselves at the first statement that fails for it.';
