"""Finished arrangements as files that a person takes away: MIDI, REAPER projects, something to hear, and a report.

What they hold is arranging.py's; how each is written, midi_writing.py's, rpp.py's, rendering.py's and report.py's;
which files are a composer's own and stay, manifest.py's.
"""

from __future__ import annotations

import itertools
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines import processes
from pipelines.composing import manifest
from pipelines.composing.wishes import MOST_CANDIDATES
from pipelines.errors import BadInput, Unavailable
from pipelines.media.replacing import NO_ROOM, replace_bytes

if TYPE_CHECKING:
    from pipelines.composing.arranging import Arranged, Candidate
    from pipelines.composing.piece import Role
    from pipelines.composing.rendering import Rendered
    from pipelines.composing.report import Links
    from pipelines.composing.sound_font import Font
    from pipelines.composing.suggesting import Suggestion
    from pipelines.settings import Settings

MOST_AT_ONCE = 4  # processes that render, of some 400 MB each
_STAGED = ".orimono-", ".part"
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Files:
    """Of one candidate. ``preview`` and ``wav``: None when they were not asked for."""

    midi: Path
    project: Path
    piano_roll: Path
    preview: Path | None
    wav: Path | None


@dataclass(frozen=True, slots=True)
class Delivered:
    """``candidates``: in their order; ``font``: what they are heard with, None when nothing was rendered; ``notices``:
    sentences about what is not heard."""

    candidates: tuple[Files, ...]
    report: Path
    font: str | None
    notices: tuple[str, ...] = ()


def check(
    out: Path, candidates: int, inputs: Mapping[str, Path] | None = None, *, listening: bool = True, wav: bool = False
) -> None:
    """Whether so many can be delivered as ``out``, asked before the work is done. BadInput when a file that is read
    (``inputs``: what it is called -> its path) or one of the composer's own would be lost, or the folder cannot be
    written to."""
    files = [files_of(out, n, listening=listening, wav=wav) for n in range(1, min(candidates, MOST_CANDIDATES) + 1)]
    with _writing(out):
        manifest.check(out, [*(path for one in files for path in _paths(one)), _page(out)], inputs)
        with _staged(out.parent):
            pass


def deliver(
    made: Arranged,
    out: Path,
    settings: Settings,
    *,
    style: str,
    suggestions: Mapping[Role, Sequence[Suggestion]] | None = None,
    listening: bool = True,
    wav: bool = False,
    workers: int = 1,
) -> Delivered:
    """Writes the best candidate to ``out``, the others beside it as NAME-2.mid, NAME-3.mid ...; of each a REAPER
    project, a piano roll, with ``listening`` a preview, with ``wav`` the preview and the whole sound; one report,
    NAME.html; and the list of all of them (manifest.py), by which those of the last time are replaced.

    Nothing is written before all of it is made, by so many processes at once. BadInput when a file of the composer's
    own is in the way or the folder cannot be written to; Unavailable when there is no room.
    """
    from pipelines.composing import report, sound_font

    title = made.candidates[0].piece.name or out.stem
    listening = listening or wav
    font = sound_font.find(settings) if listening else None
    files = tuple(files_of(out, one.number, listening=listening, wav=wav) for one in made.candidates)
    with _writing(out), _staged(out.parent) as folder:
        staged = [files_of(folder / out.name, one.number, listening=listening, wav=wav) for one in made.candidates]
        work = [(one, names, font, title) for one, names in zip(made.candidates, staged, strict=True)]
        rendered = _side_by_side(work, min(workers, len(work), MOST_AT_ONCE) if listening else 1)
        notices = tuple(dict.fromkeys(notice for one in rendered if one is not None for notice in one.notices))
        said = font.notice if font is not None else "Nothing was rendered to listen to."
        said = " ".join(filter(None, (said, *notices)))
        page, links = folder / _page(out).name, [_links(one) for one in files]
        rolls = [(folder / one.piano_roll.name).read_bytes() for one in files]
        report.write(made, page, links, title=title, style=style, notice=said, suggestions=suggestions, rolls=rolls)
        manifest.exchange(out, folder, [one.midi.name for one in files])
    return Delivered(files, _page(out), font.name if font is not None else None, notices)


