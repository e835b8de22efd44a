"""A linear chain over candidates: marginals, the best path, and paths drawn by seed, in numpy.

The candidates are voicings.py's, what is good about them weights.py's and chorale.py's. Lafferty, McCallum and Pereira,
Conditional Random Fields (ICML 2001), for the model; Rabiner, A Tutorial on Hidden Markov Models (1989), for the
recursions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Chain:
    """``unary`` float[B, K]: a candidate's score at a place, -inf where there is none (each place has at least one);
    ``edges`` float[B - 1, K, K]: that of going from one to another, finite. Scores are natural logarithms, and the
    best path into any candidate is within 600 of its place's best, so that no probability vanishes."""

    unary: NDArray[np.float64]
    edges: NDArray[np.float64]

    def marginals(self) -> tuple[NDArray[np.float64], float]:
        """Of each candidate float[B, K], each row adding up to 1, and the log partition."""
        forward, kernels, log_z = self._forward()
        backward = np.ones_like(forward)
        local = _scaled(self.unary)
        for place in range(len(forward) - 2, -1, -1):
            message = kernels[place] @ (local[place + 1] * backward[place + 1])
            backward[place] = message / message.max()
        joint = forward * backward
        shares: NDArray[np.float64] = joint / joint.sum(axis=1, keepdims=True)
        return shares, log_z

    def best(self) -> tuple[NDArray[np.int64], float]:
        """The path int64[B] with the highest score, and that score; of equal ones the first."""
        n_places, n_candidates = self.unary.shape
        if n_places == 0:
            return np.empty(0, np.int64), 0.0
        came_from = np.empty((n_places, n_candidates), np.int64)
        columns = np.arange(n_candidates)
        score = self.unary[0].astype(np.float64)
        for place in range(1, n_places):
            reached = score[:, None] + self.edges[place - 1]
            came_from[place] = reached.argmax(axis=0)
            score = reached[came_from[place], columns] + self.unary[place]
        path = np.empty(n_places, np.int64)
        path[-1] = int(score.argmax())
        for place in range(n_places - 1, 0, -1):
            path[place - 1] = came_from[place, path[place]]
        return path, float(score.max())

    def drawn(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """One path int64[B], drawn by its probability: forward filtering, backward sampling."""
        forward, kernels, _ = self._forward()
        path = np.empty(len(forward), np.int64)
        weights = forward[-1] if len(forward) else np.empty(0)
        for place in range(len(forward) - 1, -1, -1):
            if place < len(forward) - 1:
                weights = forward[place] * kernels[place][:, path[place + 1]]
            cumulated = np.cumsum(weights)
            path[place] = int(np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right"))
        return path

    def score(self, path: NDArray[np.int64]) -> float:
        """Of a path int64[B], not normalised."""
        places = np.arange(len(path))
        moves = self.edges[places[:-1], path[:-1], path[1:]]
        return float(self.unary[places, path].sum() + moves.sum())

    def tempered(self, temperature: float) -> Chain:
        """The chain whose paths' odds are to the power of 1 / ``temperature``, above 0."""
        return Chain(self.unary / temperature, self.edges / temperature)

    def _forward(self) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Scaled forward messages [B, K], exp of the edges less each step's highest, and the log partition."""
        local = _scaled(self.unary)
        highest = self.edges.max(axis=(1, 2)) if len(self.edges) else np.empty(0)
        kernels = np.exp(self.edges - highest[:, None, None])
        forward = np.empty_like(local)
        log_z = float(self.unary.max(axis=1, initial=-np.inf).sum() + highest.sum())
        for place in range(len(local)):
            message = local[place] if place == 0 else local[place] * (forward[place - 1] @ kernels[place - 1])
            total = message.sum()
            forward[place] = message / total
            log_z += float(np.log(total))
        return forward, kernels, log_z


def _scaled(unary: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row's probabilities up to a factor, the highest 1."""
    scaled: NDArray[np.float64] = np.exp(unary - unary.max(axis=1, keepdims=True, initial=-np.inf))
    return scaled
