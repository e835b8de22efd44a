"""Whether a file is whole, by reading all of it as what it is, and a watcher that looks at each result as it
appears."""

from __future__ import annotations

import csv
import io
import json
import threading
import wave
import xml.etree.ElementTree as ET
from pathlib import Path

import av
import mido
from PIL import Image

from pipelines import results


def fault_of(path: Path, data: bytes) -> str | None:
    """Why it is not whole; None when it is."""
    if not data:
        return "is empty"
    try:
        _read(path.suffix.lower(), data)
    except Exception as error:  # noqa: BLE001 every reader has errors of its own
        return f"cannot be read to its end ({type(error).__name__}: {error})"
    return None


def _read(suffix: str, data: bytes) -> None:
    if suffix in (".json", ".otio"):
        json.loads(data)
    elif suffix in (".xml", ".fcpxml"):
        ET.fromstring(data)
    elif suffix == ".mid":
        mido.MidiFile(file=io.BytesIO(data))
    elif suffix == ".png":
        Image.open(io.BytesIO(data)).load()
    elif suffix == ".html":
        assert data.rstrip().endswith(b"</html>"), "no end"
    elif suffix == ".csv":
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))
        assert len({len(row) for row in rows}) == 1 and data.endswith(b"\n"), "a row is short"
    elif suffix == ".wav":
        _sound(data)
    elif suffix in (".mp4", ".m4a"):
        with av.open(io.BytesIO(data)) as container:
            frames = sum(1 for _ in container.decode(container.streams[0]))
            assert frames, "no frames"


def _sound(data: bytes) -> None:
    try:
        with wave.open(io.BytesIO(data)) as file:
            wanted = file.getnframes() * file.getnchannels() * file.getsampwidth()
            assert len(file.readframes(file.getnframes())) == wanted, "its end is missing"
    except wave.Error:  # 24 bits in the extensible format
        with av.open(io.BytesIO(data)) as container:
            assert sum(frame.samples for frame in container.decode(audio=0)), "no samples"


class Watcher:
    """Reads every visible result as soon as it is there, the whole time. ``seen``: what was not whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: set[tuple[str, int, int, int]] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.seen: list[str] = []
        self.read = 0

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)

    def _watch(self) -> None:
        while not self._ended.wait(0.3):
            if not self._folder.is_dir():
                continue
            for job in sorted(self._folder.iterdir()):
                if not job.name.startswith(".") and job.is_dir():
                    for found in results.listed(job):
                        self._look(job, found.path)

    def _look(self, job: Path, path: str) -> None:
        file = job / path
        try:
            before = file.stat()
            stamp = (str(file), before.st_ino, before.st_mtime_ns, before.st_size)
            if stamp in self._known:
                return
            with file.open("rb") as opened:  # one file, whatever is put in its place meanwhile
                data = opened.read()
        except OSError:
            return
        self._known.add(stamp)
        self.read += 1
        if (fault := fault_of(file, data)) is not None:
            self.seen.append(f"{job.name}/{path} was to be seen but {fault}")
