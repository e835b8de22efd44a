"""The events of a Standard MIDI File, walked byte by byte: notes paired, programs, meta events, each track's end.

What they mean for a piece is midi_reading.py's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.errors import BadInput

MOST_EVENTS = 2_000_000
MOST_TRACKS = 256
_AGAIN = "export it from the program that made it again"
END_OF_TRACK = 0x2F
PITCH_BEND, PEDAL, PRESSURE = "pitch bends", "the pedal", "modulation and expression"
_CONTROLLERS = {1: PRESSURE, 2: PRESSURE, 11: PRESSURE, 64: PEDAL}
Row = tuple[int, int, int, int]  # start, pitch, duration, velocity


@dataclass(frozen=True, slots=True)
class Track:
    """``notes``: of each channel (0..15) that plays, rows. Times in ticks."""

    notes: dict[int, list[Row]]
    programs: list[tuple[int, int, int]]  # tick, channel, program
    meta: list[tuple[int, int, bytes]]  # tick, kind, bytes
    end: int  # at least the last note's
    passed_over: dict[int, frozenset[str]]  # of each channel: PITCH_BEND, PEDAL, PRESSURE, where it has any


@dataclass(frozen=True, slots=True)
class File:
    kind: int  # 0, 1, 2
    ticks_per_quarter: int
    tracks: list[Track]


def walk(data: bytes, name: str) -> File:
    """All tracks of a file's bytes. Chunks of other kinds are skipped, more tracks than promised and a missing end of
    track do not matter; raises BadInput when the header, an event or the bytes' end makes no sense.
    """
    start = data.find(b"MThd", 0, 256)  # a RIFF or MacBinary wrapper comes before it
    if start < 0 or len(data) < start + 14:
        raise BadInput(name, "is no MIDI file" if data else "is an empty file", "give a Standard MIDI File (.mid)")
    header = int.from_bytes(data[start + 4 : start + 8], "big")
    kind = int.from_bytes(data[start + 8 : start + 10], "big")
    division = int.from_bytes(data[start + 12 : start + 14], "big")
    if header < 6 or kind > 2:
        raise BadInput(name, f"has a damaged header (type {kind}, {header} bytes)", _AGAIN)
    if division & 0x8000:
        raise BadInput(
            name, "counts time in film frames (SMPTE) and not in beats", "export it with ticks per quarter note"
        )
    if not division:
        raise BadInput(name, "has 0 ticks in a quarter note", _AGAIN)
    tracks: list[Track] = []
    left = MOST_EVENTS
    for number, (chunk, whole) in enumerate(_chunks(data, start + 8 + header), start=1):
        if number > MOST_TRACKS:
            raise BadInput(name, f"has more than {MOST_TRACKS} tracks", "give the melody in a file of fewer tracks")
        track = _track(chunk, whole, f"track {number}", name)
        left -= sum(map(len, track.notes.values())) + len(track.meta) + len(track.programs)
        if left < 0:
            raise BadInput(name, f"has more than {MOST_EVENTS} events", "give a shorter file")
        tracks.append(track)
    promised = int.from_bytes(data[start + 10 : start + 12], "big")
    if len(tracks) < promised:
        raise BadInput(name, f"promises {promised} tracks and holds {len(tracks)}", f"its end is missing; {_AGAIN}")
    return File(kind, division, tracks)


def _chunks(data: bytes, position: int) -> Iterator[tuple[bytes, bool]]:
    """The bytes of each track, and whether all that its length promises are there."""
    while position + 8 <= len(data):
        size = int.from_bytes(data[position + 4 : position + 8], "big")
        end = position + 8 + size
        if data[position : position + 4] == b"MTrk":
            yield data[position + 8 : end], end <= len(data)
        position = end


def _track(data: bytes, whole: bool, where: str, name: str) -> Track:
    played: list[list[Row]] = [[] for _ in range(16)]
    programs: list[tuple[int, int, int]] = []
    meta: list[tuple[int, int, bytes]] = []
    others: dict[int, set[int]] = {}  # of a channel: controllers that were moved, -1 for its pitch
    sounding: dict[int, tuple[int, int]] = {}  # of channel * 128 + pitch: (start, velocity)
    begun_again: dict[int, deque[tuple[int, int]]] = {}  # the same, of those begun while it sounded
    tick = position = status = last = 0
    ended = False
    size = len(data)
    try:
        while position < size:
            byte = data[position]
            position += 1
            if byte < 0x80:
                tick += byte
            elif (second := data[position]) < 0x80:  # most delta times have one byte or two
                tick += (byte & 0x7F) << 7 | second
                position += 1
            else:
                value, position = _number(data, position - 1)
                tick += value
            byte = data[position]
            if byte >= 0x80:
                position += 1
                if byte >= 0xF0:  # running status does not outlive these by the standard; files exist that count on it
                    if byte == 0xFF:
                        kind = data[position]
                        count, position = _number(data, position + 1)
                        if kind == END_OF_TRACK:
                            ended = True
                            break
                        meta.append((tick, kind, data[position : position + count]))
                        position += count
                    elif byte in (0xF0, 0xF7):
                        count, position = _number(data, position)
                        position += count
                    elif byte < 0xF8:
                        raise BadInput(name, f"is damaged in {where} (byte {byte:#x} where an event begins)", _AGAIN)
                    if position > size:
                        raise IndexError
                    continue
                status = byte
            if 0x80 <= status < 0xA0:
                pitch = data[position]
                velocity = data[position + 1]
                position += 2
                if (pitch | velocity) > 127:
                    what = f"has a note of pitch {pitch}, velocity {velocity} in {where}"
                    raise BadInput(name, what, f"MIDI has 0 to 127; {_AGAIN}")
                voice = (status & 15) << 7 | pitch
                if velocity and status >= 0x90:
                    if voice not in sounding:
                        sounding[voice] = tick, velocity
                    else:
                        begun_again.setdefault(voice, deque()).append((tick, velocity))
                elif voice in sounding:
                    start, velocity = sounding.pop(voice)
                    if start == tick:
                        last = tick + 1
                    played[status & 15].append((start, pitch, tick - start or 1, velocity))
                    if waiting := begun_again.get(voice):
                        sounding[voice] = waiting.popleft()
            elif not status:
                raise BadInput(name, f"is damaged in {where} (data where an event should begin)", _AGAIN)
            else:
                if 0xC0 <= status < 0xD0:
                    programs.append((tick, status & 15, data[position] & 0x7F))
                position += 1 if 0xC0 <= status < 0xE0 else 2
                if position > size:
                    raise IndexError
                if status & 0xF0 == 0xB0:  # most programs send every controller once at its rest
                    if data[position - 1] not in (0, 127):
                        others.setdefault(status & 15, set()).add(data[position - 2])
                    elif data[position - 2] == 64 and data[position - 1]:
                        others.setdefault(status & 15, set()).add(64)
                elif status >= 0xE0 and data[position - 2 : position] != b"\x00\x40":
                    others.setdefault(status & 15, set()).add(-1)
    except IndexError:
        raise BadInput(name, f"ends in the middle of {where}", f"its end is missing; {_AGAIN}") from None
    if not (ended or whole):
        raise BadInput(name, f"ends in the middle of {where}", f"its end is missing; {_AGAIN}")
    held = [(voice, *begun) for voice, begun in sounding.items()]
    held += [(voice, *begun) for voice, waiting in begun_again.items() for begun in waiting]
    end = max(tick, last, _let_go(held, played, tick))
    named = _CONTROLLERS | {-1: PITCH_BEND}
    passed_over = {channel: frozenset(named[one] for one in moved if one in named) for channel, moved in others.items()}
    return Track({channel: rows for channel, rows in enumerate(played) if rows}, programs, meta, end, passed_over)


def _number(data: bytes, position: int) -> tuple[int, int]:
    """A variable-length number of at most four bytes, and where it ends; raises IndexError beyond that."""
    value = 0
    for after in range(position + 1, position + 5):
        byte = data[after - 1]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, after
    raise IndexError


def _let_go(held: list[tuple[int, int, int]], played: list[list[Row]], end: int) -> int:
    """Ends the notes (voice, start, velocity) that nobody ended: where the channel's next note begins, so that a melody
    stays one voice, else at the track's end, which is returned.
    """
    starts = {}
    for channel in {voice >> 7 for voice, _, _ in held}:
        own = {start for voice, start, _ in held if voice >> 7 == channel}
        starts[channel] = sorted(own.union(row[0] for row in played[channel]))
    for voice, start, velocity in held:
        begun = starts[voice >> 7]
        later = bisect_right(begun, start)
        after = begun[later] if later < len(begun) else max(end, start + 1)
        end = max(end, after)
        played[voice >> 7].append((start, voice & 127, after - start, velocity))
    return end
