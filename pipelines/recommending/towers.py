"""The two towers in Keras: from a history's pools and an item's row to unit vectors whose dot product is the score.

What they are trained on is losses.py's and training.py's; how they are served without TensorFlow, export.py's and
two_tower.py's. Nothing but training and its tests may call this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.recommending.moments import NAMES
from pipelines.recommending.prior import LIMIT
from pipelines.recommending.recipe import Recipe

CLIP = 1.2  # of a viewer's feature: six standard deviations, of 0.2
OUTSIDE = NAMES.index("away")  # the column of a viewer's features: 1 for who comes back or is new
_TRUST = 0.3  # in the prior, at first: atanh(q)


@dataclass(frozen=True, slots=True)
class Sizes:
    """``user_features`` and ``item_features`` are the plain numbers of each side, without pools, id and prior."""

    n_items: int
    item_features: int
    user_features: int
    pools: int


class Towers:
    """Variables and layers. The item's row (``table``) is the id's embedding beside a linear map of its features; the
    pools of a history are means of such rows, and both towers end in a layer that sees their input again."""

    def __init__(
        self,
        recipe: Recipe,
        sizes: Sizes,
        item_features: NDArray[np.float32],
        user_mean: NDArray[np.float32],
        user_scale: NDArray[np.float32],
        seed: int,
    ) -> None:
        import tensorflow as tf
        from keras import initializers

        self.recipe, self.sizes = recipe, sizes
        self.with_prior = recipe.prior_bins > 0
        self.width = recipe.id_width + recipe.feature_width
        seeds = (int(s) for s in np.random.SeedSequence(seed).generate_state(32) % (2**31))
        shape = (sizes.n_items + 1, recipe.id_width)  # row 0: an item that was not met
        self.ids = tf.Variable(initializers.RandomNormal(stddev=0.05, seed=next(seeds))(shape), name="ids")
        shape = (sizes.item_features, recipe.feature_width)
        self.mapping = tf.Variable(initializers.GlorotUniform(seed=next(seeds))(shape), name="mapping")
        self.prior_scale = tf.Variable(0.6, name="prior_scale")
        self.features = tf.constant(item_features)
        self.user_mean, self.user_scale = tf.constant(user_mean), tf.constant(user_scale)
        own = recipe.dims - self.with_prior
        self.user = _tower("user", sizes.pools * self.width + sizes.user_features, own, recipe, seeds)
        self.item = _tower("item", self.width, own, recipe, seeds)
        self.trust = _trust(sizes.user_features, seeds) if self.with_prior else None
        self.item_dropout_seed = next(seeds)

    @property
    def variables(self) -> list[Any]:
        """What is learned, in a fixed order."""
        found = [self.ids, self.mapping, *self.user.trainable_variables, *self.item.trainable_variables]
        return [*found, self.prior_scale, *self.trust.trainable_variables] if self.trust is not None else found

    @property
    def random_states(self) -> list[Any]:
        """Where the dropouts' draws stand."""
        layers = [*self.user.layers, *self.item.layers]
        return [layer.seed_generator.state for layer in layers if hasattr(layer, "seed_generator")]

    def table(self, training: bool = False, step: Any = 0) -> Any:
        """[n_items, width]: rows of the items, without that of the unknown one."""
        import tensorflow as tf

        ids = self.ids[1:]
        if training and self.recipe.item_dropout:
            drawn = tf.random.stateless_uniform((self.sizes.n_items, 1), [self.item_dropout_seed, step])
            ids = tf.where(drawn < self.recipe.item_dropout, self.ids[:1], ids)
        return tf.concat([ids, self.features @ self.mapping], 1)

    def user_vectors(self, pools: Any, features: Any, training: bool = False) -> Any:
        """[n, dims], unit norm, of pools [n, pools * width] and a viewer's features [n, user_features]."""
        import tensorflow as tf

        plain = tf.clip_by_value((features - self.user_mean) / self.user_scale, -CLIP, CLIP)
        vectors = self.user(tf.concat([pools, plain], 1), training=training)
        if self.trust is None:
            return vectors
        trust = self.trust(plain)
        if not training:
            outside = features[:, OUTSIDE : OUTSIDE + 1]
            trust = tf.tanh(trust + self.recipe.prior_ahead * outside)
        else:
            trust = tf.tanh(trust)
        return tf.concat([vectors * tf.sqrt(1 - trust * trust), trust], 1)

    def own_item_vectors(self, rows: Any, training: bool = False) -> Any:
        """[n, dims - 1] with a prior, else [n, dims]: unit norm, without the prior."""
        return self.item(rows, training=training)

    def prior(self, popularity: Any) -> Any:
        """The last dimension of an item of this popularity."""
        import tensorflow as tf

        return tf.clip_by_value(popularity * self.prior_scale, -LIMIT, LIMIT)

    def item_vectors(self, rows: Any, popularity: Any) -> Any:
        """[n, dims], unit norm, of rows of the table and popularity [n, 1] as served."""
        import tensorflow as tf

        own = self.own_item_vectors(rows)
        if self.trust is None:
            return own
        prior = self.prior(popularity)
        return tf.concat([own * tf.sqrt(1 - prior * prior), prior], 1)


def _tower(name: str, width: int, dims: int, recipe: Recipe, seeds: Any) -> Any:
    import keras
    from keras import initializers, layers

    def dense(units: int, activation: str, label: str) -> Any:
        start = initializers.GlorotUniform(seed=next(seeds))
        return layers.Dense(units, activation, kernel_initializer=start, name=f"{name}_{label}")

    given = keras.Input((width,), name=f"{name}_in")
    hidden = given
    for at, units in enumerate(recipe.hidden):
        hidden = dense(units, "relu", f"dense_{at}")(hidden)
        hidden = layers.Dropout(recipe.dropout, seed=next(seeds), name=f"{name}_dropout_{at}")(hidden)
    seen_again = layers.Concatenate(name=f"{name}_skip")([hidden, given])
    out = dense(dims, "tanh", "out")(seen_again)
    return keras.Model(given, layers.UnitNormalization(name=f"{name}_norm")(out), name=name)


def _trust(width: int, seeds: Any) -> Any:
    """How far a viewer of these features follows the crowd, before tanh makes it -1..1."""
    import keras
    from keras import initializers, layers

    given = keras.Input((width,), name="trust_in")
    starts = [initializers.GlorotUniform(seed=next(seeds)) for _ in range(2)]
    hidden = layers.Dense(64, "relu", kernel_initializer=starts[0], name="trust_dense_0")(given)
    bias = initializers.Constant(_TRUST)
    out = layers.Dense(1, kernel_initializer=starts[1], bias_initializer=bias, name="trust_out")(hidden)
    return keras.Model(given, out, name="trust")
