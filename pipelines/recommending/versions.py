"""A registered version of the two towers: its model, verified, and everybody's vectors as they are now.

Where vectors are kept and what of them moves is syncing.py's, who gets which version models/rollout.py's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipelines.compute.address import cluster_of
from pipelines.errors import BadInput
from pipelines.models import artefacts
from pipelines.recommending import embedding, prior
from pipelines.recommending.embedding import Batch
from pipelines.recommending.interactions import Interactions
from pipelines.recommending.two_tower import TwoTower
from pipelines.settings import Settings
from pipelines.storage import decisions, videos
from pipelines.storage.objects import Objects
from pipelines.storage.tables import ModelVersion
from pipelines.studio import Studio

if TYPE_CHECKING:
    import pandas as pd

WHOLE = 10_000  # newest decisions of a viewer that are read: features tell of whole histories, pools of the newest
_DAY = 86_400  # s


@dataclass(frozen=True, slots=True)
class Bundle:
    """Where a version's whole model lies. ``name`` and ``version``: as people call it, and its version alone."""

    name: str
    version: str
    key: str
    sha256: str

    @classmethod
    def of(cls, row: ModelVersion) -> Bundle:
        bundle = row.provenance["bundle"]
        return cls(artefacts.named(row), row.version, bundle["key"], bundle["sha256"])


def towers(studio: Studio, row: ModelVersion) -> TwoTower:
    """The version's whole model. BadInput, naming the version, when its bytes are gone or have changed."""
    return towers_of(studio.objects, Bundle.of(row))


def towers_of(objects: Objects, bundle: Bundle) -> TwoTower:
    """As ``towers``, wherever the object store is reached."""
    remedy = "restore the object, or roll back to a version that has its bytes"
    try:
        data = objects.get(bundle.key)
    except BadInput as error:
        raise BadInput(bundle.name, f"has lost its towers ({error.what}: {error.reason})", remedy) from error
    if hashlib.sha256(data).hexdigest() != bundle.sha256:
        raise BadInput(bundle.name, f"has other bytes in {bundle.key} than were registered", remedy)
    return TwoTower.from_bytes(data)


def viewer_vectors(
    session: Session,
    row: ModelVersion,
    model: TwoTower,
    ids: Collection[str] | None = None,
    settings: Settings | None = None,
) -> Iterator[Batch]:
    """Of everybody who has decided anything (or of these viewers), from their histories as they are now, as of people
    who come back: a stored vector waits for its viewer, and does not change while they are away. With ``settings``
    that name a cluster, its machines make them."""
    histories = decisions.histories(session, ids, WHOLE)
    if settings is not None and cluster_of(settings) is not None:
        from pipelines.recommending import embedding_blocks

        return embedding_blocks.of_viewers(settings, Bundle.of(row), histories)
    return vectors_of_histories(model, row.version, histories)


def vectors_of_histories(
    model: TwoTower, version: str, histories: Iterable[tuple[str, decisions.History]]
) -> Iterator[Batch]:
    return embedding.of_users(_Back(model), histories, version=version)


def video_vectors(
    session: Session,
    row: ModelVersion,
    model: TwoTower,
    ids: Collection[str] | None = None,
    until: datetime | None = None,
    settings: Settings | None = None,
) -> Iterator[Batch]:
    """Of the whole catalogue (or of these videos), with how popular each is now, or was by the decisions that were here
    at ``until``. ``settings`` as for viewers."""
    frame = videos.frame(session)
    weights = decisions.weights(session, model.recipe.prior_days, until=until)
    found = [weights.get(video_id, (0, 0.0)) for video_id in frame["item_id"]]
    frame["decided"] = np.array([n for n, _ in found], np.int64)
    frame["popularity"] = prior.in_steps(prior.popularity(np.array([recent for _, recent in found], np.float64)))
    if ids is not None:
        frame = frame[frame["item_id"].isin(list(ids))].reset_index(drop=True)
    if settings is not None and cluster_of(settings) is not None:
        from pipelines.recommending import embedding_blocks

        return embedding_blocks.of_videos(settings, Bundle.of(row), frame)
    return vectors_of_rows(model, row.version, frame)


def vectors_of_rows(model: TwoTower, version: str, frame: pd.DataFrame) -> Iterator[Batch]:
    """``frame``: as ``video_vectors`` makes it."""
    return embedding.of_videos(_Now(model), frame, version=version)


class _Back:
    """The user tower over histories of viewers who come back a day after their last decision."""

    def __init__(self, model: TwoTower) -> None:
        self._model = model

    def user_inputs(self, histories: Interactions, /) -> NDArray[np.float32]:
        ends = histories.offsets[1:]
        last = np.append(histories.times, 0)[ends - 1]  # of a viewer without decisions it does not matter
        return self._model.user_inputs(histories, asked=last + _DAY)

    def user_vectors(self, inputs: NDArray[np.float32], /) -> NDArray[np.float32]:
        return self._model.user_vectors(inputs)


class _Now:
    """The video tower over rows that say how often and how lately each video was wanted."""

    def __init__(self, model: TwoTower) -> None:
        self._model = model

    def item_inputs(self, items: pd.DataFrame, /) -> NDArray[np.float32]:
        decided, popularity = items["decided"].to_numpy(np.int64), items["popularity"].to_numpy(np.float32)
        return self._model.item_inputs(items, decided, popularity)

    def item_vectors(self, inputs: NDArray[np.float32], /) -> NDArray[np.float32]:
        return self._model.item_vectors(inputs)
