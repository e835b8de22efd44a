"""Whether a file is whole, by reading all of it as what it is, and a watcher that looks at each result as it
appears."""

from __future__ import annotations

import csv
import io
import json
import threading
import wave
import xml.etree.ElementTree as ET
from collections.abc import Collection
from pathlib import PurePosixPath

import av
import mido
from PIL import Image

from pipelines import results
from pipelines.errors import NotFound
from pipelines.settings import Settings
from pipelines.storage.object_file import facts_of
from pipelines.storage.objects import Objects


def fault_of(path: str, data: bytes) -> str | None:
    """Why it is not whole; None when it is."""
    if not data:
        return "is empty"
    try:
        _read(PurePosixPath(path).suffix.lower(), data)
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
    """Reads every visible result of these jobs as soon as it is there, the whole time. ``seen``: what was not whole."""

    def __init__(self, settings: Settings, objects: Objects, jobs: Collection[str]) -> None:
        self._settings, self._objects, self._jobs = settings, objects, jobs
        self._known: set[tuple[str, str, str]] = set()
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
            for job in tuple(self._jobs):
                for found in results.listed_of(self._settings, self._objects, job):
                    self._look(job, found.path)

    def _look(self, job: str, path: str) -> None:
        try:
            file = results.opened_of(self._settings, self._objects, job, path)
        except NotFound:
            return
        with file:  # one state of it, whatever is put in its place meanwhile
            size, state = facts_of(file)
            if (job, path, state) in self._known:
                return
            data = file.read()
            if len(data) < size:
                return  # it was exchanged while it was read, and will be seen again
        self._known.add((job, path, state))
        self.read += 1
        if (fault := fault_of(path, data)) is not None:
            self.seen.append(f"{job}/{path} was to be seen but {fault}")
