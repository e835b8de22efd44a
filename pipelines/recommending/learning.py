"""Recommending's part of the model life cycle, step by step as the assets ask for it: interactions, features, training,
evaluation, release, embeddings, rollout, lists. Each returns what a person may want to read.

How each is done is left to the modules it calls.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.errors import BadInput
from pipelines.models import candidates as life_cycle
from pipelines.models import drift, judgements, rollout, snapshots
from pipelines.models.judgements import BY, Made, Summary
from pipelines.recommending import (
    candidates,
    cleaning,
    dataset,
    describing,
    judging,
    report_pictures,
    syncing,
    versions,
)
from pipelines.recommending.dataset import NAME
from pipelines.storage import decisions, embedding_sets, recommended, rollouts, videos, viewers
from pipelines.storage import models as registry_table
from pipelines.storage.embedding_sets import Kind
from pipelines.storage.recommended import Place
from pipelines.storage.tables import ModelVersion, TrainingSnapshot
from pipelines.studio import Studio

if TYPE_CHECKING:
    from pipelines.recommending.two_tower import TwoTower

LICENCES = ("GroupLens (sample decisions: no commercial use)", "consented decisions")
LENGTH = 20  # places of a list
_LOOKED_AT = 200  # viewers, and videos, whose vectors are compared
_AT_ONCE = 1000  # viewers whose lists are made together
_REFERENCE = 5000  # decisions whose viewers drift is measured against
_SOON = 86_400  # s after which they ask
_WATCHED_OUTPUTS = tuple(range(0, 768, 48))
log = logging.getLogger(__name__)


def assemble(studio: Studio) -> Summary | None:
    """Keeps the decisions that may be learned from, and the catalogue, as they are now. None when there are none."""
    now = clock.now()
    with studio.database.session() as session:
        frame = decisions.events(session)
        catalogue = videos.frame(session, learnable=True)
        people = set(viewers.pseudonyms(session, frame["user_id"].unique().tolist()))
        # The owners on whose word it is learned from, too: the snapshot goes when one of them takes it back.
        people |= {*decisions.givers(session), *videos.givers(session)}
        everybody = decisions.count(session)
    if not len(frame):
        log.warning("nothing is learned: of %d decisions none may be learned from", everybody)
        return None
    interactions, cleaned = cleaning.interactions_of(frame, catalogue, now=now)
    items = cleaning.aligned(catalogue, interactions.item_ids)
    page = dataset.items_to_parquet(items)
    digest = hashlib.sha256(page).hexdigest()
    content = dataset.events_to_parquet(interactions, digest)
    key = f"training/{NAME}/{hashlib.sha256(content).hexdigest()}.videos.parquet"
    provenance = {
        "catalogue": {"key": key, "sha256": digest},
        "events": len(interactions),
        "viewers": interactions.n_users,
        "videos": interactions.n_items,
        "newest_event": int(interactions.times.max()),
        "cleaning": list(cleaned.sentences()),
    }
    about = (NAME, dataset.FEATURE_VERSION, len(interactions), sorted(people), provenance)
    row = snapshots.keep(studio, content, *about, now, assembled_at=now)
    snapshots.put(studio, row, key, page)
    life_cycle.choose_snapshot(studio, row)
    times = (int(interactions.times.min()), int(interactions.times.max()))
    first, last = (datetime.fromtimestamp(t, UTC).date().isoformat() for t in times)
    return {
        "decisions": everybody,
        "learned_from": len(interactions),
        "viewers": interactions.n_users,
        "videos": interactions.n_items,
        "from": first,
        "to": last,
        "cleaning": " ".join(cleaned.sentences()),
        "snapshot": f"{row.uri} ({row.sha256[:12]})",
    }


def describe_features(studio: Studio) -> Summary:
    """What the towers will read of the chosen interactions: groups of features, what was missing or unknown."""
    return describing.describe(candidates.load(studio, candidates.chosen(studio))).summary()


def train(studio: Studio) -> Made:
    """The candidate's three trainings; see candidates.train."""
    parts = candidates.train(studio)
    summary: Summary = {}
    for part in parts:
        last = part.facts["curves"][-1]
        summary |= {f"{part.name}_epochs": part.facts["epochs"], f"{part.name}_seconds": part.facts["seconds"]}
        summary |= {f"{part.name}_loss": last["loss"], f"{part.name}_parity": part.facts["parity"]}
    notes = dict.fromkeys(note for part in parts for note in part.facts["notes"])
    if notes:
        summary["notes"] = "\n".join(f"- {note}" for note in notes)
    curves = {part.name: part.facts["curves"] for part in parts}
    return Made(summary, {"training_curves": report_pictures.curves(curves)})


def evaluate(studio: Studio) -> Made:
    """The candidate beside the simple scorers and, where it saw nothing of what is held out, the live version."""
    found = judging.judge(studio)
    return judgements.told(studio, found, judging.figures(found))


def register(studio: Studio) -> Summary:
    """The candidate as a version, which nobody gets yet; the same candidate is the same version.

    BadInput, and nothing changed, when something stands against it or somebody withdrew since its snapshot.
    """
    found = judging.judged(studio)
    if found.problems:
        remedy = "read the report; gather decisions or mend the tables, and train again"
        raise BadInput(f"model {NAME}", found.problems[0], remedy)
    part, snapshot = candidates.trained(studio), candidates.chosen(studio)
    model = part.model
    return judgements.register(
        studio,
        snapshot,
        name=NAME,
        onnx=model.user_onnx,
        bundle=(part.bundle, candidates.BUNDLE),
        metrics=judging.metrics(found) | {"parity": part.facts["parity"]},
        reference=lambda: _reference(studio, snapshot, model),
        feature_version=dataset.FEATURE_VERSION,
        code_version=candidates.code_version(),
        licences=LICENCES,
        awaits="its embeddings are whole",
    )


