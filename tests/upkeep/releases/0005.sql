insert into uploads (job_id, name, kind, owner, content_hash, size, object_key) values
  (2, 'h.mid', 'melody', 'Ada', repeat('8', 64), 5, 'media/88/' || repeat('8', 64) || '.mid');
insert into arrangements (job_id, upload_id, owner, name, content_hash, wish, style, candidate, seed, rating, made_by,
  object_key) values (2, (select id from uploads where name = 'h.mid'), 'Ada', 'h', repeat('8', 64), 'w', 'chorale', 1, 0,
  0.7, 'v1', 'media/99/' || repeat('9', 64) || '.mid');
insert into composer_styles (owner, version, object_key, content_hash, pieces) values
  ('Ada', 1, 'styles/0123456789abcdef/' || repeat('0', 64) || '.json', repeat('0', 64), 3);
insert into plugins (format, identifier, name, kind) values ('gm', '900', 'A test piano', 'instrument');
insert into instrument_choices (owner, role, style, format, identifier) values ('Ada', 'bass', 'pop', 'gm', '33');
