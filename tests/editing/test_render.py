"""Rendered files, judged by decoding them: the right source frame at each frame, exact lengths, safe failures."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipelines.editing.plan import Edit
from pipelines.editing.render import render, times_of
from pipelines.errors import BadInput
from pipelines.media.encoding import Preset
from pipelines.media.fitting import Fitter
from pipelines.media.hashing import content_hash
from pipelines.settings import PROJECT
from tests.editing.numbered import luma_of, make_clip, make_edit, make_song, number_in, steady, turn

MEDIA = PROJECT / "sample" / "media"
LONG_GROUPS = {"preset": "fast", "bf": "3", "g": "250", "crf": "20", "sc_threshold": "0"}
NTSC = Fraction(30000, 1001)


def irregular(count: int) -> list[Fraction]:
    rng = random.Random(3)
    stamps = [Fraction(0)]
    while len(stamps) < count:
        stamps.append(stamps[-1] + Fraction(rng.choice((10, 33, 40, 67, 250)), 1000))
    return stamps


SOURCES = {
    "24 fps, long groups, B-frames": (Fraction(24), steady(Fraction(24), 200), "mp4", "libx264", LONG_GROUPS),
    "23.976 fps in Matroska": (Fraction(24000, 1001), steady(Fraction(24000, 1001), 200), "mkv", "libx264", None),
    "29.97 fps": (NTSC, steady(NTSC, 200), "mp4", "libx264", LONG_GROUPS),
    "12.5 fps": (Fraction(25, 2), steady(Fraction(25, 2), 90), "mp4", "libx264", None),
    "10 fps, VP8 in WebM": (
        Fraction(10),
        steady(Fraction(10), 70),
        "webm",
        "libvpx",
        {"deadline": "realtime", "g": "40"},
    ),
    "variable": (Fraction(25), irregular(90), "mp4", "libx264", LONG_GROUPS),
    "variable in Matroska": (Fraction(25), irregular(90), "mkv", "libx264", LONG_GROUPS),
}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("fps", [Fraction(25), NTSC, Fraction(60)], ids=str)
def test_each_record_frame_shows_the_source_frame_on_screen(kind: str, fps: Fraction, tmp_path: Path) -> None:
    rate, stamps, ending, codec, options = SOURCES[kind]
    clip = make_clip(tmp_path / f"clip.{ending}", stamps, rate=rate, codec=codec, options=options)
    song, _ = make_song(tmp_path / "song.wav")
    starts = [float(stamps[n] - stamps[0]) for n in (31, 5, 48, 0)] + [1.234, 0.7]
    edit = make_edit([clip], song, [(0, start, 13 + n) for n, start in enumerate(starts)], fps=fps)
    out = tmp_path / "edit.mp4"
    render(edit, out, cache_dir=tmp_path / "cache")
    shown = [number_in(luma) for luma in luma_of(out)]
    with av.open(clip.path) as container:  # Matroska rounds stamps to milliseconds
        kept = sorted(p.pts * p.time_base for p in container.demux(video=0) if p.pts is not None)
    assert all(abs(a - kept[0] - b) <= Fraction(1, 1999) for a, b in zip(kept, stamps, strict=True))
    times = [t for segment in edit.segments for t in times_of(edit, segment)]
    due = [sum(stamp - kept[0] <= Fraction(t) + Fraction(1, 1000) for stamp in kept) - 1 for t in times]
    assert shown == due


@pytest.mark.parametrize("fps", [Fraction(25), NTSC, Fraction(24000, 1001), Fraction(60)], ids=str)
def test_lengths_are_exact_and_the_file_is_in_order(fps: Fraction, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", steady(Fraction(24), 120), rate=Fraction(24))
    song, _ = make_song(tmp_path / "song.wav")
    edit = make_edit([clip], song, [(0, 0.0, 30), (0, 2.0, 1), (0, 1.0, 2), (0, 3.0, 40), (0, 2.5, 1)], fps=fps)
    out = tmp_path / "edit.mp4"
    report = render(edit, out, cache_dir=tmp_path / "cache")
    assert report.n_frames == 74 == len(luma_of(out))
    assert report.segments_encoded == 5 and report.segments_reused == 0
    with av.open(str(out)) as container:
        film, sound = container.streams.video[0], container.streams.audio[0]
        assert film.frames == 74
        assert film.average_rate == fps
        assert film.duration * film.time_base == 74 / fps
        assert abs(sound.duration * sound.time_base - 74 / fps) <= Fraction(1, 48_000)
        frames = list(container.decode(film))
        assert [frame.pts * frame.time_base for frame in frames] == [k / fps for k in range(74)]
        context = film.codec_context
        assert context.pix_fmt == "yuv420p" and context.name == "h264"
        assert {context.color_primaries, context.color_trc, context.colorspace, context.color_range} == {1}
        assert [frames[segment.record_start].key_frame for segment in edit.segments] == [True] * 5
    with av.open(str(out)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) in range(
            round(74 / fps * 48_000) - 1, round(74 / fps * 48_000) + 1025
        )
    data = out.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert data[4:8] == b"ftyp"


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(np.float32) - b) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-6)))


def test_joined_segments_look_like_one_encode_of_the_same_frames(tmp_path: Path) -> None:
    from benchmarks.bench_render import edit as sample_edit
    from benchmarks.bench_render import plain_encode

    edit = replace(sample_edit(seconds=6), width=640, height=360)
    render(edit, tmp_path / "ours.mp4", cache_dir=tmp_path / "cache")
    plain_encode(edit, tmp_path / "plain.mp4")
    ours, plain = luma_of(tmp_path / "ours.mp4"), luma_of(tmp_path / "plain.mp4")
    assert len(ours) == len(plain) == edit.n_frames
    same = [psnr(a, b) for a, b in zip(ours, plain, strict=True)]
    assert min(same) > 34, "every frame is the same picture"
    wanted = list(fitted_sources(edit))
    loss_ours = [psnr(a, b) for a, b in zip(ours, wanted, strict=True)]
    loss_plain = [psnr(a, b) for a, b in zip(plain, wanted, strict=True)]
    assert np.mean(loss_ours) > np.mean(loss_plain) - 0.5
    assert min(loss_ours) > 36


def fitted_sources(edit: Edit):  # type: ignore[no-untyped-def]
    """Found the slow way: every frame of each clip decoded in order, without a seek."""
    for segment in edit.segments:
        fitter = Fitter(edit.width, edit.height)
        with av.open(edit.clips[segment.clip].path) as container:
            origin, shown, due = None, None, times_of(edit, segment)
            for frame in container.decode(video=0):
                origin = frame.time if origin is None else origin
                while due and shown is not None and frame.time - origin > due[0] + 1e-3:
                    yield fitter.fit(shown).to_ndarray()[: edit.height]
                    due.pop(0)
                if not due:
                    break
                shown = frame


def test_one_changed_shot_is_the_only_one_encoded_again(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", steady(Fraction(25), 150), options=LONG_GROUPS)
    song, _ = make_song(tmp_path / "song.wav")
    shots = [(0, 0.2, 20), (0, 1.5, 25), (0, 3.0, 30)]
    edit = make_edit([clip], song, shots)
    cache, out = tmp_path / "cache", tmp_path / "edit.mp4"
    render(edit, out, cache_dir=cache)
    first = out.read_bytes()
    again = render(edit, out, cache_dir=cache)
    assert (again.segments_encoded, again.segments_reused) == (0, 3)
    assert out.read_bytes() == first
    render(edit, out, cache_dir=tmp_path / "other", workers=1)
    assert out.read_bytes() == first, "neither the cache nor the number of workers shows in the bytes"
    changed = make_edit([clip], song, [shots[0], (0, 4.0, 25), shots[2]])
    report = render(changed, out, cache_dir=cache)
    assert (report.segments_encoded, report.segments_reused) == (1, 2)
    shown = [number_in(luma) for luma in luma_of(out)]
    assert shown == [*range(5, 25), *range(100, 125), *range(75, 105)]


@pytest.mark.parametrize("harm", ["cut off", "empty", "of another length", "of another encoder"])
def test_a_damaged_cached_segment_is_rendered_anew(harm: str, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", steady(Fraction(25), 100))
    song, _ = make_song(tmp_path / "song.wav")
    edit = make_edit([clip], song, [(0, 0.0, 20), (0, 1.0, 25), (0, 2.0, 30)])
    cache, out = tmp_path / "cache", tmp_path / "edit.mp4"
    render(edit, out, cache_dir=cache)
    good = out.read_bytes()
    victim = sorted(cache.rglob("*.mp4"))[1]
    if harm == "cut off":
        victim.write_bytes(victim.read_bytes()[:-600])
    elif harm == "empty":
        victim.write_bytes(b"")
    elif harm == "of another length":
        victim.write_bytes(sorted(cache.rglob("*.mp4"))[2].read_bytes())
    else:
        render(edit, tmp_path / "x.mp4", cache_dir=tmp_path / "x", preset=Preset(speed="medium"))
        with av.open(str(victim)) as container:
            frames = container.streams.video[0].frames
        for other in (tmp_path / "x").rglob("*.mp4"):
            with av.open(str(other)) as container:
                if container.streams.video[0].frames == frames:
                    victim.write_bytes(other.read_bytes())
    render(edit, out, cache_dir=cache)
    assert out.read_bytes() == good


def sound_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (44_100, 2), (8_000, 1), (48_000, 6)])
def test_the_song_is_in_place_to_the_sample(rate: int, channels: int, tmp_path: Path) -> None:
    from scipy.signal import correlate, resample_poly

    clip = make_clip(tmp_path / "clip.mp4", steady(Fraction(25), 60))
    song, samples = make_song(tmp_path / "song.wav", rate=rate, channels=channels)
    edit = make_edit([clip], song, [(0, 0.0, 50)], music_start=1.7)
    render(edit, tmp_path / "edit.mp4", cache_dir=tmp_path / "cache")
    ours = sound_of(tmp_path / "edit.mp4")
    assert abs(ours.shape[1] - 96_000) <= 1024
    left = samples[0] if channels < 6 else samples[0] + np.sqrt(0.5) * (samples[2] + samples[4])
    wanted = resample_poly(left[round(1.7 * rate) : round(3.7 * rate)], 48_000, rate)
    middle = slice(20_000, 60_000)
    near = correlate(ours[0, 19_000:61_000], wanted[middle], mode="valid", method="fft")
    assert abs(int(np.argmax(near)) - 1000) <= 1
    level = 20 * np.log10(ours[0, middle].std() / wanted[middle].std())
    assert abs(level) < 0.6
    assert np.abs(ours[:, :24]).max() < 0.05 and np.abs(ours[:, 95_990:96_000]).max() < 0.02, "faded at both ends"


def test_a_song_that_ends_before_the_edit_is_refused(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", steady(Fraction(25), 60))
    song, _ = make_song(tmp_path / "song.wav", seconds=3)
    edit = make_edit([clip], song, [(0, 0.0, 50)], music_start=1.7)
    with pytest.raises(BadInput, match=r"song\.wav: ends 0\.7 s before the edit does"):
        render(edit, tmp_path / "edit.mp4", cache_dir=tmp_path / "cache")
    assert not (tmp_path / "edit.mp4").exists()


def test_missing_changed_and_broken_sources_are_refused(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", steady(Fraction(25), 60))
    song, _ = make_song(tmp_path / "song.wav")
    edit = make_edit([clip], song, [(0, 0.0, 50)])
    cache, out = tmp_path / "cache", tmp_path / "edit.mp4"
    path = Path(clip.path)
    whole = path.read_bytes()
    path.write_bytes(whole + b"x")
    with pytest.raises(BadInput, match=r"clip\.mp4: has changed since the edit was planned; plan the edit again"):
        render(edit, out, cache_dir=cache)
    path.unlink()
    with pytest.raises(BadInput, match=r"clip\.mp4: is not there any more"):
        render(edit, out, cache_dir=cache)
    path.write_bytes(b"no film at all" * 100)
    broken = replace(edit, clips=(replace(clip, content_hash=content_hash(path)),))
    with pytest.raises(BadInput, match=r"clip\.mp4"):
        render(broken, out, cache_dir=cache)
    assert not out.exists() and not list(tmp_path.glob(".*.part*"))


CHILD = """
import sys
from pathlib import Path
from pipelines.editing.plan import Edit
from pipelines.editing.render import render
from pipelines.errors import Unavailable
if len(sys.argv) > 4:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]),) * 2)
print("start", flush=True)
try:
    render(Edit.from_json(Path(sys.argv[1]).read_bytes()), Path(sys.argv[2]), cache_dir=Path(sys.argv[3]))
