"""The melodies of a batch: each arranged as its job.yaml wishes, in the job's results folder, recorded for its owner.

An arrangement for anybody else is commissions.py's; the files are delivering.py's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipelines import outcomes, result_folders, results
from pipelines.composing import commissions, delivering, lead_sheet, manifest, melody
from pipelines.composing.melody import Melody
from pipelines.composing.piece import key_named
from pipelines.composing.wishes import Style, Wishes, wish_hash
from pipelines.errors import BadInput
from pipelines.governance import budget
from pipelines.intake.job_file import ComposeWish
from pipelines.items import Item, Produced, Result
from pipelines.media.files import stems
from pipelines.settings import Settings
from pipelines.storage import arrangements, jobs, uploads
from pipelines.storage.cache import Cache, params_hash
from pipelines.studio import Studio, beside

KIND = "accompaniments"
VERSION = "1"


@dataclass(frozen=True, slots=True)
class Commission:
    """One melody in one style. ``folder``: the job whose results folder it goes to; None for one that was replaced in
    the inbox. ``stem``: what its files there are called by."""

    upload_id: int
    style: Style
    folder: str | None
    stem: str
    heard: bool  # whether there is room for something to listen to


def arrange(studio: Studio, key: str) -> list[Result[Any]]:
    """One item a melody and style. What was arranged before stays as it is, whichever models there are by now."""
    return outcomes.run(studio, KIND, VERSION, list(_work(studio, key)), _arrange, ahead=None)


def _work(studio: Studio, key: str) -> Iterator[Item[Commission]]:
    with studio.database.session() as session:
        heard = budget.level(session) < budget.NO_PREVIEWS
        for row in jobs.of_batch(session, key):
            melodies = [u for u in row.uploads if u.kind == "melody" and u.object_key]
            folder = row.name if jobs.presented(session, row.name) == row.id else None
            for upload, stem in zip(melodies, stems([u.name for u in melodies]), strict=True):
                for style in ComposeWish(**row.compose).styles:
                    # The same tune of two jobs is arranged for each: arrangements go with their owner.
                    mark = params_hash({"job": row.id, "style": style})
                    asked = Commission(upload.id, style, folder, stem, heard)
                    name = f"{row.name}/{upload.name} ({style})"
                    yield Item(name, upload.content_hash, asked, mark, row.id, upload.id)


def _arrange(settings: Settings, cache: Cache, asked: Commission) -> Produced:
    if asked.folder is None:
        return _arranged(settings, cache, asked, None)
    name = f"{asked.stem}.{asked.style}"
    with result_folders.opened(
        settings,
        cache.objects,
        asked.folder,
        f"composing {name}",
        bring=partial(manifest.belongs, name),
        own=partial(manifest.belongs, name),
        last=name + manifest.ENDING,
    ) as folder:
        return _arranged(settings, cache, asked, folder / f"{name}.mid")


def _arranged(settings: Settings, cache: Cache, asked: Commission, out: Path | None) -> Produced:
    """``out``: the first candidate's file."""
    with beside(settings, cache) as studio:
        with studio.database.session() as session:
            upload = uploads.get(session, asked.upload_id)
            wish, owner, key = ComposeWish(**upload.job.compose), upload.owner, upload.job.key
            source = commissions.Source(owner, upload.name, upload.content_hash, upload.job_id, upload.id)
            file = studio.objects.local(upload.object_key or "")
        found = melody.of_file(file.read_bytes(), source.name, _track(wish))
        wishes = wishes_of(wish, asked.style, found, key)
        if (before := _before(studio, source, out, wishes)) is not None:
            return before
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            delivering.check(out, wishes.candidates, listening=asked.heard)
        made, _ = commissions.arrange(studio, source, found.piece, wishes)
        with studio.database.session() as session:
            suggested = commissions.suggestions(session, made, asked.style, owner)
    picture, report = None, "none: the job was replaced in the inbox"
    if out is not None:
        delivered = delivering.deliver(
            made, out, settings, style=asked.style, suggestions=suggested, listening=asked.heard
        )
        picture = delivered.candidates[0].piano_roll.read_bytes()
        report = results.place_of(settings, cache.objects, asked.folder or "", delivered.report.name)
    best = made.candidates[0]
    summary: dict[str, float | int | str] = {
        "style": asked.style,
        "key": made.melody.key.key.name,
        "bars": int(made.melody.grid.bar[-1]),
        "candidates": len(made.candidates),
        "best because": "; ".join(best.reasons[:3]),
        "made by": best.made_by,
        "report": report,
    }
    return Produced(False, summary, picture)


def _before(studio: Studio, source: commissions.Source, out: Path | None, wishes: Wishes) -> Produced | None:
    """What was made of the same wish and, as it was delivered the last time, still lies where its owner looks for it. A
    choice among earlier ones is kept beside them."""
    wish = wish_hash(wishes)
    with studio.database.session() as session:
        of_job = arrangements.of_job(session, source.job_id or 0)
        rows = [row for row in of_job if row.upload_id == source.upload_id and row.wish == wish]
        recorded = {
            Path(row.object_key or "").stem: row.made_by for row in rows if row.candidate != arrangements.FORMER
        }
    if not recorded:
        return None
    picture = None
    if out is not None:
        files = delivering.delivered(out)
        if not files or {*delivering.hashes(out)} != {*recorded}:
            return None
        picture = files[0].piano_roll.read_bytes()
    made_by = next(iter(recorded.values()))
    return Produced(True, {"style": wishes.style, "candidates": len(recorded), "made by": made_by}, picture)


def wishes_of(wish: ComposeWish, style: Style, found: Melody, key: str | None = None) -> Wishes:
    """What job.yaml says, for one style. BadInput for chords that do not fit the melody."""
    return Wishes(
        style=style,
        candidates=wish.candidates,
        seed=wish.seed,
        key=_key(key),
        groove=wish.groove,
        density=wish.density,
        energy=wish.energy,
        chords=lead_sheet.spans(wish.chords, found) if wish.chords is not None else (),
        track=_track(wish),
    )


def _track(wish: ComposeWish) -> int | str | None:
    return int(wish.track) if wish.track is not None and wish.track.isdecimal() else wish.track


def _key(text: str | None) -> Any:
    """A job's key is a word about its music, for any system: one that composing cannot read is left to the notes."""
    try:
        return key_named(text) if text else None
    except BadInput:
        return None