def _reference(studio: Studio, snapshot: TrainingSnapshot, model: TwoTower) -> dict[str, Any]:
    """What viewers look like to this version as they ask: at the newest decisions that it learned from, each with all
    before it. A few outputs stand for all 768."""
    interactions = candidates.load(studio, snapshot).interactions
    newest = np.argsort(interactions.times, kind="stable")[-_REFERENCE:]
    users = interactions.users[newest]
    lengths = (newest - interactions.offsets[users] + 1).astype(np.int32)
    inputs = model.user_inputs(interactions, users, lengths, asked=interactions.times[newest] + _SOON)
    return drift.reference(
        inputs,
        model.user_vectors(inputs),
        model.input_names,
        input_columns=model.monitored,
        output_columns=_WATCHED_OUTPUTS,
    )


def sync(studio: Studio) -> dict[str, Summary]:
    """Embeddings of every version in use, and of the newest one if that was never rolled out: by asset."""
    with studio.database.session() as session:
        now = clock.of_database(session)  # decisions are dated by it: what comes later is for the next sync
    found: dict[str, Summary] = {"user_embeddings": {}, "video_embeddings": {}}
    rows = versions_to_embed(studio)
    if not rows:
        return {name: {"note": f"no version of {NAME} is registered yet"} for name in found}
    for row in rows:
        model = versions.towers(studio, row)
        with studio.database.session() as session:  # reads on while the sync writes in a transaction of its own
            people = versions.viewer_vectors(session, row, model, settings=studio.settings)
            catalogue = versions.video_vectors(session, row, model, settings=studio.settings)
            synced = syncing.sync(studio, row, people, catalogue, now, actor=BY)
        prefix = "" if len(rows) == 1 else f"{row.version}_"
        common: Summary = {"set": synced.set_id, "done": synced.sentence, "index": synced.indexed}
        common |= {f"{phase}_seconds": round(seconds, 3) for phase, seconds in synced.seconds.items()}
        for name, n in (("user_embeddings", synced.users), ("video_embeddings", synced.videos)):
            found[name] |= {f"{prefix}{key}": value for key, value in {"vectors": n, **common}.items()}
    return found


def differences(studio: Studio, row: ModelVersion, kind: Kind) -> list[str]:
    """How the version's embeddings of this kind differ from what its towers say of viewers or videos as they were at
    the last sync, on a sample; who or what changed since is left to the next one."""
    model = versions.towers(studio, row)
    with studio.database.session() as session:
        live = embedding_sets.current_set(session, row.id)
        if live is None:
            return [f"{row.version} has no embeddings; sync it"]
        until = datetime.fromisoformat(live.detail["synced_at"])
        if kind == "user":
            people = _sample(viewers.ids(session, until=until))
            return syncing.check(studio, row, versions.viewer_vectors(session, row, model, people), ())
        catalogue = _sample(videos.ids(session, until=until))
        return syncing.check(studio, row, (), versions.video_vectors(session, row, model, catalogue, until))


def _sample(ids: list[str]) -> list[str]:
    return ids[:: max(1, len(ids) // _LOOKED_AT)]


def versions_to_embed(studio: Studio) -> list[ModelVersion]:
    """Those that serve somebody or may have to again, and the newest while it waits for its rollout; oldest first."""
    with studio.database.session() as session:
        routes = rollout.current(session, NAME)
        wanted = {routes.live, routes.previous, routes.running[0] if routes.running else None} - {None}
        rows = registry_table.of_ids(session, [model_id for model_id in wanted if model_id is not None])
        newest = registry_table.latest(session, NAME)
        if newest is not None and all(r.model_id != newest.id for r in rollouts.history(session, NAME)):
            rows[newest.id] = newest
    return [rows[model_id] for model_id in sorted(rows)]


def begin(studio: Studio) -> Summary:
    """Begins the rollout of the newest version, whose embeddings are whole; nothing when it was begun before."""

    def source(row: ModelVersion) -> str:
        return f"{row.provenance['events']} decisions"

    return judgements.begin(studio, NAME, source, _refuse_without_embeddings)


def _refuse_without_embeddings(session: Session, row: ModelVersion) -> None:
    if embedding_sets.current_set(session, row.id) is None:
        raise BadInput(f"model {NAME} {row.version}", "has no embeddings yet", "materialize them first")


def recommend_all(studio: Studio) -> Summary:
    """Everybody's list, in place of all before."""
    from pipelines.recommending.serving import LiveRecommender

    now = clock.now()
    with studio.database.session() as session:
        people = viewers.ids(session)
    paths: Counter[str] = Counter()

    def places() -> Iterator[Place]:
        with LiveRecommender(studio) as recommender:
            for start in range(0, len(people), _AT_ONCE):
                block = people[start : start + _AT_ONCE]
                lists = recommender.recommend_many(block, LENGTH)
                paths.update(found.path for found in lists)
                for user, found in zip(block, lists, strict=True):
                    for rank, item in enumerate(found.items, start=1):
                        yield Place(UUID(user), rank, UUID(item.video_id), item.score, item.reason, found.version)

    with studio.database.session() as session:
        recommended.replace(session, places(), now)
        n_viewers, n_places, n_videos = recommended.counts(session)
        catalogue = videos.count(session)
    summary: Summary = {"viewers": n_viewers, "places": n_places, "videos_shown": n_videos}
    summary |= {"coverage": n_videos / catalogue if catalogue else 0.0, "seconds": (clock.now() - now).total_seconds()}
    return summary | {f"by_{path}": n for path, n in sorted(paths.items())}
