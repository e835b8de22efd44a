"""The mastering system over a batch: which pieces each step has, and where its results are recorded.

Every step takes the batch's key, skips what is stored, records each item's outcome and returns all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pipelines import clock, outcomes
from pipelines.governance import vault
from pipelines.items import Item, Result, Step
from pipelines.mastering import job as stages
from pipelines.mastering import presets, steps
from pipelines.mastering.job import Piece, version_of
from pipelines.mastering.steps import Chosen
from pipelines.mastering.suggesting import Advisor
from pipelines.mastering.training_set import ALIGNMENT_VERSION, FEATURE_VERSION
from pipelines.media.files import MediaFile
from pipelines.storage import features as feature_table
from pipelines.storage import flags, jobs, labels, tables
from pipelines.storage import items as item_table
from pipelines.storage.cache import params_hash
from pipelines.studio import Studio

T = TypeVar("T")
STEPS = ("alignments", "mastering_features", "masters", "previews", "waveforms", "mastering_labels")


@dataclass(frozen=True, slots=True)
class Work:
    """One piece of one job, its files at hand. ``slug`` names the job's results folder."""

    job_id: int
    slug: str
    owner: str
    piece: Piece
    upload_ids: dict[str, int]  # content hash -> upload

    @property
    def name(self) -> str:
        return f"{self.slug}/{self.piece.name}"

    def item(self, payload: T, params: str = "") -> Item[T]:
        mix = self.piece.mix
        upload = self.upload_ids[mix.content_hash] if mix is not None else None
        return Item(self.name, self.piece.content_hash, payload, params, self.job_id, upload)


def load(studio: Studio, key: str) -> list[Work]:
    """The batch's mixes and pairs of stems, their files at local paths (fetched when the object store is far)."""
    with studio.database.session() as session:
        rows = jobs.of_batch(session, key)
        aligned = flags.enabled(session, "enable_align")
    return [work for row in rows for work in _pieces(studio, row, aligned)]


def _pieces(studio: Studio, row: tables.Job, aligned: bool) -> Iterator[Work]:
    files: dict[str, list[MediaFile]] = {}
    for u in row.uploads:
        if u.kind in ("mix", "inst", "vocal") and u.object_key is not None:
            file = MediaFile(studio.objects.local(u.object_key), u.content_hash, u.name, tuple(u.tags))
            files.setdefault(u.kind, []).append(file)
    wish = row.master.get("preset")
    found = [Piece(name, mix=mix, preset=wish) for name, mix in _named(files.get("mix", []))]
    if files.get("inst") and files.get("vocal"):
        (inst,), (vocal,) = files["inst"], files["vocal"]
        found.append(Piece("stems", inst=inst, vocal=vocal, preset=wish, aligned=aligned))
    ids = {u.content_hash: u.id for u in row.uploads}
    for piece in found:
        yield Work(row.id, row.name, row.owner or "", piece, ids)


def _named(mixes: Sequence[MediaFile]) -> Iterator[tuple[str, MediaFile]]:
    """Each with a name of its own: the file's, without its ending where that is enough."""
    stems = [Path(m.name).stem for m in mixes]
    for mix, stem in zip(mixes, stems, strict=True):
        yield (stem if stems.count(stem) == 1 and stem != "stems" else mix.name), mix


def align(studio: Studio, key: str) -> list[Result[Any]]:
    work = [w for w in load(studio, key) if w.piece.mix is None]
    results = _run(studio, "alignments", [w.item(w.piece) for w in work], steps.align)
    with Advisor(studio) as advisor, studio.database.session() as session:
        for w, result in zip(work, results, strict=True):
            found = stages.align(w.piece, studio.cache) if result.produced else None
            if found is None or result.produced is None:
                continue
            confidence, by = advisor.alignment(w.owner, found)
            result.produced.summary["confidence"], result.produced.summary["says"] = confidence, by
            _save_features(
                session,
                w,
                "vocal",
                w.piece.content_hash,
                found.evidence,
                dict(result.produced.summary),
                ALIGNMENT_VERSION,
            )
    return results


def describe(studio: Studio, key: str) -> list[Result[Any]]:
    work = list(usable(studio, key, "alignments"))
    results = _run(studio, "mastering_features", [w.item(w.piece) for w in work], steps.describe)
    with studio.database.session() as session:
        for w, result in zip(work, results, strict=True):
            if result.error is not None:
                continue
            mix = stages.features(w.piece, studio.cache)
            _save_features(session, w, "mix", w.piece.content_hash, mix.vector, mix.stats, FEATURE_VERSION)
            for kind, file in (("inst", w.piece.inst), ("vocal", w.piece.vocal)):
                if file is not None:
                    stem = stages.stem_features(file, studio.cache)
                    _save_features(session, w, kind, file.content_hash, stem.vector, stem.stats, FEATURE_VERSION)
    return results


def master(studio: Studio, key: str) -> list[Result[Any]]:
    """Chooses a preset for each piece, masters it, and puts the result where the person looks for it."""
    with studio.database.session() as session:
        if not flags.enabled(session, "enable_hq_master"):
            return []
    work = list(usable(studio, key, "mastering_features"))
    with Advisor(studio) as advisor:
        chosen = [choose(studio, w, advisor) for w in work]
    results = _run(studio, "masters", _items(work, chosen), steps.master)
    _keep(studio, work, results, "master")
    for w, choice, result in zip(work, chosen, results, strict=True):
        if result.error is None:
            text = json.dumps(steps.facts_of(choice), ensure_ascii=False)
            studio.objects.put_named(_choice_key(studio, w), text.encode())
    return results


