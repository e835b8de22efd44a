insert into viewers (user_id, pseudonym, training) values
  ('00000000-0000-0000-0000-000000000001', 'aaaaaaaaaaaaaaaa', true),
  ('00000000-0000-0000-0000-000000000002', 'bbbbbbbbbbbbbbbb', false);
insert into videos (id, external_id, title, genres, year, duration_s, job_id) values
  ('00000000-0000-0000-0000-00000000000a', 'v-1', 'Spring', '{pop}', 2025, 61.5, 1),
  ('00000000-0000-0000-0000-00000000000b', 'v-2', null, '{}', null, null, null);
insert into performers (name) values ('Dora');
insert into video_performers values ('00000000-0000-0000-0000-00000000000a', 1);
insert into tags (name) values ('blue');
insert into video_tags values ('00000000-0000-0000-0000-00000000000a', 1, 2);
insert into user_video_decisions (user_id, video_id, decision, rating, decided_at) values
  ('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-00000000000a', 'like', 4.5, '2026-01-01Z');
insert into model_registry (name, version, uri, framework, input_dim, output_dim, metrics, sha256, feature_version,
  code_version, created_by) values
  ('two_tower', 'v20260103', 'media/66/' || repeat('6', 64) || '.zip', 'onnx', 3, 768, '{}', repeat('6', 64), '1', '1', 'x');
insert into embedding_sets (model_id, status, n_users, n_videos, video_index, ready_at)
  values (3, 'ready', 1, 1, 'exact', now());
create table user_embeddings_1 partition of user_embeddings for values in (1);
create table video_embeddings_1 partition of video_embeddings for values in (1);
insert into user_embeddings values (1, '00000000-0000-0000-0000-000000000001',
  (select array_agg(0.036)::vector from generate_series(1, 768)), now(), 'v20260103', 'd');
insert into video_embeddings values (1, '00000000-0000-0000-0000-00000000000a',
  (select array_agg(0.036)::vector from generate_series(1, 768)), now(), 'v20260103', 'd');
insert into embedding_pointers (model_id, set_id) values (3, 1);
insert into recommendations (user_id, rank, video_id, score, reason, model_version) values
  ('00000000-0000-0000-0000-000000000001', 1, '00000000-0000-0000-0000-00000000000b', 0.5, 'popular', 'v20260103');
