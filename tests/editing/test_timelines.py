"""Timelines, read back by OpenTimelineIO and by parsing them here, against the plan frame by frame."""

from __future__ import annotations

import json
import math
import random
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote, urlparse

import opentimelineio as otio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.editing.clocks import first_record_frame, is_drop_frame, source_frame, timecode
from pipelines.editing.plan import Edit, Segment, Source
from pipelines.editing.timelines import write
from pipelines.errors import BadInput
from tests.editing.numbered import make_edit

NTSC, FILM = Fraction(30000, 1001), Fraction(24000, 1001)
RATES = [Fraction(24), Fraction(25), Fraction(30), NTSC, FILM, Fraction(50), Fraction(60), 2 * NTSC, Fraction(15)]
CLIPS = [
    ("/素材/海 辺🎬.mp4", FILM),
    ("/media/a & b <c>.mov", Fraction(24)),
    ("/media/one two three four.mp4", Fraction(25)),
    ("/media/one two three five.mp4", NTSC),
    ("/media/slow.mp4", Fraction(10)),
    ("/media/street.mp4", Fraction(25, 2)),
    ("/media/variable.mkv", Fraction(179, 6)),
]


def long_edit(fps: Fraction, n_shots: int = 200) -> Edit:
    """About three minutes whose shots start at whole frames of their clips and last an odd number of record frames."""
    rng = random.Random(1)
    clips = [
        Source(path, f"{number:064}", float(6000 / rate), (rate.numerator, rate.denominator), 6000, 1280, 720)
        for number, (path, rate) in enumerate(CLIPS)
    ]
    music = Source("/音楽/うた 1.flac", "f" * 64, 600.25)
    shots = []
    for _ in range(n_shots):
        clip = rng.randrange(len(clips))
        shots.append((clip, float(rng.randrange(1500) / CLIPS[clip][1]), rng.randrange(7, 43)))
    return make_edit(clips, music, shots, fps=fps, size=(1280, 720), music_start=12.34)


def plan_of(edit: Edit) -> list[tuple[int, int]]:
    return [(segment.record_start, segment.record_end) for segment in edit.segments]


def frames_of(text: str, rate: Fraction) -> int:
    """Frame number of a timecode, by the definition: the numbers of every frame counted one after the other."""
    hours, minutes, seconds, frames = map(int, re.split("[:;]", text))
    nominal = math.ceil(rate)
    count = ((hours * 60 + minutes) * 60 + seconds) * nominal + frames
    if ";" in text:
        whole = hours * 60 + minutes
        count -= nominal // 15 * (whole - whole // 10)
    return count


@pytest.mark.parametrize("fps", RATES, ids=str)
def test_otio_has_each_cut_at_its_frame_and_each_source_at_its_own(fps: Fraction, tmp_path: Path) -> None:
    edit = long_edit(fps)
    timeline = otio.adapters.read_from_file(str(write(edit, tmp_path, "cut")["otio"]))
    pictures, sound = timeline.tracks
    assert (pictures.kind, sound.kind) == ("Video", "Audio")
    ranges = [clip.range_in_parent() for clip in pictures]
    assert [(r.start_time.value, r.end_time_exclusive().value) for r in ranges] == plan_of(edit)
    assert all(r.start_time.rate == pytest.approx(float(fps), rel=1e-9) for r in ranges)
    assert timeline.duration() == otio.opentime.RationalTime(edit.n_frames, float(fps))
    for clip, segment in zip(pictures, edit.segments, strict=True):
        path, rate = CLIPS[segment.clip]
        assert clip.source_range.start_time.rate == float(rate)
        assert clip.source_range.start_time.value == round(segment.source_time * rate)
        assert clip.available_range().duration == otio.opentime.RationalTime(6000, float(rate))
        assert clip.name == Path(path).stem
        assert unquote(urlparse(clip.media_reference.target_url).path) == path
        assert clip.media_reference.target_url.isascii()
    assert len(sound) == 1
    assert sound[0].source_range.start_time == otio.opentime.RationalTime(round(12.34 * 48000), 48000)
    assert sound.duration() == timeline.duration()


@pytest.mark.parametrize("fps", RATES, ids=str)
def test_edl_events_tile_the_record_in_frames(fps: Fraction, tmp_path: Path) -> None:
    edit = long_edit(fps)
    text = write(edit, tmp_path, "cut")["edl"].read_text()
    lines = text.splitlines()
    assert lines[0] == "TITLE: cut"
    assert lines[1] == ("FCM: DROP FRAME" if fps in (NTSC, 2 * NTSC) else "FCM: NON-DROP FRAME")
    events = [line.split() for line in lines if re.match(r"\d{3}  ", line)]
    assert [int(event[0]) for event in events] == list(range(1, 202))
    film, song = events[:-1], events[-1]
    times = [[frames_of(part, fps) for part in event[4:]] for event in film]
    assert [(start, end) for _, _, start, end in times] == plan_of(edit)
    for (begin, end, _, _), event, segment in zip(times, film, edit.segments, strict=True):
        assert event[2:4] == ["V", "C"]
        assert re.fullmatch("[A-Z0-9]{1,8}", event[1])
        assert end - begin == segment.n_frames
        assert 0 <= Fraction(begin) / fps - Fraction(segment.source_time) + Fraction(1, 1000) < 1 / fps
    reels = {event[1]: segment.clip for event, segment in zip(film, edit.segments, strict=True)}
    assert len(reels) == len(CLIPS) == len(set(reels.values())), "one reel a clip, even where names begin alike"
    assert song[1:4] == ["AX", "AA", "C"]
    assert frames_of(song[7], fps) == edit.n_frames
    assert text.count("* FROM CLIP NAME:  海 辺🎬.mp4\n") == sum(s.clip == 0 for s in edit.segments)