def files_of(out: Path, number: int, *, listening: bool = True, wav: bool = True) -> Files:
    """Where the candidate of this number (from 1) lies when the first one is ``out``."""
    midi = out if number == 1 else out.with_name(f"{out.stem}-{number}{out.suffix}")
    preview, whole = midi.with_suffix(".m4a") if listening or wav else None, midi.with_suffix(".wav") if wav else None
    return Files(midi, midi.with_suffix(".rpp"), midi.with_suffix(".png"), preview, whole)


def delivered(out: Path) -> list[Files]:
    """The candidates that lie there whole, as they were delivered the last time, the best first; none when one has lost
    a file (sound aside) or ``out`` is none of ours. Sounds are None where they are not."""
    try:
        listed = manifest.read(out)
    except BadInput:
        return []
    found = [files_of(out.with_name(name), 1) for name in listed.candidates] if listed is not None else []
    if not all(path.is_file() for one in found for path in (one.midi, one.project, one.piano_roll, _page(out))):
        return []
    return [Files(one.midi, one.project, one.piano_roll, _there(one.preview), _there(one.wav)) for one in found]


def hashes(out: Path) -> list[str]:
    """SHA-256 of the MIDI files that were delivered as ``out`` the last time, the best first, as they were then."""
    listed = manifest.read(out) or manifest.Manifest()
    return [listed.files[name][-1] for name in listed.candidates]


def _there(path: Path | None) -> Path | None:
    return path if path is not None and path.is_file() else None


def _page(out: Path) -> Path:
    return out.with_suffix(".html")


def _paths(files: Files) -> list[Path]:
    every = (files.midi, files.project, files.piano_roll, files.preview, files.wav)
    return [path for path in every if path is not None]


def _write(candidate: Candidate, files: Files, font: Font | None, title: str) -> Rendered | None:
    from pipelines.composing import midi_writing, piano_roll, rendering, rpp

    piece = candidate.piece
    midi_writing.write(piece, files.midi)
    replace_bytes(files.project, rpp.to_rpp(piece, files.midi.name).encode())
    replace_bytes(files.piano_roll, piano_roll.draw(piece, title=f"{title} · {candidate.number}"))
    return rendering.write(piece, files.wav, font.open(), preview=files.preview) if font is not None else None


def _side_by_side(work: Sequence[tuple[Candidate, Files, Font | None, str]], workers: int) -> list[Rendered | None]:
    """Each written, in order. A process that dies (its memory is short) leaves its work to this one."""
    if workers > 1:
        from joblib import Parallel, delayed
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        with warnings.catch_warnings():
            # A worker that has grown is replaced by a fresh one between two candidates.
            warnings.filterwarnings("ignore", message="A worker stopped while some jobs", category=UserWarning)
            try:
                found: list[Rendered | None] = Parallel(n_jobs=workers, backend="loky", pre_dispatch=workers)(
                    delayed(_write)(*one) for one in work
                )
            except TerminatedWorkerError:
                pass
            else:
                return found
    return [_write(*one) for one in work]


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """What keeps files from being written as one sentence about the file that was asked for."""
    try:
        yield
    except Unavailable as error:  # names the file that it was made in
        raise Unavailable(out, error.reason, error.retry_after) from error
    except OSError as error:
        if error.errno in NO_ROOM:
            raise Unavailable(out, "there is no room left on its disk", retry_after=60) from error
        raise BadInput(out, f"cannot be written ({error.strerror or error})", "give another --out") from error


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A folder on the same disk, gone in the end; one that a killed process left goes, too."""
    start, end = _STAGED
    for left in folder.glob(f"{start}*-*{end}"):
        pid = left.name.removeprefix(start).partition("-")[0]
        if pid.isdecimal() and not processes.lives(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    staged = folder / f"{start}{os.getpid()}-{next(_numbers)}{end}"
    staged.mkdir()
    try:
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _links(files: Files) -> Links:
    from pipelines.composing.report import Links

    preview, wav = (path.name if path is not None else None for path in (files.preview, files.wav))
    return Links(files.midi.name, files.project.name, preview, wav)
