"""A Piece as a REAPER project: tempo map, metres, markers, chord symbols, and a track a part with its notes.

The MIDI file beside it is midi_writing.py's.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import numpy as np

from pipelines.composing.midi_writing import channels, part_events
from pipelines.composing.piece import Part, Piece

_SQUARE = 1  # a tempo that holds until the next, not a ramp
_OWN_SPACE = uuid.UUID("5b0c1f6e-6f0e-4a55-9d5c-2f6f3e5d8a11")


def to_rpp(piece: Piece, midi_name: str) -> str:
    """The text of an .rpp file that holds all of ``piece``; its notes name ``midi_name``, the file it belongs to.

    Positions are seconds from the start, notes are in ticks as they were. Tempo markers are square; a metre stands in
    the marker at its tick. Chord symbols are text items on a track of their own. The same piece gives the same text.
    """
    tempo, metre = piece.tempos[0], piece.metres[0]
    clock = _Clock(piece)
    lines = [
        '<REAPER_PROJECT 0.1 "7.0" 0',
        f"  TEMPO {_bpm(tempo.quarter_us)} {metre.numerator} {metre.denominator}",
        "  <NOTES 0 2",
        f"    |{_plain(piece.name)}: the project of {_plain(midi_name)}",
        "  >",
        *_tempo_map(piece, clock),
    ]
    lines.extend(
        f"  MARKER {number} {clock.at(marker.tick)} {_quoted(marker.text)} 0"
        for number, marker in enumerate(piece.markers, start=1)
    )
    if piece.chords:
        lines.extend(_chords(piece, clock))
    for number, (part, channel) in enumerate(zip(piece.parts, channels(piece), strict=True)):
        lines.extend(_track(piece, part, channel, number, clock))
    return "\n".join([*lines, ">", ""])


class _Clock:
    """Seconds of ticks, for many questions: Piece.seconds walks the tempo map at each."""

    def __init__(self, piece: Piece) -> None:
        self._ticks = np.array([tempo.tick for tempo in piece.tempos], dtype=np.float64)
        self._rates = np.array([tempo.quarter_us for tempo in piece.tempos]) / piece.ticks_per_quarter / 1e6
        self._moments = np.concatenate([[0.0], np.cumsum(np.diff(self._ticks) * self._rates[:-1])])

    def at(self, tick: int) -> str:
        return f"{self.seconds(tick):.9f}"

    def seconds(self, tick: int) -> float:
        under = int(np.searchsorted(self._ticks, tick, side="right")) - 1
        return float(self._moments[under] + (tick - self._ticks[under]) * self._rates[under])


def _tempo_map(piece: Piece, clock: _Clock) -> Iterator[str]:
    tempos = {tempo.tick: tempo.quarter_us for tempo in piece.tempos}
    metres = {metre.tick: metre for metre in piece.metres}
    yield "  <TEMPOENVEX"
    yield "    ACT 1 -1"
    quarter_us = piece.tempos[0].quarter_us
    for tick in sorted({*tempos, *metres}):
        quarter_us = tempos.get(tick, quarter_us)
        metre = metres.get(tick)
        signature = metre.denominator << 16 | metre.numerator if metre else 0
        yield f"    PT {clock.at(tick)} {_bpm(quarter_us)} {_SQUARE} {signature}"
    yield "  >"


def _track(piece: Piece, part: Part, channel: int, number: int, clock: _Clock) -> Iterator[str]:
    yield f"  <TRACK {_identity(piece, number)}"
    yield f"    NAME {_quoted(part.name)}"
    yield "    <ITEM"
    yield "      POSITION 0"
    yield f"      LENGTH {clock.at(max(piece.length, 1))}"
    yield "      LOOP 0"
    yield f"      NAME {_quoted(part.name)}"
    yield "      <SOURCE MIDI"
    yield f"        HASDATA 1 {piece.ticks_per_quarter} QN"
    at = 0
    for tick, _, event in part_events(part, channel):
        yield f"        E {tick - at} " + " ".join(f"{byte:02x}" for byte in event.ljust(3, b"\0"))
        at = tick
    yield f"        E {max(piece.length - at, 0)} {0xB0 | channel:02x} 7b 00"  # all notes off: where the source ends
    yield "      >"
    yield "    >"
    yield "  >"


def _chords(piece: Piece, clock: _Clock) -> Iterator[str]:
    yield f"  <TRACK {_identity(piece, -1)}"
    yield '    NAME "Chord symbols"'
    for span in piece.chords:
        begin, end = clock.seconds(span.start), clock.seconds(span.end)
        yield "    <ITEM"
        yield f"      POSITION {begin:.9f}"
        yield f"      LENGTH {end - begin:.9f}"
        yield "      <NOTES"
        yield f"        |{_plain(span.chord.symbol)}"
        yield "      >"
        yield "    >"
    yield "  >"


def _identity(piece: Piece, number: int) -> str:
    return "{" + str(uuid.uuid5(_OWN_SPACE, f"{piece.name} {number}")).upper() + "}"


def _bpm(quarter_us: int) -> str:
    return f"{60e6 / quarter_us:.10g}"


def _plain(text: str) -> str:
    return " ".join(text.split())


def _quoted(text: str) -> str:
    """A string as REAPER quotes it: in the first of three kinds of quotes that is not inside."""
    plain = _plain(text)
    quote = next((quote for quote in "\"'`" if quote not in plain), "`")
    return f"{quote}{plain.replace('`', chr(39)) if quote == '`' else plain}{quote}"
