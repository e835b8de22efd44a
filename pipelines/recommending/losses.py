"""What the towers are trained to do: rank what came next above everything else, or above what was drawn.

All are functions of tensors inside training.py's graph; which one serves a catalogue is recipe.py's.
"""

from __future__ import annotations

from typing import Any

_NEVER = -1e9  # a logit that takes no part


def softmax(logits: Any, columns: Any, seen: Any, log_chance: Any, smoothing: float) -> Any:
    """Mean cross entropy of the targets among c candidates.

    ``logits`` [b, c], ``columns`` int32[b] of the targets, ``seen`` bool[b, c] what each had chosen before (never its
    target), which is neither right nor wrong. ``log_chance`` [c] is the logarithm of each candidate's chance to be
    among them: taken off, a sample's softmax tends to that over the catalogue (logQ; Bengio and Senécal 2008); zeros
    where all items are candidates. ``smoothing`` of the weight goes to all candidates that take part.
    """
    import tensorflow as tf

    corrected = tf.where(seen, _NEVER, logits - log_chance)
    total = tf.reduce_logsumexp(corrected, 1)
    target = tf.gather(corrected, columns, axis=1, batch_dims=1)
    loss = total - (1 - smoothing) * target
    if smoothing:
        others = tf.reduce_sum(tf.where(seen, 0.0, corrected), 1)
        loss -= smoothing * others / tf.reduce_sum(tf.cast(~seen, tf.float32), 1)
    return tf.reduce_mean(loss)


def pairwise(cosines: Any, scale: Any, shift: Any) -> Any:
    """Mean binary cross entropy of [b, 1 + negatives] cosines, the target's first.

    A bare cosine would leave the sigmoid between 0.27 and 0.73; ``scale`` and ``shift`` are learned.
    """
    import tensorflow as tf

    logits = scale * cosines + shift
    labels = tf.concat([tf.ones_like(logits[:, :1]), tf.zeros_like(logits[:, 1:])], 1)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))