def preview(studio: Studio, key: str) -> list[Result[Any]]:
    work, chosen = mastered(studio, key)
    results = _run(studio, "previews", _items(work, chosen), steps.preview)
    _keep(studio, work, results, "preview")
    return results


def draw(studio: Studio, key: str) -> list[Result[Any]]:
    work, chosen = mastered(studio, key)
    return _run(studio, "waveforms", _items(work, chosen), steps.draw)


def label(studio: Studio, key: str) -> list[Result[Any]]:
    """Labels of every master, whoever may learn from them: that is asked when a training set is put together."""
    work, chosen = mastered(studio, key)
    results = _run(studio, "mastering_labels", _items(work, chosen), steps.label)
    with studio.database.session() as session:
        for w, result in zip(work, results, strict=True):
            if result.produced is None:
                continue
            found = result.produced.detail
            for task, answer, quality in (
                ("master_reg", found["y_reg"], "auto"),
                ("preset_cls", found["preset"], found["quality"]),
            ):
                labels.record(
                    session,
                    job_id=w.job_id,
                    user_id=w.owner,
                    task=task,
                    content_hash=w.piece.content_hash,
                    clip_kind="mix",
                    feature_version=FEATURE_VERSION,
                    recording=w.piece.content_hash,
                    answer=answer,
                    quality=quality,
                )
    return results


def choose(studio: Studio, work: Work, advisor: Advisor) -> Chosen:
    """The owner's wish, then a person's correction of the label, then a model's answer, then the rule's."""
    piece = work.piece
    heard = stages.features(piece, studio.cache)
    predicted = advisor.settings(work.owner, heard)
    out = _folder(studio, work)
    if piece.preset is not None:
        return Chosen(piece, piece.preset, "owner", 1.0, "job.yaml says so", predicted, out)
    with studio.database.session() as session:
        known = labels.find(session, work.job_id, "preset_cls", piece.content_hash)
    if known is not None and known.quality == "human" and known.y_cls in presets.names():
        return Chosen(piece, known.y_cls, "label", 1.0, "a person corrected the label", predicted, out)
    said = advisor.preset(work.owner, heard)
    return Chosen(piece, said.preset, said.by, said.confidence, said.reason, predicted, out)


def usable(studio: Studio, key: str, after: str) -> Iterator[Work]:
    """Pieces that did not fail at the step ``after`` or before it: that has been told, and would only fail again."""
    before = STEPS[: STEPS.index(after) + 1]
    with studio.database.session() as session:
        failed = {
            (row.job_id, row.content_hash)
            for step in before
            for row in item_table.failures(session, key, step, version_of(step))
        }
    for work in load(studio, key):
        if (work.job_id, work.piece.content_hash) not in failed:
            yield work


def mastered(studio: Studio, key: str) -> tuple[list[Work], list[Chosen]]:
    """The pieces that were mastered, with what was chosen for them then."""
    work, chosen = [], []
    for w in usable(studio, key, "masters"):
        kept = studio.objects.get_named(_choice_key(studio, w))
        if kept is not None:
            facts = json.loads(kept)
            predicted = tuple(facts.pop("predicted"))
            work.append(w)
            chosen.append(Chosen(w.piece, **facts, predicted=predicted, out=_folder(studio, w)))
    return work, chosen


def _items(work: Sequence[Work], chosen: Sequence[Chosen]) -> list[Item[Chosen]]:
    # Each job has a folder to itself, however alike their contents are.
    return [w.item(c, params_hash({"job": w.job_id, "preset": c.preset})) for w, c in zip(work, chosen, strict=True)]


def _folder(studio: Studio, work: Work) -> Path | None:
    with studio.database.session() as session:
        replaced = jobs.presented(session, work.slug) != work.job_id
    return None if replaced else studio.settings.home_path / "results" / work.slug


def _choice_key(studio: Studio, work: Work) -> str:
    return studio.cache.key("choice", "1", work.piece.content_hash, {"job": work.job_id}, ".json")


def _run(studio: Studio, kind: str, work: Sequence[Item[T]], step: Step[T]) -> list[Result[T]]:
    return outcomes.run(studio, kind, version_of(kind), work, step)


def _keep(studio: Studio, work: Sequence[Work], results: Sequence[Result[Any]], kind: str) -> None:
    """Notes whose each file is, so that it goes when its time is up or its owner withdraws."""
    with studio.database.session() as session:
        for w, result in zip(work, results, strict=True):
            if result.produced is not None and result.produced.object_key is not None:
                vault.keep(
                    session,
                    job_id=w.job_id,
                    user_id=w.owner,
                    kind=kind,
                    object_key=result.produced.object_key,
                    content_hash=w.piece.content_hash,
                    size=result.produced.detail["size"],
                    now=clock.now(),
                )


def _save_features(
    session: Any, w: Work, kind: str, content_hash: str, vec: Any, stats: dict[str, Any], version: str
) -> None:
    feature_table.record(
        session,
        job_id=w.job_id,
        user_id=w.owner,
        clip_kind=kind,
        vec=vec,
        stats=stats,
        content_hash=content_hash,
        feature_version=version,
    )
