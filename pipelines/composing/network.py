"""The chorale network in Keras: a transformer over beats that says what alto, tenor and bass sing, and the chord.

How a beat becomes a token is encoding.py's, how it is taught training.py's, how it becomes ONNX network_export.py's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.composing import encoding
from pipelines.composing.encoding import N_MOVES
from pipelines.composing.tokens import BEAT, N_PITCHES

if TYPE_CHECKING:
    from collections.abc import Callable

N_VOICES = 3  # alto, tenor, bass


@dataclass(frozen=True, slots=True)
class Sizes:
    """``chords``: classes of the chord head. ``reach``: beats before and after that attention tells apart."""

    chords: int
    width: int = 128
    heads: int = 4
    layers: int = 4
    reach: int = 32
    kernel: int = 3
    dropout: float = 0.2

    @property
    def pitch_outputs(self) -> int:
        return N_VOICES * N_PITCHES

    @property
    def move_outputs(self) -> int:
        return N_VOICES * (BEAT - 1) * N_MOVES

    @property
    def outputs(self) -> int:
        return self.pitch_outputs + self.move_outputs + self.chords


def build(sizes: Sizes, seed: int) -> Any:
    """Keras model: rows int32[b, n, N_FEATURES], what the memory votes float32[b, n, N_VOTES] (zeros: there is none)
    and float32[b, n], 1 where there is music ->
    float32[b, n, outputs], logits: of the voices' pitches at each beat's first frame [3 voices, N_PITCHES], of how far
    they have moved from there in its other frames [3 frames, 3 voices, N_MOVES], of the chord [chords]."""
    import keras
    from keras import initializers, layers

    keras.utils.set_random_seed(seed)
    rows = keras.Input((None, encoding.N_FEATURES), dtype="int32", name="rows")
    votes = keras.Input((None, encoding.N_VOTES), name="votes")
    present = keras.Input((None,), name="present")
    start = initializers.RandomNormal(stddev=0.02 * 4)
    table = layers.Embedding(encoding.N_ROWS, sizes.width, embeddings_initializer=start, name="table")
    state = keras.ops.sum(table(rows), axis=2) + layers.Dense(sizes.width, name="votes_in")(votes)
    state = layers.Dropout(sizes.dropout / 2)(state)
    for at in range(sizes.layers):
        heard = layers.LayerNormalization(epsilon=1e-5, name=f"norm_a{at}")(state)
        heard = _attention(sizes)(name=f"attention_{at}")(heard, present)
        state = state + layers.Dropout(sizes.dropout)(heard)
        worked = layers.LayerNormalization(epsilon=1e-5, name=f"norm_b{at}")(state)
        worked = worked * present[..., None]
        worked = layers.Conv1D(sizes.width * 2, sizes.kernel, padding="same", activation="gelu", name=f"conv_{at}")(
            worked
        )
        worked = layers.Dropout(sizes.dropout)(worked)
        state = state + layers.Dropout(sizes.dropout)(layers.Dense(sizes.width, name=f"dense_{at}")(worked))
    state = layers.LayerNormalization(epsilon=1e-5, name="norm")(state)
    out = layers.Dense(sizes.outputs, name="out")(state)
    return keras.Model([rows, votes, present], out)


def _attention(sizes: Sizes) -> Callable[..., Any]:
    from keras import layers, ops

    class RelativeAttention(layers.Layer):  # type: ignore[misc]
        """Attention whose scores have a learned term for how many beats lie between."""

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.qkv = layers.Dense(3 * sizes.width, name="qkv")
            self.out = layers.Dense(sizes.width, name="out")
            self.drop = layers.Dropout(sizes.dropout)
            shape = (2 * sizes.reach + 1, sizes.heads)
            self.distance = self.add_weight(shape=shape, initializer="zeros", name="distance")

        def call(self, given: Any, present: Any) -> Any:
            b, n, each = ops.shape(given)[0], ops.shape(given)[1], sizes.width // sizes.heads
            qkv = ops.transpose(ops.reshape(self.qkv(given), (b, n, 3, sizes.heads, each)), (2, 0, 3, 1, 4))
            scores = ops.matmul(qkv[0], ops.transpose(qkv[1], (0, 1, 3, 2))) * each**-0.5
            place = ops.arange(n)
            between = ops.clip(place[None] - place[:, None], -sizes.reach, sizes.reach) + sizes.reach
            scores = scores + ops.transpose(ops.take(self.distance, between, axis=0), (2, 0, 1))[None]
            scores = scores + (present[:, None, None, :] - 1) * 1e9
            mixed = ops.matmul(self.drop(ops.softmax(scores)), qkv[2])
            return self.out(ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (b, n, sizes.width)))

    return RelativeAttention