@pytest.mark.parametrize("fps", [rate for rate in RATES if rate != 15], ids=str)
def test_edl_is_read_back_by_opentimelineio(fps: Fraction, tmp_path: Path) -> None:
    edit = long_edit(fps)
    timeline = otio.adapters.read_from_file(str(write(edit, tmp_path, "cut")["edl"]), rate=float(fps))
    ranges = [clip.range_in_parent() for clip in timeline.video_tracks()[0]]
    assert [(r.start_time.value, r.end_time_exclusive().value) for r in ranges] == plan_of(edit)
    assert len(timeline.audio_tracks()) == 2


@pytest.mark.parametrize("fps", RATES, ids=str)
def test_final_cut_7_xml(fps: Fraction, tmp_path: Path) -> None:
    edit = long_edit(fps)
    path = write(edit, tmp_path, "cut")["xml"]
    assert path.read_text().startswith('<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE xmeml>\n<xmeml')
    sequence = ET.parse(path).getroot().find("sequence")
    assert sequence is not None
    assert sequence.findtext("duration") == str(edit.n_frames)
    assert sequence.findtext("rate/timebase") == str(math.ceil(fps))
    assert sequence.findtext("rate/ntsc") == ("TRUE" if fps.denominator == 1001 else "FALSE")
    assert sequence.findtext("timecode/displayformat") == ("DF" if is_drop_frame(fps) else "NDF")
    assert sequence.findtext("media/video/format/samplecharacteristics/width") == "1280"
    items = sequence.findall("media/video/track/clipitem")
    assert [(int(i.findtext("start", "")), int(i.findtext("end", ""))) for i in items] == plan_of(edit)
    for item, segment in zip(items, edit.segments, strict=True):
        begin, end = int(item.findtext("in", "")), int(item.findtext("out", ""))
        assert end - begin == segment.n_frames, "another length would be a change of speed"
        assert begin == first_record_frame(segment, fps)
    files = {f.get("id"): f for f in sequence.iter("file") if f.find("pathurl") is not None}
    assert {i.find("file").get("id") for i in sequence.iter("clipitem")} == set(files)  # type: ignore[union-attr]
    assert len(files) == len(CLIPS) + 1
    left, right = sequence.findall("media/audio/track/clipitem")
    assert [item.findtext("sourcetrack/trackindex") for item in (left, right)] == ["1", "2"]
    song = left
    assert song.find("file/media/audio") is not None and song.find("file/media/video") is None
    assert abs(int(song.findtext("in", "")) / fps - 12.34) <= 0.5 / fps
    timeline = otio.adapters.read_from_file(str(path), "fcp_xml")
    ranges = [clip.range_in_parent() for clip in timeline.video_tracks()[0]]
    assert [(r.start_time.value, r.end_time_exclusive().value) for r in ranges] == plan_of(edit)
    assert timeline.video_tracks()[0][0].media_reference.target_url.startswith("file:///")


def test_a_rate_of_no_editing_program_is_refused(tmp_path: Path) -> None:
    edit = long_edit(Fraction(25, 2), n_shots=3)
    with pytest.raises(BadInput, match=r"12\.5 frames a second are no rate of editing programs; choose 24, 25"):
        write(edit, tmp_path, "cut")
    assert not list(tmp_path.iterdir())


def seconds_of(text: str | None) -> Fraction:
    assert text is not None and re.fullmatch(r"\d+(/\d+)?s", text), text
    return Fraction(text[:-1])


