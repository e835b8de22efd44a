"""Small uploads by the thousand: jobs of a five-second song and a short clip, every file another content.

A few dozen sounds and pictures are encoded; a tag in the file, which no decoder looks at, tells one copy from another.
So each is worked on as if it were new, and ten thousand are made in a minute.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pipelines.intake.job_file import MARKER, NAME

MEDIA = Path(__file__).resolve().parents[1] / "sample" / "media"
SONGS, CLIPS = 24, 12  # different ones
SONG_SECONDS, CLIP_SECONDS = 5, 2
UPLOADS_OF_A_JOB = 2
JOB = """\
owner: bench@example.com
consents: {quality: false, training: false}
files:
  - {file: song.mp3, kind: music}
  - {file: clip.mp4, kind: clip, tags: [bench]}
"""


def song(number: int) -> bytes:
    """An MP3 of its own content: an ID3v2.3 tag with its number, then one of a few songs."""
    text = b"\0" + f"Take {number}".encode()
    frame = b"TIT2" + len(text).to_bytes(4, "big") + b"\0\0" + text
    size = bytes((len(frame) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + size + frame + _song(number % SONGS)


def clip(number: int) -> bytes:
    """An MP4 of its own content: one of a few clips with an empty box at the end."""
    return _clip(number % CLIPS) + b"\0\0\0\x10free" + number.to_bytes(8, "big")


def put_jobs(inbox: Path, numbers: range) -> None:
    """Complete job folders, one a number, each there at once."""
    inbox.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        folder = inbox / f".making-{number}"
        folder.mkdir()
        (folder / "song.mp3").write_bytes(song(number))
        (folder / "clip.mp4").write_bytes(clip(number))
        (folder / NAME).write_text(JOB)
        (folder / MARKER).touch()
        folder.rename(inbox / f"take-{number:06d}")


@cache
def _song(number: int) -> bytes:
    import soundfile

    with soundfile.SoundFile(MEDIA / "vibe_ace.ogg") as file:
        file.seek(number * 2 * file.samplerate)
        sound, rate = file.read(SONG_SECONDS * file.samplerate, dtype="float32"), file.samplerate
    stream = io.BytesIO()
    soundfile.write(stream, sound, rate, format="MP3")
    return stream.getvalue()


@cache
def _clip(number: int) -> bytes:
    import av

    stream = io.BytesIO()
    with av.open(str(MEDIA / "big_buck_bunny_0_30.webm")) as source, av.open(stream, "w", format="mp4") as target:
        made = target.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "20"})
        made.width, made.height, made.pix_fmt = 320, 180, "yuv420p"
        source.seek(int(number * 2 * 1e6))
        for index, frame in enumerate(_frames(source, CLIP_SECONDS * 25)):
            small = frame.reformat(width=320, height=180, format="yuv420p")
            small.pts, small.time_base = index, made.time_base or small.time_base
            target.mux(made.encode(small))
        target.mux(made.encode())
    return stream.getvalue()


def _frames(source, count: int) -> Iterator:  # type: ignore[no-untyped-def,type-arg]
    for index, frame in enumerate(source.decode(video=0)):
        if index == count:
            return
        yield frame
