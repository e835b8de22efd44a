insert into api_keys (prefix, digest, label, owner, role, scopes, created_by) values
  ('12345678', repeat('a', 64), 'a test', 'Ada', 'editor', '{jobs:read}', 'bbbbbbbbbbbbbbbb');
insert into browser_sessions (digest, csrf, key_id, owner, role, scopes, expires_at) values
  (repeat('b', 64), 'c', 1, 'Ada', 'editor', '{jobs:read}', now() + interval '1 hour');
insert into pending_uploads (id, owner, name, kind, size, expires_at) values
  ('abcdefghijklmnopqrstuv', 'Ada', 'i.wav', 'mix', 9, now() + interval '1 day');
insert into submissions (job_name, owner, request_id) values ('spring', 'Ada', 'r-1');
insert into idempotent_answers (caller, key, request_hash, status, body) values ('aaaaaaaaaaaaaaaa', 'k', 'h', 202, '{}');
insert into api_traffic values ('GET /v1/jobs', '2026-01-01 10:00Z', 3, 0, 1, 9.5, '{1,2}');
