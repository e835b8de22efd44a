"""The chorales in their three splits, each with its key and in tonic-relative form, and a composer's pieces likewise.

What a model calls pitches and chords is tokens.py's; the key of a melody alone is key.py's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import tokens
from pipelines.composing.piece import Key
from pipelines.errors import BadInput

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")
SHIPPED = Path(__file__).resolve().parents[2] / "sample" / "chorales" / "chorales.parquet"

# How often each degree sounds in pieces of a mode, the commonest degree near 1: D. Temperley, Music and Probability
# (2007), table 6.1.
_MAJOR = (0.748, 0.060, 0.488, 0.082, 0.670, 0.460, 0.096, 0.715, 0.104, 0.366, 0.057, 0.400)
_MINOR = (0.712, 0.084, 0.474, 0.618, 0.049, 0.460, 0.105, 0.747, 0.404, 0.067, 0.133, 0.330)
_LAST_BASS = 0.25  # of correlation: all but 28 of 382 chorales end on the tonic, the others on the dominant


@dataclass(frozen=True, slots=True)
class Chorale:
    """``frames`` int64[T, 4]: soprano, alto, tenor, bass as MIDI pitches a sixteenth, -1 is a rest; T is a multiple
    of 4. ``shift``: what is taken off them to make them relative."""

    number: int
    frames: NDArray[np.int64]
    key: Key
    shift: int

    @property
    def relative(self) -> NDArray[np.int64]:
        """int64[T, 4], as though the tonic were middle C (tokens.py)."""
        return tokens.relative(self.frames, self.shift)

    @property
    def minor(self) -> bool:
        return self.key.minor

    @property
    def n_beats(self) -> int:
        return len(self.frames) // tokens.BEAT


@dataclass(frozen=True, slots=True)
class Corpus:
    train: tuple[Chorale, ...]
    valid: tuple[Chorale, ...]
    test: tuple[Chorale, ...]

    def split(self, name: Split) -> tuple[Chorale, ...]:
        return {"train": self.train, "valid": self.valid, "test": self.test}[name]

    def __iter__(self) -> Iterator[Chorale]:
        yield from (*self.train, *self.valid, *self.test)


def load(path: Path | None = None) -> Corpus:
    """Of a Parquet file with columns split, number, soprano, alto, tenor, bass; the one that ships when None.

    Raises BadInput when the file is none or holds voices that do not fit together.
    """
    import pyarrow.lib
    import pyarrow.parquet

    path = SHIPPED if path is None else path
    remedy = "give a Parquet file with split, number, soprano, alto, tenor, bass"
    try:
        rows = pyarrow.parquet.read_table(path, columns=["split", "number", *tokens.VOICES]).to_pylist()
    except (OSError, pyarrow.lib.ArrowException) as error:
        raise BadInput(path.name, f"holds no chorales ({str(error).splitlines()[0]})", remedy) from error
    found: dict[str, list[Chorale]] = {name: [] for name in SPLITS}
    for row in rows:
        voices = [row[voice] for voice in tokens.VOICES]
        if row["split"] not in found or any(voice is None or len(voice) != len(voices[0]) for voice in voices):
            raise BadInput(path.name, f"row {row['number']} of {row['split']} is no chorale", remedy)
        found[row["split"]].append(chorale(np.array(voices, np.int64).T, int(row["number"])))
    return Corpus(tuple(found["train"]), tuple(found["valid"]), tuple(found["test"]))


def chorale(frames: NDArray[np.int64], number: int = 0, key: Key | None = None) -> Chorale:
    """Four voices int64[T, 4] (-1 rests) with their key, that of all voices when None; the last beat is filled up
    with its last frame. Raises BadInput when nothing sounds or a pitch is none."""
    name = f"chorale {number}"
    if frames.ndim != 2 or frames.shape[1] != len(tokens.VOICES) or not (frames[:, 0] >= 0).any():
        raise BadInput(name, "is not four voices with a soprano", "give int64[T, 4]")
    if frames.min() < tokens.REST or frames.max() > 127:
        raise BadInput(name, "holds what is no MIDI pitch", "give pitches of 0 to 127, -1 for a rest")
    filled = np.pad(frames, ((0, -len(frames) % tokens.BEAT), (0, 0)), mode="edge").astype(np.int64)
    key = key_of(filled) if key is None else key
    return Chorale(number, filled, key, tokens.shift_of(filled[:, 0], key.tonic))


def key_of(frames: NDArray[np.int64]) -> Key:
    """Of all voices int64[T, n], the bass last: the key whose degrees sound as often (correlation with Temperley's
    profiles), the last bass note's favoured."""
    sung = frames[frames >= 0]
    if not sung.size:
        return Key(0)
    heard = np.bincount(sung % 12, minlength=12).astype(float)
    bass = frames[frames[:, -1] >= 0, -1]
    scores = np.array(
        [[np.corrcoef(np.roll(heard, -tonic), profile)[0, 1] for tonic in range(12)] for profile in (_MAJOR, _MINOR)]
    )
    scores = np.nan_to_num(scores)
    if bass.size:
        scores[:, bass[-1] % 12] += _LAST_BASS
    mode, tonic = np.unravel_index(int(scores.argmax()), scores.shape)
    return Key(int(tonic), bool(mode))
