"""Small real media, and folders in an inbox made of them."""

from __future__ import annotations

import os
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipelines.intake.job_file import MARKER, NAME
from pipelines.intake.scan import ScanReport, scan
from pipelines.settings import Settings
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects

JOB = """\
owner: yamada
consents: {quality: true}
files:
  - {file: song.wav, kind: music, tags: [strings]}
  - {file: clip.mp4, kind: clip, tags: [空, sky]}
"""


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """song.wav, clip.mp4 (no sound), clip2.mp4, words.lrc, noise.bin, melody.mid."""
    import av

    folder = tmp_path_factory.mktemp("media")
    with wave.open(str(folder / "song.wav"), "wb") as song:
        song.setnchannels(1)
        song.setsampwidth(2)
        song.setframerate(8000)
        song.writeframes((np.sin(np.arange(4000) / 5) * 9000).astype("<i2").tobytes())
    for name, shade in (("clip.mp4", 60), ("clip2.mp4", 160)):
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for _ in range(10):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    (folder / "words.lrc").write_text("[00:00.10]春の小川は\n", encoding="utf-8")
    (folder / "noise.bin").write_bytes(np.random.default_rng(0).bytes(5000))
    (folder / "melody.mid").write_bytes(b"MThd" + bytes(20))
    return folder


class Inbox:
    """The inbox of a test, with the hands of a person who fills it."""

    def __init__(self, media: Path, database: Database, objects: Objects, settings: Settings) -> None:
        self.media, self.database, self.objects, self.settings = media, database, objects, settings
        self.path = settings.inbox

    def put(self, name: str = "job", text: str = JOB, marker: str | None = "", **files: str) -> Path:
        """A folder with the files that ``text`` needs (``song_wav="noise.bin"`` gives song.wav another content)."""
        folder = self.path / name
        folder.mkdir(parents=True, exist_ok=True)
        for target, source in {"song_wav": "song.wav", "clip_mp4": "clip.mp4", **files}.items():
            if source:
                (folder / target.replace("_", ".")).write_bytes((self.media / source).read_bytes())
        (folder / NAME).write_text(text, encoding="utf-8")
        if marker is not None:
            (folder / MARKER).write_text(marker)
        self.settle()
        return folder

    def settle(self) -> None:
        """As if some time had passed since the last change."""
        import time

        time.sleep(float(self.settings.settle_seconds) * 1.5)

    def scan(self, seconds: float = 40) -> ScanReport:
        return scan(self.path, self.database, self.objects, self.settings, seconds=seconds)


@pytest.fixture
def inbox(media: Path, database: Database, objects: Objects, settings: Settings) -> Inbox:
    made = Inbox(media, database, objects, settings)
    made.path.mkdir(parents=True)
    return made


@pytest.fixture
def touch_all() -> Callable[[Path], None]:
    """Changes the times of every file, not its content."""

    def touch(folder: Path) -> None:
        for path in folder.iterdir():
            os.utime(path, (1_000_000_000, 1_000_000_000))

    return touch
