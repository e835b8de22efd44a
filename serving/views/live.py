"""Accompaniment: what a live session needs, and sketches of small melodies at once."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from pipelines.errors import BadInput, OrimonoError
from pipelines.identity.callers import Caller
from serving.api.harmonizers import Harmonizers
from serving.api.house import House
from serving.wire import live as wire

if TYPE_CHECKING:
    from pipelines.composing.arranging import Arranged, Candidate
    from pipelines.composing.live import Accompanist, Committed
    from pipelines.composing.melody import Melody
    from pipelines.composing.own_pieces import PersonalStyle
    from pipelines.composing.piece import Piece
    from pipelines.composing.taste import Taste
    from pipelines.composing.wishes import Wishes

_TICKS = 480  # a quarter, of a melody that comes as notes


def protocol() -> wire.LiveProtocol:
    """What documents the WebSocket."""
    return wire.LiveProtocol(played=wire.PLAYED.json_schema(), told=wire.TOLD.json_schema(mode="serialization"))


def accompanist(house: House, caller: Caller, start: wire.Start) -> tuple[Accompanist, wire.Ready]:
    """Who accompanies this player, and what they are told first. BadInput for wishes that cannot be had."""
    from pipelines.composing.live import Accompanist
    from pipelines.composing.piece import key_named

    key = None if start.key is None else key_named(start.key)
    wishes = (key, start.metre, start.tempo, start.style, start.seed)
    moods = {"groove": start.groove, "density": start.density, "energy": start.energy}
    if start.style == "pop":
        made, made_by = Accompanist(*wishes, **moods), "rules"  # type: ignore[arg-type]
    else:
        with house.one(Harmonizers).of(caller.name) as served:
            made, made_by = Accompanist(*wishes, harmonizer=served.harmonizer), served.version
    parts = tuple(wire.LivePart(role=role, name=name, program=at) for role, (name, at) in made.names.items())
    ticks, beats = made.pulse.ticks, made.pulse.beats
    return made, wire.Ready(ticks_per_beat=ticks, beats_per_bar=beats, parts=parts, made_by=made_by)


def committed(found: Committed | None, beat: float) -> wire.Committed | wire.Silent:
    if found is None:
        return wire.Silent(beat=beat)
    events = tuple(
        wire.LiveEvent.model_construct(tick=one.tick, velocity=one.velocity, role=one.role, pitch=one.pitch)
        for one in found.events
    )
    chord = None if found.chord is None else found.chord.symbol
    return wire.Committed(beat=found.beat, events=events, chord=chord, key=found.key.name)


def sketch(house: House, caller: Caller, wish: wire.SketchWish) -> wire.Sketch:
    """Arrangements of a small melody, now. BadInput in the command line's words; Unavailable when it takes too long or
    others are before it."""
    return house.one(Harmonizers).at_most(lambda: _sketch(house, caller, wish))


def _sketch(house: House, caller: Caller, wish: wire.SketchWish) -> wire.Sketch:
    from pipelines.composing import arranging, melody

    found = melody.find(_notes(wish)) if not isinstance(wish.melody, str) else _file(wish.melody)
    wishes = _wishes(wish, found)
    style, taste, said = _own(house, caller)
    with house.one(Harmonizers).of(caller.name) as served:
        made = arranging.arrange(found.piece, wishes, harmonizer=served.harmonizer, taste=taste, style=style)
    return _told(wish, made, said)


def _wishes(wish: wire.SketchWish, found: Melody) -> Wishes:
    from pipelines.composing import lead_sheet
    from pipelines.composing.piece import key_named
    from pipelines.composing.wishes import Wishes

    return Wishes(
        style=wish.style,
        candidates=wish.candidates,
        seed=wish.seed,
        key=None if wish.key is None else key_named(wish.key),
        groove=wish.groove,
        density=wish.density,
        energy=wish.energy,
        chords=() if wish.chords is None else lead_sheet.spans(wish.chords, found),
        track=found.track + 1,
    )


def _notes(wish: wire.SketchWish) -> Piece:
    from pipelines.composing.piece import Key, KeyChange, Metre, Note, Part, Piece, Tempo

    assert not isinstance(wish.melody, str)
    notes = sorted(
        Note(round(start * _TICKS), max(1, round(length * _TICKS)), pitch) for start, length, pitch in wish.melody
    )
    return Piece(
        "the melody",
        _TICKS,
        max(note.end for note in notes),
        (Tempo(0, round(60e6 / wish.tempo)),),
        (Metre(0, *wish.metre),),
        (KeyChange(0, Key(0)),),
        (Part("Melody", "melody", tuple(notes)),),
    )


def _file(text: str) -> Melody:
    from pipelines.composing import melody

    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        remedy = "give a MIDI file in base64, or notes as [start, length, pitch]"
        raise BadInput("the melody", "is not base64", remedy) from error
    found = melody.of_file(data, "the melody")
    beats = found.piece.length / found.piece.ticks_per_quarter
    if len(found.part.notes) > wire.MOST_NOTES or beats > wire.MOST_BEATS:
        reason = f"has {len(found.part.notes)} notes over {beats:.0f} quarters"
        remedy = f"sketches are of at most {wire.MOST_NOTES} over {wire.MOST_BEATS:.0f}; make a job of it"
        raise BadInput("the melody", reason, remedy)
    return found


def _own(house: House, caller: Caller) -> tuple[PersonalStyle | None, Taste | None, tuple[str, ...]]:
    """What is known of this composer, and a sentence when it cannot be asked for."""
    from pipelines.composing import personal, taste

    try:
        return personal.current(house.studio, caller.name), taste.of(house.studio, caller.name), ()
    except OrimonoError as error:
        return None, None, (f"Your own style and taste are left out: {error}.",)


def _told(wish: wire.SketchWish, made: Arranged, said: tuple[str, ...]) -> wire.Sketch:
    key = made.melody.key
    return wire.Sketch(
        style=wish.style,
        key=key.key.name,
        key_confidence=key.confidence,
        made_by=made.candidates[0].made_by,
        notes=made.notes + said,
        candidates=tuple(_candidate(one) for one in made.candidates),
    )


def _candidate(candidate: Candidate) -> wire.SketchCandidate:
    from pipelines.composing import midi_writing

    piece = candidate.piece
    quarter = piece.ticks_per_quarter
    parts = tuple(
        wire.SketchPart(
            role=part.role,
            name=part.name,
            program=part.program,
            notes=tuple((n.start / quarter, n.duration / quarter, n.pitch, n.velocity) for n in part.notes),
        )
        for part in piece.parts
    )
    chords = tuple(
        wire.SketchChord(start=s.start / quarter, length=(s.end - s.start) / quarter, symbol=s.chord.symbol)
        for s in piece.chords
    )
    return wire.SketchCandidate(
        number=candidate.number,
        rating=candidate.rating,
        reasons=candidate.reasons,
        measures={name: float(value) for name, value in candidate.measures.items()},
        parts=parts,
        chords=chords,
        midi=base64.b64encode(midi_writing.to_bytes(piece)).decode(),
    )
