"""The page on which a composer chooses between candidates: to hear, to see, with reasons. One file beside its sounds.

What candidates hold is arranging.py's; sounds are written by rendering.py and MIDI files by midi_writing.py, both by
whoever calls this. Nothing is asked of the network.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pipelines.composing import chord_chart, piano_roll
from pipelines.composing.bars import bars, drawn
from pipelines.composing.piece import Piece, Role
from pipelines.media.replacing import replacing

if TYPE_CHECKING:
    from pipelines.composing.arranging import Arranged, Candidate
    from pipelines.composing.suggesting import Suggestion

FOLDER = Path(__file__).parent
_SUGGESTED = 4
ROLE_NAMES: dict[Role, str] = {
    "melody": "melody", "alto": "alto", "tenor": "tenor", "bass": "bass", "chords": "chords", "pad": "pad",
    "arpeggio": "arpeggio", "drums": "drums", "other": "other",
}  # fmt: skip
# How a measure (measures.py) reads: its name, its unit or what it is of, digits.
MEASURES: dict[str, tuple[str, str, int]] = {
    "likelihood": ("Likelihood in the model's eyes", "nats a note", 2),
    "parallels": ("Parallel fifths and octaves", "in 100 changes of chord", 1),
    "bass_motion": ("The bass moves by", "semitones on average", 1),
    "inner_motion": ("Inner voices move by", "semitones on average", 1),
    "contrary": ("Outer voices in contrary motion", "%", 0),
    "suspensions": ("Suspensions", "in 16 beats", 1),
    "passing": ("Notes inside the beats", "in 16 beats", 1),
    "variety": ("Different chords, in effect", "", 1),
    "tension": ("Chords of four notes or more", "%", 0),
    "colour": ("Notes outside the key", "%", 0),
    "spread": ("From bass to soprano", "semitones on average", 1),
    "cadence": ("Ends on the tonic", "yes", 0),
    "fit": ("Strong beats of the melody on chord tones", "%", 0),
    "clashes": ("Strong beats with a semitone's clash", "%", 0),
    "rhythm": ("Chords a bar", "", 1),
    "busy": ("Notes of the accompaniment", "a beat", 1),
    "usual": ("Likelihood of the progression", "nats a change", 2),
    "beats": ("Beats", "", 0),
}


@dataclass(frozen=True, slots=True)
class Links:
    """Where a candidate's files lie, as paths relative to the page; None for what was not made."""

    midi: str | None = None
    project: str | None = None  # REAPER
    preview: str | None = None  # sound for listening
    wav: str | None = None


def write(
    arranged: Arranged,
    out: Path,
    links: Sequence[Links],
    *,
    title: str = "",
    style: str = "",
    notice: str = "",
    suggestions: Mapping[Role, Sequence[Suggestion]] | None = None,
    rolls: Sequence[bytes] | None = None,
) -> None:
    """Writes the page to ``out``, whole or not at all; the rest is `html`'s."""
    page = html(arranged, links, title=title, style=style, notice=notice, suggestions=suggestions, rolls=rolls)
    with replacing(out) as temporary:
        temporary.write_text(page, encoding="utf-8")


def html(
    arranged: Arranged,
    links: Sequence[Links],
    *,
    title: str = "",
    style: str = "",
    notice: str = "",
    suggestions: Mapping[Role, Sequence[Suggestion]] | None = None,
    rolls: Sequence[bytes] | None = None,
) -> str:
    """The page. ``links`` go with ``arranged.candidates``; ``notice``: sound_font.Font.notice, or why there is nothing
    to hear; ``suggestions``: instruments by the part's role (suggesting.suggest); ``rolls``: a PNG of each
    candidate's piano roll by somebody who has drawn them, else they are drawn here. Equal input gives equal text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,  # names of pieces, tracks and chords come from strangers
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (FOLDER / "report.js").read_text(encoding="utf-8")
    piece = arranged.candidates[0].piece
    name = piano_roll.printable(title or piece.name) or "Untitled"
    return environment.get_template("report.html.j2").render(
        title=name,
        style=style,
        facts=_facts(piece),
        notes=arranged.notes,
        notice=notice,
        candidates=[
            _section(candidate, one, name, suggestions or {}, roll or piano_roll.draw(candidate.piece))
            for candidate, one, roll in zip(
                arranged.candidates, links, rolls or [b""] * len(arranged.candidates), strict=True
            )
        ],
        heard=any(one.preview for one in links),
        css=Markup((FOLDER / "report.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        # Only this very script may run, should anything ever slip through the escaping.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def pictures(candidate: Candidate) -> dict[str, bytes]:
    """PNGs for an asset's metadata: ``piano_roll`` and, where there are chords, ``chord_chart``."""
    found = {"piano_roll": piano_roll.draw(candidate.piece)}
    if candidate.piece.chords:
        found["chord_chart"] = chord_chart.draw(candidate.piece)
    return found


