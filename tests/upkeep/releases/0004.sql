insert into uploads (job_id, name, kind, owner, content_hash, size, object_key) values
  (3, 'g.csv', 'sheet', 'Bea', repeat('7', 64), 5, 'media/77/' || repeat('7', 64) || '.csv');
insert into score_jobs (job_id, upload_id, name, kind, place, identity, rubric, asking, fingerprint, rows) values
  (3, (select id from uploads where name = 'g.csv'), 'g.csv', 'csv', 'media/77/' || repeat('7', 64) || '.csv',
   repeat('7', 64), '{"categories": ["joy"]}', '{"provider": "local"}', 'fp', 501);
insert into score_chunks (score_job_id, chunk_id, number, row_range, status, retry_count, last_error) values
  (1, '1-0001', 1, '[0,500)', 'finished', 0, null), (1, '1-0002', 2, '[500,501)', 'failed', 2, 'was lost');
insert into score_rows (score_job_id, row, key, scores, reason) values (1, 0, 'k', '{3}', 'it is so');
insert into score_cache (key, scores) values ('k', '{3}');
insert into score_files (score_job_id, provider, address, name, holder) values (1, 'gemini', 'https://a', 'files/1', 'h');
