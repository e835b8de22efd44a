"""An edit as Final Cut Pro 7 XML (xmeml, version 4), which Premiere and Resolve read. Other formats: timelines.py.

Everything is counted on the sequence's clock, as Premiere writes it: the format knows no rate such as 12.5 or 29.83,
and an in-to-out length that differs from start-to-end would be read as a change of speed.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from pipelines.editing.clocks import Mark, first_record_frame, frames_at, is_drop_frame, timecode
from pipelines.editing.places import file_url
from pipelines.editing.plan import Edit, Source
from pipelines.errors import BadInput


def to_xmeml(edit: Edit, name: str, marks: Sequence[Mark] = ()) -> str:
    """Raises BadInput for a rate that is neither whole nor a whole one times 1000/1001."""
    rate = edit.rate
    if rate not in (math.ceil(rate), Fraction(1000 * math.ceil(rate), 1001)):
        reason = f"{float(rate):g} frames a second are no rate of editing programs"
        raise BadInput(name, reason, "choose 24, 25, 30, 50, 60, or 24000/1001, 30000/1001, 60000/1001")
    root = ET.Element("xmeml", version="4")
    sequence = _add(root, "sequence", id="sequence-1")
    _add(sequence, "name", name)
    _add(sequence, "duration", edit.n_frames)
    _add_rate(sequence, rate)
    _add_timecode(sequence, rate)
    media = _add(sequence, "media")
    _add_pictures(_add(media, "video"), edit)
    _add_sound(_add(media, "audio"), edit)
    for frame, label in marks:
        marker = _add(sequence, "marker")
        _add(marker, "name", label)
        _add(marker, "in", frame)
        _add(marker, "out", -1)
    ET.indent(root)
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE xmeml>\n'
    return head + ET.tostring(root, encoding="unicode") + "\n"


def _add_pictures(video: ET.Element, edit: Edit) -> None:
    size = _add(_add(video, "format"), "samplecharacteristics")
    _add_rate(size, edit.rate)
    _add_size(size, edit.width, edit.height)
    track = _add(video, "track")
    known: set[str] = set()
    for number, segment in enumerate(edit.segments, 1):
        source = edit.clips[segment.clip]
        item = _add_item(track, f"clipitem-{number}", source, edit.rate)
        _add_span(item, segment.record_start, segment.n_frames, first_record_frame(segment, edit.rate))
        _add_file(item, f"file-{segment.clip + 1}", source, edit.rate, known)


def _add_sound(audio: ET.Element, edit: Edit) -> None:
    """Two channels on two tracks, linked so that they are moved as one."""
    _add(audio, "numOutputChannels", 2)
    known: set[str] = set()
    ids = [f"clipitem-{len(edit.segments) + channel}" for channel in (1, 2)]
    for channel, item_id in enumerate(ids):
        attributes = {"currentExplodedTrackIndex": str(channel), "totalExplodedTrackCount": "2"}
        track = _add(audio, "track", **attributes, premiereTrackType="Stereo")
        item = _add_item(track, item_id, edit.music, edit.rate)
        _add_span(item, 0, edit.n_frames, round(Fraction(edit.music_start) * edit.rate))
        _add_file(item, f"file-{len(edit.clips) + 1}", edit.music, edit.rate, known)
        of = _add(item, "sourcetrack")
        _add(of, "mediatype", "audio")
        _add(of, "trackindex", channel + 1)
        for index, other in enumerate(ids, 1):
            link = _add(item, "link")
            _add(link, "linkclipref", other)
            _add(link, "mediatype", "audio")
            _add(link, "trackindex", index)
            _add(link, "clipindex", 1)
        _add(track, "outputchannelindex", channel + 1)


def _add_item(track: ET.Element, item_id: str, source: Source, rate: Fraction) -> ET.Element:
    item = _add(track, "clipitem", id=item_id)
    _add(item, "name", Path(source.path).name)
    _add(item, "enabled", "TRUE")
    _add(item, "duration", frames_at(source, rate))
    _add_rate(item, rate)
    return item


def _add_span(item: ET.Element, record: int, length: int, source: int) -> None:
    for tag, value in (("start", record), ("end", record + length), ("in", source), ("out", source + length)):
        _add(item, tag, value)


def _add_file(item: ET.Element, file_id: str, source: Source, rate: Fraction, known: set[str]) -> None:
    """Described where it is first used; later on its id is enough."""
    file = _add(item, "file", id=file_id)
    if file_id in known:
        return
    known.add(file_id)
    _add(file, "name", Path(source.path).name)
    _add(file, "pathurl", file_url(source.path))
    _add_rate(file, rate)
    _add(file, "duration", frames_at(source, rate))
    _add_timecode(file, rate)
    media = _add(file, "media")
    if source.fps[0]:
        _add_size(_add(_add(media, "video"), "samplecharacteristics"), source.width, source.height)
    else:
        audio = _add(media, "audio")
        _add(_add(audio, "samplecharacteristics"), "samplerate", 48000)
        _add(audio, "channelcount", 2)


def _add_rate(parent: ET.Element, rate: Fraction) -> None:
    element = _add(parent, "rate")
    _add(element, "timebase", math.ceil(rate))
    _add(element, "ntsc", "FALSE" if rate.denominator == 1 else "TRUE")


def _add_timecode(parent: ET.Element, rate: Fraction) -> None:
    element = _add(parent, "timecode")
    _add_rate(element, rate)
    _add(element, "string", timecode(0, rate))
    _add(element, "frame", 0)
    _add(element, "displayformat", "DF" if is_drop_frame(rate) else "NDF")


def _add_size(parent: ET.Element, width: int, height: int) -> None:
    _add(parent, "width", width)
    _add(parent, "height", height)
    _add(parent, "pixelaspectratio", "square")


def _add(parent: ET.Element, tag: str, text: object = None, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, tag, attributes)
    if text is not None:
        element.text = str(text)
    return element
