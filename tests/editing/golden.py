"""The golden job: a song whose beats, sections and energy are known, clips whose pictures are computed, fitting lyrics.

Because every picture is computed, an edit can also be rendered *wrongly* on purpose (late, drifting, black, frozen),
which is what the mutants need. Judging is left to test_mutants.py.
"""

from __future__ import annotations

import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.analysis import MusicFeatures
from pipelines.editing.plan import Edit, Segment, Source
from pipelines.lyrics.analysis import EMOTIONS, LyricsFeatures

BPM = 120.0
BEAT = 60.0 / BPM
BARS = 24
DURATION = BARS * 4 * BEAT  # 48 s
RATE = 44100
# First bar, loudness 0..1, label: quiet, loud, quiet, loud.
SECTIONS = ((0, 0.15, "A"), (8, 1.0, "B"), (14, 0.3, "A"), (18, 1.0, "B"))
WIDTH, HEIGHT = 320, 180


@dataclass(frozen=True)
class Theme:
    name: str
    fps: Fraction
    dark: tuple[int, int, int]  # RGB of the texture's valleys
    light: tuple[int, int, int]  # and of its hills
    tags: tuple[str, ...]
    lines: tuple[str, ...]  # what the singer says of it


THEMES = (
    Theme("ocean", Fraction(25), (5, 40, 110), (90, 170, 235), ("ocean", "sea", "waves", "water"),
          ("The ocean waves roll over the sea", "Deep blue water, the waves of the sea")),
    Theme("fire", Fraction(25), (90, 10, 0), (255, 150, 20), ("fire", "flames", "burning"),
          ("The fire is burning, flames are high", "Burning flames, a fire in the sky")),
    Theme("forest", Fraction(30), (5, 50, 15), (110, 190, 70), ("forest", "trees", "green leaves"),
          ("Green leaves and trees in the forest", "Walking the forest under the trees")),
    Theme("night", Fraction(24), (10, 8, 30), (95, 70, 150), ("night", "dark city", "stars"),
          ("Stars in the night over the dark city", "The dark city sleeps in the night")),
    Theme("snow", Fraction(30000, 1001), (165, 175, 190), (250, 252, 255), ("snow", "winter", "ice"),
          ("Snow is falling, winter and ice", "Cold winter snow and ice on the ground")),
    Theme("desert", Fraction(25), (150, 95, 35), (245, 215, 140), ("desert", "sand", "dunes"),
          ("Sand of the desert, dune after dune", "Desert sand, the dunes in the sun")),
    Theme("roses", Fraction(50), (110, 10, 60), (250, 140, 190), ("roses", "flowers", "garden"),
          ("Roses and flowers in the garden", "A garden of flowers, roses in bloom")),
    Theme("train", Fraction(25, 2), (60, 62, 66), (190, 192, 196), ("train", "railway", "station"),
          ("The train is leaving the railway station", "Railway tracks, a train in the station")),
)  # fmt: skip
SHOT_SECONDS = 5.0
SPEEDS = (8.0, 110.0, 40.0, 180.0)  # px/s of the four shots of every clip: two calm ones, two fast ones


def shot_starts(theme: Theme) -> list[int]:
    """First frame of each shot, and one past the last."""
    return [round(SHOT_SECONDS * k * theme.fps) for k in range(len(SPEEDS) + 1)]


