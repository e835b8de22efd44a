"""Finished arrangements as files that a person takes away: MIDI, REAPER projects, something to hear, and a report.

What they hold is arranging.py's; how each is written, midi_writing.py's, rpp.py's, rendering.py's and report.py's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.errors import BadInput
from pipelines.media.replacing import replace_bytes

if TYPE_CHECKING:
    from pipelines.composing.arranging import Arranged, Candidate
    from pipelines.composing.piece import Role
    from pipelines.composing.report import Links
    from pipelines.composing.sound_font import Font
    from pipelines.composing.suggesting import Suggestion
    from pipelines.settings import Settings


@dataclass(frozen=True, slots=True)
class Files:
    """Of one candidate. ``preview`` and ``wav``: where the sound lies, when it was asked for."""

    midi: Path
    project: Path
    piano_roll: Path
    preview: Path
    wav: Path


@dataclass(frozen=True, slots=True)
class Delivered:
    """``candidates``: in their order; ``font``: what they are heard with; None when nothing was rendered."""

    candidates: tuple[Files, ...]
    report: Path
    font: str | None


def deliver(
    made: Arranged,
    out: Path,
    settings: Settings,
    *,
    style: str,
    suggestions: Mapping[Role, Sequence[Suggestion]] | None = None,
    listening: bool = True,
    wav: bool = False,
) -> Delivered:
    """Writes the best candidate to ``out``, the others beside it as NAME-2.mid, NAME-3.mid ...; of each a REAPER
    project, a piano roll, with ``listening`` a preview, with ``wav`` the whole sound; and one report, NAME.html.

    Each file is written whole or not at all. BadInput when the folder cannot be written to.
    """
    from pipelines.composing import report, sound_font

    title = made.candidates[0].piece.name or out.stem
    try:
        font = sound_font.find(settings) if listening else None
        files = tuple(_write(one, files_of(out, one.number), font, title, wav=wav) for one in made.candidates)
        page = out.with_suffix(".html")
        links = [_links(one, heard=listening, wav=wav) for one in files]
        notice = font.notice if font is not None else "Nothing was rendered to listen to."
        report.write(made, page, links, title=title, style=style, notice=notice, suggestions=suggestions)
    except (PermissionError, IsADirectoryError, NotADirectoryError) as error:
        raise BadInput(error.filename or out, f"cannot be written ({error.strerror})", "give another --out") from error
    return Delivered(files, page, font.name if font is not None else None)


def _write(candidate: Candidate, files: Files, font: Font | None, title: str, *, wav: bool) -> Files:
    from pipelines.composing import midi_writing, piano_roll, rendering, rpp

    piece = candidate.piece
    midi_writing.write(piece, files.midi)
    replace_bytes(files.project, rpp.to_rpp(piece, files.midi.name).encode())
    replace_bytes(files.piano_roll, piano_roll.draw(piece, title=f"{title} · {candidate.number}"))
    for sound, wanted in ((files.preview, font is not None), (files.wav, wav)):
        if not wanted:
            sound.unlink(missing_ok=True)  # of an earlier arrangement under this name
    if font is not None:
        rendering.write(piece, files.wav if wav else None, font.open(), preview=files.preview)
    return files


def _links(files: Files, *, heard: bool, wav: bool) -> Links:
    from pipelines.composing.report import Links

    return Links(
        files.midi.name, files.project.name, files.preview.name if heard else None, files.wav.name if wav else None
    )


def files_of(out: Path, number: int) -> Files:
    """Where the candidate of this number (from 1) lies when the first one is ``out``."""
    midi = out if number == 1 else out.with_name(f"{out.stem}-{number}{out.suffix}")
    return Files(
        midi, midi.with_suffix(".rpp"), midi.with_suffix(".png"), midi.with_suffix(".m4a"), midi.with_suffix(".wav")
    )


def whole(out: Path, n: int) -> bool:
    """Whether all that can be taken away of ``n`` candidates lies there, sound aside."""
    files = [files_of(out, number) for number in range(1, n + 1)]
    needed = [path for one in files for path in (one.midi, one.project, one.piano_roll)]
    return all(path.is_file() for path in [*needed, out.with_suffix(".html")])
