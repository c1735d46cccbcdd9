-- The one list of our own SQLSTATEs (class ZF) and their HTTP answers.  Caller: the three logins.
create or replace function fluxbase.error_codes()
returns jsonb language sql immutable parallel safe security invoker
return jsonb_build_array(
  jsonb_build_object('sqlstate', 'ZF400', 'status', 500, 'code', 'unexpected_failure', 'message', 'The request context is malformed'),
  jsonb_build_object('sqlstate', 'ZF401', 'status', 401, 'code', 'session_not_found', 'message', 'Session from session_id claim in JWT does not exist'),
  jsonb_build_object('sqlstate', 'ZF402', 'status', 401, 'code', 'invalid_api_key', 'message', 'The API key is unknown, revoked or expired'),
  jsonb_build_object('sqlstate', 'ZF403', 'status', 403, 'code', 'no_authorization', 'message', 'The role of the token may not be used here'),
  jsonb_build_object('sqlstate', 'ZF405', 'status', 403, 'code', 'insufficient_aal', 'message', 'A second factor is required: enrol or verify one, or refresh the session when its factor is gone'),
  jsonb_build_object('sqlstate', 'ZF406', 'status', 500, 'code', 'unexpected_failure', 'message', 'The claims of the token could not be made'),
  jsonb_build_object('sqlstate', 'ZF410', 'status', 406, 'code', 'invalid_schema', 'message', 'The schema does not exist'),
  jsonb_build_object('sqlstate', 'ZF422', 'status', 422, 'code', 'query_too_expensive', 'message', 'The estimated cost of the request is too high: add filters or a limit'),
  jsonb_build_object('sqlstate', 'ZF429', 'status', 429, 'code', 'over_request_rate_limit', 'message', 'Too many requests'));
revoke all on function fluxbase.error_codes() from public;
grant execute on function fluxbase.error_codes() to fluxbase_server;
comment on function fluxbase.error_codes() is 'Every SQLSTATE of class ZF with HTTP status, error code and message.';
