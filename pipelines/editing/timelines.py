"""An edit as the files that editing programs open: OTIO, CMX3600 EDL, Final Cut 7 XML, FCPXML and the plan as JSON.

Holds the OTIO timeline and FCPXML; the other two formats are edl.py and xmeml.py. Cuts are chosen by solver.py.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from pipelines.editing.clocks import Mark, Section, frames_at, is_drop_frame, own_rate, record_marks, source_frame
from pipelines.editing.edl import to_edl
from pipelines.editing.places import file_url
from pipelines.editing.plan import Edit, Source
from pipelines.editing.xmeml import to_xmeml
from pipelines.media.replacing import replace_bytes


def write(edit: Edit, out_dir: Path, name: str, *, sections: Sequence[Section] = ()) -> dict[str, Path]:
    """Writes ``out_dir/name.{otio,edl,xml,fcpxml,json}``; the keys of the result are the endings.

    ``sections`` of the song (start in s, label) become markers in OTIO and Final Cut 7 XML.
    Equal edits give equal bytes. Each file appears whole or not at all. Raises BadInput for a rate that editing
    programs do not know, Unavailable when the disk is full.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    marks = record_marks(edit, sections)
    contents = {
        "otio": _otio(edit, name, marks),
        "edl": to_edl(edit, name),
        "xml": to_xmeml(edit, name, marks),
        "fcpxml": _fcpxml(edit, name),
        "json": edit.to_json().decode(),
    }
    paths = {ending: out_dir / f"{name}.{ending}" for ending in contents}
    for ending, text in contents.items():
        replace_bytes(paths[ending], text.encode())
    return paths


def build_timeline(edit: Edit, name: str) -> Any:
    """``otio.schema.Timeline`` with V1 (the clips) and A1 (the song).

    A clip's source range starts at a whole frame of the clip's own clock and lasts whole record frames, so positions on
    the track stay integers whatever the sources' rates are: nothing can drift. Handles are in ``available_range``.
    """
    import opentimelineio as otio

    def at(frames: int, rate: Fraction) -> Any:
        return otio.opentime.RationalTime(frames, float(rate))

    def clip(source: Source, name: str, start: int, metadata: dict[str, Any], length: int) -> Any:
        rate = own_rate(source)
        available = otio.opentime.TimeRange(at(0, rate), at(frames_at(source, rate), rate))
        reference = otio.schema.ExternalReference(file_url(source.path), available)
        reference.name = Path(source.path).name
        reference.metadata["orimono"] = {"content_hash": source.content_hash}
        return otio.schema.Clip(
            name,
            reference,
            otio.opentime.TimeRange(at(start, rate), at(length, edit.rate)),
            metadata={"orimono": metadata},
        )

    timeline = otio.schema.Timeline(name, global_start_time=at(0, edit.rate))
    timeline.metadata["orimono"] = {"pattern": edit.pattern, "width": edit.width, "height": edit.height}
    timeline.metadata["orimono"]["fps"] = f"{edit.rate.numerator}/{edit.rate.denominator}"
    pictures = otio.schema.Track("V1", kind=otio.schema.TrackKind.Video)
    sound = otio.schema.Track("A1", kind=otio.schema.TrackKind.Audio)
    for segment in edit.segments:
        source = edit.clips[segment.clip]
        start = source_frame(segment, own_rate(source))
        detail = {"shot": segment.shot, "source_time": segment.source_time}
        pictures.append(clip(source, Path(source.path).stem, start, detail, segment.n_frames))
    rate = own_rate(edit.music)
    start = round(Fraction(edit.music_start) * rate)
    sound.append(clip(edit.music, Path(edit.music.path).stem, start, {"start": edit.music_start}, edit.n_frames))
    timeline.tracks.extend([pictures, sound])
    return timeline


def _otio(edit: Edit, name: str, marks: Sequence[Mark]) -> str:
    import opentimelineio as otio

    timeline = build_timeline(edit, name)
    for frame, label in marks:
        span = otio.opentime.TimeRange(*(otio.opentime.RationalTime(n, float(edit.rate)) for n in (frame, 1)))
        timeline.tracks.markers.append(otio.schema.Marker(label, span, otio.schema.MarkerColor.GREEN))
    return str(timeline.to_json_string()) + "\n"


def _fcpxml(edit: Edit, name: str) -> str:
    import opentimelineio as otio

    text = str(otio.adapters.write_to_string(build_timeline(edit, name), "otio_fcpx_xml_lite_adapter"))
    head, _, body = text.partition("<fcpxml")
    root = ET.fromstring("<fcpxml" + body)  # noqa: S314 - what the adapter just wrote
    _complete(root, edit)
    ET.indent(root)
    return head + ET.tostring(root, encoding="unicode") + "\n"


def _complete(root: ET.Element, edit: Edit) -> None:
    """Adds what the adapter leaves out: the sequence's size, a format per clip, and who has sound or pictures."""
    resources = root.find("resources")
    sequence = root.find("project/sequence")
    assert resources is not None and sequence is not None
    sequence.set("tcFormat", "DF" if is_drop_frame(edit.rate) else "NDF")
    frame = resources.find("format")
    assert frame is not None
    frame.attrib.pop("name")  # only Apple's own formats may be named
    frame.set("width", str(edit.width))
    frame.set("height", str(edit.height))
    by_url = {file_url(s.path): s for s in edit.clips}
    for number, asset in enumerate(resources.findall("asset"), 1):
        rep = asset.find("media-rep")
        source = by_url.get(rep.get("src", "")) if rep is not None else None
        if source is None:
            asset.set("name", Path(edit.music.path).name)
            continue
        for attribute in ("audioRate", "audioChannels"):
            asset.attrib.pop(attribute)
        asset.set("name", Path(source.path).name)
        asset.set("format", f"f{number}")
        rate = own_rate(source)
        attributes = {
            "id": f"f{number}",
            "frameDuration": f"{rate.denominator}/{rate.numerator}s",
            "width": str(source.width),
            "height": str(source.height),
        }
        resources.insert(list(resources).index(frame) + 1, ET.Element("format", attributes))
