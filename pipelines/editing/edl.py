"""An edit as a CMX3600 edit decision list. The richer formats are left to timelines.py.

A list has one clock, the record rate: source and record timecodes are both counted in it,
clip time 0 being 00:00:00:00.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.editing.clocks import first_record_frame, is_drop_frame, timecode
from pipelines.editing.places import file_url, reel_names
from pipelines.editing.plan import Edit


def to_edl(edit: Edit, name: str) -> str:
    """One video event a segment and one event on both sound channels for the song."""
    rate = edit.rate
    reels = reel_names(source.path for source in edit.clips)
    lines = [f"TITLE: {_one_line(name)}", f"FCM: {'DROP FRAME' if is_drop_frame(rate) else 'NON-DROP FRAME'}", ""]

    def event(number: int, reel: str, channel: str, source: int, record: int, length: int, path: str) -> None:
        times = (source, source + length, record, record + length)
        lines.append(f"{number:03}  {reel:<8} {channel:<5} C        {' '.join(timecode(t, rate) for t in times)}")
        lines.append(f"* FROM CLIP NAME:  {_one_line(Path(path).name)}")
        lines.append(f"* FROM CLIP: {file_url(path)}")

    for number, segment in enumerate(edit.segments, 1):
        path = edit.clips[segment.clip].path
        start = first_record_frame(segment, rate)
        event(number, reels[path], "V", start, segment.record_start, segment.n_frames, path)
    start = round(edit.music_start * rate)
    event(len(edit.segments) + 1, "AX", "AA", start, 0, edit.n_frames, edit.music.path)
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())
