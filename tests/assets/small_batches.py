"""Many batches of one small job each: seconds of a made-up tune in mono, a tiny clip, and a line of words.

All are different, so that nothing is answered from the store of another batch.
"""

from __future__ import annotations

import math
import time
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.intake import batches, scan
from pipelines.storage import items, jobs
from pipelines.studio import Studio

RATE = 22050
JOB = """\
owner: tester@example.com
consents: {quality: false, training: false}
files:
  - {file: song.wav, kind: music}
  - {file: clip.mp4, kind: clip}
  - {file: words.lrc, kind: lyrics}
edit: {duration: 2, fps: 25, patterns: [dynamic]}
"""


def fill(inbox: Path, names: Sequence[str], seconds: float = 4.0, first: int = 0) -> None:
    """A finished folder a name in the inbox; ``first``: the number of the first one's content."""
    inbox.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names, first):
        folder = inbox / name
        folder.mkdir()
        _song(folder / "song.wav", number, seconds)
        _clip(folder / "clip.mp4", number)
        (folder / "words.lrc").write_text(f"[00:01.00]The morning sun is shining on hill {number}\n")
        (folder / "job.yaml").write_text(JOB)
        (folder / "_COMPLETE").touch()


def plan(studio: Studio, count: int, deadline: float = 600.0) -> list[str]:
    """The first so many folders of the inbox as batches of one job each, once they have settled; their keys."""
    end = time.monotonic() + deadline
    found: list[str] = []
    while len(found) < count:
        assert time.monotonic() < end, f"{len(found)} of {count} jobs were taken"
        scan.scan(studio.settings.inbox, studio.database, studio.objects, studio.settings)
        with studio.database.session() as session:
            found += [made.key for made in batches.plan_batches(session, size=1)]
    return found


def finish(studio: Studio, keys: Sequence[str]) -> None:
    with studio.database.session() as session:
        for key in keys:
            batches.mark_requested(session, key)
            batches.mark_finished(session, key)


def _song(path: Path, number: int, seconds: float) -> None:
    """A decaying tone twice a second, its pitch by the number."""
    t = np.arange(int(seconds * RATE)) / RATE
    pitch = 220.0 * math.exp2((number % 24) / 12) * (1 + number * 1e-4)
    sound = np.sin(2 * np.pi * pitch * t) * np.exp(-8 * (t % 0.5))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((sound * 20_000).astype("<i2").tobytes())


def _clip(path: Path, number: int, frames: int = 100) -> None:
    """A cut in the middle, and a block that moves."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for frame in range(frames):
            picture = np.full((120, 160, 3), number % 100, np.uint8)
            picture[:, :, frame // (frames // 2) * 2] = 150
            picture[number // 100 * 4 :, frame : frame + 40, 1] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def left_by_older_code(studio: Studio, keys: Sequence[str], step: str, version: str = "an earlier one") -> None:
    """What an earlier release had written down of a step of one item a job: of its words, say, or of the whole job."""
    kind = {"music_features": "music", "video_features": "clip", "lyrics_features": "lyrics"}.get(step)
    with studio.database.session() as session:
        for key in keys:
            for job in jobs.of_batch(session, key):
                upload = next((u for u in job.uploads if u.kind == kind), None)
                items.record(
                    session,
                    job_id=job.id,
                    upload_id=upload.id if upload else None,
                    kind=step,
                    content_hash=upload.content_hash if upload else job.content_hash,
                    code_version=version,
                )
