"""LightGBM under the same folds as the linear models: rounds by early stopping, equal data and seed, equal trees.

Whether it is worth its size is decided in training.py; how its trees become ONNX, in onnx_export.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.models.estimators import CrossValidated, Forest, Problem, Setting

ROUNDS = 200
_PATIENCE = 10  # rounds without a gain on the held rows before it stops
_LEAST_ROWS = 100  # below, trees of 15 leaves only learn the rows by heart


@dataclass(frozen=True, slots=True)
class LightGBM:
    """One booster a target (squared error), or one over all classes (softmax).

    Small trees over 31 bins, large steps: on 12,000 x 160 rows a sixth of the time of LightGBM's defaults (31 leaves,
    255 bins, steps of 0.1).
    """

    classification: bool
    seed: int = 0
    threads: int = 1  # more of them give the same trees
    name: str = "lightgbm"
    costly: bool = True

    def refuses(self, problem: Problem) -> str:
        if len(problem.X) < _LEAST_ROWS:
            return f"not tried: {len(problem.X)} rows, it wants {_LEAST_ROWS}"
        if problem.folds < 3:
            return "not tried: two recordings leave none to stop its rounds by"
        return ""

    def cross_validate(self, problem: Problem) -> CrossValidated:
        """Rounds for fold i are those that were best on the next fold, for a booster that saw neither; the booster that
        answers fold i then learns from all others with so many rounds. So it has as many rows as a linear model."""
        p = problem
        raw = np.empty_like(p.Y)
        settings: list[Setting] = []
        for f in range(p.folds):
            stop = (f + 1) % p.folds
            settings.append(self._rounds(p.take((p.fold != f) & (p.fold != stop)), p.take(p.fold == stop)))
            held = p.fold == f
            raw[held] = self.fit(p.take(~held), settings[-1]).raw(p.X[held])
        return CrossValidated(raw, tuple(settings), tuple(float(r) for r in np.round(np.median(settings, axis=0))))

    def fit(self, problem: Problem, setting: Setting) -> Forest:
        boosters = [
            self._train(data, int(rounds), None)
            for (data, _), rounds in zip(self._sets(problem, None), setting, strict=True)
        ]
        return Forest(boosters, "softmax" if self.classification else "identity")

    def _rounds(self, learn: Problem, stop: Problem) -> Setting:
        found = [self._train(data, ROUNDS, held).best_iteration for data, held in self._sets(learn, stop)]
        return tuple(float(max(rounds, 1)) for rounds in found)

    def _sets(self, learn: Problem, stop: Problem | None) -> Any:
        """Pairs of (rows to learn from, rows to stop by or None), one a booster; the features are binned once."""
        import lightgbm

        params = self._params(learn)
        columns = [_classes(learn)] if self.classification else learn.Y.T
        data = lightgbm.Dataset(learn.X, columns[0], weight=learn.weights, params=params, free_raw_data=False)
        held = None
        if stop is not None:
            stops = [_classes(stop)] if self.classification else stop.Y.T
            held = lightgbm.Dataset(stop.X, stops[0], weight=stop.weights, reference=data, free_raw_data=False)
        for at, column in enumerate(columns):
            data.set_label(column)
            if held is not None:
                held.set_label(stops[at])
            yield data, held

    def _train(self, data: Any, rounds: int, held: Any | None) -> Any:
        import lightgbm

        if held is None:
            return lightgbm.train(data.params, data, rounds)
        stopping = lightgbm.early_stopping(_PATIENCE, verbose=False)
        return lightgbm.train(data.params, data, rounds, valid_sets=[held], callbacks=[stopping])

    def _params(self, learn: Problem) -> dict[str, Any]:
        task = {"objective": "multiclass", "num_class": learn.Y.shape[1]} if self.classification else {}
        return {
            "objective": "regression",
            **task,
            "num_leaves": 15,
            "max_bin": 31,
            "learning_rate": 0.2,
            "feature_fraction": 0.5,
            "lambda_l2": 1.0,
            "min_data_in_leaf": int(np.clip(len(learn.X) // 50, 5, 20)),
            "use_missing": False,
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": self.threads,
            "verbosity": -1,
        }


def _classes(problem: Problem) -> NDArray[np.int64]:
    return np.asarray(problem.Y.argmax(axis=1), np.int64)
