"""The embedded server's life, with real processes that are killed at bad moments."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import text

from pipelines.errors import BadInput, OrimonoError, Unavailable
from pipelines.settings import Settings
from pipelines.storage import embedded, keeper
from pipelines.storage.database import Database

HOLD = """
import sys
from pathlib import Path
from pipelines.storage import embedded
print(embedded.start(Path(sys.argv[1]), linger=float(sys.argv[2]), durable=False), flush=True)
sys.stdin.read()
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="orimono-test-"))
    yield folder
    embedded.stop(folder, force=True)
    wait(lambda: not servers(folder))
    shutil.rmtree(folder, ignore_errors=True)


def start(home: Path, linger: float = 0.3) -> str:
    return embedded.start(home, linger=linger, durable=False)


def user(home: Path, linger: float = 0.3) -> subprocess.Popen[str]:
    """Another process that uses the server until its standard input ends."""
    command = [sys.executable, "-c", HOLD, str(home), str(linger)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        start_new_session=True,
    )  # fmt: skip


def leave(process: subprocess.Popen[str]) -> None:
    process.communicate("", timeout=30)
    assert process.returncode == 0


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=30)


def servers(home: Path) -> list[psutil.Process]:
    """Postmasters and keepers of this home."""
    found = []
    for process in psutil.process_iter(["cmdline", "ppid"]):
        line = process.info["cmdline"] or []
        if f"{home}/postgres/data" in line or any(f'"{home}/postgres"' in part for part in line):
            found.append(process)
    return found


def wait(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def ask(url: str, query: str) -> object:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]
        return row and row[0]


def postmaster(home: Path) -> int:
    running = keeper.postmaster(home / "postgres")
    assert running is not None
    return running[0]


def test_it_starts_with_pgvector_and_without_network(home: Path) -> None:
    url = start(home)
    assert str(ask(url, "show server_version")).startswith("18")
    assert ask(url, "select 1 from pg_available_extensions where name = 'vector'") == 1
    assert ask(url, "show listen_addresses") == ""
    assert not psutil.Process(postmaster(home)).net_connections(kind="inet")
    assert start(home) == url


