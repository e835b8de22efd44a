"""Accompaniment: the messages of a live session, and sketches of small melodies at once.

A session's messages are JSON texts. The player sends ``start`` first, then notes as they are played and ``advance``
once a beat; each ``advance`` has one answer, ``committed`` or ``silent``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from pipelines.composing.piece import Role
from serving.wire.base import Answered, Asked, Problem

SUBPROTOCOL = "orimono.live.v1"
BEARER = "bearer."  # a subprotocol that carries a key or token, for browsers, which cannot set headers
LONGEST_MESSAGE = 4096  # bytes
MESSAGES_PER_SECOND = 100
MOST_NOTES = 256  # of a sketch's melody
MOST_BEATS = 256.0

Style = Literal["chorale", "pop"]
Beat: TypeAlias = Annotated[
    float, Field(strict=True, gt=-1e7, lt=1e7, allow_inf_nan=False, description="beats from the start")
]
Pitch: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=127, description="as in MIDI")]
Velocity: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=127, description="as in MIDI; 0 ends the note")]
Share: TypeAlias = Annotated[float, Field(strict=True, ge=0, le=1)]
Metre: TypeAlias = Annotated[
    tuple[Annotated[int, Field(strict=True, ge=1, le=32)], Literal[1, 2, 4, 8, 16]], Field(examples=[[4, 4], [6, 8]])
]
KeyName: TypeAlias = Annotated[str, Field(min_length=1, max_length=20, examples=["D minor"])]
Groove: TypeAlias = Annotated[str, Field(min_length=1, max_length=60)]
Seed: TypeAlias = Annotated[int, Field(strict=True, ge=0, lt=2**31)]


class Start(Asked):
    """The first message. ``token``: the API key or token, where neither header nor subprotocol carried one."""

    type: Literal["start"]
    token: Annotated[str | None, Field(max_length=8192, repr=False)] = None
    style: Style = "pop"
    tempo: Annotated[float, Field(strict=True, ge=10, le=500, description="beats a minute")] = 100.0
    metre: Metre = (4, 4)
    key: Annotated[KeyName | None, Field(description="guessed while somebody plays when left out")] = None
    seed: Seed = 0
    groove: Groove | None = None
    density: Share | None = None
    energy: Share | None = None


class NoteOn(Asked):
    type: Literal["note_on"]
    beat: Beat
    pitch: Pitch
    velocity: Velocity = 80


class NoteOff(Asked):
    type: Literal["note_off"]
    beat: Beat
    pitch: Pitch


class Advance(Asked):
    """It is ``beat`` now: what is to be played in the next one?"""

    type: Literal["advance"]
    beat: Beat


class Stop(Asked):
    """The player has finished; the connection is closed with 1000."""

    type: Literal["stop"]


Played: TypeAlias = Annotated[Start | NoteOn | NoteOff | Advance | Stop, Field(discriminator="type")]


class LivePart(Answered):
    role: Role
    name: str
    program: Annotated[int, Field(description="General MIDI, 0 to 127")]


class Ready(Answered):
    """The session has begun."""

    type: Literal["ready"] = "ready"
    ticks_per_beat: int
    beats_per_bar: int
    parts: Annotated[tuple[LivePart, ...], Field(description="those that may play")]
    made_by: Annotated[str, Field(description="version of the harmonizer, or rules")]


class LiveEvent(Answered):
    """A note of one part begins (``velocity`` 1 to 127) or ends (0). ``tick``: 480 a quarter, beat 0 is 0."""

    tick: int
    velocity: int
    role: Role
    pitch: int


class Committed(Answered):
    """All that is to be played in ``beat``; it is never taken back."""

    type: Literal["committed"] = "committed"
    beat: int
    events: tuple[LiveEvent, ...]
    chord: Annotated[str | None, Field(description="as a lead sheet has it; null when all have stopped")]
    key: str


class Silent(Answered):
    """Nothing new: nobody has played yet, all have stopped, or the beat is decided already."""

    type: Literal["silent"] = "silent"
    beat: float


class Trouble(Answered):
    """A message was refused, and the session goes on; or, before the connection is closed, why it is."""

    type: Literal["problem"] = "problem"
    problem: Problem


Told: TypeAlias = Annotated[Ready | Committed | Silent | Trouble, Field(discriminator="type")]
PLAYED: TypeAdapter[Start | NoteOn | NoteOff | Advance | Stop] = TypeAdapter(Played)
TOLD: TypeAdapter[Ready | Committed | Silent | Trouble] = TypeAdapter(Told)

CLOSES: dict[int, str] = {
    1000: "the player stopped",
    1003: "a message was no text",
    1007: "a message was no JSON object of a known type",
    1008: "no key, a key without the scope live, a foreign origin, or messages came too fast",
    1009: "a message was too long",
    1011: "Orimono itself failed",
    1012: "the server ends; connect again, after the seconds that its last message names",
    1013: "as many play as there is room for; connect again, after the seconds that its last message names",
}


class LiveProtocol(Answered):
    """How to speak to the WebSocket of the same address. ``played`` and ``told`` are JSON schemas of the messages."""

    subprotocol: str = SUBPROTOCOL
    bearer_subprotocol: Annotated[str, Field(description="before a key or token, as a second subprotocol")] = BEARER
    longest_message: int = LONGEST_MESSAGE
    messages_per_second: int = MESSAGES_PER_SECOND
    closes: dict[int, str] = CLOSES
    played: dict[str, Any]
    told: dict[str, Any]


SungNote: TypeAlias = Annotated[
    tuple[
        Annotated[float, Field(strict=True, ge=0, le=MOST_BEATS, allow_inf_nan=False)],
        Annotated[float, Field(strict=True, gt=0, le=MOST_BEATS, allow_inf_nan=False)],
        Pitch,
    ],
    Field(description="start and length in quarter notes, pitch as in MIDI", examples=[[0.0, 1.0, 67]]),
]


class SketchWish(Asked):
    """A small melody: notes, or a MIDI file in base64."""

    melody: Annotated[
        Annotated[tuple[SungNote, ...], Field(min_length=1, max_length=MOST_NOTES)]
        | Annotated[str, Field(min_length=1, max_length=200_000, description="a MIDI file in base64")],
        Field(examples=[[[0, 1, 60], [1, 1, 62], [2, 2, 64]]]),
    ]
    style: Style = "chorale"
    candidates: Annotated[int, Field(strict=True, ge=1, le=4)] = 1
    seed: Seed = 0
    tempo: Annotated[
        float, Field(strict=True, ge=10, le=500, description="quarters a minute, of notes; a file has its own")
    ] = 100.0
    metre: Annotated[Metre, Field(description="of notes; a file has its own")] = (4, 4)
    key: Annotated[KeyName | None, Field(description="found by listening when left out")] = None
    groove: Groove | None = None
    density: Share | None = None
    energy: Share | None = None
    chords: Annotated[str | None, Field(max_length=4000, description="chords to follow, as a lead sheet has them")] = (
        None
    )


class SketchPart(Answered):
    role: Role
    name: str
    program: int
    notes: Annotated[
        tuple[tuple[float, float, int, int], ...],
        Field(description="start and length in quarter notes, pitch, velocity"),
    ]


class SketchChord(Answered):
    start: Annotated[float, Field(description="quarter notes")]
    length: float
    symbol: str


class SketchCandidate(Answered):
    number: Annotated[int, Field(description="1 is the best")]
    rating: float
    reasons: tuple[str, ...]
    measures: dict[str, float]
    parts: tuple[SketchPart, ...]
    chords: tuple[SketchChord, ...]
    midi: Annotated[str, Field(description="the same as a MIDI file, in base64")]


class Sketch(Answered):
    """Nothing of it is kept; make a job of the melody to keep its arrangements."""

    style: Style
    key: str
    key_confidence: float
    made_by: str
    notes: Annotated[tuple[str, ...], Field(description="sentences about what was found and done")]
    candidates: tuple[SketchCandidate, ...]
