"""The generated corpus: real music changed in known ways, measured and labelled, for models to begin with.

What the items are is in recipes.py, how they sound in excerpts.py, what they are called in labelling.py. Here they are
spread over processes, in blocks, and recorded; every row says that it is generated.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from pipelines import items
from pipelines.audio.features import vectorize
from pipelines.errors import BadInput
from pipelines.items import Item, Produced, Result
from pipelines.mastering import alignment, chain, excerpts, labelling, presets, recipes
from pipelines.mastering.recipes import Mix, Pair, Recipe, Recording, Source
from pipelines.mastering.training_set import ALIGNMENT_VERSION, CORPUS_OWNER, FEATURE_VERSION
from pipelines.settings import Settings
from pipelines.storage import features, generated, labels
from pipelines.storage.cache import Cache
from pipelines.studio import Studio

log = logging.getLogger(__name__)

VERSION = "1"  # raise it when the same recipe gives other rows
NAME = "mastering-corpus"
BLOCK = 48  # items recorded at once; a run that is killed loses no more


@dataclass(frozen=True, slots=True)
class Corpus:
    """The state after `generate`. ``failed`` has one sentence for each item that could not be made."""

    job_id: int
    n: int  # asked for
    stored: int  # were there before
    made: int
    failed: tuple[str, ...]
    recordings: int
    seconds: float
    provenance: dict[str, Any]

    def summary(self) -> dict[str, float | int | str]:
        return {
            "items": self.n,
            "stored_before": self.stored,
            "made": self.made,
            "failed": len(self.failed),
            "recordings": self.recordings,
            "items_a_second": round(self.made / self.seconds, 1) if self.made else 0.0,
            "seed": self.provenance["seed"],
            "sources": ", ".join(f"{s['title']} ({s['licence']})" for s in self.provenance["sources"]),
        }


def generate(studio: Studio, n: int, *, seed: int = 0, sources: Sequence[Source] | None = None) -> Corpus:
    """Brings the corpus of this seed to ``n`` items (never less than it has); what is stored is not made again.

    Two of three items are mixes, with rows for master_reg and preset_cls, the third a pair of stems, with one for
    align_conf. The same seed and sources give the same rows, in any number of processes. A corpus of another seed or
    of older code is replaced. BadInput when a source is missing or no source is long enough.
    """
    start = time.monotonic()
    if n < 1:
        raise BadInput("corpus", f"of {n} items", "ask for one at least")
    chosen = list(recipes.sample_sources() if sources is None else sources)
    found = recipes.recordings(chosen)
    about = _provenance(chosen, found, seed)
    with studio.database.session() as session:
        job_id = generated.open_job(session, NAME, _identity(about), CORPUS_OWNER, about)
        known = labels.hashes(session, job_id, "align_conf")
        known |= labels.hashes(session, job_id, "master_reg") & labels.hashes(session, job_id, "preset_cls")
    work = [(recipe, recipes.content_hash(recipe)) for recipe in (recipes.draw(seed, i, found) for i in range(n))]
    missing = [Item(f"{NAME} {i}", digest, recipe) for i, (recipe, digest) in enumerate(work) if digest not in known]
    failed: list[str] = []
    for block in _blocks(missing):
        results = items.run(studio.settings, block, measure)
        with studio.database.session() as session:
            for result in results:
                _record(session, job_id, result)
        failed += [error for result in results if (error := result.error) is not None]
        log.info("corpus: %s to %s are recorded", block[0].name, block[-1].name)
    made = len(missing) - len(failed)
    return Corpus(
        job_id, n, n - len(missing), made, tuple(failed), len(found), time.monotonic() - start, {**about, "items": n}
    )


def stored(studio: Studio) -> int:
    """How many items of the corpus there are."""
    with studio.database.session() as session:
        job_id = generated.job_of(session, NAME)
        if job_id is None:
            return 0
        return len(labels.hashes(session, job_id, "align_conf") | labels.hashes(session, job_id, "master_reg"))


def measure(settings: Settings, cache: Cache, recipe: Recipe) -> Produced:
    """The rows of one item, in ``detail``: clip_kind, vec, stats, and an (answer, quality) a task."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    # Sums in another order differ in their last digits, and a worker process has fewer threads than this one.
    with threadpool_limits(1):
        return Produced(stored=False, detail=_mix(recipe) if isinstance(recipe, Mix) else _pair(recipe))


