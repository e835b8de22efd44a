"""What models say of a piece: a preset, the settings to expect, whether an alignment is right. Without a version that
answers, or with the flag ``enable_cpu_ml`` off, the rules say it.

Which version answers whom is models/inference.py's; the rules are presets.py's and alignment.py's.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from types import TracebackType

from pipelines.audio.features import AudioFeatures
from pipelines.errors import Unavailable
from pipelines.mastering import alignment, labelling, presets
from pipelines.mastering.training_set import ALIGNMENT_VERSION, FEATURE_VERSION
from pipelines.models.inference import RULE, Prediction, Predictor
from pipelines.storage import flags
from pipelines.studio import Studio


@dataclass(frozen=True, slots=True)
class Suggestion:
    preset: str
    confidence: float  # 0..1: a probability from a model, the rule's own figure otherwise
    by: str  # a version of preset_cls, or rule
    reason: str


class Advisor:
    """Opens a model's versions when it is first asked; a context that hands the counts over at its end."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._open: dict[str, Predictor] = {}
        with studio.database.session() as session:
            self._enabled = flags.enabled(session, "enable_cpu_ml")

    def __enter__(self) -> Advisor:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for predictor in self._open.values():
            predictor.close()

    def preset(self, user_id: str, features: AudioFeatures) -> Suggestion:
        """The preset that suits a mix of these features."""
        found = self._ask("preset_cls", FEATURE_VERSION, user_id, features.vector)
        if found is None:
            name, confidence, reason = presets.suggest(features)
            return Suggestion(name, confidence, RULE, reason)
        shares = found.outputs[0]
        ranked = sorted(zip(shares.tolist(), found.classes, strict=True), reverse=True)
        known = [(share, name) for share, name in ranked if name in presets.names()]
        if not known:  # learned when there were other presets
            name, confidence, reason = presets.suggest(features)
            return Suggestion(name, confidence, RULE, reason)
        others = ", ".join(f"{name} {share:.0%}" for share, name in known[1:3])
        return Suggestion(known[0][1], known[0][0], found.version, f"next {others}")

    def settings(self, user_id: str, features: AudioFeatures) -> tuple[float, ...]:
        """What `labelling.TARGETS` are expected to become; empty when no model says."""
        found = self._ask("master_reg", FEATURE_VERSION, user_id, features.vector)
        if found is None or found.outputs.shape[1] != len(labelling.TARGETS):
            return ()
        return tuple(float(v) for v in found.outputs[0])

    def alignment(self, user_id: str, found: alignment.Alignment) -> tuple[float, str]:
        """(confidence 0..1 that the lag is right, who says so)."""
        said = self._ask("align_conf", ALIGNMENT_VERSION, user_id, found.evidence)
        if said is None or labelling.RIGHT not in said.classes:
            return found.confidence, RULE
        return float(said.outputs[0, said.classes.index(labelling.RIGHT)]), said.version

    def _ask(self, name: str, feature_version: str, user_id: str, vector: object) -> Prediction | None:
        if not self._enabled:
            return None
        if name not in self._open:
            self._open[name] = Predictor(self._studio, name, feature_version=feature_version)
        with contextlib.suppress(Unavailable):  # no version answers: it is counted there, and the rule answers here
            return self._open[name].predict(user_id, vector)  # type: ignore[arg-type]
        return None