except Unavailable as error:
    sys.exit(str(error))
print("done", flush=True)
"""


def child(*args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, *map(str, args)]
    return subprocess.Popen(command, cwd=PROJECT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def larger_edit(tmp_path: Path) -> Edit:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (180, 320, 3), np.uint8) for _ in range(50)]
    clip = make_clip(tmp_path / "clip.mp4", steady(Fraction(25), 50), size=(320, 180), pictures=pictures)
    song, _ = make_song(tmp_path / "song.wav")
    edit = make_edit([clip], song, [(0, 0.04 * n, 10) for n in range(12)], size=(320, 180))
    (tmp_path / "edit.json").write_bytes(edit.to_json())
    return edit


def test_a_killed_render_leaves_nothing_half_written_and_is_taken_up_again(tmp_path: Path) -> None:
    edit = larger_edit(tmp_path)
    out, cache = tmp_path / "out" / "edit.mp4", tmp_path / "cache"
    process = child(tmp_path / "edit.json", out, cache)
    deadline = time.monotonic() + 60
    while len(list(cache.rglob("[0-9a-f]*.mp4"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    kept = len(list(cache.rglob("[0-9a-f]*.mp4")))
    assert kept >= 3
    report = render(edit, out, cache_dir=cache)
    assert report.segments_reused == kept
    assert len(luma_of(out)) == edit.n_frames
    assert [file.name for file in out.parent.iterdir()] == ["edit.mp4"]


@pytest.mark.parametrize("limit", [30_000, 400_000])
def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(limit: int, tmp_path: Path) -> None:
    """The limit on a file's size stands in for the disk: writing fails in the same place."""
    larger_edit(tmp_path)
    out, cache = tmp_path / "edit.mp4", tmp_path / "cache"
    out.write_bytes(b"the last good one")
    process = child(tmp_path / "edit.json", out, cache, limit)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert errors.strip().endswith("there is no room left on its disk; try again in 60 s"), errors
    assert len(errors.strip().splitlines()) == 1
    assert out.read_bytes() == b"the last good one"
    assert not list(tmp_path.rglob(".*.part*"))


