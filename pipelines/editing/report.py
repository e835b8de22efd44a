"""The HTML report of a job: each pattern on one time axis with its music, and what the quality suite found.

One file without any outside part, so that it opens anywhere and for years. Numbers come from verdicts.Quality;
what stands where on the axis from report_axis.py; looks and behaviour from templates/.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.analysis import MusicFeatures
from pipelines.editing import report_axis as axis
from pipelines.editing.plan import Edit
from pipelines.editing.quality import DIFFERENT, WEIGHTS, difference
from pipelines.editing.shared import SharedFeatures
from pipelines.editing.verdicts import Quality, Score
from pipelines.lyrics.analysis import LyricsFeatures
from pipelines.media.replacing import replacing
from pipelines.video.analysis import VideoFeatures

TEMPLATES = Path(__file__).parent / "templates"

# Name, what the part asks, and how its raw value reads ("share" in per cent, "rho" signed).
PARTS = {
    "sync": ("On the beat", "Do the cuts fall on the beats that are heard?", "share"),
    "sections": ("Sections", "Does a cut mark each new section of the song?", "share"),
    "cut_rate": ("Pace", "Do cuts come faster where the music is louder?", "rho"),
    "motion": ("Movement", "Does the picture move more where the music is louder?", "rho"),
    "lyrics": ("Words", "Do the shots suit the words sung over them, compared with all other shots?", "share"),
    "flow": ("Flow", "Does each shot follow the last more smoothly than other shots would?", "share"),
    "coverage": ("Variety", "How many of the shots and clips that could be shown are shown?", "share"),
    "shot_length": ("Shot lengths", "Do the shots last as long as this pattern's style asks?", "share"),
}
GATES = {
    "frames": "Frame count",
    "lengths": "Sound and picture end together",
    "song": "Song in its place",
    "cuts_found": "Planned cuts are seen",
    "cuts_unplanned": "No other cuts",
    "on_time": "No constant delay",
    "drift": "No drift",
    "source": "Right clips",
    "repeats": "No repetition",
    "gaps": "No gaps",
    "black": "No black shot",
    "frozen": "No frozen shot",
    "reproducible": "Reproducible",
}


@dataclass(frozen=True, slots=True)
class ScoreRow:
    name: str
    asks: str
    applies: bool
    percent: int
    value: str
    raw: str
    n: int
    chance: str
    chance_percent: int | None  # where on the bar luck alone would end
    p_value: str
    verdict: str
    note: str
    weight: str


def write(
    edits: Sequence[Edit],
    qualities: Sequence[Quality | None],
    music: MusicFeatures,
    clips: Sequence[VideoFeatures],
    lyrics: LyricsFeatures | None,
    shared: SharedFeatures,
    out: Path,
    videos: Mapping[str, str],
) -> None:
    """Writes ``out``. ``videos``: pattern -> path of its MP4 relative to ``out``; a pattern without one is shown still.

    ``qualities`` go with ``edits``; None where an edit was not rendered.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,  # file names and lyrics come from strangers
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    waves: dict[tuple[str, float, float], str] = {}
    patterns = []
    for edit, quality in zip(edits, qualities, strict=True):
        excerpt = (edit.music.path, edit.music_start, edit.duration)
        if excerpt not in waves:
            waves[excerpt] = axis.waveform_path(Path(edit.music.path), edit.music_start, edit.duration)
        video = videos.get(edit.pattern)
        patterns.append(
            {
                "edit": edit,
                "quality": quality,
                "video": quote(video) if video else None,
                "wave": waves[excerpt],
                "summary": _summary(edit),
                "scores": [_row(name, quality.scores[name]) for name in PARTS] if quality else [],
                "gates": [(GATES[k], quality.gates[k]) for k in GATES] if quality else [],
                "pictures": _pictures(edit, quality),
                **axis.tracks(edit, quality, music, clips, lyrics, shared),
            }
        )
    html = environment.get_template("report.html").render(
        title=Path(edits[0].music.path).stem,
        music=music,
        clips=[{"name": Path(c.path).name, "hue": axis.hue(k)} for k, c in enumerate(edits[0].clips)],
        patterns=patterns,
        language=lyrics.language if lyrics else "und",
        difference=difference(edits) if len(edits) > 1 else None,
        different=DIFFERENT,
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        # Only this very script may run, should anything ever slip through the escaping.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    with replacing(out) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _summary(edit: Edit) -> dict[str, str]:
    lengths = [s.n_frames / float(edit.rate) for s in edit.segments]
    return {
        "shots": str(len(lengths)),
        "median": f"{np.median(lengths):.1f} s",
        "clips": f"{len({s.clip for s in edit.segments})} of {len(edit.clips)}",
        "size": f"{edit.width}×{edit.height}",
        "fps": f"{float(edit.rate):.5g}",
        "duration": axis.clock(edit.duration),
    }


def _row(part: str, score: Score) -> ScoreRow:
    name, asks, kind = PARTS[part]
    if not score.applies:
        return ScoreRow(
            name, asks, False, 0, "–", "–", 0, "–", None, "–", "does not apply", _sentence(score.note), _weight(part)
        )
    if not math.isfinite(score.p_value):
        verdict = ""
    else:
        verdict = "better than luck" if score.above_chance else "no better than luck"
    share = kind == "share"
    return ScoreRow(
        name=name,
        asks=asks,
        applies=True,
        percent=round(100 * score.value),
        value=f"{score.value:.2f}",
        raw=f"{score.raw:.0%}" if share else f"{score.raw:+.2f}".replace("-", "−"),
        n=score.n,
        chance=f"{score.chance:.0%}" if share else "0",
        chance_percent=_chance_on_the_bar(part, score),
        p_value=_p(score.p_value),
        verdict=verdict,
        note=_sentence(score.note),
        weight=_weight(part),
    )


def _chance_on_the_bar(part: str, score: Score) -> int | None:
    """Values that are measured from chance on begin there; the others have it somewhere along the way."""
    if part in ("sync", "sections"):
        return 0
    return 50 if part in ("cut_rate", "motion") else round(100 * score.chance)


def _sentence(note: str) -> str:
    return note[:1].upper() + note[1:] + "."


def _weight(part: str) -> str:
    return f"{WEIGHTS[part]:.0%}"


def _p(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def _pictures(edit: Edit, quality: Quality | None) -> list[str]:
    """A JPEG data URI a segment: as rendered, or from its source when nothing was rendered."""
    if quality is not None and len(quality.thumbnails) == len(edit.segments):
        return [_jpeg(picture) for picture in quality.thumbnails]
    from pipelines.media.frames import read_frames

    out = [""] * len(edit.segments)
    for clip, source in enumerate(edit.clips):
        own = [
            (s.source_time + s.n_frames / float(edit.rate) / 2, k)
            for k, s in enumerate(edit.segments)
            if s.clip == clip
        ]
        own.sort()
        if own and Path(source.path).is_file():
            for (_, k), picture in zip(own, read_frames(source.path, [t for t, _ in own], 160), strict=True):
                out[k] = _jpeg(picture)
    return out


def _jpeg(picture: NDArray[np.uint8]) -> str:
    import cv2

    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 72])
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