@cache
def texture(clip: int, shot: int) -> NDArray[np.uint8]:
    """RGB [h, wide, 3]: hills of a size of the shot's own, in the theme's colours."""
    import cv2

    rng = np.random.default_rng(1000 * clip + shot)
    width = WIDTH + int(SPEEDS[shot] * (SHOT_SECONDS + 1)) + 8
    hills = np.zeros((HEIGHT + 8, width), np.float32)
    for cells, weight in ((3 + shot, 1.0), (9 + 3 * shot, 0.35)):
        grid = rng.random((cells, max(2, cells * width // HEIGHT)), dtype=np.float32)
        hills += weight * cv2.resize(grid, (width, HEIGHT + 8), interpolation=cv2.INTER_CUBIC)
    hills = (hills - hills.min()) / (hills.max() - hills.min())
    hills = np.clip((hills - 0.5) * 0.9 + (0.35, 0.7, 0.5, 0.6)[shot], 0, 1)[..., None]
    dark, light = (np.float32(colour) for colour in (THEMES[clip].dark, THEMES[clip].light))
    # Each shot in a light of its own, so that a cut within a clip is seen as well: day, dusk, night, mist.
    tint, depth = ((1.0, 1.0, 1.0), (1.3, 0.75, 0.6), (0.4, 0.4, 0.6), (0.6, 0.6, 0.6))[shot], (0, 0, 0, 100)[shot]
    colours = (dark + hills * (light - dark)) * np.float32(tint) + depth
    return np.asarray(np.clip(colours, 0, 255), np.uint8)


def picture(clip: int, time: float) -> NDArray[np.uint8]:
    """The frame of the clip on screen at ``time``, as the camera drifts over its texture; accents every beat."""
    import cv2

    theme = THEMES[clip]
    starts = shot_starts(theme)
    frame = min(max(int(time * theme.fps + 1e-6), 0), starts[-1] - 1)
    shot = int(np.searchsorted(starts, frame, side="right")) - 1
    t = float((frame - starts[shot]) / theme.fps)
    x = SPEEDS[shot] * (t + 0.08 * (1 - np.cos(2 * np.pi * t / BEAT)) / 2)
    return cv2.getRectSubPix(
        texture(clip, shot), (WIDTH, HEIGHT), (WIDTH / 2 + x, HEIGHT / 2 + 4 + 2 * float(np.sin(3 * t)))
    )


def encode(path: Path, fps: Fraction, frames: Callable[[], object], sound: NDArray[np.float32] | None = None) -> Path:
    """Writes RGB frames (an iterable) and mono sound (48 kHz) as H.264 and AAC in MP4."""
    import av

    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "20"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = out.add_stream("aac", rate=48000, layout="mono") if sound is not None else None
        for image in frames():  # type: ignore[attr-defined]
            out.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        out.mux(video.encode())
        if audio is not None:
            for at in range(0, len(sound), 1024):
                frame = av.AudioFrame.from_ndarray(sound[None, at : at + 1024], format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = 48000, at, Fraction(1, 48000)
                out.mux(audio.encode(frame))
            out.mux(audio.encode())
    return path


@cache
def song(rate: int = RATE) -> NDArray[np.float32]:
    """Mono: kick on every beat, snare on 2 and 4, hats, bass and chords, as loud as its section says."""
    rng = np.random.default_rng(7)
    n = round(DURATION * rate)
    out = np.zeros(n + rate, np.float32)
    t = np.arange(int(0.4 * rate)) / rate
    kick = np.sin(2 * np.pi * (50 * t + 9 * (1 - np.exp(-30 * t)))) * np.exp(-9 * t)
    snare = (0.7 * rng.standard_normal(len(t)) + 0.4 * np.sin(2 * np.pi * 190 * t)) * np.exp(-16 * t)
    hat = rng.standard_normal(len(t)) * np.exp(-60 * t)
    chords = {"A": ((57, 60, 64), (53, 57, 60)), "B": ((48, 55, 64), (55, 59, 62), (57, 60, 64), (53, 60, 65))}
    for bar in range(BARS):
        _, loud, label = [s for s in SECTIONS if s[0] <= bar][-1]
        notes = chords[label][bar % len(chords[label])]
        at, length = round(bar * 4 * BEAT * rate), round(4 * BEAT * rate)
        tt = np.arange(length) / rate
        swell = np.minimum(1, tt / 0.02) * np.minimum(1, (4 * BEAT - tt) / 0.05)
        for note in notes:
            f = 440 * 2 ** ((note - 69) / 12)
            wave_ = np.sin(2 * np.pi * f * tt) + (0.4 * np.sign(np.sin(2 * np.pi * f * tt)) if label == "B" else 0)
            out[at : at + length] += 0.10 * (0.3 + 0.7 * loud) * swell * wave_
        for eighth in range(8):
            b = at + round(eighth * BEAT / 2 * rate)
            piece = slice(b, b + len(t))
            if eighth % 2 == 0:
                out[piece] += (0.25 + 0.75 * loud) * (0.9 if eighth == 0 else 0.6) * kick
                root = 440 * 2 ** ((notes[0] - 24 - 69) / 12)
                out[piece] += 0.35 * loud * np.sin(2 * np.pi * root * t) * np.exp(-3 * t)
            if eighth in (2, 6):
                out[piece] += 0.35 * loud * snare
            if loud > 0.5:
                out[piece] += 0.12 * hat
    out = out[:n]
    return (0.8 * out / np.abs(out).max()).astype(np.float32)


def lyrics_lines() -> list[tuple[float, str]]:
    """A line every two bars, each about one clip; every theme is sung of, some twice."""
    order = (0, 2, 4, 3, 1, 5, 7, 6, 1, 0, 3, 2)
    return [(k * 8 * BEAT, THEMES[c].lines[k % 2]) for k, c in enumerate(order)]


@dataclass(frozen=True)
class Job:
    folder: Path
    music: Path
    clips: tuple[Path, ...]
    lyrics: Path
    clip_tags: tuple[tuple[str, ...], ...]


def write_song(path: Path) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes((song() * 32767).astype("<i2").tobytes())
    return path


def write_clip(path: Path, number: int, seconds: float | None = None) -> Path:
    fps = THEMES[number].fps
    n = shot_starts(THEMES[number])[-1] if seconds is None else round(seconds * fps)
    return encode(path, fps, lambda: (picture(number, k / fps) for k in range(n)))


def make_job(folder: Path) -> Job:
    """Writes song.wav, a clip a theme and lyrics.lrc; equal bytes every time (about 10 s)."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = [write_clip(folder / f"{theme.name}.mp4", number) for number, theme in enumerate(THEMES)]
    lines = [f"[{int(t // 60):02d}:{t % 60:05.2f}]{text}" for t, text in lyrics_lines()]
    (folder / "lyrics.lrc").write_text("\n".join([*lines, f"[00:{DURATION:05.2f}]", ""]))
    tags = tuple(theme.tags for theme in THEMES)
    return Job(folder, write_song(folder / "song.wav"), tuple(clips), folder / "lyrics.lrc", tags)


def sources(job: Job) -> tuple[Source, tuple[Source, ...]]:
    music = Source(str(job.music), sha256(job.music.read_bytes()).hexdigest(), DURATION)
    clips = tuple(
        Source(
            str(path),
            sha256(path.read_bytes()).hexdigest(),
            float(shot_starts(theme)[-1] / theme.fps),
            (theme.fps.numerator, theme.fps.denominator),
            shot_starts(theme)[-1],
            WIDTH,
            HEIGHT,
        )
        for path, theme in zip(job.clips, THEMES, strict=True)
    )
    return music, clips


def true_music() -> MusicFeatures:
    """What the analysis of the song should find, from its making."""
    rate = 10.0
    beats = np.arange(BARS * 4) * BEAT
    loud = np.repeat([s[1] for s in SECTIONS], np.diff([*(s[0] for s in SECTIONS), BARS]) * round(4 * BEAT * rate))
    window = np.ones(30) / 30
    energy = np.convolve(np.pad(loud, 15, mode="edge"), window, mode="same")[15:-15]
    return MusicFeatures(
        duration=DURATION,
        sample_rate=RATE,
        bpm=BPM,
        bpm_confidence=1.0,
        beats=beats,
        downbeats=beats[::4],
        beats_per_bar=4,
        section_boundaries=np.array([*(s[0] * 4 * BEAT for s in SECTIONS), DURATION]),
        section_labels=tuple(s[2] for s in SECTIONS),
        energy=energy.astype(np.float32),
        energy_rate=rate,
        onsets=beats,
        onset_strengths=np.where(np.arange(beats.size) % 4 == 0, 1.0, 0.6).astype(np.float32),
        vector=np.zeros(0, np.float32),
        names=(),
        loudness_lufs=-14.0,
        loudness_range=8.0,
        true_peak_dbtp=-1.0,
    )


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """A dictionary for a sentence encoder: one axis a theme, told by its words."""
    out = np.full((len(texts), len(THEMES)), 0.01, np.float32)
    for row, text in enumerate(texts):
        words = text.lower()
        for column, theme in enumerate(THEMES):
            out[row, column] += sum(word in words for tag in theme.tags for word in tag.split())
    return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True), np.float32)


def true_lyrics() -> LyricsFeatures:
    lines = lyrics_lines()
    starts = np.array([t for t, _ in lines])
    texts = tuple(text for _, text in lines)
    n = len(texts)
    return LyricsFeatures(
        language="en",
        timed=True,
        texts=texts,
        starts=starts,
        ends=np.append(starts[1:], DURATION),
        emotions=np.full((n, len(EMOTIONS)), 1 / len(EMOTIONS), np.float32),
        valence=np.zeros(n, np.float32),
        arousal=np.full(n, 0.5, np.float32),
        keywords=tuple(() for _ in texts),
        embeddings=embed(texts),
        warnings=(),
    )


def edit_by_hand(job: Job, fps: Fraction = Fraction(25)) -> Edit:
    """Cuts on beats, faster and livelier where the song is louder, each line's own clip while it is sung."""
    music, clips = sources(job)
    order = [next(i for i, t in enumerate(THEMES) if text in t.lines) for _, text in lyrics_lines()]
    used: dict[tuple[int, int], float] = {}
    segments: list[Segment] = []
    beat = 0
    while beat < BARS * 4:
        loud = [s for s in SECTIONS if s[0] <= beat // 4][-1][1]
        length = {0.15: 4, 0.3: 2, 1.0: 1}[loud]
        begin, end = round(beat * BEAT * fps), round((beat + length) * BEAT * fps)
        clip, seconds = order[beat // 8], float((end - begin) / fps) + 0.1
        calm_first = (0, 2, 1, 3) if loud < 0.2 else (2, 0, 1, 3) if loud < 0.5 else (3, 1, 2, 0)
        last = segments[-1] if segments else None
        for shot in calm_first:
            start = used.get((clip, shot), SHOT_SECONDS * shot + 0.2)
            same = last is not None and (last.clip, last.shot) == (clip, shot)
            if not same and start + seconds < SHOT_SECONDS * (shot + 1) - 0.1:
                used[clip, shot] = start + seconds
                segments.append(Segment(begin, end, clip, shot, start))
                break
        else:
            raise AssertionError("the golden job has too little material")
        beat += length
    return Edit(
        pattern="golden",
        fps=(fps.numerator, fps.denominator),
        n_frames=segments[-1].record_end,
        width=WIDTH,
        height=HEIGHT,
        music=music,
        music_start=0.0,
        clips=clips,
        segments=tuple(segments),
        seed=0,
        query={},
        confidence=1.0,
    )


@dataclass(frozen=True)
class Flaws:
    """What the bad renderer does wrong. Record frames, seconds or segment numbers."""

    song_late: float = 0.0  # s
    other_song: bool = False
    lost_frame: int | None = None
    black: int | None = None
    frozen: int | None = None
    drift: float = 0.0  # frames by which every shot is too long
    wrong_clips: bool = False  # the renderer mixes up its files


def render_plainly(edit: Edit, out: Path, flaws: Flaws | None = None) -> Path:
    """The edit as MP4, drawn from ``picture`` rather than decoded; with the flaws asked for."""
    flaws = flaws or Flaws()
    starts = [round(s.record_start + flaws.drift * k) for k, s in enumerate(edit.segments)]

    def frames():  # type: ignore[no-untyped-def]
        for frame in range(edit.n_frames):
            if frame == flaws.lost_frame:
                continue
            k = int(np.searchsorted(starts, frame, side="right")) - 1
            segment = edit.segments[k]
            time = segment.source_time + float((frame - starts[k]) / edit.rate)
            if k == flaws.frozen:
                time = segment.source_time
            clip = (segment.clip + 3) % len(THEMES) if flaws.wrong_clips else segment.clip
            image = picture(clip, time)
            yield np.zeros_like(image) if k == flaws.black else image

    rate = 48000
    sound = song(rate)
    if flaws.other_song:
        sound = np.ascontiguousarray(sound[::-1])
    begin = round((edit.music_start - flaws.song_late) * rate)
    n = round(edit.duration * rate)
    sound = np.pad(sound, (max(0, -begin), n))[max(0, begin) :][:n]
    return encode(out, edit.rate, frames, sound)


def half_a_beat_late(edit: Edit) -> Edit:
    late = round(BEAT / 2 * edit.rate)
    return _with_cuts(edit, [s.record_start + late for s in edit.segments[1:]])


def drifting(edit: Edit) -> Edit:
    """Half a frame too long, every shot: what rounding each length by itself does."""
    return _with_cuts(edit, [s.record_start + int(0.5 * (k + 1)) for k, s in enumerate(edit.segments[1:])])


def shuffled(edit: Edit, seed: int = 3) -> Edit:
    """The same cuts over shots drawn by lot: nothing shown twice, every cut visible, and no thought behind it."""
    rng = np.random.default_rng(seed)
    at = {(c, k): SHOT_SECONDS * k + 0.2 for c in range(len(edit.clips)) for k in range(len(SPEEDS))}
    segments: list[Segment] = []
    for s in edit.segments:
        seconds = float(s.n_frames / edit.rate) + 0.1
        last = (segments[-1].clip, segments[-1].shot) if segments else None
        room = [k for k in at if k != last and at[k] + seconds < SHOT_SECONDS * (k[1] + 1) - 0.1]
        clip, shot = room[int(rng.integers(len(room)))]
        segments.append(replace(s, clip=clip, shot=shot, source_time=at[clip, shot]))
        at[clip, shot] += seconds
    return replace(edit, segments=tuple(segments))


def repeating(edit: Edit) -> Edit:
    """One segment shows what an earlier one has shown."""
    late = len(edit.segments) - 3
    early = next(s for s in edit.segments if s.shot in (1, 3) and s.n_frames >= edit.segments[late].n_frames)
    return _replaced(edit, late, clip=early.clip, shot=early.shot, source_time=early.source_time)


def across_a_boundary(edit: Edit) -> Edit:
    """One segment runs over a shot boundary of its clip: a cut nobody planned."""
    number = max(range(len(edit.segments)), key=lambda k: edit.segments[k].n_frames)
    s = edit.segments[number]
    return _replaced(edit, number, source_time=SHOT_SECONDS - float(s.n_frames / edit.rate) / 2, shot=0)


def invisible_cut(edit: Edit) -> Edit:
    """One segment simply goes on where the one before it ended."""
    number = next(k for k in range(2, len(edit.segments)) if edit.segments[k - 1].shot in (0, 2))
    before = edit.segments[number - 1]
    start = before.source_time + float(before.n_frames / edit.rate)
    return _replaced(edit, number, clip=before.clip, shot=before.shot, source_time=start)


def _with_cuts(edit: Edit, cuts: list[int]) -> Edit:
    inside = [c for c in cuts if c < edit.n_frames]
    edges = [0, *inside, edit.n_frames]
    segments = tuple(
        replace(s, record_start=a, record_end=b) for s, a, b in zip(edit.segments, edges, edges[1:], strict=False)
    )
    return replace(edit, segments=segments)


def _replaced(edit: Edit, number: int, **changes: object) -> Edit:
    segments = list(edit.segments)
    segments[number] = replace(segments[number], **changes)  # type: ignore[arg-type]
    return replace(edit, segments=tuple(segments))
