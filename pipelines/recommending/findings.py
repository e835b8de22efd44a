"""What the checks of recommending ask: each finding is a sentence, read back from what was stored."""

from __future__ import annotations

from pipelines.models import overview, rollout
from pipelines.recommending import candidates, describing, gates, judging, learning, versions
from pipelines.recommending.dataset import NAME
from pipelines.storage import embedding_sets, recommended
from pipelines.storage import models as registry_table
from pipelines.storage.embedding_sets import Kind
from pipelines.studio import Studio

PARITY = 1e-4


def interactions(studio: Studio) -> list[str]:
    """Of the events as they are chosen now, read back from their file; a suite of expectations leaves its Data Docs."""
    import numpy as np
    import pandas as pd

    from pipelines.validation import suites

    data = candidates.load(studio, candidates.chosen(studio)).interactions
    frame = pd.DataFrame(
        {
            "user": data.users,
            "item": data.items,
            "time": data.times,
            "wanted": data.wanted,
            "in_order": np.diff(data.times, prepend=data.times[:1]) * (np.diff(data.users, prepend=-1) == 0) >= 0,
        }
    )
    docs = studio.settings.home_path / "data_docs" / "interactions"
    return list(suites.check_interactions(frame, data.n_users, data.n_items, docs).failures)


def features(studio: Studio) -> list[str]:
    return describing.describe(candidates.load(studio, candidates.chosen(studio))).problems()


def parity(studio: Studio) -> list[str]:
    """Parts of the candidate whose ONNX towers and Keras towers differ."""
    found = []
    for name in candidates.PARTS:
        part = candidates.stored(studio, candidates.chosen(studio), name)
        if part is not None and not part.facts["parity"] <= PARITY:
            found.append(f"{NAME} ({name}): the ONNX towers and Keras differ by {part.facts['parity']:.2g}")
    return found


def against_the_bars(studio: Studio) -> list[str]:
    """Why the candidate must not be rolled out."""
    return list(judging.judged(studio).problems)


def doubts(studio: Studio) -> list[str]:
    """What could not be told of the candidate."""
    return gates.doubts(judging.judged(studio).evaluations)


def broken_artefacts(studio: Studio) -> list[str]:
    """Of the newest version: why its user tower, or the towers stored beside it, cannot be served."""
    return overview.broken_artefacts(studio, NAME, versions.towers)


def user_embeddings(studio: Studio) -> list[str]:
    return _embeddings(studio, "user")


def video_embeddings(studio: Studio) -> list[str]:
    return _embeddings(studio, "video")


def _embeddings(studio: Studio, kind: Kind) -> list[str]:
    """What database and model do not agree on, of every version in use."""
    return [
        f"{NAME} {row.version}: {problem}"
        for row in learning.versions_to_embed(studio)
        for problem in learning.differences(studio, row, kind)
    ]


def versions_without_embeddings(studio: Studio) -> list[str]:
    """Versions that serve somebody and have no whole set."""
    with studio.database.session() as session:
        routes = rollout.current(session, NAME)
        serving = {routes.live, routes.running[0] if routes.running else None}
        rows = registry_table.of_ids(session, [model_id for model_id in serving if model_id is not None])
        without = [row for row in rows.values() if embedding_sets.current_set(session, row.id) is None]
    return [f"{NAME} {row.version} serves without embeddings: materialize them" for row in without]


def broken_lists(studio: Studio) -> list[str]:
    with studio.database.session() as session:
        again, twice = recommended.seen_again(session), recommended.named_twice(session)
        short = recommended.short(session, learning.LENGTH)
    found = []
    if again:
        found.append(f"{again} places hold a video that its viewer had decided on")
    if twice:
        found.append(f"{twice} videos stand twice in a list")
    if short:
        found.append(f"{len(short)} lists have fewer than {learning.LENGTH} places though there are videos left")
    return found
