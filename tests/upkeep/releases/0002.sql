insert into uploads (job_id, name, kind, owner, content_hash, size, object_key) values
  (2, 'e.wav', 'vocal', 'Ada', repeat('1', 64), 5, 'media/11/' || repeat('1', 64) || '.wav');
insert into uploads (job_id, name, kind, owner, content_hash, size, status) values
  (2, 'f.wav', 'inst', 'Ada', repeat('2', 64), 5, 'expired');
insert into labels (job_id, user_id, task, content_hash, clip_kind, feature_version, recording, y_reg, y_cls, quality, author)
  values (1, 'Ada', 'master_reg', repeat('a', 64), 'mix', '1', 'r1', '{1,2,3,-14}', null, 'auto', 'rule'),
         (1, 'Ada', 'preset_cls', repeat('a', 64), 'mix', '1', 'r1', null, 'warm', 'human', 'Olga');
insert into training_snapshots (task, uri, sha256, n_rows, feature_version, users) values
  ('master_reg', 'training/master_reg/' || repeat('3', 64) || '.parquet', repeat('3', 64), 1, '1', '{0123456789abcdef}');
insert into model_registry (name, version, uri, framework, input_dim, output_dim, metrics, sha256, feature_version,
  code_version, snapshot_id, created_by) values
  ('master_reg', 'v20260101', 'media/44/' || repeat('4', 64) || '.onnx', 'onnx', 3, 4, '{"mae": 1}', repeat('4', 64), '1',
   '1', 1, 'system'),
  ('master_reg', 'v20260102', 'media/55/' || repeat('5', 64) || '.onnx', 'onnx', 3, 4, '{}', repeat('5', 64), '1', '1', 1,
   'system');
insert into rollouts (name, model_id, previous_id, stage, status, reason, decided_by) values
  ('master_reg', 1, null, 100, 'live', 'the first', 'system'), ('master_reg', 2, 1, 5, 'running', 'new', 'system');
insert into model_traffic values (1, '2026-01-01 10:00Z', 2, 0, 0, 3.5, '{1,1}', '{1}', '{1}', null);
insert into model_metrics (model_id, "window", n, latency_ms) values (1, '1d', 2, 1.75);
insert into vault_items (job_id, user_id, kind, object_key, content_hash, size, legal_hold, hold_reason, expires_at) values
  (1, 'Ada', 'music', 'media/aa/' || repeat('a', 64) || '.ogg', repeat('a', 64), 7, false, null, null),
  (2, 'Ada', 'vocal', 'media/11/' || repeat('1', 64) || '.wav', repeat('1', 64), 5, true, 'a dispute', '2026-01-09Z');
insert into withdrawals (user_id, keep_originals, requested_by, due_at) values ('Cleo', false, 'Olga', '2026-01-02Z');
insert into access_requests (vault_item_id, requested_by, reason) values (1, 'Olga', 'a question');
insert into storage_use (used, budget, level) values (10, 100, 0);
insert into audit_logs (actor, action, subject) values ('system', 'model.register', 'model:master_reg');
