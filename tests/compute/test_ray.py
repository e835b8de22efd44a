"""Items on a real Ray cluster of two nodes: the same results, and what becomes of them when processes, machines or
runs die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pipelines import items
from pipelines.compute.spreading import spread
from pipelines.editing import steps as editing
from pipelines.errors import BadInput, Unavailable
from pipelines.items import Defect, Item
from pipelines.media.files import MediaFile
from pipelines.media.hashing import content_hash
from pipelines.settings import PROJECT, Settings
from pipelines.storage.cache import Cache
from pipelines.storage.objects import Objects
from tests.compute.ray_cluster import RayCluster
from tests.compute.steps import Filed, step, upper

pytestmark = [pytest.mark.xdist_group("daemon"), pytest.mark.timeout(420)]
MEDIA = PROJECT / "sample" / "media"


def work(*payloads: str) -> list[Item[str]]:
    return [Item(f"item {p}", p.replace(" ", "-"), p) for p in payloads]


def until(true: Callable[[], object], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_items_run_on_other_machines_and_each_failure_stays_with_its_item(far: Settings) -> None:
    good, bad, defect, other = items.run(far, work("a", "bad", "defect", "b"), step)
    assert good.produced is not None
    assert other.produced is not None
    assert str(good.produced.summary["home"]) != far.home
    assert good.produced.summary["pid"] != os.getpid()
    assert bad.error == "song.ogg: is empty; upload it again"
    assert isinstance(defect.failure, Defect)
    assert "ZeroDivisionError" in (defect.error or "")
    again = items.run(far, work("a", "b", "c"), step)
    assert [r.produced and r.produced.stored for r in again] == [True, True, False]


def test_unavailable_rises(far: Settings) -> None:
    with pytest.raises(Unavailable) as raised:
        items.run(far, work("a", "away"), step)
    assert raised.value.retry_after == 7


def test_features_are_the_same_bytes_as_of_this_machine(far: Settings, near: Settings) -> None:
    song = MEDIA / "vibe_ace.ogg"
    clip = MEDIA / "big_buck_bunny_5s.mp4"
    kept = []
    for settings in (near, far):
        files = [MediaFile(path, content_hash(path), path.name) for path in (song, clip)]
        sound = items.run(settings, [Item("song", "s", editing.Song(files[0], None))], editing.analyse_music)
        sight = items.run(settings, [Item("clip", "c", files[1])], editing.analyse_clip)
        assert [r.error for r in (*sound, *sight)] == [None, None]
        objects = Objects.open(settings)
        names = sorted(name for name in _listed(objects) if name.startswith("features/"))
        kept.append({name: objects.get(name) for name in names})
    assert len(kept[0]) >= 4
    assert kept[0] == kept[1]


def _listed(objects: Objects) -> list[str]:
    import obstore

    return [str(one["path"]) for page in obstore.list(objects.store) for one in page]


def test_a_folder_of_this_machine_is_filled_here(far: Settings, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("woven")
    wanted = Filed(text, tmp_path / "out")
    (result,) = items.run(far, [Item("text", "t", wanted)], upper, ahead=lambda one: replace(one, out=None))
    assert result.produced is not None
    assert not result.produced.stored
    assert (tmp_path / "out" / "upper.txt").read_text() == "WOVEN"
    (alone,) = items.run(far, [Item("text", "t", wanted)], upper, ahead=None)
    assert alone.produced is not None
    assert alone.produced.summary["home"] == far.home


def test_a_folder_that_was_to_be_sent_is_a_defect(far: Settings, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("woven")
    with pytest.raises(TypeError, match="a place on this machine"):
        items.run(far, [Item("text", "t", Filed(text, tmp_path / "out"))], upper)


def test_an_item_that_kills_its_worker_fails_alone(far: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.compute.spreading.VERDICT", 3.0)
    results = items.run(far, work("a", "crash", "b", "c"), step)
    assert [r.error is None for r in results] == [True, False, True, True]
    assert "process died" in (results[1].error or "")


def test_what_is_cancelled_ends(far: Settings, ray_cluster: RayCluster) -> None:
    answers = spread(far, items._on_a_node, ((step, item) for item in work("quick", "sleep 600", "sleep 601")))
    assert next(answers)[0] == 0
    until(lambda: _busy(ray_cluster))
    answers.close()
    until(lambda: not _busy(ray_cluster))


def test_a_run_that_is_killed_leaves_nothing_behind(far: Settings, ray_cluster: RayCluster) -> None:
    code = (
        "import sys; from pipelines import items, settings; from tests.compute.steps import step;"
        "items.run(settings.load(), [items.Item('a', 'a', 'sleep 600')], step)"
    )
    names = ("home", "objects_url", "s3_endpoint", "compute")
    given = {f"ORIMONO_{name.upper()}": getattr(far, name) for name in names}
    run = subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, env={**os.environ, **given})
    try:
        until(lambda: _busy(ray_cluster))
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    until(lambda: not _busy(ray_cluster))


def _busy(running: RayCluster) -> bool:
    """Ray calls a process that works by its task's name."""
    for node in running.nodes:
        for one in node.tree():
            try:
                if "orimono." in " ".join(one.cmdline()):
                    return True
            except psutil.NoSuchProcess:
                continue
    return False


def test_nothing_secret_is_on_a_node(far: Settings, ray_cluster: RayCluster) -> None:
    secret = replace(far, database_url="postgresql://me:hunter2@127.0.0.1/none")
    assert items.run(secret, work("sleep 0.1 s"), step)[0].error is None
    written = [p for p in ray_cluster.folder.rglob("*") if p.is_file() and p.stat().st_size < 50_000_000]
    assert len(written) > 10
    assert not [p for p in written if b"hunter2" in p.read_bytes()]


def test_other_code_is_refused(far: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.compute.node.fingerprint", lambda: "other")
    with pytest.raises(BadInput, match="another version"):
        items.run(far, work("x"), step)


def test_the_cache_of_a_node_is_the_house_s(far: Settings) -> None:
    items.run(far, work("kept"), step)
    cache = Cache(Objects.open(far))
    assert cache.get_or_put("test", "1", "kept", {}, lambda: b"anew", ".txt") == b"kept"


def test_a_node_that_dies_costs_nothing_but_tries(far: Settings, ray_cluster: RayCluster) -> None:
    victim = ray_cluster.nodes[-1]
    asked = work(*(f"sleep 1 {n}" for n in range(12)))
    found: list[items.Result[str]] = []
    running = threading.Thread(target=lambda: found.extend(items.run(far, asked, step)))
    running.start()
    objects = Objects.open(far)
    until(lambda: sum(name.startswith("features/test") for name in _listed(objects)) >= 4)
    victim.kill()
    running.join(300)
    assert not running.is_alive()
    assert [r.error for r in found] == [None] * 12
    homes = {str(r.produced.summary["home"]) for r in found if r.produced}
    assert any(str(ray_cluster.nodes[0].home) in home for home in homes)
