"""Jobs that went the whole way, as tests of reading need them: inbox, scan, batch, the real steps over small media."""

from __future__ import annotations

import csv
import shutil
import time
import wave
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from pipelines.intake import batches, scan
from pipelines.studio import Studio
from serving.api.house import House

SAMPLE = Path(__file__).resolve().parents[3] / "sample"
TUNE = sorted((SAMPLE / "tunes").glob("*.mid"))[0]


def studio_of(house: House) -> Studio:
    """Steps run in this process: a pool takes longer to start than they do."""
    return replace(house.studio, settings=replace(house.settings, workers="1"))


def put(house: House, name: str, owner: str, files: Mapping[str, Path | bytes], said: str = "") -> None:
    """A job's folder in the inbox, complete; the kind of a file is its name's first part."""
    folder = house.settings.inbox / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file, content in files.items():
        if isinstance(content, Path):
            shutil.copyfile(content, folder / file)
        else:
            (folder / file).write_bytes(content)
    listed = "".join(f"  - {{file: {file}, kind: {file.split('-')[0]}}}\n" for file in files)
    (folder / "job.yaml").write_text(f"owner: {owner}\nfiles:\n{listed}{said}")
    (folder / "_COMPLETE").touch()


def scanned(house: House) -> None:
    time.sleep(house.settings.number("settle_seconds") * 2)
    scan.scan(house.settings.inbox, house.studio.database, house.studio.objects, house.settings)


def planned(house: House) -> str:
    """The key of the batch that the scanned jobs are in."""
    with house.session() as session:
        (made,) = batches.plan_batches(session, datetime.now(UTC))
    return made.key


def requested(house: House, key: str) -> None:
    with house.session() as session:
        batches.mark_requested(session, key)


def finished(house: House, key: str) -> None:
    with house.session() as session:
        batches.mark_finished(session, key)


def tone(seconds: float = 3.0, hz: float = 220.0) -> bytes:
    """A WAV file with two channels."""
    import io

    t = np.arange(round(seconds * 44100)) / 44100
    sound = 0.3 * np.sin(2 * np.pi * hz * t) * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * t))
    both = (np.stack([sound, 0.8 * sound], 1) * 32767).astype("<i2")
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(both.tobytes())
    return stream.getvalue()


def sheet(rows: int = 700) -> bytes:
    import io

    text = io.StringIO(newline="")
    csv.writer(text).writerows([["utterance"], *([f"what a day, number {n}"] for n in range(rows))])
    return text.getvalue().encode()


def mastered(house: House, name: str = "dance", owner: str = "ada") -> str:
    """A job with a mix of 3 s, from the inbox to its master and preview; its batch."""
    from pipelines.mastering import batch

    put(house, name, owner, {"mix-dance.wav": tone()}, "master: {preset: classical}\n")
    scanned(house)
    key = planned(house)
    requested(house, key)
    studio = studio_of(house)
    for step in (batch.describe, batch.master, batch.preview, batch.draw, batch.label):
        assert [r.error for r in step(studio, key)] == [None]
    finished(house, key)
    return key


def arranged(house: House, name: str = "tune", owner: str = "ada") -> str:
    """A job with a melody, arranged as a chorale by two candidates; its batch."""
    from pipelines.composing import batch

    put(house, name, owner, {"melody-tune.mid": TUNE}, "compose: {styles: [chorale], candidates: 2}\n")
    scanned(house)
    key = planned(house)
    requested(house, key)
    assert [r.error for r in batch.arrange(studio_of(house), key)] == [None]
    finished(house, key)
    return key


def opinions(house: House, name: str = "opinions", owner: str = "ada", rows: int = 700) -> str:
    """A job with a sheet, cut into chunks of which none was asked about yet; its batch."""
    from pipelines.scoring import batch

    put(house, name, owner, {"sheet-day.csv": sheet(rows)}, "score: {categories: [joy, anger], provider: local}\n")
    scanned(house)
    key = planned(house)
    requested(house, key)
    assert [r.error for r in batch.register(studio_of(house), key)] == [None]
    finished(house, key)
    return key
