insert into batches (key, status, attempts) values ('20260101-0001', 'finished', 1), ('20260101-0002', 'planned', 0);
insert into jobs (name, revision, content_hash, status, owner, bpm, key, edit, batch_id) values
  ('spring', 1, 'job-1', 'ready', 'Ada', 120, 'C major', '{"duration": 40}', 1),
  ('spring', 2, 'job-2', 'ready', 'Ada', null, null, '{}', 2),
  ('winter', 1, 'job-3', 'ready', 'Bea', null, null, '{}', 1);
insert into jobs (name, revision, content_hash, status, error) values ('broken', 1, 'job-4', 'bad', 'has no song');
insert into inbox_folders (name, fingerprint, files, job_id) values ('spring', 'f', '{"a.ogg": {"hash": "h1"}}', 2);
insert into uploads (job_id, name, kind, owner, tags, content_hash, size, object_key) values
  (1, 'a.ogg', 'music', 'Ada', '{blue}', repeat('a', 64), 7, 'media/aa/' || repeat('a', 64) || '.ogg'),
  (1, 'b.mp4', 'clip', 'Ada', '{}', repeat('b', 64), 8, 'media/bb/' || repeat('b', 64) || '.mp4'),
  (3, 'c.lrc', 'lyrics', 'Bea', '{}', repeat('c', 64), 9, 'media/cc/' || repeat('c', 64) || '.lrc');
insert into uploads (job_id, name, kind, owner, content_hash, size, status, error) values
  (3, 'd.mp4', 'clip', 'Bea', repeat('d', 64), 9, 'bad', 'holds no picture');
insert into consents (job_id, owner, quality, training) values (1, 'Ada', true, true), (3, 'Bea', false, false);
insert into item_results (job_id, upload_id, kind, content_hash, code_version, status, error, object_key, seconds) values
  (1, 1, 'music_features', repeat('a', 64), '1', 'ok', null, null, 1.5),
  (1, null, 'edit_renders', 'x', '1', 'ok', null, 'features/render/1/' || repeat('e', 64) || '-0000000000000000.mp4', 9),
  (3, 3, 'lyrics_features', repeat('c', 64), '1', 'failed', 'is empty', null, 0.1);
insert into features_store (job_id, user_id, clip_kind, n_dim, vec, content_hash, feature_version) values
  (1, 'Ada', 'mix', 3, '{1,2,3}', repeat('a', 64), '1');
insert into edits (job_id, pattern, plan_key, render_key, quality) values
  (1, 'dynamic', 'media/ee/' || repeat('e', 64) || '.json', null, '{"aggregateConfidence": 0.9}');
insert into audit_logs (actor, action, subject) values
  ('system', 'job.accept', 'job:1'), ('system', 'job.accept', 'job:2'), ('system', 'job.accept', 'job:3');
insert into feature_flags (name, enabled, note) values ('enable_cpu_ml', true, 'since the beginning')
  on conflict (name) do update set enabled = excluded.enabled, note = excluded.note;
