"""Pieces built by hand for what looks at and listens to music, where the arrangers are not what is tested."""

from __future__ import annotations

from pipelines.composing.piece import Chord, ChordSpan, Key, KeyChange, Marker, Metre, Note, Part, Piece, Tempo

QUARTER = 480
_I = Chord(0, (0, 4, 7), 0, "C")
_IV = Chord(5, (0, 5, 9), 5, "F")
_V = Chord(7, (2, 5, 7, 11), 7, "G7")
_VI = Chord(9, (0, 4, 7, 9), 9, "Am7")


def notes(pitches: list[int], length: int = QUARTER, *, start: int = 0, velocity: int = 80) -> tuple[Note, ...]:
    """One after the other, each ``length`` ticks; below 0 is a rest."""
    return tuple(Note(start + i * length, length, p, velocity) for i, p in enumerate(pitches) if p >= 0)


def pop_song(bars: int = 16) -> Piece:
    """A melody with bass, chords and drums over C Am7 F G7, in two sections."""
    tune = [64, 67, 72, 71, 69, 64, 60, 62, 65, 69, 72, 70, 71, 67, 62, 65] * (bars // 4 + 1)
    spans, bass, pads, drums = [], [], [], []
    for bar in range(bars):
        chord, at = (_I, _VI, _IV, _V)[bar % 4], bar * 4 * QUARTER
        spans.append(ChordSpan(at, at + 4 * QUARTER, chord))
        low = 36 + chord.bass
        bass += [
            Note(at, 3 * QUARTER // 2, low, 92),
            Note(at + 2 * QUARTER, 2 * QUARTER, low + 7 if low < 44 else low, 84),
        ]
        pads += [Note(at, 4 * QUARTER, 48 + (p - 0) % 12, 62) for p in chord.pitch_classes]
        for beat in range(4):
            start = at + beat * QUARTER
            drums += [Note(start, 60, 42, 70), Note(start + QUARTER // 2, 60, 42, 50)]
            drums.append(Note(start, 60, 36 if beat % 2 == 0 else 38, 96))
        if bar % 8 == 0:
            drums.append(Note(at, 60, 49, 90))
    return Piece(
        name="A hand-made song",
        ticks_per_quarter=QUARTER,
        length=bars * 4 * QUARTER,
        tempos=(Tempo(0, 500_000),),
        metres=(Metre(0, 4, 4),),
        keys=(KeyChange(0, Key(0)),),
        parts=(
            Part("Melody", "melody", notes(tune[: bars * 4], velocity=96), 73),
            Part("Electric piano", "pad", tuple(sorted(pads)), 4),
            Part("Bass", "bass", tuple(sorted(bass)), 33),
            Part("Drums", "drums", tuple(sorted(drums))),
        ),
        markers=(Marker(0, "Verse"), Marker(min(8, bars // 2) * 4 * QUARTER, "Chorus")),
        chords=tuple(spans),
    )


def waltz() -> Piece:
    """Four voices, a pick-up bar of one quarter, then 3/4, B flat major, a slower tempo half way."""
    metres = (Metre(0, 1, 4), Metre(QUARTER, 3, 4))
    length = QUARTER * 25
    soprano = [65, 70, 72, 74, 70, 74, 75, 74, 72, 70, 69, 70, 72, 74, 75, 77, 74, 70, 72, 75, 74, 72, 70, 69, 70]
    tonic, dominant = Chord(10, (2, 5, 10), 10, "Bb"), Chord(5, (0, 3, 5, 9), 5, "F7/A")
    spans = tuple(ChordSpan(QUARTER * (1 + 3 * i), QUARTER * (4 + 3 * i), (tonic, dominant)[i % 2]) for i in range(8))
    return Piece(
        name="Waltz $by hand$",
        ticks_per_quarter=QUARTER,
        length=length,
        tempos=(Tempo(0, 600_000), Tempo(13 * QUARTER, 700_000)),
        metres=metres,
        keys=(KeyChange(0, Key(10)),),
        parts=(
            Part("Soprano", "melody", notes(soprano), 52),
            Part("Alto", "alto", notes([p - 5 for p in soprano]), 52),
            Part("Tenor", "tenor", notes([p - 12 for p in soprano]), 52),
            Part("Bass", "bass", notes([p - 20 for p in soprano]), 52),
        ),
        chords=spans,
    )


def empty() -> Piece:
    return Piece("", QUARTER, 0, (Tempo(0, 500_000),), (Metre(0, 4, 4),), (KeyChange(0, Key(0)),), ())
