"""Looks at one untrusted file more closely than the intake does: its hash, its kind, its true length, its first frames.

Runs in the process that confined.py starts and bounds, where a file may cost no more than time. Run as a module.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.container import InputContainer

    from pipelines.settings import Settings

PICTURES = 3  # frames that are decoded, and seconds of sound: what cannot be begun cannot be worked on
LIES = 10.0  # times that a file may be longer or shorter than its header says


def look(path: Path, kind: str, settings: Settings) -> str:
    """SHA-256 of the file; BadInput when it cannot be what ``kind`` says, or would unpack beyond all limits."""
    from pipelines.intake import content
    from pipelines.media.hashing import content_hash

    digest = content_hash(path)
    content.check(path, kind, settings)
    if kind in content.SOUND or kind == "clip":
        _measure(path, settings.number("max_media_hours") * 3600)
        _begin(path, kind)
    elif kind in content.TABLES or kind == "sheet":
        _unpack(path, kind)
    return digest


def _measure(path: Path, longest: float) -> None:
    """Adds up the packets: a header may say anything, and silence is packed to nothing."""
    import av

    from pipelines.errors import BadInput
    from pipelines.media.probe import film_stream, music_stream, open_media, probe

    said = probe(path).duration
    with open_media(path) as container:
        streams = [stream for stream in (music_stream(container), film_stream(container)) if stream is not None]
        seconds = dict.fromkeys((stream.index for stream in streams), 0.0)
        try:
            for packet in container.demux(streams):
                if packet.duration and packet.time_base is not None:
                    seconds[packet.stream_index] += float(packet.duration * packet.time_base)
                if seconds[packet.stream_index] > longest:
                    reason = f"holds more than {longest / 3600:g} hours, whatever its header says"
                    raise BadInput(path.name, reason, "cut it, or raise ORIMONO_MAX_MEDIA_HOURS")
        except av.error.FFmpegError:
            return  # cut off or damaged half way: what can be read of it is worked on
    held = max(seconds.values())
    if said > 600 and 0 < held < said / LIES:
        reason = f"says that it is {said / 60:.0f} minutes long, and holds {held:.0f} s"
        raise BadInput(path.name, reason, "export or copy it again")


def _begin(path: Path, kind: str) -> None:
    from pipelines.media.probe import film_stream, music_stream, open_media

    with open_media(path) as container:
        stream = film_stream(container) if kind == "clip" else music_stream(container)
        assert stream is not None  # else content.check had refused it
        if not _decodes(container, stream):
            from pipelines.errors import BadInput

            what = "picture" if kind == "clip" else "sound"
            raise BadInput(path.name, f"has {what} that cannot be decoded", "export it again, in a usual codec")


def _decodes(container: InputContainer, stream: object) -> bool:
    """Whether anything comes of the first packets."""
    import av

    good = bad = 0
    packets = container.demux(stream)
    while good < PICTURES and bad < 100:
        try:
            packet = next(packets)
            frames = packet.decode()
        except StopIteration:
            break
        except av.error.FFmpegError:
            bad += 1
            continue
        good += len(frames)
        bad += not frames
    return good > 0


def _unpack(path: Path, kind: str) -> None:
    """Counts what a packed table unpacks to, and keeps none of it."""
    import gzip
    import zlib

    from pipelines.errors import BadInput
    from pipelines.recommending import blocks
    from pipelines.scoring import csv_form

    most = csv_form.MAX_UNPACKED if kind == "sheet" else blocks.MAX_UNPACKED

    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return
    size = 0
    try:
        with gzip.open(path) as table:
            while data := table.read(1 << 20):
                size += len(data)
                if size > most:
                    reason = f"unpacks to more than {most >> 20:,} MB"
                    raise BadInput(path.name, reason, "divide it into several jobs")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(path.name, "is damaged gzip, or only a part of it", "copy the file again") from error


def _confine(memory: int, seconds: int) -> None:
    """From here on this process writes no file, starts no core dump, and ends when it takes more than it may."""
    os.nice(10)
    for which, most in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, memory),
    ):
        hard = resource.getrlimit(which)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (most, most))


def main() -> None:
    """One line of JSON on standard input says what to look at, one on standard output what was found."""
    asked = json.loads(sys.stdin.readline())
    _confine(asked["memory"], asked["seconds"])
    from pipelines.errors import BadInput
    from pipelines.settings import Settings

    answer: dict[str, object]
    try:
        answer = {"hash": look(Path(asked["path"]), asked["kind"], Settings(max_media_hours=asked["hours"]))}
    except BadInput as error:
        answer = {"refused": [error.what, error.reason, error.remedy]}
    except MemoryError:
        answer = {"memory": True}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
