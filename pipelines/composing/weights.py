"""What weighs how much when voices are chosen, with the figures of the validation split that chose it.

What the weights weigh is in voicings.py, chorale.py and ornaments.py; nothing here has seen the test split.
"""

from __future__ import annotations

from dataclasses import dataclass

REACH = 13  # semitones up or down that `Weights.intervals` tells apart; the last stands for all beyond the octave


@dataclass(frozen=True, slots=True)
class Weights:
    """Costs and rewards in nats, but for the ``gain_`` ones, which weigh expected right notes (probabilities)."""

    # The candidates of a beat: how many, from how many pitches of each voice.
    candidates: int = 48
    pitches: int = 8
    # A voicing: the chord head beside the three voices, and what rules cost.
    chord: float = 0.5
    crossing: float = 2.0
    gap: float = 1.0
    range: float = 1.5  # a semitone beyond
    doubled_leading_note: float = 1.5
    missing_chord_note: float = 3.0  # of a chord that the composer gave
    # From a voicing to the next. ``intervals``: alto, tenor, bass; from REACH semitones down to as many up.
    intervals: tuple[tuple[float, ...], ...] = ((0.0,) * (2 * REACH + 1),) * 3
    parallel: float = 8.0
    contrary: float = 3.0
    hidden: float = 0.0
    # Which path is chosen: expected right notes + gain_chord x expected right chords, rules in the same currency.
    gain_chord: float = 0.5
    gain_motion: float = 0.0
    gain_parallel: float = 3.0
    gain_contrary: float = 1.0
    gain_crossing: float = 0.3
    # Ornaments inside the beat.
    move: float = 0.0  # what leaving the note costs
    clash: float = 0.1  # a second or a tritone between two voices that move at once
    ornament_parallel: float = 2.0
    ornament_contrary: float = 0.5
    ornament_crossing: float = 1.0


CHOSEN = Weights()