def _section(
    candidate: Candidate, links: Links, name: str, suggestions: Mapping[Role, Sequence[Suggestion]], roll: bytes
) -> dict[str, Any]:
    piece = candidate.piece
    shown, cut = drawn(bars(piece))
    whole = max((bar.end - bar.start for bar in shown), default=1)
    return {
        "number": candidate.number,
        "rating": f"{candidate.rating:.2f}",
        "reasons": candidate.reasons,
        "seed": candidate.seed,
        "made_by": candidate.made_by,
        "links": {
            key: quote(getattr(links, key)) if getattr(links, key) else None
            for key in ("midi", "project", "preview", "wav")
        },
        "roll": "data:image/png;base64," + base64.b64encode(roll).decode(),
        "cut": cut,
        "roll_says": f"Piano roll of {name}, candidate {candidate.number}: {_says(piece)}",
        "lines": [[_cell(cell, whole) for cell in line] for line in chord_chart.chart(piece)] if piece.chords else [],
        "parts": [
            {
                "name": piano_roll.printable(part.name) or part.role,
                "role": ROLE_NAMES[part.role],
                "colour": piano_roll.COLOURS[part.role],
                "instrument": (plays := _instrument(part.program, part.drums)),
                "notes": len(part.notes),
                "suggested": [
                    {"name": one.plugin.name, "format": one.plugin.format, "reason": one.reason}
                    for one in [s for s in suggestions.get(part.role, ()) if s.plugin.name != plays][:_SUGGESTED]
                ],
            }
            for part in piece.parts
        ],
        "measures": [_measure(key, value) for key, value in candidate.measures.items()],
    }


def _cell(cell: chord_chart.Cell, whole: int) -> dict[str, Any]:
    bar = cell.bar
    return {
        "number": bar.number,
        "section": cell.section,
        "metre": f"{bar.numerator}/{bar.denominator}" if bar.changes else "",
        "short": bar.end - bar.start < 0.7 * whole,
        "same": any(symbol == chord_chart.SAME for _, symbol in cell.chords),
        "chords": [symbol for _, symbol in cell.chords],
    }


def _facts(piece: Piece) -> list[tuple[str, str]]:
    tempos = [round(60e6 / tempo.quarter_us) for tempo in piece.tempos]
    metres = list(dict.fromkeys(f"{metre.numerator}/{metre.denominator}" for metre in piece.metres))
    low, high = min(tempos), max(tempos)
    seconds = round(piece.seconds(piece.length))
    return [
        ("Key", piano_roll.shown(piece.keys[0].key.name)),
        ("Metre", ", ".join(metres[:4]) + (" …" if len(metres) > 4 else "")),
        ("Tempo", f"♩ = {low}" if low == high else f"♩ = {low}-{high}"),
        ("Length", f"{len(bars(piece))} bars, {seconds // 60}:{seconds % 60:02d}"),
    ]


def _says(piece: Piece) -> str:
    parts = ", ".join(f"{piano_roll.printable(p.name) or p.role} with {len(p.notes)} notes" for p in piece.parts)
    return f"{parts}; {piano_roll.summary(piece)}"


def _instrument(program: int, drums: bool) -> str:
    from pipelines.composing import instruments

    found = instruments.kits() if drums else instruments.programs()
    return next((one.name for one in found if one.program == program), f"program {program + 1}")


def _measure(key: str, value: float) -> tuple[str, str]:
    name, unit, digits = MEASURES.get(key, (key.replace("_", " ").capitalize(), "", 2))
    if unit == "yes":
        return name, "yes" if value else "no"
    figure = f"{100 * value:.0f}" if unit == "%" else f"{value:.{digits}f}"
    return name, f"{figure} {unit}".rstrip().replace("-", "−", 1 if value < 0 else 0)
