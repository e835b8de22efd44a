insert into unreferenced_objects (key, size, reason) values ('media/ab/abcd.wav', 9, 'unnamed');
