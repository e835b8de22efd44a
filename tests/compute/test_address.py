"""Which address is a cluster, and what must be reachable from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines import items
from pipelines.compute.address import cluster_of
from pipelines.errors import BadInput
from pipelines.settings import Settings
from tests.compute.steps import step

FAR = Settings(compute="ray://head:6379", objects_url="s3://studio", database_url="postgresql://db/orimono")


def test_addresses() -> None:
    assert cluster_of(Settings()) is None
    assert cluster_of(FAR, database=True) == "ray://head:6379"


@pytest.mark.parametrize("said", ["dask://head:1", "ray://", "ray://head", "ray://head:x", "ray://a:1/b", "Ray"])
def test_what_is_no_cluster(said: str) -> None:
    with pytest.raises(BadInput, match="ORIMONO_COMPUTE"):
        cluster_of(replace(FAR, compute=said))


def test_stores_of_this_machine_only() -> None:
    with pytest.raises(BadInput, match="set ORIMONO_OBJECTS_URL"):
        cluster_of(replace(FAR, objects_url=""))
    here = replace(FAR, database_url="")
    assert cluster_of(here) == "ray://head:6379"  # most work needs no database
    with pytest.raises(BadInput, match="set ORIMONO_DATABASE_URL"):
        cluster_of(here, database=True)


def test_a_step_says_so(settings: Settings) -> None:
    with pytest.raises(BadInput, match="set ORIMONO_OBJECTS_URL"):
        items.run(replace(settings, compute="ray://127.0.0.1:1"), [items.Item("a", "a", "a")], step)
