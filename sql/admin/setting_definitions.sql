-- What can be set.  Tables: auth.settings.  Runs at every installation: definitions follow the release, values stay.
insert into auth.settings as s (key, default_value, kind, minimum, maximum, description) values
  ('password_min_length', '12', 'integer', 8, 72, 'Fewest characters of a new password'),
  ('password_require_uppercase', 'false', 'boolean', null, null, 'A new password needs a letter A to Z'),
  ('password_require_lowercase', 'false', 'boolean', null, null, 'A new password needs a letter a to z'),
  ('password_require_number', 'false', 'boolean', null, null, 'A new password needs a digit'),
  ('password_require_special', 'false', 'boolean', null, null, 'A new password needs a character that is neither letter nor digit'),
  ('password_change_requires_current', 'false', 'boolean', null, null, 'A new password over HTTP needs the current one beside it'),
  ('password_bcrypt_cost', '10', 'integer', 10, 14, 'bcrypt cost of new hashes; older ones are renewed at the next login'),
  ('access_token_lifetime', '15 minutes', 'interval', 60, 86400, 'How long an access token is valid'),
  ('signing_key_lead_time', '1 minute', 'interval', 5, 86400, 'How long servers and caches have to learn of a new signing key before it signs'),
  ('session_lifetime', '90 days', 'interval', 300, 315360000, 'When a session ends, however much it is used'),
  ('session_inactivity', '30 days', 'interval', 300, 315360000, 'When a session ends that is not used'),
  ('session_retention', '30 days', 'interval', 0, 315360000, 'How long a dead session can still be inspected'),
  ('signup_enabled', 'true', 'boolean', null, null, 'Anybody may sign up over HTTP'),
  ('signup_autoconfirm', 'false', 'boolean', null, null, 'A sign-up needs no confirmed e-mail address'),
  ('flow_lifetime', '1 hour', 'interval', 60, 86400, 'How long a sign-in with a code challenge may take to come back'),
  ('auth_code_lifetime', '5 minutes', 'interval', 30, 3600, 'How long the code that it comes back with can be exchanged'),
  ('login_failures_before_delay', '5', 'integer', 1, 100, 'Failed logins of an account, from one address, before it is slowed'),
  ('login_account_failures_before_delay', '100', 'integer', 1, 100000, 'Failed logins of an account, from anywhere, before it is slowed'),
  ('login_address_failures_before_delay', '100', 'integer', 1, 100000, 'Failed logins from one address, to any account, before it is slowed'),
  ('login_delay_maximum', '15 minutes', 'interval', 1, 86400, 'Longest delay after failed logins'),
  ('organization_creation_enabled', 'true', 'boolean', null, null, 'Every user may create organizations over HTTP; otherwise administrators alone'),
  ('organization_invitation_lifetime', '7 days', 'interval', 300, 31536000, 'How long an invitation into an organization can be accepted'),
  ('mfa_enforcement', 'optional', 'text', null, null, 'Second factors: off (no new ones), optional, required, or required_for_roles'),
  ('mfa_required_roles', '', 'list', null, null, 'Who needs a second factor under required_for_roles: roles, and organizations as org:SLUG'),
  ('mfa_failures_before_delay', '5', 'integer', 1, 100, 'Failed codes of a user, over all routes, before the user is slowed'),
  ('mfa_challenge_lifetime', '5 minutes', 'interval', 30, 3600, 'How long a challenge can be answered'),
  ('mfa_issuer', 'Fluxbase', 'text', null, null, 'Name that authenticator apps show for accounts of this installation'),
  ('request_roles', '', 'list', null, null, 'Database roles a request may run as, besides anon and authenticated'),
  ('audit_retention_months', '0', 'integer', 0, 1200, 'Full months of audit.log that are kept; 0 keeps everything'),
  ('audit_partitions_ahead', '12', 'integer', 2, 60, 'Monthly partitions of audit.log made in advance')
on conflict (key) do update
set default_value = excluded.default_value, kind = excluded.kind, minimum = excluded.minimum,
    maximum = excluded.maximum, description = excluded.description
where (s.default_value, s.kind, s.minimum, s.maximum, s.description)
      is distinct from (excluded.default_value, excluded.kind, excluded.minimum, excluded.maximum, excluded.description);
