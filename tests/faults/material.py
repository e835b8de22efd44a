"""Small jobs of all five systems, other bytes in each round, so that every round has everything to compute."""

from __future__ import annotations

import colorsys
import csv
import random
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import mido
import numpy as np

from tests.video.clips import write_clip

System = Literal["edit", "master", "melody", "decisions", "sheet"]
SYSTEMS: tuple[System, ...] = ("edit", "master", "melody", "decisions", "sheet")
RATE = 22_050
OWNER = "tester@example.com"
CATEGORIES = ("joy", "anger")
ROWS = 60  # of a sheet
FPS, SECONDS = 25, 3  # of an edit
VIEWERS, VIDEOS = 6, 8


@dataclass(frozen=True, slots=True)
class Material:
    """One job: its folder as `orimono ingest` takes it, and its only file, for the API (edits go by folder)."""

    system: System
    folder: Path
    file: Path
    kind: str


def make(folder: Path, system: System, name: str, rng: random.Random) -> Material:
    where = folder / name
    where.mkdir(parents=True)
    return {"edit": _edit, "master": _master, "melody": _melody, "decisions": _decisions, "sheet": _sheet}[system](
        where, name, rng
    )


def _describe(where: Path, files: str, wish: str = "") -> None:
    (where / "job.yaml").write_text(f"owner: {OWNER}\nfiles: [{files}]\n{wish}\n", encoding="utf-8")


def _edit(where: Path, name: str, rng: random.Random) -> Material:
    song = _song(where / "song.wav", rng, 6.0)
    numbers = np.random.default_rng(rng.getrandbits(32))
    for clip in range(2):  # two, so that processes work side by side
        pictures = []
        for scene in range(clip, 10, 2):  # each of another colour: neighbouring shots must look different
            colour = np.array(colorsys.hsv_to_rgb(scene / 10, 0.9, 0.4 + 0.5 * (scene // 2 % 2))) * 255
            grain = numbers.integers(-40, 40, (12, 16, 3))
            wide = np.kron(np.clip(colour + grain, 0, 255).astype(np.uint8), np.ones((8, 8, 1), np.uint8))
            pictures += [np.roll(wide, 2 * k, axis=1) for k in range(32)]
        write_clip(where / f"clip{clip}.mp4", pictures, FPS)
    files = "{file: song.wav, kind: music}, {file: clip0.mp4, kind: clip}, {file: clip1.mp4, kind: clip}"
    _describe(where, files, f"edit: {{duration: {SECONDS}, fps: {FPS}, patterns: [dynamic]}}")
    return Material("edit", where, song, "music")


def _master(where: Path, name: str, rng: random.Random) -> Material:
    file = _song(where / f"{name}.wav", rng, 5.0)
    _describe(where, f"{{file: {name}.wav, kind: mix}}")
    return Material("master", where, file, "mix")


def _melody(where: Path, name: str, rng: random.Random) -> Material:
    piece = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    piece.tracks.append(track)
    pitch = 67
    for _ in range(16):
        pitch = min(79, max(60, pitch + rng.choice((-4, -2, -2, 2, 2, 3))))
        track.append(mido.Message("note_on", note=pitch, velocity=80, time=0))
        track.append(mido.Message("note_off", note=pitch, velocity=0, time=480))
    file = where / f"{name}.mid"
    piece.save(file)
    _describe(where, f"{{file: {name}.mid, kind: melody}}", "compose: {styles: [pop], candidates: 1}")
    return Material("melody", where, file, "melody")


def _decisions(where: Path, name: str, rng: random.Random) -> Material:
    videos = [f"{name} v{number}" for number in range(VIDEOS)]
    with (where / "videos.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["video_id", "title", "genres"])
        writer.writerows([video, f"Film {video} (2001)", "Drama"] for video in videos)
    with (where / "decisions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "video_id", "timestamp", "rating"])
        for viewer in range(VIEWERS):
            for step, video in enumerate(rng.sample(videos, 4)):
                writer.writerow([f"{name} u{viewer}", video, 1_700_000_000 + 3600 * step, 4.0])
    _describe(where, "{file: videos.csv, kind: videos}, {file: decisions.csv, kind: decisions}")
    return Material("decisions", where, where / "decisions.csv", "decisions")


def _sheet(where: Path, name: str, rng: random.Random) -> Material:
    file = where / f"{name}.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["id", "utterance"])
        writer.writerows([row, f"{name} opinion {row} {rng.getrandbits(40):x}"] for row in range(ROWS))
    _describe(where, f"{{file: {name}.csv, kind: sheet}}", f"score: {{categories: [{', '.join(CATEGORIES)}]}}")
    return Material("sheet", where, file, "sheet")


def _song(path: Path, rng: random.Random, seconds: float) -> Path:
    """Clicks on a beat over a chord, so that there is something to hear in it."""
    time = np.arange(int(seconds * RATE)) / RATE
    beat = 60.0 / rng.uniform(100, 140)
    root = rng.uniform(110, 220)
    sound = sum(0.12 * np.sin(2 * np.pi * root * ratio * time) for ratio in (1.0, 1.25, 1.5))
    since = time % beat
    sound = sound + 0.5 * np.sin(2 * np.pi * 900 * since) * np.exp(-since * 40)
    samples = (np.clip(np.stack([sound, np.roll(sound, 40)], axis=1), -1, 1) * 32_000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return path