@pytest.mark.parametrize("fps", RATES, ids=str)
def test_fcpxml_keeps_to_its_document_type(fps: Fraction, tmp_path: Path) -> None:
    edit = long_edit(fps)
    path = write(edit, tmp_path, "cut")["fcpxml"]
    assert "<!DOCTYPE fcpxml>" in path.read_text()
    root = ET.parse(path).getroot()
    assert root.tag == "fcpxml" and [child.tag for child in root] == ["resources", "project"]
    formats = {f.get("id"): f for f in root.findall("resources/format")}
    assets = {a.get("id"): a for a in root.findall("resources/asset")}
    ids = [element.get("id") for element in root.findall("resources/*")]
    assert len(ids) == len(set(ids)) and all(re.match("[A-Za-z_]", i or "") for i in ids)
    sequence = root.find("project/sequence")
    assert sequence is not None
    frame = seconds_of(formats[sequence.get("format")].get("frameDuration"))
    assert frame == 1 / fps
    assert seconds_of(sequence.get("duration")) == edit.n_frames / fps
    assert sequence.get("tcFormat") == ("DF" if is_drop_frame(fps) else "NDF")
    clips = sequence.findall("spine/gap/asset-clip")
    film = [clip for clip in clips if clip.get("lane") == "1"]
    spans = [
        (seconds_of(c.get("offset")) * fps, (seconds_of(c.get("offset")) + seconds_of(c.get("duration"))) * fps)
        for c in film
    ]
    assert spans == plan_of(edit)
    for clip, segment in zip(film, edit.segments, strict=True):
        asset = assets[clip.get("ref")]
        rate = CLIPS[segment.clip][1]
        start = seconds_of(clip.get("start"))
        assert seconds_of(formats[asset.get("format")].get("frameDuration")) == 1 / rate
        assert start * rate == source_frame(segment, rate), "starts on a frame of the clip"
        assert seconds_of(asset.get("duration")) == 6000 / rate
        assert (asset.get("hasVideo"), asset.get("hasAudio")) == ("1", "0")
        assert unquote(urlparse(asset.find("media-rep").get("src")).path) == CLIPS[segment.clip][0]  # type: ignore[union-attr]
    (song,) = [clip for clip in clips if clip.get("lane") == "-1"]
    assert seconds_of(song.get("duration")) == edit.n_frames / fps
    assert seconds_of(song.get("start")) == Fraction(1234, 100)


def test_the_plan_comes_back_and_equal_edits_give_equal_bytes(tmp_path: Path) -> None:
    edit = long_edit(Fraction(25), n_shots=20)
    first = write(edit, tmp_path / "a", "名前 1")
    again = write(Edit.from_json(edit.to_json()), tmp_path / "b", "名前 1")
    assert sorted(first) == ["edl", "fcpxml", "json", "otio", "xml"]
    for ending, path in first.items():
        assert path.name == f"名前 1.{ending}"
        assert path.read_bytes() == again[ending].read_bytes()
    assert Edit.from_json(first["json"].read_bytes()) == edit
    assert json.loads(first["otio"].read_text())["metadata"]["orimono"]["pattern"] == "dynamic"
    assert len(list((tmp_path / "a").iterdir())) == 5, "no temporary file is left"


@given(st.integers(0, 24 * 3600 * 60), st.sampled_from([r for r in RATES if r not in (15, 2 * NTSC)]))
def test_timecodes_are_opentimelineios(frame: int, rate: Fraction) -> None:
    day = round(24 * 3600 * math.ceil(rate) * (Fraction(999, 1000) if is_drop_frame(rate) else 1))
    frame %= day
    text = timecode(frame, rate)
    assert text == otio.opentime.to_timecode(otio.opentime.RationalTime(frame, float(rate)), float(rate))
    assert frames_of(text, rate) == frame


def test_drop_frame_skips_the_first_numbers_of_a_minute_but_not_of_each_tenth() -> None:
    assert [timecode(f, NTSC) for f in (1799, 1800, 17981, 17982)] == [
        "00:00:59;29",
        "00:01:00;02",
        "00:09:59;29",
        "00:10:00;00",
    ]
    assert [timecode(f, 2 * NTSC) for f in (3599, 3600)] == ["00:00:59;59", "00:01:00;04"]


def test_a_clip_conformed_on_the_record_clock_never_opens_with_the_shot_before() -> None:
    segment = Segment(0, 10, 0, 1, 283 / 24)
    assert Fraction(first_record_frame(segment, Fraction(25)), 25) >= Fraction(283, 24)
    assert source_frame(segment, Fraction(24)) == 283
    assert source_frame(Segment(0, 10, 0, 1, 11.792), Fraction(24)) == 283, "Matroska's millisecond"


def test_links_and_parent_folders_in_a_path(tmp_path: Path) -> None:
    (tmp_path / "kept-by-hash.mp4").touch()
    (tmp_path / "holiday.mp4").symlink_to(tmp_path / "kept-by-hash.mp4")
    edit = long_edit(Fraction(25), n_shots=1)
    moved = replace(edit, clips=tuple(replace(c, path=f"{tmp_path}/jobs/../holiday.mp4") for c in edit.clips))
    for ending, path in write(moved, tmp_path / "out", "cut").items():
        if ending != "json":
            assert (tmp_path / "holiday.mp4").as_uri() in path.read_text(), ending


def test_sections_of_the_song_are_markers(tmp_path: Path) -> None:
    edit = long_edit(NTSC)
    sections = [(0.0, "A"), (12.34, "B"), (20.01, "C & サビ"), (12.34 + edit.duration, "outro")]
    paths = write(edit, tmp_path, "cut", sections=sections)
    expected = [(0, "B"), (round((Fraction(20.01) - Fraction(12.34)) * NTSC), "C & サビ")]
    for ending, adapter in (("otio", None), ("xml", "fcp_xml")):
        timeline = otio.adapters.read_from_file(str(paths[ending]), adapter)
        markers = timeline.tracks.markers
        assert [(marker.marked_range.start_time.value, marker.name) for marker in markers] == expected
