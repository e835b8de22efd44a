"""A harmoniser that is to become a version: learned once from a snapshot of the chorales, stored, found again.

How it learns is training.py's, how it is judged judging.py's, who gets it models/rollout.py's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pipelines import work_folders
from pipelines.composing import corpus as corpora
from pipelines.composing import encoding, tokens
from pipelines.composing.corpus import Corpus
from pipelines.composing.evaluation import NAME
from pipelines.composing.harmonizer import Harmonizer
from pipelines.errors import BadInput
from pipelines.models import candidates as life_cycle
from pipelines.models import registry, snapshots
from pipelines.storage.tables import TrainingSnapshot
from pipelines.studio import Studio

SEED = 0
# What a row of the network means: another program must not ask this model about something else.
FEATURE_VERSION = f"beats-{encoding.N_FEATURES}x{encoding.N_ROWS}-pitches-{tokens.LOWEST}-{tokens.HIGHEST}"
SOURCES = ("pipelines.composing", "pipelines.models")
BUNDLE = ".harmonizer"


@dataclass(frozen=True, slots=True)
class CandidateModel:
    """``bundle``: Harmonizer.to_bytes; ``facts``: seconds, cpu_seconds, parity, parameters, curves."""

    bundle: bytes
    facts: dict[str, Any]

    @property
    def harmonizer(self) -> Harmonizer:
        return Harmonizer.from_bytes(self.bundle)


def load(studio: Studio, snapshot: TrainingSnapshot) -> Corpus:
    """The chorales of a snapshot. BadInput when they were erased or damaged."""
    with work_folders.opened() as folder:
        path = folder / "chorales.parquet"
        path.write_bytes(snapshots.content(studio, snapshot))
        return corpora.load(path)


def train(studio: Studio) -> CandidateModel:
    """The candidate of the chosen snapshot with the present code; as it is, when it was stored before or ships with the
    project. BadInput as training raises it."""
    snapshot = chosen(studio)
    found = stored(studio, snapshot)
    if found is not None:
        return found
    from pipelines.composing import training

    wanted = studio.settings.harmonizer_epochs
    facts = training.shipped_facts(snapshot.sha256, SEED) if not wanted else None
    if facts is not None:  # the model that ships is what would come out: five minutes for nothing
        bundle = Harmonizer.load().to_bytes()
    else:
        epochs = studio.settings.whole("harmonizer_epochs") if wanted else None
        made = training.train(load(studio, snapshot), SEED, epochs, version=f"candidate-{snapshot.sha256[:12]}")
        facts, bundle = training.facts_of(made), made.harmonizer.to_bytes()
    snapshots.put(studio, snapshot, key(studio, snapshot, "trained", BUNDLE), bundle)
    # Last, since whoever finds the facts takes the rest to be there.
    snapshots.put(studio, snapshot, key(studio, snapshot, "trained", ".json"), json.dumps(facts).encode())
    return CandidateModel(bundle, facts)


def chosen(studio: Studio) -> TrainingSnapshot:
    """The snapshot to learn from. BadInput when there is none, or its bytes were erased."""
    return life_cycle.chosen_snapshot(studio, NAME, "materialize chorale_corpus")


def stored(studio: Studio, snapshot: TrainingSnapshot) -> CandidateModel | None:
    facts = studio.objects.get_named(key(studio, snapshot, "trained", ".json"))
    bundle = studio.objects.get_named(key(studio, snapshot, "trained", BUNDLE))
    return None if facts is None or bundle is None else CandidateModel(bundle, json.loads(facts))


def trained(studio: Studio) -> CandidateModel:
    """BadInput when it has not been trained from the present snapshot."""
    found = stored(studio, chosen(studio))
    if found is None:
        raise BadInput(f"model {NAME}", "has not been trained from its chorales", "materialize harmonizer_model")
    return found


def key(studio: Studio, snapshot: TrainingSnapshot, step: str, suffix: str) -> str:
    """Where something lies that was made of a snapshot: by its hash, so that it goes with it."""
    params = {"task": NAME, "seed": SEED, "step": step, "epochs": studio.settings.harmonizer_epochs}
    return studio.cache.key("candidate", code_version(), snapshot.sha256, params, suffix)


def code_version() -> str:
    return registry.code_version(SOURCES)