def test_two_homes_live_side_by_side(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    a, b = start(home), start(other)
    assert a != b
    assert embedded.stop(other)
    assert ask(a, "select 1") == 1


def test_parallel_starts_get_the_same_server(home: Path) -> None:
    users = [user(home) for _ in range(6)]
    urls = {process.stdout.readline().strip() for process in users if process.stdout}
    assert len(urls) == 1 and urls != {""}
    # A backend looks like its postmaster from its fork until it has given itself a title; it may be gone by now.
    found = {p.pid: p.info for p in servers(home) if "-D" in p.info["cmdline"]}
    assert len([pid for pid, info in found.items() if info["ppid"] not in found]) == 1
    for process in users:
        leave(process)
    wait(lambda: not servers(home))


def test_it_outlives_who_started_it_and_ends_after_the_last_user(home: Path) -> None:
    first, second = user(home), None
    assert first.stdout and first.stdout.readline()
    second = user(home)
    assert second.stdout
    url = second.stdout.readline().strip()
    leave(first)
    time.sleep(1.0)  # more than it lingers
    assert ask(url, "select 1") == 1
    leave(second)
    wait(lambda: not servers(home))


def test_a_killed_user_does_not_count(home: Path) -> None:
    process = user(home)
    assert process.stdout and process.stdout.readline()
    kill(process)
    wait(lambda: not servers(home))


def test_a_connection_counts_as_a_user(home: Path) -> None:
    """A child that was only given the URL, such as Dagster's webserver."""
    process = user(home)
    assert process.stdout
    url = process.stdout.readline().strip()
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        leave(process)
        time.sleep(1.5)
        assert connection.execute("select 1").fetchone() == (1,)
    wait(lambda: not servers(home))


def test_stop_leaves_the_server_to_others(home: Path) -> None:
    process = user(home)
    assert process.stdout and process.stdout.readline()
    url = start(home)
    assert embedded.stop(home) is False
    assert ask(url, "select 1") == 1
    leave(process)
    wait(lambda: not servers(home))
    assert embedded.stop(home) is True


def test_ctrl_c_does_not_reach_it(home: Path) -> None:
    process = user(home, linger=5)
    assert process.stdout
    url = process.stdout.readline().strip()
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert ask(url, "select 1") == 1


@pytest.mark.parametrize("recycled", [False, True])
def test_everything_is_killed_and_the_data_are_there_again(home: Path, recycled: bool) -> None:
    url = embedded.start(home, linger=0.3)  # durable
    ask(url, "select 1")
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute("create table kept as select 7 as x")
    for process in servers(home):
        process.kill()
    embedded.release(home)
    lock = home / "postgres" / "data" / "postmaster.pid"
    assert lock.exists()
    if recycled:  # the number now belongs to somebody who lives
        lines = lock.read_text().splitlines()
        lock.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert ask(start(home), "select x from kept") == 7


def test_the_server_alone_is_killed(home: Path) -> None:
    url = start(home)
    before = postmaster(home)
    os.kill(before, signal.SIGKILL)
    wait(lambda: not keeper.exists(before))
    assert start(home) == url
    assert ask(url, "select 1") == 1


def test_the_keeper_alone_is_killed_and_replaced(home: Path) -> None:
    url = start(home)
    before = postmaster(home)
    for process in servers(home):
        if process.pid != before:
            process.kill()
            wait(lambda pid=process.pid: not keeper.exists(pid))
    assert start(home) == url
    assert postmaster(home) == before
    embedded.release(home)
    wait(lambda: not servers(home))


def test_starters_are_killed_at_any_moment(home: Path) -> None:
    for delay in (0.15, 0.25, 0.3, 0.35, 0.4, 0.5, 0.7):
        process = user(home)
        time.sleep(delay)
        kill(process)
    assert ask(start(home), "select 1") == 1
    assert not (home / "postgres" / "data.new").exists()


def test_what_a_killed_starter_left_at_work_is_waited_for(home: Path) -> None:
    """initdb outlives who started it; two of them in one folder would fail, or mix their files."""
    process = user(home)
    children = psutil.Process(process.pid).children
    wait(lambda: any(child.name() == "initdb" for child in children()), 60)
    (initdb,) = children()
    initdb.suspend()
    kill(process)
    free = keeper.locked(home / "postgres" / "start.lock")
    initdb.resume()
    if free is not None:
        os.close(free)
    assert free is None, "somebody else could begin"
    assert ask(start(home), "select 1") == 1
    assert not (home / "postgres" / "data.new").exists()


def test_a_home_that_is_deleted_takes_its_server_with_it(home: Path) -> None:
    start(home, linger=60)
    embedded.release(home)
    shutil.rmtree(home)
    wait(lambda: not servers(home))


@pytest.mark.parametrize("name", ["x" * 120, "スタジオ 織物 🎬", "a,b", 'q"uote', "50%", "a'b $HOME;c"])
def test_any_path_can_be_a_home(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    database = Database(Settings(home=str(home)))
    try:
        start(home)
        database.migrate()
        assert ask(database.dagster_url.replace("+psycopg2", ""), "select 1") == 1
    finally:
        database.dispose()
        embedded.stop(home, force=True)
    sockets = embedded._sockets(home / "postgres")
    wait(lambda: sockets.parent == home / "postgres" or not sockets.exists())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another account run the server")
def test_a_parent_folder_that_is_closed_meanwhile(tmp_path: Path) -> None:
    """Root's own folders are often closed to others, and some programs close theirs again (pytest, for one)."""
    parent = tmp_path / "closed"
    parent.mkdir(mode=0o700)
    closing = threading.Timer(0.2, parent.chmod, [0o700])
    closing.start()
    try:
        assert ask(start(parent / "home"), "select 1") == 1
        closing.join()
        parent.chmod(0o700)
        database = Database(Settings(home=str(parent / "home")))
        database.migrate()  # a server that runs does not need its parents any more
        database.close()
    finally:
        embedded.stop(parent / "home", force=True)


AS_USER = """
import sys
from pathlib import Path
from pipelines.storage import embedded
home = Path(sys.argv[1])
print(embedded.start(home, linger=0.3))
assert embedded._answers(home / "postgres")
assert (home / "postgres" / "data").stat().st_uid == 1
assert embedded.stop(home)
"""


def _as_daemon(*command: str, home: Path) -> subprocess.CompletedProcess[str]:
    packages = next(p for p in sys.path if p.endswith("site-packages"))
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": f"{ROOT}:{packages}"}
    return subprocess.run(
        command, cwd="/", user=1, group=1, extra_groups=[], capture_output=True, text=True, timeout=120, env=environment
    )


def _python_for_everybody(home: Path) -> str:
    for candidate in (sys.executable, "/usr/local/bin/python3", "/usr/bin/python3"):
        try:
            done = _as_daemon(candidate, "-c", "import sys, pipelines; assert sys.version_info >= (3, 11)", home=home)
        except (PermissionError, FileNotFoundError):
            continue
        if done.returncode == 0:
            return candidate
    pytest.skip("no Python and project that an ordinary user may read")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_it_works_as_an_ordinary_user() -> None:
    home = Path(tempfile.mkdtemp(prefix="orimono-test-"))
    try:
        os.chown(home, 1, 1)  # daemon
        done = _as_daemon(_python_for_everybody(home), "-c", AS_USER, str(home), home=home)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("postgresql+psycopg://postgres@/postgres?host=")
        assert ask(start(home), "select 1") == 1  # root goes on with what is not root's
        assert (home / "postgres" / "data").stat().st_uid == 1
        assert embedded.stop(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def test_a_home_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="the database cannot be kept there"):
        start(tmp_path / "file" / "home")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A real file system of so many megabytes."""
    folder = Path(tempfile.mkdtemp(prefix="orimono-disk-"))

    def mount(megabytes: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
        return folder

    yield mount
    embedded.stop(folder, force=True)
    subprocess.run(["umount", "-l", str(folder)], capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("megabytes", [1, 8, 24])
def test_a_full_disk_at_the_first_start(small_disk: Callable[[int], Path], megabytes: int) -> None:
    home = small_disk(megabytes)
    if megabytes == 1:
        (home / "ballast").write_bytes(bytes((1 << 20) - 4096 * 4))
    with pytest.raises(Unavailable, match="the disk that holds the database is full, free some space"):
        start(home)
    assert not (home / "postgres" / "data").exists()
    assert not (home / "postgres" / "data.new").exists()


def test_a_disk_that_fills_up_later(small_disk: Callable[[int], Path]) -> None:
    home = small_disk(160)
    start(home)
    database = Database(Settings(home=str(home)))
    database.migrate()
    ballast = home / "ballast"
    with ballast.open("wb") as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    rows = "select repeat('x', 1000), 'a', 'b' from generate_series(1, 60000)"
    # A server that cannot write its log goes down and recovers; who asks then is told that.
    insert = f"insert into audit_logs (actor, action, subject) {rows}"
    with pytest.raises(Unavailable, match=r"full|closed|not (yet )?accepting|recovery"), database.session() as session:
        session.execute(text(insert))
    database.dispose()
    ballast.unlink()
    start(home)
    assert _when_recovered(database, "select count(*) from audit_logs") == 0
    database.dispose()


def _when_recovered(database: Database, query: str) -> object:
    """The answer of a server that may have gone down and be on its way back, which it says."""
    end = time.monotonic() + 60
    while True:
        try:
            with database.session() as session:
                return session.execute(text(query)).scalar()
        except Unavailable:
            assert time.monotonic() < end
            time.sleep(0.2)


def test_closing_the_database_stops_a_server_that_nobody_else_uses(home: Path) -> None:
    database = Database(Settings(home=str(home)))
    start(home)
    database.migrate()
    database.close()
    assert keeper.postmaster(home / "postgres") is None
    with database.session() as session:  # and the same object starts it again
        session.execute(text("select 1"))
    database.close()


def test_a_stopped_server_is_noticed_by_its_users(home: Path) -> None:
    start(home)
    database = Database(Settings(home=str(home)))
    database.migrate()
    embedded.stop(home, force=True)
    with pytest.raises(OrimonoError), database.session() as session:
        session.execute(text("select 1"))
    start(home)
    with database.session() as session:  # the same object, the server's next life
        assert session.execute(text("select 1")).scalar() == 1
    database.dispose()
