"""A Standard MIDI File becomes a Piece: every note of every track, the maps of tempo, metre and key, and the markers.

The bytes are walked event by event (midi_events.py), for what libraries drop matters here: a note that is never let go,
a change of program in mid-track, a track's end, a division that is no division. Which part is the melody is
melody.py's.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.composing.chords import parse_chord
from pipelines.composing.midi_events import File, Track, walk
from pipelines.composing.piece import ROLES, ChordSpan, Key, KeyChange, Marker, Metre, Note, Part, Piece, Role, Tempo
from pipelines.errors import BadInput

if TYPE_CHECKING:
    from _typeshed import StrPath

MOST_BYTES = 16 * 2**20
MOST_QUARTERS = 50_000  # 8 hours at 100 a minute: beyond it lies a wrong delta time, and every grid is this long
DRUM_CHANNEL = 9
DEFAULT_QUARTER_US = 500_000
SLOWEST_DENOMINATOR = 64
TEXT_LENGTH = 200
MOST_CHORDS = 20_000
NO_CHORD = "N.C."
ROLE_TEXT = "orimono role: "  # and the role, in a text of a part's track: of a file that was written here
_TEMPO, _METRE, _KEY, _MARKER, _NAME, _INSTRUMENT, _TEXT, _LYRIC = (
    *(0x51, 0x58, 0x59, 0x06),
    *(0x03, 0x04, 0x01, 0x05),
)


def read(path: StrPath) -> Piece:
    """The piece in the MIDI file at ``path``; raises BadInput, which names the file, when it holds none."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise BadInput(path, f"cannot be read ({error.strerror})", "give the path of a MIDI file") from error
    return parse(data, path.name)


def parse(data: bytes, name: str) -> Piece:
    """The piece in a MIDI file's bytes (type 0, 1 or 2, also in a RIFF wrapper), called ``name`` in every error.

    Notes of one pitch that overlap on a channel are ended in the order in which they began. A note that is never let go
    ends where its channel's next note begins, else with its track. A note of no length gets one tick. A track that
    plays on several channels gives a part for each; channel 10 plays drums. A part's role is the one that
    midi_writing.py wrote beside it, else "other". The program is the one in force at a part's first note. Texts of a
    track without notes that are all chord symbols are the piece's chords. Tempos of 0, metres and keys that do not
    exist are passed over; a file without them has 120 a minute, 4/4, C major. Type 2's patterns sound together. Raises
    BadInput when events are cut off or impossible: half a melody is not a melody.
    """
    if len(data) > MOST_BYTES:
        raise BadInput(name, f"is larger than {MOST_BYTES // 2**20} MB", "give a MIDI file of one piece")
    file = walk(data, name)
    length = max((track.end for track in file.tracks), default=0)
    if length > MOST_QUARTERS * file.ticks_per_quarter:
        quarters = length // file.ticks_per_quarter
        raise BadInput(name, f"lasts {quarters} quarter notes, more than {MOST_QUARTERS}", "cut it, or export it again")
    maps = file.tracks[:1] if file.kind == 2 else file.tracks
    events = sorted(
        ((tick, kind, body) for track in maps for tick, kind, body in track.meta), key=lambda event: event[0]
    )
    return Piece(
        name=Path(name).stem,
        ticks_per_quarter=file.ticks_per_quarter,
        length=length,
        tempos=_tempos(events),
        metres=_metres(events),
        keys=_keys(events),
        parts=tuple(_parts(file)),
        markers=tuple(Marker(tick, text) for tick, kind, body in events if kind == _MARKER and (text := decoded(body))),
        chords=_chords(file, length),
    )


Event = tuple[int, int, bytes]  # tick, kind of meta event, its bytes


def _tempos(events: Iterable[Event]) -> tuple[Tempo, ...]:
    at = {0: DEFAULT_QUARTER_US}
    for tick, kind, body in events:
        if kind == _TEMPO and len(body) == 3 and (quarter_us := int.from_bytes(body, "big")):
            at[tick] = quarter_us
    return tuple(Tempo(tick, quarter_us) for tick, quarter_us in at.items())


def _metres(events: Iterable[Event]) -> tuple[Metre, ...]:
    at = {0: (4, 4)}
    for tick, kind, body in events:
        if kind == _METRE and len(body) >= 2 and body[0] and 2 ** min(body[1], 64) <= SLOWEST_DENOMINATOR:
            at[tick] = (body[0], 2 ** body[1])
    return tuple(Metre(tick, numerator, denominator) for tick, (numerator, denominator) in at.items())


