"""The supervisor over small programs: who dies or hangs is started again, who cannot start ends all, and what a killed
supervisor left is ended by the next."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from serving import supervisor
from serving.supervisor import Part, end_leftovers

# Each start adds a line with the process's number; then it waits, or does what the second word says.
PROGRAM = """
import os, signal, subprocess, sys, time
with open(sys.argv[1], "a") as file:
    print(os.getpid(), file=file)
what = sys.argv[2]
if what == "child":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open(sys.argv[1] + ".child", "a") as file:
        print(child.pid, file=file)
if what.startswith("exit"):
    sys.exit(int(what[4:]))
signal.signal(signal.SIGTERM, lambda *_: (open(sys.argv[3], "a").write(sys.argv[1] + "\\n"), sys.exit(0)))
while True:
    time.sleep(0.05)
"""
# A supervisor of one such program with a child, as a process that can be killed.
LONELY = """
import sys
from pathlib import Path
from serving.supervisor import Part, Supervisor
folder = Path(sys.argv[1])
command = [sys.executable, str(folder / "program.py"), str(folder / "a"), "child", str(folder / "ends")]
sys.exit(Supervisor([Part("a", command, {}, folder, lambda: True)], folder / "up.pids").run())
"""


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "PAUSES", (0.05, 0.1))
    monkeypatch.setattr(supervisor, "ASK_SECONDS", 0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


@pytest.fixture
def signals() -> Iterator[None]:
    """The supervisor takes the process's signals."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def part(folder: Path, name: str, what: str, well: Callable[[], bool] = lambda: True, silence: float = 60.0) -> Part:
    command = [sys.executable, str(folder / "program.py"), str(folder / name), what, str(folder / "ends")]
    return Part(name, command, {}, folder, well, silence)


def pids(folder: Path, name: str) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return [int(line) for line in (folder / name).read_text().split()]
    return []


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def run(folder: Path, parts: list[Part], meanwhile: Callable[[], None]) -> int:
    """The supervisor in this thread, what happens to it in another; Ctrl-C at the end."""
    failures: list[Exception] = []

    def act() -> None:
        try:
            meanwhile()
        except Exception as error:  # noqa: BLE001 told by the test's own thread
            failures.append(error)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=act)
    one = supervisor.Supervisor(parts, folder / "up.pids")
    thread.start()
    try:
        code = one.run()
    finally:
        thread.join()
    if failures:
        raise failures[0]
    return code


@pytest.mark.usefixtures("signals")
def test_who_dies_is_started_again_and_its_children_end_with_it(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def kill() -> None:
        until(lambda: pids(folder, "a") and pids(folder, "a.child"))
        time.sleep(0.3)  # well, so that it is told when it works again
        os.kill(pids(folder, "a")[0], signal.SIGKILL)
        until(lambda: len(pids(folder, "a.child")) == 2)
        until(lambda: "a works again" in (said := said_so_far(capfd)) or said is None)

    def said_so_far(capfd: pytest.CaptureFixture[str]) -> str:
        heard.append(capfd.readouterr().err)
        return "".join(heard)

    heard: list[str] = []
    assert run(folder, [part(folder, "a", "child")], kill) == 0
    assert "a has ended (exit code -9); it is started again in 0.05 s" in "".join(heard)
    assert not any(psutil.pid_exists(pid) and lives(pid) for pid in pids(folder, "a.child"))
    assert not (folder / "up.pids").exists()


def lives(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.mark.usefixtures("signals")
def test_who_hangs_is_ended_and_started_again(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def well() -> bool:
        return len(pids(folder, "a")) != 1 or not (folder / "hangs").exists()

    def hang() -> None:
        until(lambda: pids(folder, "a"))
        time.sleep(0.5)
        (folder / "hangs").touch()
        os.kill(pids(folder, "a")[0], signal.SIGSTOP)
        until(lambda: len(pids(folder, "a")) == 2)

    assert run(folder, [part(folder, "a", "wait", well, silence=1.0)], hang) == 0
    assert "a has not answered for" in capfd.readouterr().err


@pytest.mark.usefixtures("signals")
def test_all_end_in_the_order_given(folder: Path) -> None:
    parts = [part(folder, name, "wait") for name in ("a", "b", "c")]

    def wait() -> None:
        until(lambda: all(pids(folder, p.name) for p in parts))
        time.sleep(0.5)  # it has set its handler

    assert run(folder, parts, wait) == 0
    assert [Path(line).name for line in (folder / "ends").read_text().split()] == ["a", "b", "c"]


@pytest.mark.usefixtures("signals")
def test_who_needs_another_waits_until_that_one_is_well(folder: Path) -> None:
    asked: list[bool] = []

    def well() -> bool:
        asked.append((folder / "well").exists())
        return asked[-1]

    parts = [replace(part(folder, "b", "wait"), after="a"), part(folder, "a", "wait", well)]

    def wait() -> None:
        until(lambda: pids(folder, "a") and len(asked) > 3)
        assert pids(folder, "b") == []
        (folder / "well").touch()
        until(lambda: pids(folder, "b"))

    assert run(folder, parts, wait) == 0


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize(("code", "starts"), [(2, 1), (3, supervisor.NEVER_WELL)])
def test_who_cannot_start_ends_all(folder: Path, code: int, starts: int, capfd: pytest.CaptureFixture[str]) -> None:
    parts = [part(folder, "good", "wait"), part(folder, "bad", f"exit{code}", lambda: False)]
    assert supervisor.Supervisor(parts, folder / "up.pids").run() == 1
    assert f"bad has ended (exit code {code}) and cannot start, so all of it ends" in capfd.readouterr().err
    assert len(pids(folder, "bad")) == starts
    assert not any(lives(pid) for pid in pids(folder, "good"))


def test_what_a_killed_supervisor_left_is_ended_and_nobody_else(folder: Path) -> None:
    lonely = subprocess.Popen([sys.executable, "-c", LONELY, str(folder)])
    until(lambda: pids(folder, "a") and pids(folder, "a.child") and (folder / "up.pids").exists())
    lonely.kill()
    lonely.wait()
    left = pids(folder, "a") + pids(folder, "a.child")
    assert all(lives(pid) for pid in left)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as other:
        with (folder / "up.pids").open("a") as file:  # its number was another's once
            file.write(f"\n{other.pid} 1000.0\nnonsense\n")
        assert end_leftovers(folder / "up.pids") == 1
        until(lambda: not any(lives(pid) for pid in left))
        assert other.poll() is None
    assert end_leftovers(folder / "up.pids") == 0
