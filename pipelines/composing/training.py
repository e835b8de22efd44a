"""How the chorale model is learned: networks on the train split with notes hidden, their averaged weights, one file.

What is hidden is masks.py's, the network's form network.py's. Whether a model is any better than the one in use is for
evaluation.py and learning.py. ``python -m pipelines.composing.training FOLDER`` writes the model that ships.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.composing import corpus as corpora
from pipelines.composing import network, network_export, tokens
from pipelines.composing.corpus import Corpus
from pipelines.composing.encoding import N_MOVES
from pipelines.composing.harmonizer import SHIPPED, Harmonizer
from pipelines.composing.lessons import Batch, Lesson, lessons_of
from pipelines.composing.memory import Kernel, Memory
from pipelines.composing.tokens import N_PITCHES
from pipelines.errors import BadInput

# What a beat's other frames weigh in the loss beside its first: about how often voices move there.
_FRAMES = (0.1, 0.5, 0.2)
VERSION = "1"  # of how it is learned, where Recipe does not say it: two of one version make the same model
SHIPPED_FACTS = SHIPPED / "training.json"
PARITY = 1e-4  # of logits; float32 sums in another order


@dataclass(frozen=True, slots=True)
class Recipe:
    """Chosen on valid. ``epochs`` of each of the ``members``, whose opinions are averaged.

    What valid said (nats and right notes at beats, given the soprano, before the memory is mixed in), of one run each,
    some of which differ in more than what is named: dropout .3 1.70 and .429, .1 1.60 and .467, .05 as much; transposed
    copies 1.64 and .457; 50 epochs 1.73 and .470, for it grows too sure; without the memory's votes 1.71 and .426, with
    them 1.65 and .454. Between the better ones of a dozen networks valid, with its 76 pieces, can hardly tell.
    """

    members: int = 2
    epochs: int = 28
    width: int = 128
    layers: int = 3
    dropout: float = 0.1
    batch: int = 16  # pieces
    crop: int = 64  # beats
    rate: float = 3e-3
    decay: float = 0.02
    average: float = 0.995
    warm_up: int = 100  # steps
    chord: float = 0.3  # the chord's weight in the loss beside a voice's
    anonymous: float = 0.2  # share of pieces whose true height is not told
    alone: float = 0.3  # share of pieces for which the memory is not asked
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Epoch:
    """``train``: nats a hidden note, dropout on; ``valid``: nats a note given the soprano alone, nan if not asked."""

    member: int
    number: int
    train: float
    valid: float


@dataclass(frozen=True, slots=True)
class Trained:
    """``seconds`` by the clock and ``cpu_seconds`` of all threads, validation included; ``parity``: the largest
    difference of logits between Keras and ONNX."""

    harmonizer: Harmonizer
    curves: tuple[Epoch, ...]
    seconds: float
    cpu_seconds: float
    parity: float
    parameters: int


def train(
    corpus: Corpus,
    seed: int = 0,
    epochs: int | None = None,
    *,
    recipe: Recipe | None = None,
    version: str = "untitled",
    said: Callable[[Epoch], None] | None = None,
) -> Trained:
    """Learns from ``corpus.train``; ``corpus.valid`` only draws the curves. Deterministic by ``seed`` up to the order
    of float sums. ``said`` is told of each epoch.

    Raises BadInput when there is nothing to learn from, or ONNX answers otherwise than Keras.
    """
    recipe = Recipe() if recipe is None else recipe
    if not corpus.train:
        raise BadInput("chorale corpus", "holds no piece to learn from", "assemble it again")
    began, cpu = time.perf_counter(), time.process_time()
    _limit_threads(recipe.threads)
    vocabulary = tokens.ChordVocabulary.of([piece.relative for piece in corpus.train])
    sizes = network.Sizes(len(vocabulary), width=recipe.width, layers=recipe.layers, dropout=recipe.dropout)
    memory, kernel = Memory.of(corpus.train), Kernel()
    pieces = lessons_of(corpus.train, memory, vocabulary, kernel, remembered=True)
    checked = lessons_of(corpus.valid, memory, vocabulary, kernel, remembered=False)
    models, curves = [], []
    for member in range(recipe.members):
        pupil = _Pupil(
            network.build(sizes, seed + member), recipe, recipe.epochs if epochs is None else epochs, len(pieces)
        )
        rng = np.random.default_rng([seed, member])
        for number in range(pupil.epochs):
            lost = pupil.epoch(pieces, rng)
            last = number + 1 == pupil.epochs
            valid = pupil.lost(checked) if checked and (last or number % 5 == 4) else float("nan")
            curves.append(Epoch(member, number + 1, lost, valid))
            if said is not None:
                said(curves[-1])
        pupil.finish()
        models.append(pupil.model)
    harmonizer = Harmonizer(network_export.to_onnx(models, sizes), sizes.reach, memory, vocabulary, version, kernel)
    parity = network_export.parity(models, harmonizer.network, sizes, pieces[0].rows(), pieces[0].votes)
    if not parity < PARITY:
        raise BadInput("the network", f"differs by {parity:.2g} between ONNX and Keras", "train it again")
    spent = time.perf_counter() - began, time.process_time() - cpu
    return Trained(harmonizer, tuple(curves), *spent, parity, int(models[0].count_params()) * len(models))


def facts_of(made: Trained) -> dict[str, Any]:
    """seconds, cpu_seconds, parity, parameters and curves, as JSON can say them."""
    curves = [
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(epoch).items()}
        for epoch in made.curves
    ]
    seconds, cpu = round(made.seconds, 2), round(made.cpu_seconds, 2)
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "parity": made.parity,
        "parameters": made.parameters,
        "curves": curves,
    }


def shipped_facts(corpus_sha256: str, seed: int = 0) -> dict[str, Any] | None:
    """``facts_of`` the model that ships, when it is what ``train`` would make of these chorales by now; else None."""
    kept = json.loads(SHIPPED_FACTS.read_text(encoding="utf-8"))
    return kept["facts"] if kept["made_of"] == _made_of(corpus_sha256, seed) else None


def _made_of(corpus_sha256: str, seed: int) -> dict[str, Any]:
    return {"corpus": corpus_sha256, "seed": seed, "version": VERSION, "recipe": asdict(Recipe())}


class _Pupil:
    """A network with its optimiser, its rate's course and its averaged weights."""

    def __init__(self, model: Any, recipe: Recipe, epochs: int, pieces: int) -> None:
        import tensorflow as tf
        from keras import optimizers

        self.model, self.recipe, self.epochs = model, recipe, epochs
        self.steps = max(epochs * -(-pieces // recipe.batch), 1)
        self.done = 0
        self.optimizer = optimizers.AdamW(recipe.rate, weight_decay=recipe.decay, clipnorm=1.0)
        self.optimizer.build(model.trainable_variables)
        self.averages = [tf.Variable(variable) for variable in model.trainable_variables]
        self._step = tf.function(self._learn)
        self._answer = tf.function(lambda *given: model(list(given), training=False), reduce_retracing=True)

    def epoch(self, lessons: Sequence[Lesson], rng: np.random.Generator) -> float:
        """Nats a hidden first note, over all pieces once."""
        import tensorflow as tf

        order, lost = rng.permutation(len(lessons)), []
        for start in range(0, len(lessons), self.recipe.batch):
            chosen = np.resize(order[start:], min(self.recipe.batch, len(lessons)))
            recipe = self.recipe
            batch = Batch.of([lessons[int(at)] for at in chosen], recipe.crop, recipe.anonymous, recipe.alone, rng)
            # young averages forget faster, so that they do not remember the draw they began with
            average = min(self.recipe.average, (1 + self.done) / (10 + self.done))
            given = [tf.constant(array) for array in batch.arrays()]
            rates = tf.constant(self._rate(), tf.float32), tf.constant(average, tf.float32)
            lost.append(float(self._step(*rates, *given)))
            self.done += 1
        return float(np.mean(lost))

    def lost(self, lessons: Sequence[Lesson]) -> float:
        """Nats a first note of the pieces given their sopranos alone, by the averaged weights."""
        import tensorflow as tf

        held = [variable.numpy() for variable in self.model.trainable_variables]
        self.finish()
        nats, notes = 0.0, 0
        for lesson in lessons:
            n = len(lesson.chords)
            out = self._answer(
                tf.constant(lesson.rows()[None]), tf.constant(lesson.votes[None]), tf.ones((1, n))
            ).numpy()
            first = out[0, :, : 3 * N_PITCHES].reshape(n, 3, N_PITCHES)
            true = np.take_along_axis(first, lesson.pitches[..., None].astype(np.int64), -1)[..., 0]
            nats, notes = nats + float((np.logaddexp.reduce(first, -1) - true).sum()), notes + true.size
        for variable, value in zip(self.model.trainable_variables, held, strict=True):
            variable.assign(value)
        return nats / max(notes, 1)

    def finish(self) -> None:
        """Leaves the network with its averaged weights, as the file keeps them."""
        for variable, average in zip(self.model.trainable_variables, self.averages, strict=True):
            variable.assign(average)
        network_export.round_weights(self.model)

    def _rate(self) -> float:
        warm = min(1.0, (self.done + 1) / self.recipe.warm_up)
        return self.recipe.rate * warm * float(0.51 + 0.49 * np.cos(np.pi * self.done / self.steps))

    def _learn(self, rate: Any, average: Any, rows: Any, votes: Any, present: Any, *wanted: Any) -> Any:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            out = self.model([rows, votes, present], training=True)
            first, whole = _lost(self.recipe.chord, out, *wanted)
            loss = whole / tf.reduce_sum(present)
        learned = self.model.trainable_variables
        self.optimizer.learning_rate.assign(rate)
        self.optimizer.apply_gradients(zip(tape.gradient(loss, learned), learned, strict=True))
        for held, variable in zip(self.averages, learned, strict=True):
            held.assign(average * held + (1 - average) * variable)
        return first


def _lost(chord: float, out: Any, hidden: Any, pitches: Any, moving: Any, moves: Any, chords: Any) -> tuple[Any, Any]:
    """Nats a hidden first note, and all of the loss: first notes, moves inside the beats, chords."""
    import tensorflow as tf

    b, n = tf.shape(out)[0], tf.shape(out)[1]
    ends = 3 * N_PITCHES, 3 * N_PITCHES + 9 * N_MOVES
    firsts = _nats(tf.reshape(out[..., : ends[0]], (b, n, 3, N_PITCHES)), pitches) * hidden
    later = _nats(tf.reshape(out[..., ends[0] : ends[1]], (b, n, 3, 3, N_MOVES)), moves) * moving
    named = _nats(out[..., ends[1] :], chords) * tf.reduce_max(hidden, -1)
    weight = tf.constant(_FRAMES)[:, None]
    whole = tf.reduce_sum(firsts) + tf.reduce_sum(later * weight) + chord * tf.reduce_sum(named)
    return tf.reduce_sum(firsts) / (tf.reduce_sum(hidden) + 1), whole


def _nats(logits: Any, classes: Any) -> Any:
    import tensorflow as tf

    return tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits)


def _limit_threads(threads: int) -> None:
    """Only possible before TensorFlow's first step in a process; afterwards it stays as it was."""
    import contextlib

    import tensorflow as tf

    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def main(arguments: Sequence[str]) -> None:
    """Learns from the chorales that ship and writes the harmonizer's folder: the first argument, or the shipped one."""
    folder = Path(arguments[0]) if arguments else SHIPPED
    log = logging.getLogger(__name__)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    trained = train(corpora.load(), version="shipped", said=lambda epoch: log.info("%s", epoch))
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in trained.harmonizer.members().items():
        (folder / name).write_bytes(data)
    made_of = _made_of(hashlib.sha256(corpora.SHIPPED.read_bytes()).hexdigest(), 0)
    kept = json.dumps({"made_of": made_of, "facts": facts_of(trained)}, indent=1)
    (folder / SHIPPED_FACTS.name).write_text(kept + "\n", encoding="utf-8")
    log.info("%d parameters in %.0f s, %.0f s of CPU", trained.parameters, trained.seconds, trained.cpu_seconds)


if __name__ == "__main__":
    main(sys.argv[1:])
