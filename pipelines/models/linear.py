"""Ridge and one-vs-rest logistic regression on standardised features, cross-validated without fitting twice.

A fold is left out by subtracting its sums (moments), not by reading the other rows again, so a setting is chosen inside
every fold at nearly no cost. Both agree with scikit-learn's StandardScaler, Ridge and LogisticRegression; tests hold
them to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipelines.models.estimators import CrossValidated, Linear, Problem, Setting

# Ridge's alpha over the sum of weights: so it means the same for four folds and for five. Eigenvalues of a correlation
# matrix have mean 1, which places the grid.
SHRINKAGES: NDArray[np.float64] = 10.0 ** np.arange(-5, 2.01, 1 / 3)
# 1 / (C x sum of weights) of logistic regression.
PENALTIES: NDArray[np.float64] = 10.0 ** np.arange(0, -4.01, -0.5)
_CONSTANT = 1e-9  # of a column's overall deviation: what is below has no deviation of its own
_INTERCEPT = 1e-7  # penalty that keeps the intercept finite where the rows hold no example of a class


@dataclass(frozen=True, slots=True)
class Ridge:
    """Least squares with one shrinkage a target, each chosen on whole folds."""

    name: str = "ridge"
    costly: bool = False

    def refuses(self, problem: Problem) -> str:
        return ""

    def cross_validate(self, problem: Problem) -> CrossValidated:
        p = problem
        mean, scale = _centre(p.X)
        sums = np.stack([_moments(p.take(p.fold == f), mean, scale) for f in range(p.folds)])
        total = sums.sum(axis=0)
        # A model without folds i and j serves both to choose for fold i (seen on j) and for fold j (seen on i).
        errors = np.zeros((p.folds, len(SHRINKAGES), p.Y.shape[1]))
        for i, j in combinations(range(p.folds), 2) if p.folds > 2 else ():
            beta = _solve(total - sums[i] - sums[j], p.Y.shape[1], SHRINKAGES)
            errors[i] += _squared_error(beta, sums[j])
            errors[j] += _squared_error(beta, sums[i])
        raw = np.empty_like(p.Y)
        settings = []
        for f in range(p.folds):
            setting = _best_shrinkage(errors[f])
            settings.append(setting)
            held = p.fold == f
            raw[held] = _linear(total - sums[f], mean, scale, setting).raw(p.X[held])
        return CrossValidated(raw, tuple(settings), _best_shrinkage(errors.sum(axis=0)))

    def fit(self, problem: Problem, setting: Setting) -> Linear:
        mean, scale = _centre(problem.X)
        return _linear(_moments(problem, mean, scale), mean, scale, setting)


@dataclass(frozen=True, slots=True)
class Logistic:
    """One logistic regression a class against all others, all with one penalty."""

    name: str = "logistic"
    costly: bool = False

    def refuses(self, problem: Problem) -> str:
        return ""

    def cross_validate(self, problem: Problem) -> CrossValidated:
        p = problem
        mean, scale = _centre(p.X)
        blocks = [_Block.of(p.take(p.fold == f), mean, scale) for f in range(p.folds)]
        losses = np.zeros((p.folds, len(PENALTIES)))
        for i, j in combinations(range(p.folds), 2) if p.folds > 2 else ():
            kept = _Rows([b for f, b in enumerate(blocks) if f not in (i, j)])
            path = kept.path((blocks[j], blocks[i]))
            losses[i] += path[:, 0]
            losses[j] += path[:, 1]
        raw = np.empty_like(p.Y)
        settings = []
        for f in range(p.folds):
            setting = _best_penalty(losses[f])
            settings.append(setting)
            kept = _Rows([b for g, b in enumerate(blocks) if g != f])
            raw[p.fold == f] = blocks[f].score(kept.minimise(setting[0], None))
        return CrossValidated(raw, tuple(settings), _best_penalty(losses.sum(axis=0)))

    def fit(self, problem: Problem, setting: Setting) -> Linear:
        mean, scale = _centre(problem.X)
        beta = _Rows([_Block.of(problem, mean, scale)]).minimise(setting[0], None)
        return Linear(mean, scale, beta[1:], beta[0], "one_vs_rest")


def _centre(X: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation [d] of all rows, which only keep the sums well conditioned: the penalty goes by the deviation
    of the rows that are learned from, and the intercept is free."""
    mean = X.mean(axis=0, dtype=np.float64)
    scale = X.std(axis=0, dtype=np.float64)
    scale[scale <= np.abs(mean) * 1e-7 + 1e-30] = 1.0  # float32 keeps seven digits: this is rounding
    return mean, scale


