"""Commands of composing: a melody harmonised, a candidate chosen, a composer's own style, instruments. Arguments are
cli.py's."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import BadInput
from pipelines.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pipelines.composing.arranging import Arranged
    from pipelines.composing.delivering import Delivered
    from pipelines.composing.melody import Melody
    from pipelines.composing.piece import Role
    from pipelines.composing.pop import Section
    from pipelines.composing.wishes import Wishes
    from pipelines.storage.plugins import Described
    from pipelines.studio import Studio

Answer = tuple[dict[str, Any], str]


def harmonize(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines.composing import arranging, commissions, delivering, melody, midi_reading
    from pipelines.items import workers_of
    from pipelines.media.hashing import content_hash
    from pipelines.studio import Studio

    source, out = Path(arguments.input).expanduser(), Path(arguments.out).expanduser()
    if not source.is_file():
        raise BadInput(source, "does not exist" if not source.exists() else "is no file", "give a MIDI file (.mid)")
    if not out.parent.is_dir():
        raise BadInput(out.parent, "is not a folder", "make it, or give another --out")
    if out.suffix.lower() not in (".mid", ".midi"):
        raise BadInput(out, "does not end in .mid", "arrangements are written as MIDI; give such a name")
    listening = arguments.wav or not arguments.silent
    wanted = {"listening": listening, "wav": arguments.wav}
    delivering.check(out, arguments.candidates, _inputs(arguments, source), **wanted)
    track = int(arguments.track) if (arguments.track or "").isdecimal() else arguments.track
    with source.open("rb") as file:
        found = melody.of_file(file.read(midi_reading.MOST_BYTES + 1), source.name, track)
    piece, wishes = found.piece, _wishes(arguments, found)
    owner, ids = arguments.owner, []
    if owner is None:
        made = arranging.arrange(piece, wishes)
        suggested = commissions.suggestions(None, made, wishes.style)
    else:
        studio = Studio.open(settings)
        about = commissions.Source(owner, source.name, content_hash(source))
        made, ids = commissions.arrange(studio, about, piece, wishes)
        with studio.database.session() as session:
            suggested = commissions.suggestions(session, made, wishes.style, owner)
    delivered = delivering.deliver(
        made, out, settings, style=wishes.style, suggestions=suggested, workers=workers_of(settings), **wanted
    )
    return _told(made, wishes.style, delivered, ids)


def _inputs(arguments: Namespace, source: Path) -> dict[str, Path]:
    """Files that are read, by what they are for."""
    found = {"the melody": source}
    if arguments.earlier is not None:
        found["the arrangement to go on from"] = Path(arguments.earlier).expanduser()
    if arguments.chords is not None and (file := Path(arguments.chords).expanduser()).suffix == ".txt":
        found["the file of chords"] = file
    return found


def choose(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines.composing import recording
    from pipelines.media.hashing import content_hash
    from pipelines.studio import Studio

    file = Path(arguments.file).expanduser()
    if not file.is_file():
        raise BadInput(file, "does not exist", "give a file that `orimono harmonize` wrote")
    taken = recording.choose(Studio.open(settings), arguments.owner, content_hash(file))
    took = f"candidate {taken.candidate}" if taken.candidate else "one of an earlier making"
    text = f"Kept: of {taken.among} for {taken.name}, {arguments.owner} took {took}. "
    return {"file": str(file), **asdict(taken)}, text + "What is made for them next is ranked accordingly."


def style(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines.composing import personal
    from pipelines.studio import Studio

    studio = Studio.open(settings)
    if arguments.learn is not None:
        folder = Path(arguments.learn).expanduser()
        learned = personal.learn(studio, arguments.owner, folder, consent=arguments.consent)
        result = asdict(replace(learned, style=None))
        lines = [f"version {learned.version}: {_of_pieces(learned.pieces, learned.chord_changes)}"]
        lines += [f"  left out   {name}: {reason}" for name, reason in learned.skipped]
        return {"owner": arguments.owner, **result}, "\n".join(lines)
    if arguments.forget:
        n = personal.forget(studio, arguments.owner)
        return {"owner": arguments.owner, "forgotten": n}, f"{n} versions of {arguments.owner}'s style are deleted."
    found = personal.current(studio, arguments.owner)
    if found is None:
        text = f"{arguments.owner} has no style of their own; --learn FOLDER learns one from their MIDI files."
        return {"owner": arguments.owner, "version": None}, text
    figures = {"version": found.version, "pieces": found.pieces, "chord_changes": found.chord_changes}
    told = f"{arguments.owner}'s style, version {found.version}: {_of_pieces(found.pieces, found.chord_changes)}"
    return {"owner": arguments.owner, **figures}, told


def _of_pieces(pieces: int, changes: int) -> str:
    return f"{pieces} pieces, {changes} changes of chord; `orimono harmonize --owner` uses it"


def plugins(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines.composing import suggesting
    from pipelines.studio import Studio

    studio = Studio.open(settings)
    if arguments.scan is not None:
        return _scanned(studio, [Path(folder).expanduser() for folder in arguments.scan], again=arguments.again)
    with studio.database.session() as session:
        if arguments.choose is not None:
            return _chosen(session, arguments)
        found = suggesting.suggest(session, arguments.role, arguments.style, arguments.owner, arguments.limit)
    lines = [f"  {s.score:5.1%}  {_called(s.plugin)}  ({s.reason})" for s in found]
    suggestions = [{"score": s.score, "reason": s.reason, **asdict(s.plugin)} for s in found]
    return {"role": arguments.role, "style": arguments.style, "suggestions": suggestions}, "\n".join(lines)


def _scanned(studio: Studio, folders: list[Path], *, again: bool) -> Answer:
    from pipelines.composing import plugin_scan

    found = plugin_scan.scan(studio, folders or None, again=again)
    lines = [
        f"{found.files} files in {', '.join(found.folders) or 'no folder'}: {found.plugins} plug-ins, "
        f"{found.asked} files asked, {found.gone} gone"
    ]
    lines += [f"  failed  {failure.path}: {failure.reason}" for failure in found.failures]
    return asdict(found), "\n".join(lines)


def _chosen(session: Session, arguments: Namespace) -> Answer:
    from pipelines.composing import suggesting

    if arguments.owner is None:
        raise BadInput("--choose", "does not say who chose", "add --owner NAME")
    format_, _, identifier = arguments.choose.partition(":")
    suggesting.record_choice(session, arguments.owner, arguments.role, arguments.style, format_, identifier)
    result = {"owner": arguments.owner, "role": arguments.role, "style": arguments.style, "chosen": arguments.choose}
    return result, f"Kept: {arguments.owner} took {arguments.choose} for {arguments.role} ({arguments.style})."


def _called(plugin: Described) -> str:
    return f"{plugin.name} [{plugin.format}:{plugin.identifier}]"


def _told(made: Arranged, style: str, delivered: Delivered, ids: Sequence[int]) -> Answer:
    lines = [*made.notes, *delivered.notices]
    candidates = []
    for i, (candidate, files) in enumerate(zip(made.candidates, delivered.candidates, strict=True)):
        lines.append(f"{candidate.number}. {files.midi}   {'; '.join(candidate.reasons)}")
        candidates.append(
            {
                "file": str(files.midi),
                "project": str(files.project),
                "piano_roll": str(files.piano_roll),
                "preview": str(files.preview) if files.preview else None,
                "wav": str(files.wav) if files.wav else None,
                "arrangement": ids[i] if ids else None,
                "rating": candidate.rating,
                "reasons": list(candidate.reasons),
                "measures": dict(candidate.measures),
                "seed": candidate.seed,
                "parts": [{"name": p.name, "role": p.role, "program": p.program} for p in candidate.piece.parts],
                "chords": [span.chord.symbol for span in candidate.piece.chords],
            }
        )
    lines.append(f"report {delivered.report}" + (f" (heard with {delivered.font})" if delivered.font else ""))
    result = {
        "style": style,
        "key": made.melody.key.key.name,
        "key_confidence": made.melody.key.confidence,
        "made_by": made.candidates[0].made_by,
        "notes": [*made.notes, *delivered.notices],
        "candidates": candidates,
        "report": str(delivered.report),
        "font": delivered.font,
    }
    return result, "\n".join(lines)


def _wishes(arguments: Namespace, found: Melody) -> Wishes:
    from pipelines.composing import lead_sheet, midi_reading
    from pipelines.composing.piece import key_named
    from pipelines.composing.wishes import Wishes

    earlier = None
    if arguments.earlier is not None:
        earlier = midi_reading.read(Path(arguments.earlier).expanduser())
    chords = arguments.chords
    if chords is not None and (file := Path(chords).expanduser()).suffix == ".txt":
        chords = _text(file)
    return Wishes(
        style=arguments.style,
        candidates=arguments.candidates,
        seed=arguments.seed,
        key=key_named(arguments.key) if arguments.key is not None else None,
        groove=arguments.groove,
        density=arguments.density,
        energy=arguments.energy,
        sections=tuple(_section(text) for text in arguments.section or ()),
        chords=lead_sheet.spans(chords, found) if chords is not None else (),
        earlier=earlier,
        locked_voices=frozenset(_roles(arguments.keep_voices)),
        locked_bars=frozenset(_bars(arguments.keep_bars)),
        span=_span(arguments.bars),
        track=found.track + 1,
        instruments=_instruments(arguments.instrument or ()),
    )


def _text(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as lines:
            return lines.read(1 << 16)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(file, "cannot be read as text", "give a UTF-8 file with the chords") from error


def _section(text: str) -> Section:
    """``chorus:9-16:0.8:0.9``; density and energy may be left out."""
    from pipelines.composing.pop import Section

    name, _, rest = text.partition(":")
    bars, *levels = rest.split(":")
    try:
        span = _span(bars)
        density, energy = (float(level) for level in [*levels, *("0.5", "0.5")[len(levels) :]])
    except ValueError as error:
        raise BadInput(f"section {text!r}", "is not readable", "give one such as chorus:9-16:0.8:0.9") from error
    if span is None or not name.strip():
        raise BadInput(f"section {text!r}", "has no name or no bars", "give one such as chorus:9-16:0.8:0.9")
    return Section(*span, name.strip(), density, energy)


def _span(text: str | None) -> tuple[int, int] | None:
    if not text:
        return None
    first, _, last = text.partition("-")
    if not first.isdecimal() or (last and not last.isdecimal()) or int(last or first) < int(first):
        raise BadInput(f"bars {text!r}", "are not readable", "give the first and the last bar, such as 5-8")
    return int(first), int(last or first)


def _bars(text: str | None) -> list[int]:
    spans = [_span(part.strip()) for part in (text or "").split(",")]
    return [bar for span in spans if span for bar in range(span[0], min(span[1], span[0] + 100_000) + 1)]


def _roles(text: str | None) -> list[Role]:
    from pipelines.composing.piece import ROLES

    names = [part.strip() for part in (text or "").split(",") if part.strip()]
    for name in names:
        if name not in ROLES:
            raise BadInput(f"voice {name!r}", "is not known", f"choose from {', '.join(ROLES)}")
    return [role for role in ROLES if role in names]


def _instruments(given: Sequence[str]) -> dict[Role, int]:
    """``bass=33`` or ``bass=Fretless Bass``, as General MIDI numbers or calls them."""
    from pipelines.composing import instruments

    found: dict[Role, int] = {}
    for text in given:
        name, _, wanted = text.partition("=")
        for role in _roles(name):
            if wanted.strip().isdecimal():
                found[role] = int(wanted)
                continue
            of_role = instruments.kits() if role == "drums" else instruments.programs()
            match = [one for one in of_role if one.name.casefold() == wanted.strip().casefold()]
            if not match:
                remedy = "give General MIDI's number, 0 to 127, or its name; `orimono plugins bass` suggests some"
                raise BadInput(f"instrument {wanted.strip()!r}", "is not known", remedy)
            found[role] = match[0].program
    return found
