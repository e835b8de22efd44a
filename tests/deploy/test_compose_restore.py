"""A house in containers backed up and put back on empty volumes by the commands of docs/how-to/containers.md, with the
users and databases that deploy/postgres makes: the root is read-only, and the database's user no superuser."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.settings import Settings
from pipelines.storage import storage_use
from pipelines.storage.objects import Objects
from tests.deploy import compose, postgres
from tests.deploy.compose import PROJECT, Stack, stack
from tests.deploy.test_compose_runs import _object_store, secret

pytestmark = [pytest.mark.xdist_group("daemon"), pytest.mark.timeout(600)]


@pytest.fixture
def house() -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="orimono-restore-"))
    folder.chmod(0o755)
    try:
        with stack(folder) as found:
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def stores(house: Stack, name: str) -> Iterator[Objects]:
    """Both on empty volumes."""
    described, address = house.compose["services"]["postgres"], house.addresses["postgres"]
    minio = house.addresses["minio"]
    with (
        postgres.server(
            house.folder / name, house.folder / "secrets", PROJECT / "deploy/postgres", described["command"], address
        ),
        _object_store(minio),
    ):
        keys = {"s3_access_key": "orimono", "s3_secret_key": secret(house, "s3_secret_key")}
        objects = Objects.open(Settings(objects_url="s3://orimono", s3_endpoint=f"http://{minio}:9000", **keys))
        _without_bucket(objects, f"http://{minio}:9000/orimono")
        yield objects


def _without_bucket(objects: Objects, url: str) -> None:
    """All S3 servers of a process have the same buckets, those of other tests among them."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD")).close()
    except urllib.error.HTTPError as error:
        assert error.code == 404, error
        return
    for item in list(storage_use.stored(objects)):
        objects.delete(item.key)
    urllib.request.urlopen(urllib.request.Request(url, method="DELETE")).close()


def run_once(house: Stack, *command: str) -> tuple[int, str]:
    """`docker compose run --rm --no-deps api COMMAND`."""
    with house.run("api", command, entry=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        return process.wait(240), str(process.stdout.read())


def own(path: Path) -> Path:
    """The container's user's."""
    path.mkdir()
    if account := compose._as_nobody():
        os.chown(path, account["user"], account["group"])
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_back_up_and_restore_on_fresh_volumes(house: Stack) -> None:
    volume, backups, image = house.folder / "home", own(house.folder / "backups"), house.image()
    with stores(house, "pg") as objects:
        house.start("migrations")
        house.wait("migrations", "service_completed_successfully")
        house.asked("api", "orimono", "key", "new", "--owner", "ada", "--role", "editor", "--json")
        objects.put_named("results/autumn/master.wav", b"a master")
        (volume / "home/inbox/waiting").mkdir(parents=True)
        (volume / "home/inbox/waiting/job.yaml").write_text("owner: ada\n")
        code, said = run_once(house, "orimono", "backup", str(backups))
        assert code == 0, said
    beside = names(house.folder)

    shutil.rmtree(volume)
    own(volume)
    with stores(house, "pg2") as objects:
        code, said = run_once(house, "orimono", "restore", str(backups))
        assert code == 0 and "is restored and verified" in said, said
        assert names(volume) == {"home", "tmp"}, "neither lock nor anything half made is left"
        assert names(house.folder) == beside | {"pg2"} and house.image() == image, "the root is read-only"
        assert (volume / "home/inbox/waiting/job.yaml").read_text() == "owner: ada\n"
        (item,) = [item for item in storage_use.stored(objects) if not item.copy]
        assert item.key == "results/autumn/master.wav" and objects.get(item.key) == b"a master"
        assert "ada" in house.asked("api", "orimono", "key", "list")
        code, said = run_once(house, "orimono", "restore", str(backups))
        assert code == 2 and "nothing is restored over a house" in said, said

        # It is the house that was: what follows is started as ever, and others are kept out of its databases.
        house.start("migrations")
        house.wait("migrations", "service_completed_successfully")
        airflow = secret(house, "airflow_database_password")
        for database in ("orimono", "orimono_dagster"):
            with pytest.raises(AssertionError, match="permission denied"):
                postgres.query(house.addresses["postgres"], "airflow", airflow, database, "select 1")
