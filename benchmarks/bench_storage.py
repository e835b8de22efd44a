"""How long the house's state takes: the embedded server's start, a scan of an unchanged inbox, arrays as bytes."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Figure, write
from pipelines.intake.job_file import MARKER, NAME
from pipelines.intake.scan import scan
from pipelines.settings import Settings
from pipelines.storage import embedded
from pipelines.storage.arrays import pack, unpack
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects

JOBS = 1000
JOB = "owner: bench\nfiles:\n  - {file: song.wav, kind: music}\n  - {file: clip.mp4, kind: clip}\n"


@dataclass(frozen=True, slots=True)
class Values:
    curve: NDArray[np.float32]


def seconds(call: Callable[[], object], repeats: int = 1) -> float:
    """Median wall-clock time."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def fill(inbox: Path) -> None:
    """``JOBS`` complete folders of small real media, each another song."""
    import av

    clip = inbox.parent / "clip.mp4"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for number in range(JOBS):
        folder = inbox / f"job{number:04d}"
        folder.mkdir(parents=True)
        with wave.open(str(folder / "song.wav"), "wb") as song:
            song.setnchannels(1)
            song.setsampwidth(2)
            song.setframerate(8000)
            song.writeframes(np.full(800, number, "<i2").tobytes())
        shutil.copyfile(clip, folder / "clip.mp4")
        (folder / NAME).write_text(JOB)
        (folder / MARKER).touch()


def run() -> dict[str, Figure]:
    home = Path(tempfile.mkdtemp(prefix="orimono-bench-"))
    settings = Settings(home=str(home), settle_seconds="0.1")
    try:
        first = seconds(lambda: embedded.start(home))
        database, objects = Database(settings), Objects.open(settings)
        migration = seconds(database.migrate)
        database.dispose()

        def restart() -> None:
            embedded.start(home)

        starts = []
        for _ in range(3):
            embedded.stop(home, force=True)
            starts.append(seconds(restart))
        running = seconds(restart, 5)
        embedded.stop(home, force=True)
        embedded.start(home, durable=False)  # the disk's patience is not ours to measure
        fill(settings.inbox)
        time.sleep(0.2)
        taken = seconds(lambda: scan(settings.inbox, database, objects, settings, seconds=600))
        report = scan(settings.inbox, database, objects, settings)
        assert report.unchanged == JOBS, report.summary()
        unchanged = seconds(lambda: scan(settings.inbox, database, objects, settings), 5)
        database.dispose()
        return {
            "server_first_start_s": Figure(first, "s", note="with the making of the database"),
            "server_start_s": Figure(statistics.median(starts), "s", at_most=1.0, note="stopped before"),
            "server_already_running_s": Figure(running, "s"),
            "first_migration_s": Figure(migration, "s"),
            "scan_unchanged_ms_per_job": Figure(unchanged / JOBS * 1e3, "ms", at_most=2.0, note=f"{JOBS} jobs"),
            "scan_new_ms_per_job": Figure(
                taken / JOBS * 1e3, "ms", note="hashed, probed, stored, recorded; tiny media"
            ),
            **_arrays(objects),
        }
    finally:
        embedded.stop(home, force=True)
        shutil.rmtree(home, ignore_errors=True)


def _arrays(objects: Objects) -> dict[str, Figure]:
    value = Values(np.random.default_rng(0).random(16 << 20, np.float32))
    megabytes = value.curve.nbytes / 1e6
    data = pack(value)
    cache = Cache(objects)
    cache.get_or_compute("bench", "1", "0" * 64, {}, lambda: value, Values)
    return {
        "pack_mb_per_s": Figure(megabytes / seconds(lambda: pack(value), 5), "MB/s"),
        "unpack_mb_per_s": Figure(
            megabytes / seconds(lambda: unpack(Values, data), 5), "MB/s", note="checksum verified"
        ),
        "cache_hit_mb_per_s": Figure(
            megabytes / seconds(lambda: cache.get_or_none("bench", "1", "0" * 64, {}, Values), 5),
            "MB/s",
            note="mapped from the file, checksum verified",
        ),
    }


if __name__ == "__main__":
    results = run()
    for name, figure in results.items():
        print(f"{name}: {figure.value:.3f} {figure.unit}  {'' if figure.met else 'NOT MET'}")
    write("storage", results)
