-- Which addresses somebody vouches for.  email_confirmed_at only says that the user may log in.
alter table auth.users add column email_proven_at timestamptz;
comment on column auth.users.email_proven_at is
  'When an administrator vouched for this address; null after automatic confirmation and after a change of the address.';

---- create above / drop below ----
--{{/*
\quit
--*/}}
alter table auth.users drop column email_proven_at;
