"""Vectors made on a real cluster: those of this machine, for everybody once."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

import numpy as np
import pytest

from pipelines.recommending import embedding_blocks, versions
from pipelines.recommending.embedding import Batch
from pipelines.recommending.versions import Bundle
from pipelines.settings import Settings
from pipelines.storage.decisions import History
from pipelines.storage.objects import Objects
from tests.recommending import built

pytestmark = [pytest.mark.xdist_group("daemon"), pytest.mark.timeout(420)]
VIDEOS, VIEWERS = 60, 3000  # two blocks of viewers


def history(number: int) -> History:
    rng = np.random.default_rng(number)
    n = 1 + number % 12
    chosen = [str(built.video_id(int(i))) for i in rng.choice(VIDEOS, n, replace=False)]
    times = np.sort(rng.integers(1_600_000_000, 1_700_000_000, n))
    none = np.full(n, np.nan, np.float32)
    return History(np.array(chosen), np.array(chosen), times, none, np.full(n, "like"))


def by_id(batches: Sequence[Batch]) -> dict[uuid.UUID, bytes]:
    found = [(key, row.tobytes()) for batch in batches for key, row in zip(batch.ids, batch.vectors, strict=True)]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_everybodys_vectors(far: Settings) -> None:
    model = built.two_tower(VIDEOS)
    data = model.to_bytes()
    bundle = Bundle("two_tower v1", "v1", "recommending/v1.towers", hashlib.sha256(data).hexdigest())
    Objects.open(far).put_named(bundle.key, data)
    keyed = [(str(uuid.UUID(int=n)), history(n)) for n in range(VIEWERS)]
    there = by_id([*embedding_blocks.of_viewers(far, bundle, iter(keyed))])
    here = by_id([*versions.vectors_of_histories(model, "v1", keyed)])
    assert there.keys() == here.keys()
    for key, vector in here.items():
        found = np.frombuffer(there[key], np.float32)
        np.testing.assert_allclose(found, np.frombuffer(vector, np.float32), atol=2e-6)

    frame = built.frame(VIDEOS)
    frame["decided"], frame["popularity"] = np.zeros(VIDEOS, np.int64), np.zeros(VIDEOS, np.float32)
    videos = by_id([*embedding_blocks.of_videos(far, bundle, frame)])
    assert videos == by_id([*versions.vectors_of_rows(model, "v1", frame)])