# --- ridge, from moments -------------------------------------------------------------------------------------------


def _moments(problem: Problem, mean: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """[m, m] weighted sums of products of (1, x, y), m = 1 + d + k."""
    root = np.sqrt(problem.weights)[:, None]
    rows = np.hstack([np.ones_like(root), (problem.X - mean) / scale, problem.Y]) * root
    return np.asarray(rows.T @ rows)


def _deviation(mean_square: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """[d] deviations in units of the overall one; 1 where the rows are constant, as StandardScaler does."""
    deviation = np.sqrt(np.maximum(mean_square - mean**2, 0))
    return np.where(deviation <= np.maximum(_CONSTANT, 1e-7 * np.abs(mean)), 1.0, deviation)


def _solve(sums: NDArray[np.float64], k: int, shrinkages: NDArray[np.float64]) -> NDArray[np.float64]:
    """[s, 1 + d, k] intercept and coefficients for each shrinkage, by one eigendecomposition."""
    d = len(sums) - 1 - k
    x, y = slice(1, 1 + d), slice(1 + d, None)
    weight = sums[0, 0]
    mean_x, mean_y = sums[0, x] / weight, sums[0, y] / weight
    deviation = _deviation(np.diag(sums)[x] / weight, mean_x)
    correlation = (sums[x, x] / weight - np.outer(mean_x, mean_x)) / np.outer(deviation, deviation)
    covariance = (sums[x, y] / weight - np.outer(mean_x, mean_y)) / deviation[:, None]
    values, vectors = np.linalg.eigh(correlation)
    along = (vectors.T @ covariance) / (np.maximum(values, 0)[:, None] + shrinkages[:, None, None])
    coef = np.einsum("de,sek->sdk", vectors, along, optimize=True) / deviation[:, None]
    intercept = mean_y - np.einsum("d,sdk->sk", mean_x, coef)
    return np.concatenate([intercept[:, None, :], coef], axis=1)


def _squared_error(beta: NDArray[np.float64], sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """[s, k] weighted squared error over the rows of ``sums``."""
    m = beta.shape[1]
    fitted = np.einsum("smk,smk->sk", np.einsum("ml,slk->smk", sums[:m, :m], beta, optimize=True), beta)
    crossed = np.einsum("smk,mk->sk", beta, sums[:m, m:])
    return np.asarray(np.diag(sums)[m:] - 2 * crossed + fitted)


def _best_shrinkage(errors: NDArray[np.float64]) -> Setting:
    """One a target. Where nothing was measured (two folds leave none to choose by), 0.1."""
    if not errors.any():
        return tuple(0.1 for _ in range(errors.shape[1]))
    best: list[float] = SHRINKAGES[errors.argmin(axis=0)].tolist()
    return tuple(best)


def _linear(
    sums: NDArray[np.float64], mean: NDArray[np.float64], scale: NDArray[np.float64], setting: Setting
) -> Linear:
    every = _solve(sums, len(setting), np.array(setting))  # [k, 1 + d, k]: shrinkage t is for target t
    beta = np.stack([every[t, :, t] for t in range(len(setting))], axis=1)
    return Linear(mean, scale, beta[1:], beta[0], "identity")


# --- logistic ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows of one fold, ready to be multiplied: float32 halves the memory traffic that bounds the speed."""

    A: NDArray[np.float32]  # [n, 1 + d], first column 1
    sign: NDArray[np.float32]  # [n, k] -1 for the row's class, else 1
    weights: NDArray[np.float32]  # [n, 1]
    moments: NDArray[np.float64]  # [1 + d, 1 + d]

    @classmethod
    def of(cls, problem: Problem, mean: NDArray[np.float64], scale: NDArray[np.float64]) -> _Block:
        A = np.ones((len(problem.X), problem.X.shape[1] + 1), np.float32)
        A[:, 1:] = (problem.X - mean) / scale
        weights = problem.weights.astype(np.float32)[:, None]
        return cls(A, (1 - 2 * problem.Y).astype(np.float32), weights, ((A * weights).T @ A).astype(np.float64))

    def score(self, beta: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.A @ beta

    def loss(self, beta: NDArray[np.float64]) -> float:
        """Weighted sum over rows of the log loss of the normalised probabilities."""
        from scipy.special import logsumexp

        level = -np.logaddexp(0, -self.score(beta))
        own = level[np.arange(len(level)), self.sign.argmin(axis=1)]
        return float((logsumexp(level, axis=1) - own) @ self.weights[:, 0].astype(np.float64))

    def descend(self, beta: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        """Weighted sum of one-vs-rest losses log(1 + exp(s z)), and its gradient [1 + d, k]."""
        z = self.A @ beta
        z *= self.sign
        e = np.exp(-np.abs(z))
        loss = (np.maximum(z, 0) + np.log(1 + e)) * self.weights
        slope = np.where(z >= 0, np.float32(1), e) / (1 + e) * self.sign * self.weights
        return float(loss.sum(dtype=np.float64)), self.A.T @ slope


class _Rows:
    """Rows to learn from, in one or more blocks."""

    def __init__(self, blocks: Sequence[_Block]) -> None:
        self.blocks = blocks
        moments = np.sum([b.moments for b in blocks], axis=0)
        self.total = moments[0, 0]
        self.moments = moments / self.total
        self.deviation = _deviation(np.diag(self.moments)[1:], self.moments[0, 1:])

    def path(self, held: tuple[_Block, _Block]) -> NDArray[np.float64]:
        """[penalties, 2] losses on the held blocks, infinite from where both have risen twice.

        From the strongest penalty on, each fit starts where the last one ended; the weak ones cost most.
        """
        losses = np.full((len(PENALTIES), 2), np.inf)
        beta = None
        for at, penalty in enumerate(PENALTIES):
            beta = self.minimise(float(penalty), beta, tolerance=3e-4)
            losses[at] = [block.loss(beta) for block in held]
            if at > 1 and np.all(np.diff(losses[at - 2 : at + 1], axis=0) > 0):
                break
        return losses

    def minimise(
        self, penalty: float, start: NDArray[np.float64] | None, tolerance: float = 1e-6
    ) -> NDArray[np.float64]:
        """[1 + d, k]: least mean loss plus penalty / 2 x squared coefficients of the standardised features.

        L-BFGS in coordinates where Böhning's bound of the Hessian (a quarter of the Gram matrix, for every class alike;
        Böhning 1992, Multinomial logistic regression algorithm) is the identity: about ten passes over the rows,
        where the plain features take hundreds.
        """
        from scipy.linalg import cholesky, solve_triangular
        from scipy.optimize import minimize

        weight = penalty * np.append(_INTERCEPT / penalty, self.deviation**2)
        root = cholesky(self.moments / 4 + np.diag(weight), lower=True)
        beta = self._priors() if start is None else start
        shape = beta.shape

        def value(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            beta = solve_triangular(root.T, flat.reshape(shape))
            loss, gradient = 0.5 * float(np.sum(weight[:, None] * beta**2)), weight[:, None] * beta
            for block in self.blocks:
                part, slope = block.descend(beta.astype(np.float32))
                loss += part / self.total
                gradient = gradient + slope / self.total
            return loss, solve_triangular(root, gradient, lower=True).ravel()

        found = minimize(
            value,
            (root.T @ beta).ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 200, "ftol": tolerance * 1e-2, "gtol": tolerance},
        )
        return np.asarray(solve_triangular(root.T, found.x.reshape(shape)))

    def _priors(self) -> NDArray[np.float64]:
        """Zero coefficients, and for intercepts the log odds of the classes."""
        own = sum(((b.sign < 0) * b.weights).sum(axis=0, dtype=np.float64) for b in self.blocks) / self.total
        beta = np.zeros((len(self.moments), len(np.atleast_1d(own))))
        share = np.clip(own, 1e-6, 1 - 1e-6)
        beta[0] = np.log(share / (1 - share))
        return beta


def _best_penalty(losses: NDArray[np.float64]) -> Setting:
    """Where nothing was measured (two folds leave none to choose by), 0.01."""
    return (float(PENALTIES[losses.argmin()]),) if losses.any() else (0.01,)