def _keys(events: Iterable[Event]) -> tuple[KeyChange, ...]:
    at = {0: Key(0)}
    for tick, kind, body in events:
        if kind == _KEY and len(body) == 2 and body[1] <= 1:
            fifths = body[0] - 256 if body[0] > 127 else body[0]
            if abs(fifths) <= 7:
                at[tick] = Key((fifths * 7 + (9 if body[1] else 0)) % 12, bool(body[1]))
    return tuple(KeyChange(tick, key) for tick, key in at.items())


def _chords(file: File, length: int) -> tuple[ChordSpan, ...]:
    """The chord symbols of the first track without notes whose texts are all such (or N.C., where none sounds)."""
    for track in file.tracks:
        texts = [(tick, decoded(body)) for tick, kind, body in track.meta if kind == _TEXT]
        if track.notes or not 0 < len(texts) <= MOST_CHORDS:
            continue
        try:
            chords = [(tick, None if text == NO_CHORD else parse_chord(text)) for tick, text in texts]
        except BadInput:  # words, not chords
            continue
        ends = [*(tick for tick, _ in chords[1:]), length]
        return tuple(
            ChordSpan(tick, end, chord) for (tick, chord), end in zip(chords, ends, strict=True) if chord and end > tick
        )
    return ()


def _parts(file: File) -> Iterable[Part]:
    programs: dict[int, int] = {}  # of a channel, wherever in the file it was set first
    for track in file.tracks:
        for _, channel, program in track.programs:
            programs.setdefault(channel, program)
    for number, track in enumerate(file.tracks, start=1):
        name = _track_name(track)
        channels = sorted(track.notes)
        for channel in channels:
            notes = notes_of(track.notes[channel])
            own = name or f"Track {number}"
            if len(channels) > 1:
                own = f"{own} (channel {channel + 1})"
            program = next(
                (set_to for tick, on, set_to in reversed(track.programs) if on == channel and tick <= notes[0].start),
                programs.get(channel, 0),
            )
            role: Role = "drums" if channel == DRUM_CHANNEL else _role(track) if len(channels) == 1 else "other"
            yield Part(own, role, notes, program, _unkept(track, channel))


def _role(track: Track) -> Role:
    """As it was written here; a drum's is its channel's, and needs no text."""
    texts = [decoded(body) for _, kind, body in track.meta[:16] if kind == _TEXT and body[:64].startswith(b"orimono")]
    written = [text.removeprefix(ROLE_TEXT) for text in texts if text.startswith(ROLE_TEXT)]
    return next((role for role in ROLES if role in written and role != "drums"), "other")


def _unkept(track: Track, channel: int) -> tuple[str, ...]:
    lyrics = any(kind == _LYRIC for _, kind, _ in track.meta)
    return (*(["lyrics"] if lyrics else []), *sorted(track.passed_over.get(channel, ())))


def _track_name(track: Track) -> str:
    names = [
        decoded(body) for kind_wanted in (_NAME, _INSTRUMENT) for _, kind, body in track.meta if kind == kind_wanted
    ]
    return next((name for name in names if name), "")


_SET_START, _SET_DURATION, _SET_PITCH, _SET_VELOCITY = (
    getattr(Note, field).__set__ for field in ("start", "duration", "pitch", "velocity")
)


def notes_of(rows: list[tuple[int, int, int, int]]) -> tuple[Note, ...]:
    """Notes of rows (start, pitch, duration, velocity), in order.

    The slots are filled column by column: a frozen dataclass's own ``__init__`` takes a microsecond a note, which was
    most of the time that a file took.
    """
    rows.sort()
    notes = tuple(map(Note.__new__, [Note] * len(rows)))
    for set_slot, column in zip(
        (_SET_START, _SET_PITCH, _SET_DURATION, _SET_VELOCITY), zip(*rows, strict=True), strict=False
    ):
        for _ in map(set_slot, notes, column):
            pass
    return notes


def decoded(body: bytes) -> str:
    """A name or marker as text: UTF-8, else Shift JIS when that gives Japanese, else Western European; one line, no
    control characters.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = body.decode("cp932", errors="ignore")
        japanese = sum("\u3040" <= letter <= "\u9fff" for letter in text)
        if japanese * 2 < len(text.replace(" ", "")):
            text = body.decode("cp1252", errors="replace")
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:TEXT_LENGTH]
