-- Tokens are looked for by their address, too.
create index one_time_tokens_email_normalized_idx on auth.one_time_tokens (email_normalized, purpose) where used_at is null and email_normalized is not null;

---- create above / drop below ----
--{{/*
\quit
--*/}}
drop index auth.one_time_tokens_email_normalized_idx;
