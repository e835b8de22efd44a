"""Models: asked directly, lists for viewers, live accompaniment, and who gets which version."""

from __future__ import annotations

from collections.abc import Sequence

from serving.client.calls import Calls, path
from serving.client.playing import LiveSession
from serving.wire.flags import Flag, Flags, FlagWish
from serving.wire.inference import Prediction, PredictionWish
from serving.wire.live import LiveProtocol, Sketch, SketchWish, Start
from serving.wire.models import Model, ModelHistory, Models, Rollout, RolloutDecision, Rollouts, RolloutWish, Window
from serving.wire.recommendations import Decision, DecisionWish, Recommendations


class Asking(Calls):
    """Every method is an operation of the API; ``live`` is its WebSocket."""

    def predict(self, name: str, wish: PredictionWish) -> Prediction:
        return self._send("POST", path("/v1/models/{}/predict", name), Prediction, wish)

    def recommend(
        self,
        user: str,
        *,
        limit: int | None = None,
        genre: Sequence[str] = (),
        without_genre: Sequence[str] = (),
        unavailable_too: bool | None = None,
        diversity: float | None = None,
        exploration: float | None = None,
        seed: int | None = None,
    ) -> Recommendations:
        return self._get(
            path("/v1/recommendations/{}", user),
            Recommendations,
            limit=limit,
            genre=list(genre),
            without_genre=list(without_genre),
            unavailable_too=unavailable_too,
            diversity=diversity,
            exploration=exploration,
            seed=seed,
        )

    def decide(self, user: str, wish: DecisionWish) -> Decision:
        return self._send("POST", path("/v1/recommendations/{}/decisions", user), Decision, wish, once=wish.at is None)

    def sketch(self, wish: SketchWish) -> Sketch:
        return self._send("POST", "/v1/sketches", Sketch, wish)

    def get_live_protocol(self) -> LiveProtocol:
        return self._get("/v1/live", LiveProtocol)

    def live(self, start: Start) -> LiveSession:
        """Begins to accompany somebody who plays."""
        return LiveSession(self.transport, start)

    # what serves

    def list_models(self) -> Models:
        return self._get("/v1/models", Models)

    def get_model(self, name: str, *, limit: int | None = None) -> Model:
        return self._get(path("/v1/models/{}", name), Model, limit=limit)

    def get_model_history(self, name: str, *, window: Window | None = None, days: int | None = None) -> ModelHistory:
        return self._get(path("/v1/models/{}/history", name), ModelHistory, window=window, days=days)

    def list_rollouts(self) -> Rollouts:
        return self._get("/v1/rollouts", Rollouts)

    def get_rollout(self, name: str) -> Rollout:
        return self._get(path("/v1/models/{}/rollout", name), Rollout)

    def change_rollout(self, name: str, wish: RolloutWish, *, etag: str | None = None) -> RolloutDecision:
        """``etag``: of the rollout that the change is meant for; Conflicting when it is another by now."""
        return self._send("POST", path("/v1/models/{}/rollout", name), RolloutDecision, wish, etag=etag)

    def list_flags(self) -> Flags:
        return self._get("/v1/flags", Flags)

    def get_flag(self, name: str) -> Flag:
        return self._get(path("/v1/flags/{}", name), Flag)

    def set_flag(self, name: str, wish: FlagWish, *, etag: str | None = None) -> Flag:
        return self._send("PUT", path("/v1/flags/{}", name), Flag, wish, etag=etag)
