"""One step of learning after another: gradients, the optimiser, the rate's course and the averaged weights.

The graph is TensorFlow's; pools are multiplied by SciPy inside it, which took a fifth of a dense product's time for
9,000 items.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.recommending import losses
from pipelines.recommending.batches import Batch
from pipelines.recommending.towers import Towers

_PLATEAU = 0.5  # of the learning rate, after an epoch that brought nothing


class Learner:
    """Towers with an optimiser. ``steps`` in all decide the cosine's length; ``popularity`` [bins, n_items] is the
    prior as of each bin, None without one."""

    def __init__(
        self,
        towers: Towers,
        loss: Literal["softmax", "sampled_softmax", "bce"],
        steps: int,
        popularity: NDArray[np.float32] | None,
    ) -> None:
        import tensorflow as tf
        from keras import optimizers

        tf.config.experimental.enable_op_determinism()
        self.towers, self.loss, self.steps = towers, loss, max(steps, 1)
        recipe = towers.recipe
        self.learned = list(towers.variables)
        self.scale, self.shift = tf.Variable(10.0, name="scale"), tf.Variable(-3.0, name="shift")
        if loss == "bce":
            self.learned += [self.scale, self.shift]
        if recipe.optimizer == "adamw":
            self.optimizer = optimizers.AdamW(recipe.learning_rate, weight_decay=recipe.weight_decay)
        else:
            self.optimizer = optimizers.Adam(recipe.learning_rate)
        self.optimizer.build(self.learned)
        self.averages = [tf.Variable(variable) for variable in self.learned]
        self.popularity = None if popularity is None else tf.constant(popularity)
        self.done = 0
        self.lowered = 1.0
        self.best: tuple[float, list[NDArray[np.float32]]] | None = None
        self._weights: Any = None
        self._graph = tf.function(self._learn, input_signature=self._signature())

    @property
    def rate(self) -> float:
        """The next step's learning rate."""
        recipe = self.towers.recipe
        warm = recipe.warm_up * self.steps
        rate = recipe.learning_rate * min(1.0, (self.done + 1) / max(warm, 1))
        if recipe.schedule == "plateau":
            return rate * self.lowered
        left = (self.steps - self.done) / max(self.steps - warm, 1)
        return rate * 0.5 * (1 - float(np.cos(np.pi * min(max(left, 0.0), 1.0))))

    def step(self, batch: Batch) -> float:
        """Learns from a batch; its loss."""
        import tensorflow as tf

        self._weights = batch.weights
        # young averages forget faster, so that they do not remember the draw they began with
        average = min(self.towers.recipe.average, (1 + self.done) / (10 + self.done))
        given = (batch.features, batch.candidates, batch.columns, batch.seen, batch.log_chance, batch.bins)
        tensors = [tf.constant(array) for array in (*given, batch.negatives)]
        rate, average = tf.constant(self.rate, tf.float32), tf.constant(average, tf.float32)
        loss = self._graph(*tensors, rate, average, tf.constant(self.done))
        self.done += 1
        return float(loss)

    def after_epoch(self, ndcg: float | None) -> None:
        """Remembers the best epoch's averages, and lowers the rate where the recipe does so on a plateau."""
        if ndcg is None:
            return
        if self.best is None or ndcg > self.best[0]:
            self.best = (ndcg, [average.numpy() for average in self.averages])
        else:
            self.lowered *= _PLATEAU

    def finish(self) -> None:
        """Leaves the towers with the weights to serve: the averages, of the best epoch where there is one."""
        served = self.best[1] if self.best is not None else [average.numpy() for average in self.averages]
        for variable, value in zip(self.learned, served, strict=True):
            variable.assign(value)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The towers with averaged weights, for a while."""
        held = [variable.numpy() for variable in self.learned]
        for variable, average in zip(self.learned, self.averages, strict=True):
            variable.assign(average)
        try:
            yield
        finally:
            for variable, value in zip(self.learned, held, strict=True):
                variable.assign(value)

    def state(self) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        """Everything that the next step depends on."""
        best = self.best
        facts = {"done": self.done, "lowered": self.lowered, "best": None if best is None else best[0]}
        arrays = [variable.numpy() for variable in self._stored()]
        return facts, arrays + ([] if best is None else best[1])

    def restore(self, facts: dict[str, Any], arrays: list[NDArray[Any]]) -> None:
        """What ``state`` gave."""
        self.done, self.lowered = int(facts["done"]), float(facts["lowered"])
        stored = self._stored()
        for variable, value in zip(stored, arrays, strict=False):
            variable.assign(value)
        if facts["best"] is not None:
            self.best = (float(facts["best"]), list(arrays[len(stored) :]))

    def _stored(self) -> list[Any]:
        return [*self.learned, *self.averages, *self.optimizer.variables, *self.towers.random_states]

    def _signature(self) -> list[Any]:
        """Of `_learn`: batches and candidates of any number share one graph."""
        import tensorflow as tf

        floats, ids = tf.float32, tf.int32
        shapes = [([None, self.towers.sizes.user_features], floats), ([None], ids), ([None], ids), ([None, 2], ids)]
        shapes += [([None], floats), ([None], ids), ([None, None], ids), ([], floats), ([], floats), ([], ids)]
        return [tf.TensorSpec(shape, kind) for shape, kind in shapes]

    def _learn(
        self,
        features: Any,
        candidates: Any,
        columns: Any,
        seen: Any,
        log_chance: Any,
        bins: Any,
        negatives: Any,
        rate: Any,
        average: Any,
        step: Any,
    ) -> Any:
        import tensorflow as tf

        towers = self.towers
        with tf.GradientTape() as tape:
            table = towers.table(training=True, step=step)
            n = tf.shape(columns)[0]
            p, width = towers.sizes.pools, towers.width
            pooled = tf.transpose(tf.reshape(self._pooled(table), (p, n, width)), (1, 0, 2))
            users = towers.user_vectors(tf.reshape(pooled, (n, p * width)), features, training=True)
            rows = table if self.loss == "softmax" else tf.gather(table, candidates)
            cosines = self._cosines(users, towers.own_item_vectors(rows, training=True), candidates, bins)
            if self.loss == "bce":
                chosen = tf.concat([columns[:, None], negatives], 1)
                picked = tf.gather(cosines, chosen, axis=1, batch_dims=1)
                loss = losses.pairwise(picked, self.scale, self.shift)
            else:
                had = tf.scatter_nd(seen, tf.ones_like(seen[:, 0]), tf.shape(cosines)) > 0
                recipe = towers.recipe
                loss = losses.softmax(cosines / recipe.temperature, columns, had, log_chance, recipe.smoothing)
        gradients = tape.gradient(loss, self.learned)
        pairs = [(g, v) for g, v in zip(gradients, self.learned, strict=True) if g is not None]
        self.optimizer.learning_rate.assign(rate)
        self.optimizer.apply_gradients(pairs)
        for held, variable in zip(self.averages, self.learned, strict=True):
            held.assign(average * held + (1 - average) * variable)
        return loss

    def _cosines(self, users: Any, own: Any, candidates: Any, bins: Any) -> Any:
        """[b, c] users with items, each item's prior being as of the sample's time."""
        import tensorflow as tf

        if self.popularity is None:
            return tf.matmul(users, own, transpose_b=True)
        popularity = self.popularity if self.loss == "softmax" else tf.gather(self.popularity, candidates, axis=1)
        prior = self.towers.prior(popularity)
        rest, trusts = tf.sqrt(1 - prior * prior), users[:, -1:]
        cosines = tf.matmul(users[:, :-1], own, transpose_b=True)
        return cosines * tf.gather(rest, bins) + trusts * tf.gather(prior, bins)

    def _pooled(self, table: Any) -> Any:
        """[p * b, width]: the batch's weights times the table, and the gradient back."""
        import tensorflow as tf

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def product(rows: Any) -> Any:
            found = tf.numpy_function(lambda dense: np.asarray(self._weights @ dense, np.float32), [rows], tf.float32)

            def back(gradient: Any) -> Any:
                with tf.control_dependencies([found]):
                    spread = tf.numpy_function(
                        lambda dense: np.asarray(self._weights.T @ dense, np.float32), [gradient], tf.float32
                    )
                return tf.ensure_shape(spread, rows.shape)

            return tf.ensure_shape(found, (None, rows.shape[1])), back

        return product(table)