def test_an_upright_clip_is_turned_and_shown_whole(tmp_path: Path) -> None:
    picture = np.full((96, 160, 3), 200, np.uint8)
    picture[:, :80] = 60  # dark on the left, which is the top once turned
    make_clip(tmp_path / "clip.mp4", steady(Fraction(25), 30), pictures=[picture] * 30)
    turn(tmp_path / "clip.mp4")
    clip = replace(
        make_clip(tmp_path / "unused.mp4", steady(Fraction(25), 30)),
        path=str(tmp_path / "clip.mp4"),
        content_hash=content_hash(tmp_path / "clip.mp4"),
    )
    song, _ = make_song(tmp_path / "song.wav")
    render(make_edit([clip], song, [(0, 0.0, 20)], size=(320, 180)), tmp_path / "edit.mp4", cache_dir=tmp_path / "c")
    luma = luma_of(tmp_path / "edit.mp4")[10]
    assert luma.shape == (180, 320)
    assert luma[20:70, 130:190].mean() < 90 < 160 < luma[110:160, 130:190].mean()
    surround = luma[:, :80]
    assert 20 < surround[140:].mean() < 160, "a darkened copy of the clip, not black bars"


@pytest.mark.parametrize("size", [(161, 97), (162, 90), (128, 96), (320, 136)])
def test_odd_sizes_and_near_shapes_fill_the_picture(size: tuple[int, int], tmp_path: Path) -> None:
    even = (size[0] - size[0] % 2, size[1] - size[1] % 2)
    options = {"crf": "15", "preset": "ultrafast"} if even == size else {"qscale": "2"}
    codec = "libx264" if even == size else "ffv1"
    path = tmp_path / f"clip.{'mp4' if even == size else 'mkv'}"
    clip = make_clip(path, steady(Fraction(25), 40), size=size, codec=codec, options=options)
    song, _ = make_song(tmp_path / "song.wav")
    edit = make_edit([clip], song, [(0, 0.4, 20)], size=(321, 181))
    render(edit, tmp_path / "edit.mp4", cache_dir=tmp_path / "cache")
    pictures = luma_of(tmp_path / "edit.mp4")
    assert pictures[0].shape == (180, 320)
    assert min(picture[2:-2, 2:-2].min() for picture in pictures) > 25, "no black bar"