def _mix(recipe: Mix) -> dict[str, Any]:
    """The preset is the rule's for the mix as it was meant, before the damage; the settings are what the chain, so
    preset, did to the mix as it came."""
    meant, came = excerpts.mix(recipe)
    preset, quality = labelling.preset_label(vectorize(meant, excerpts.RATE))
    before = vectorize(came, excerpts.RATE)
    mastered = chain.process(came, excerpts.RATE, None, presets.get(preset))
    targets = labelling.pseudo_labels(before, vectorize(mastered.samples, excerpts.RATE))
    return {
        "clip_kind": "mix",
        "vec": before.vector,
        "version": FEATURE_VERSION,
        "stats": {**before.stats, "rule_as_it_came": presets.suggest(before)[0]},
        "answers": {"master_reg": (targets, "auto"), "preset_cls": (preset, quality)},
    }


def _pair(recipe: Pair) -> dict[str, Any]:
    found = alignment.align_samples(*excerpts.pair(recipe), excerpts.RATE)
    answer = labelling.lag_label(found.lag_s, recipe.lag_s)
    return {
        "clip_kind": "vocal",
        "vec": found.evidence,
        "version": ALIGNMENT_VERSION,
        "stats": {"lag_s": found.lag_s, "true_lag_s": recipe.lag_s, "rule_confidence": found.confidence},
        "answers": {"align_conf": (answer, "auto")},
    }


def _record(session: Session, job_id: int, result: Result[Recipe]) -> None:
    if result.produced is None:
        log.warning("%s", result.error)
        return
    recipe, detail = result.item.payload, result.produced.detail
    stats = {"generated": True, "recipe": recipes.as_json(recipe), **detail["stats"]}
    row = {
        "job_id": job_id,
        "user_id": CORPUS_OWNER,
        "clip_kind": detail["clip_kind"],
        "content_hash": result.item.content_hash,
        "feature_version": detail["version"],
    }
    features.record(session, **row, vec=np.asarray(detail["vec"], np.float32), stats=_finite(stats))
    for task, (answer, quality) in detail["answers"].items():
        labels.record(session, **row, task=task, recording=recipe.group, answer=answer, quality=quality)


def _provenance(sources: Sequence[Source], found: Sequence[Recording], seed: int) -> dict[str, Any]:
    hashes = {recording.path: recording.content_hash for recording in found}
    return {
        "generated": True,
        "note": "generated by known changes of real music; answers are pseudo-labels by our own chain and rules",
        "seed": seed,
        "recordings": [recording.name for recording in found],
        "recordings_are": f"passages of at least {recipes.PASSAGE:g} s, {recipes.GAP:g} s apart or more",
        "sources": [
            {
                "file": source.path.name,
                "title": source.title,
                "author": source.author,
                "licence": source.licence,
                "content_hash": hashes[source.path],
            }
            for source in sources
            if source.path in hashes
        ],
        "versions": {
            "corpus": VERSION,
            "recipes": recipes.VERSION,
            "labels": labelling.VERSION,
            "chain": chain.VERSION,
            "presets": _digest([repr(preset) for preset in presets.presets().values()]),
            "features": FEATURE_VERSION,
            "alignment": ALIGNMENT_VERSION,
        },
    }


def _identity(about: dict[str, Any]) -> str:
    """Everything that decides the rows: where files lie and how many items there are do not."""
    return _digest(
        [about["seed"], about["recordings"], [s["content_hash"] for s in about["sources"]], about["versions"]]
    )


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _blocks(missing: Sequence[Item[Recipe]]) -> Iterator[Sequence[Item[Recipe]]]:
    for start in range(0, len(missing), BLOCK):
        yield missing[start : start + BLOCK]


def _finite(stats: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: a loudness of silence becomes null."""
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in stats.items()}
