"""A small studio with persons in it: real files, rows of every table that can hold a person, caches and copies."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import select, text

from pipelines import result_folders
from pipelines.governance import vault
from pipelines.governance.people import Actor, pseudonym
from pipelines.intake import batches
from pipelines.intake import folder as folders
from pipelines.storage import edits, features, items, jobs, snapshots, storage_use, uploads
from pipelines.storage.cache import Cache
from pipelines.storage.jobs import NewJob
from pipelines.storage.tables import Base, InboxFolder, Job, Label, VaultItem
from pipelines.storage.uploads import NewUpload
from pipelines.studio import Studio

OPERATOR = Actor("Olga", "operator")
ADMINISTRATOR = Actor("Adam", "administrator")
NOW = datetime.now(UTC)


@dataclass(slots=True)
class Given:
    """What a job left behind: what to look for when its owner has gone."""

    job_id: int
    name: str
    owner: str
    words: set[str] = field(default_factory=set)  # names, hashes, numbers as text
    keys: dict[str, str] = field(default_factory=dict)  # what -> object key


def sha(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def give(
    studio: Studio,
    name: str,
    owner: str,
    contents: dict[str, bytes],
    *,
    training: bool = True,
    settle: bool = True,
    cached: bool = True,
) -> Given:
    """A job of ``contents`` (file name -> bytes, the kind is the name's first part), taken in, worked on and
    published, as the product leaves it behind."""
    given = Given(0, name, owner, {owner, name})
    folder = studio.settings.inbox / name
    folder.mkdir(parents=True)
    listed = "".join(f"  - {{file: {file}, kind: {file.split('-')[0]}}}\n" for file in contents)
    (folder / "job.yaml").write_text(f"owner: {owner}\nconsents: {{training: true}}\nfiles:\n{listed}")
    new, hashes = [], {}
    for file, data in contents.items():
        (folder / file).write_bytes(data)
        hashes[file] = hashlib.sha256(data).hexdigest()
        given.keys[file] = studio.objects.put_file(folder / file)
        new.append(NewUpload(file, file.split("-")[0], hashes[file], len(data), ("blue",), given.keys[file]))
    (folder / "_COMPLETE").touch()
    given.words |= {*contents, *hashes.values()}
    derived = sha(sorted(hashes.values()))
    with studio.database.session() as session:
        given.job_id, _ = jobs.add(session, NewJob(name, sha(name, derived), owner))
        uploads.add(session, given.job_id, owner, new)
        jobs.give_consent(session, given.job_id, owner, quality=True, training=training)
        memory = {f: {"stamp": "1", "kind": "mix", "hash": hashes[f], "key": given.keys[f]} for f in contents}
        jobs.save_folder(session, name, folders.read(folder).fingerprint, memory, given.job_id)
        vault.register_uploads(session, session.get_one(Job, given.job_id))
    if cached:
        _work(studio, given, hashes, derived)
    if settle:
        with studio.database.session() as session:
            for batch in batches.plan_batches(session, NOW):
                batches.mark_requested(session, batch.key, NOW)
                batches.mark_finished(session, batch.key)
                docs = studio.settings.home_path / "data_docs" / "music" / batch.key
                docs.mkdir(parents=True)
                (docs / "index.html").write_text(f"<p>{name} by {owner}</p>")
    return given


def _work(studio: Studio, given: Given, hashes: dict[str, str], derived: str) -> None:
    cache, job_id = Cache(studio.objects), given.job_id
    vec = np.asarray([int(derived[i : i + 4], 16) / 7 for i in range(0, 24, 4)], np.float32)
    given.words |= {derived, str(float(vec[0]))}
    for file, digest in hashes.items():
        cache.get_or_put("music", "1.x", digest, {}, lambda: vec.tobytes(), ".safetensors")
        cache.get_or_put("music_picture", "1.x", digest, {"bpm": None}, lambda: b"png", ".png")
        with studio.database.session() as session:
            features.record(
                session,
                job_id=job_id,
                user_id=given.owner,
                clip_kind="mix",
                vec=vec,
                stats={},
                content_hash=digest,
                feature_version="1",
            )
            recorded = {"job_id": job_id, "kind": "masters", "code_version": "1"}
            items.record(session, content_hash=derived, params_hash=digest[:16], **recorded)  # type: ignore[arg-type]
            session.add(
                Label(
                    job_id=job_id,
                    user_id=given.owner,
                    task="preset_cls",
                    content_hash=digest,
                    clip_kind="mix",
                    feature_version="1",
                    recording=file,
                    y_cls="warm",
                    author=given.owner,
                    quality="human",
                )
            )
    # A cut list with the owner's file names, the edit of it, and what is measured on it.
    edit = f'{{"path": "{next(iter(hashes))}", "content_hash": "{next(iter(hashes.values()))}"}}'.encode()
    identity = hashlib.sha256(edit).hexdigest()
    cache.get_or_put("shared", "1.x", derived, {}, lambda: b"shared", ".safetensors")
    cache.get_or_put("plan", "1.x", derived, {"q": 1}, lambda: edit, ".json")
    for kind, ending in (("render", ".mp4"), ("quality", ".safetensors")):
        cache.get_or_put(kind, "1", identity, {}, lambda: b"a render", ending)
    render = cache.key("render", "1", identity, {}, ".mp4")
    former = studio.objects.put_bytes(edit + b" ", ".json")  # planned once, then otherwise: no row names it
    made = {"former plan": former, "plan": studio.objects.put_bytes(edit, ".json"), "render": render}
    for kind, ending in (("master", ".wav"), ("preview", ".m4a")):
        cache.get_or_put(kind, "1", derived, {}, lambda kind=kind: f"{kind} of {derived}".encode(), ending)
        made[kind] = cache.key(kind, "1", derived, {}, ending)
    given.keys |= made
    given.words |= {identity, former.split("/")[-1][:64], made["plan"].split("/")[-1][:64]}
    with studio.database.session() as session:
        edits.save_plan(session, job_id, "dynamic", made["plan"])
        edits.save_render(session, job_id, "dynamic", render)
        for kind in ("master", "preview"):
            content = studio.objects.get(made[kind])
            digest = hashlib.sha256(content).hexdigest()
            given.words.add(digest)
            vault.keep(session, job_id, given.owner, kind, made[kind], digest, len(content), NOW)
    with result_folders.opened(studio.settings, studio.objects, given.name, "a test") as results:
        (results / "media").mkdir(parents=True)
        (results / "report.html").write_text(f"{given.name} {list(hashes)}")
        (results / "master.wav").write_bytes(studio.objects.get(made["master"]))
        for file in hashes:
            (results / "media" / file).symlink_to(studio.objects.local(given.keys[file]))
    segments = studio.settings.home_path / "segments" / identity[:2]
    segments.mkdir(parents=True, exist_ok=True)
    (segments / f"{sha(identity)}.mp4").write_bytes(b"segment of " + identity.encode())


def snapshot(studio: Studio, *givens: Given) -> int:
    """A training snapshot with rows of these jobs."""
    buffer = io.BytesIO(b"parquet of " + b" ".join(word.encode() for g in givens for word in sorted(g.words)))
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    uri = f"training/preset_cls/{digest}.parquet"
    studio.objects.put_named(uri, buffer.getvalue())
    with studio.database.session() as session:
        return snapshots.add(
            session,
            task="preset_cls",
            uri=uri,
            sha256=digest,
            n_rows=len(givens),
            feature_version="1",
            users=[pseudonym(g.owner) for g in givens],
            provenance={},
            now=NOW - timedelta(days=1),
        )


def everything(studio: Studio) -> Iterator[tuple[str, str]]:
    """(where, text) of all that is stored: every column of every table, every object with its name, every file of the
    home with its name. What is not in here is nowhere."""
    with studio.database.session() as session:
        tables = session.execute(text("select tablename from pg_tables where schemaname = 'public'")).scalars().all()
        assert {table.name for table in Base.metadata.sorted_tables} <= set(tables)
        for table in tables:
            for row in session.execute(text(f'select t::text from "{table}" t')).scalars():
                yield table, row
    for item in storage_use.stored(studio.objects):
        path = studio.objects.folder / item.key
        data = path.read_bytes() if item.copy or not studio.objects.remote else studio.objects.get(item.key)
        yield f"object {item.key}", f"{item.key} {data.decode(errors='replace')}"
    for folder, _, names in os.walk(studio.settings.home_path):
        for name in names:
            path = Path(folder) / name
            target = path.readlink() if path.is_symlink() else ""
            data = path.read_bytes() if path.is_file() else b""
            yield (
                f"file {path}",
                f"{path.relative_to(studio.settings.home_path)} {target} {data.decode(errors='replace')}",
            )


def mentions(studio: Studio, words: Iterable[str]) -> list[tuple[str, str]]:
    """(where, word) for everything that holds one of these words."""
    wanted = [word for word in words if word]
    return [(where, word) for where, held in everything(studio) for word in wanted if word in held]


def item_of(studio: Studio, given: Given, kind: str) -> VaultItem:
    with studio.database.session() as session:
        query = select(VaultItem).where(VaultItem.job_id == given.job_id, VaultItem.kind == kind)
        return session.execute(query).scalars().one()


def inbox_row(studio: Studio, name: str) -> InboxFolder | None:
    with studio.database.session() as session:
        return session.get(InboxFolder, name)
