"""One cluster of two nodes for the tests of this folder, and a house whose objects lie in S3."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.compute import cluster as connection
from pipelines.settings import Settings
from tests.compute.ray_cluster import RayCluster, cluster

AWS = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RayCluster]:
    folder = Path(tempfile.mkdtemp(prefix="orimono-ray-"))
    try:
        with cluster(folder / "c", nodes=2, **AWS) as running:
            yield running
    finally:
        connection.disconnect()
        folder.rmdir()


@pytest.fixture
def far(
    ray_cluster: RayCluster, settings: Settings, s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """A house that computes on the cluster."""
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    url = f"s3://studio/{tmp_path.name}"
    return replace(settings, objects_url=url, s3_endpoint=s3_endpoint, compute=ray_cluster.address)


@pytest.fixture
def near(far: Settings, tmp_path: Path) -> Settings:
    """Another house that computes here, in two processes."""
    return replace(far, home=str(tmp_path / "near"), objects_url="", compute="local", workers="2")
