"""The mastering system over a batch: which pieces each step has, and where its results are recorded.

Every step takes the batch's key, skips what is stored, records each item's outcome and returns all of them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pipelines import clock, items, outcomes
from pipelines.governance import budget, vault
from pipelines.items import Item, Result, Step
from pipelines.mastering import chain, presets, steps
from pipelines.mastering import job as stages
from pipelines.mastering.job import Piece, version_of
from pipelines.mastering.steps import Chosen
from pipelines.mastering.suggesting import Advisor
from pipelines.mastering.training_set import ALIGNMENT_VERSION, FEATURE_VERSION
from pipelines.media.files import MediaFile, stems
from pipelines.storage import features as feature_table
from pipelines.storage import flags, jobs, labels, tables
from pipelines.storage import items as item_table
from pipelines.storage.cache import params_hash
from pipelines.studio import Studio

T = TypeVar("T")
log = logging.getLogger(__name__)
RULE = "rule"
STEMS = "stems"  # the name of what an inst and a vocal make
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

    def item(self, payload: T) -> Item[T]:
        """An item to itself, however alike the contents are: each job has a folder of its own, and names of its own."""
        mix = self.piece.mix
        upload = self.upload_ids[mix.content_hash] if mix is not None else None
        params = params_hash({"job": self.job_id, "piece": self.piece.name})
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
    mixes = files.get("mix", [])
    names = stems([mix.name for mix in mixes], {STEMS})
    found = [Piece(name, mix=mix, preset=wish) for name, mix in zip(names, mixes, strict=True)]
    if files.get("inst") and files.get("vocal"):
        (inst,), (vocal,) = files["inst"], files["vocal"]
        found.append(Piece(STEMS, inst=inst, vocal=vocal, preset=wish, aligned=aligned))
    ids = {u.content_hash: u.id for u in row.uploads}
    for piece in found:
        yield Work(row.id, row.name, row.owner or "", piece, ids)


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
    pictured = not _short_of_room(studio)
    with Advisor(studio) as advisor:
        chosen = [replace(choose(studio, w, advisor), pictured=pictured) for w in work]
    for w, choice in zip(
        work, chosen, strict=True
    ):  # before the files, which are then made for this choice or not at all
        text = json.dumps(steps.facts_of(choice), ensure_ascii=False)
        studio.objects.put_named(_choice_key(studio, w), text.encode())
    results = _run(studio, "masters", _items(work, chosen), steps.master, _without_folder)
    _keep(studio, work, results, "master")
    return results


def preview(studio: Studio, key: str) -> list[Result[Any]]:
    if _short_of_room(studio):
        return []
    work, chosen = mastered(studio, key)
    results = _run(studio, "previews", _items(work, chosen), steps.preview, _without_folder)
    _keep(studio, work, results, "preview")
    return results


def draw(studio: Studio, key: str) -> list[Result[Any]]:
    if _short_of_room(studio):
        return []
    work, chosen = mastered(studio, key)
    return _run(studio, "waveforms", _items(work, chosen), steps.draw, _without_folder)


def label(studio: Studio, key: str) -> list[Result[Any]]:
    """Labels of every master, whoever may learn from them: that is asked when a training set is put together."""
    work, chosen = mastered(studio, key)
    results = _run(studio, "mastering_labels", _items(work, chosen), steps.label, _without_folder)
    with studio.database.session() as session:
        for w, result in zip(work, results, strict=True):
            found = result.produced.detail if result.produced is not None else {}
            if not found:
                continue
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
    """The owner's wish, then a person's correction of the label, then what was chosen before (a master that was
    delivered does not change because a model did), then a model's answer, then the rule's."""
    piece = work.piece
    heard = stages.features(piece, studio.cache)
    chosen = Chosen(piece, "", "", 1.0, "", advisor.settings(work.owner, heard), _folder(studio, work))
    aligned = stages.align(piece, studio.cache)
    if aligned is not None:
        confidence, says = advisor.alignment(work.owner, aligned)
        chosen = replace(chosen, alignment_confidence=confidence, alignment_says=says)
    if piece.preset is not None:
        return replace(chosen, preset=piece.preset, by="owner", reason="job.yaml says so")
    with studio.database.session() as session:
        known = labels.find(session, work.job_id, "preset_cls", piece.content_hash)
    if known is not None and known.author != RULE and known.y_cls in presets.names():
        return replace(chosen, preset=known.y_cls, by="label", reason="a person corrected the label")
    before = _chosen_before(studio, work, chosen)
    if before is not None and before.by not in ("owner", "label"):
        return before
    said = advisor.preset(work.owner, heard)
    return replace(chosen, preset=said.preset, by=said.by, confidence=said.confidence, reason=said.reason)


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
        before = _chosen_before(studio, w, Chosen(w.piece, "", "", 1.0, "", folder=_folder(studio, w)))
        if before is not None:
            work.append(w)
            chosen.append(before)
    return work, chosen


def _chosen_before(studio: Studio, work: Work, now: Chosen) -> Chosen | None:
    """``now`` with the preset that was chosen for this piece and this version of the chain."""
    kept = studio.objects.get_named(_choice_key(studio, work))
    if kept is None:
        return None
    facts = json.loads(kept)
    predicted = tuple(facts.pop("predicted"))
    return replace(now, **facts, predicted=now.predicted or predicted)


def _short_of_room(studio: Studio) -> bool:
    """Whether what can be made again is not to be made: the object store is nearly full."""
    with studio.database.session() as session:
        short = budget.level(session) >= budget.NO_PREVIEWS
    if short:
        log.warning("previews and pictures are not made: the object store is over %d %%", budget.NO_PREVIEWS)
    return short


def _items(work: Sequence[Work], chosen: Sequence[Chosen]) -> list[Item[Chosen]]:
    return [w.item(c) for w, c in zip(work, chosen, strict=True)]


def _folder(studio: Studio, work: Work) -> str | None:
    with studio.database.session() as session:
        replaced = jobs.presented(session, work.slug) != work.job_id
    return None if replaced else work.slug


def _choice_key(studio: Studio, work: Work) -> str:
    return studio.cache.key("choice", chain.VERSION, work.piece.content_hash, {"job": work.job_id}, ".json")


def _without_folder(chosen: Chosen) -> Chosen:
    """For a machine that does not have it."""
    return replace(chosen, folder=None)


def _run(
    studio: Studio, kind: str, work: Sequence[Item[T]], step: Step[T], ahead: items.Ahead[T] = items.whole
) -> list[Result[T]]:
    return outcomes.run(studio, kind, version_of(kind), work, step, ahead=ahead)


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