def test_colours_survive_another_matrix_and_range(tmp_path: Path) -> None:
    """A small clip without tags is BT.601, as players take it; the file says BT.709 and shows the same colours."""
    picture = np.zeros((96, 160, 3), np.uint8)
    picture[:] = (200, 60, 40)
    clip = make_clip(tmp_path / "clip.mp4", steady(Fraction(25), 30), pictures=[picture] * 30)
    song, _ = make_song(tmp_path / "song.wav")
    render(make_edit([clip], song, [(0, 0.0, 10)]), tmp_path / "edit.mp4", cache_dir=tmp_path / "cache")
    with av.open(str(tmp_path / "edit.mp4")) as container:
        frame = next(container.decode(video=0))
        rgb = frame.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()
    assert np.abs(rgb[48, 80].astype(int) - (200, 60, 40)).max() <= 4


def test_paths_in_any_script(tmp_path: Path) -> None:
    folder = tmp_path / "素材 その1 🎬"
    folder.mkdir()
    clip = make_clip(folder / "海 辺.mp4", steady(Fraction(25), 30))
    song, _ = make_song(folder / "うた.wav")
    out = folder / "出来上がり 🎵.mp4"
    render(make_edit([clip], song, [(0, 0.0, 20)]), out, cache_dir=folder / "cache")
    assert len(luma_of(out)) == 20
