"""What weighs how much when voices are chosen, with the figures of the validation split that chose it.

What the weights weigh is in voicings.py, motion.py, decoding.py and ornaments.py; nothing here has seen the test split.

Frame accuracy on valid (keys given, network and memory as first shipped together): voices and chord 1 .449 (chords on
beats .489), 1.3 .449 (.491), 1.6 .451 (.492), 2 .452 (.493), 2.5 .451 (.493), 3 .451 (.494); intervals twice or half as
heavy: the same to .001. With an earlier network, on a plateau of .445: candidates 96, not 48, gain_parallel 1, or a
second pass of the network over every other beat, the others known: the same to .001 (not kept); no intervals learned
-.001; gain_chord 0 -.001 (and chords on beats .478 instead of .491), 2 -.001 (.491). ``move``: 0 leaves the note on the
half beat in 5 to 9 of 100 beats and has .377 of Bach's onsets, -.7 in 9 to 17 (Bach 21 to 26) and .382.

The rules by place and pitch class (above_melody to picardy, turned), keys estimated, one network: frames .4391 without
and .4414 with them, chords on beats .4857 and .4855; with the next network .4460 and .4485, .4887 and .4898. low_bass
.3 .4394, 1.5 .4406, 3 .4412, 6 .4413; approach, closing and last at 0 or more than they are: the same to .0001, for the
valid split ends so anyway, and folk tunes do not. False relations on eighths: Bach in 28 of 10,000, made 0; more than
one second in a chord: Bach in 46 of 1,000 beats, made 2. ``move`` -.1, -.4, -.7: frames .4418, .4413, .4409, and .376,
.378, .381 of the onsets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

REACH = 13  # semitones up or down that `Weights.intervals` tells apart; the last stands for all beyond the octave
# Half of what a conditional random field learned by maximum likelihood (L2 of 1) on the two halves of valid, averaged:
# it explains the beats that have their voicing among the candidates at .79 nats a note on the half it has not seen,
# .91 without. Whole, it costs accuracy (.435), for the network knows much of the motion already. Down, none, up.
# fmt: off
_INTERVALS = (
    (
        0.00, -0.02, -0.01, 0.04, -0.22, -0.20, -0.53, -0.16, -0.08, 0.02, 0.17, 0.54, 0.38,
        0.43,
        0.37, 0.24, 0.21, -0.02, -0.09, -0.04, -0.57, -0.14, -0.19, -0.02, -0.02, -0.09, 0.00,
    ),  # alto
    (
        -0.02, -0.19, -0.04, -0.26, -0.58, -0.46, 0.04, -0.26, 0.10, 0.38, 0.40, 0.66, 0.52,
        0.70,
        0.55, 0.38, 0.33, 0.19, -0.04, -0.35, -0.44, -0.54, -0.70, -0.13, -0.08, -0.12, -0.04,
    ),  # tenor
    (
        -0.58, -0.30, -0.55, -0.54, -0.34, -0.31, 0.50, 0.19, 0.43, 0.54, 0.57, 0.45, 0.60,
        0.44,
        0.66, 0.61, 0.36, 0.24, 0.36, -0.33, 0.17, -0.48, -0.68, -0.60, -0.45, -0.31, -0.65,
    ),  # bass
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Weights:
    """Costs and rewards in nats, but for the ``gain_`` ones, which weigh expected right notes (probabilities)."""

    # The candidates of a beat: how many, from how many pitches of each voice.
    candidates: int = 48
    pitches: int = 8
    # A voicing: what is thought of the three voices and of the chord, and what rules cost.
    voices: float = 2.0
    chord: float = 2.2
    crossing: float = 3.0
    gap: float = 1.0
    range: float = 1.5  # a semitone beyond
    doubled_leading_note: float = 1.5
    missing_chord_note: float = 3.0  # of a chord that the composer gave
    above_melody: float = 24.0  # a voice on the beat; as good as forbidden
    dip: float = 2.0  # a voice above a melody that dips inside the beat
    false_relation: float = 24.0
    cluster: float = 1.5  # a pair of notes a second apart beyond the first
    hollow: float = 2.0  # a chord without its third
    low_bass: float = 3.0  # a semitone below E2
    deepest_bass: float = 12.0  # below C2
    # By the beat's place: a first chord that is no tonic, one before the last that is no dominant, a last one that is
    # no tonic upon its root; in minor, a last chord with a major third.
    opening: float = 8.0
    approach: float = 6.0
    closing: float = 10.0
    last: float = 12.0
    picardy: float = 1.0
    # From a voicing to the next. ``intervals``: alto, tenor, bass; from REACH semitones down to as many up.
    intervals: tuple[tuple[float, ...], ...] = _INTERVALS
    parallel: float = 8.0
    contrary: float = 3.0
    turned: float = 4.0  # a root that stays while its third changes between minor and major
    # Which path is chosen: expected right notes + gain_chord x expected right chords, rules in the same currency.
    gain_chord: float = 0.7
    gain_motion: float = 0.02
    gain_parallel: float = 3.0
    gain_contrary: float = 1.0
    gain_crossing: float = 0.3
    gain_fault: float = 0.25  # a nat of the voicings' rules
    # Ornaments inside the beat.
    move: float = -0.4  # what leaving the note costs, in right sixteenths: less than nothing, or nothing would move
    clash: float = 0.1  # a second or a tritone between two voices that move at once
    ornament_parallel: float = 2.0
    ornament_contrary: float = 0.5
    ornament_crossing: float = 3.0
    ornament_fault: float = 8.0  # a false relation, or a voice above the melody


CHOSEN = Weights()
# For arrangements of a composer's melody. Bach ends 84 of the 108 minor chorales of train in major, and so does what is
# chosen for `complete`, where the model is sure of it; at the end of a folk tune that surprises. On valid 1 nat keeps
# all 28 such ends, 4 nats 20, 8 one and 12 none, at .002 of frame accuracy and .011 of chords on beats.
ARRANGED = replace(CHOSEN, picardy=12.0)
