"""What versions there are, who gets them and how they behave, as a person or a program wants to read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from pipelines.errors import BadInput
from pipelines.models import registry
from pipelines.models.candidates import headline, measure
from pipelines.storage import metrics as metrics_table
from pipelines.storage import models as registry_table
from pipelines.storage import rollouts
from pipelines.storage.tables import ModelMetrics, ModelVersion, Rollout
from pipelines.studio import Studio


@dataclass(frozen=True, slots=True)
class Version:
    name: str
    version: str
    framework: str
    stage: int | None  # per cent of the users; None: it serves nobody
    status: str  # live, running, superseded, rolled_back or registered
    since: datetime
    reason: str
    measure: str  # what the headline is: R2 or macro-F1
    headline: float
    n: int  # calls in the last day
    latency_ms: float | None
    err_rate: float | None
    input_psi: float | None
    output_psi: float | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"since": self.since.isoformat()}


def versions(studio: Studio, name: str | None = None, limit: int = 5) -> list[Version]:
    """Of each model the newest ``limit`` versions, those that serve first."""
    found: list[Version] = []
    with studio.database.session() as session:
        for model in [name] if name is not None else registry_table.names(session):
            history = {r.model_id: r for r in reversed(rollouts.history(session, model))}
            made: list[Version] = []
            for row in registry_table.listed(session, model):
                r = history.get(row.id)
                day = metrics_table.newest(session, row.id, "1d")
                made.append(
                    Version(
                        model,
                        row.version,
                        row.framework,
                        r.stage if r is not None and r.status in ("live", "running") else None,
                        r.status if r is not None else "registered",
                        r.stage_since if r is not None else row.created_at,
                        r.reason if r is not None else "",
                        measure(row.metrics),
                        headline(row.metrics),
                        day.n if day is not None else 0,
                        day.latency_ms if day is not None else None,
                        day.err_rate if day is not None else None,
                        day.input_psi if day is not None else None,
                        day.output_psi if day is not None else None,
                    )
                )
            made.sort(key=lambda v: v.stage is None)
            found += made[:limit]
    return found


@dataclass(frozen=True, slots=True)
class Served:
    """A registered version with the newest rollout of it, and the newest look at its last day."""

    row: ModelVersion
    rollout: Rollout | None
    day: ModelMetrics | None

    @property
    def status(self) -> str:
        return self.rollout.status if self.rollout is not None else "registered"

    @property
    def stage(self) -> int | None:
        """Per cent of the users; None: it serves nobody."""
        return self.rollout.stage if self.rollout is not None and self.status in ("live", "running") else None


def served(session: Session, name: str, limit: int) -> list[Served]:
    """The newest ``limit`` versions of a name and those that serve, these first; empty for a name that there is none
    of."""
    newest = {r.model_id: r for r in reversed(rollouts.history(session, name))}
    serve = [r.model_id for r in newest.values() if r.status in ("live", "running")]
    rows = registry_table.newest(session, name, limit, serve)
    days = metrics_table.newest_of(session, [row.id for row in rows], "1d")
    found = [Served(row, newest.get(row.id), days.get(row.id)) for row in rows]
    return sorted(found, key=lambda one: {"live": 0, "running": 1}.get(one.status, 2))


def broken_artefacts(
    studio: Studio, name: str | None = None, whole: Callable[[Studio, ModelVersion], object] | None = None
) -> list[str]:
    """Of every version that serves somebody, or of the newest version of ``name``: why it cannot be loaded. ``whole``
    loads what serves beside the registered artefact."""
    with studio.database.session() as session:
        if name is not None:
            rows = [row for row in [registry_table.latest(session, name)] if row is not None]
        else:
            present = [r for n in rollouts.names(session) for r in rollouts.present(session, n) if r is not None]
            rows = list(registry_table.of_ids(session, [r.model_id for r in present]).values())
    found = []
    for row in rows:
        for load in (_registered, whole):
            try:
                if load is not None:
                    load(studio, row)
            except BadInput as error:
                found.append(str(error))
    return found


def _registered(studio: Studio, row: ModelVersion) -> None:
    registry.verify(studio.objects, row)


def table(found: list[Version]) -> str:
    """Markdown, one row a version."""
    lines = [
        "| model | version | framework | stage | status | score | calls/day | ms | errors | drift in | drift out |",
        "|" + "---|" * 11,
    ]
    for v in found:
        stage = f"{v.stage} %" if v.stage is not None else ""
        errors = f"{v.err_rate:.1%}" if v.err_rate is not None else ""
        numbers = [f"{x:.2f}" if x is not None else "" for x in (v.latency_ms, v.input_psi, v.output_psi)]
        cells = [v.name, v.version, v.framework, stage, v.status, f"{v.measure} {v.headline:.3f}", str(v.n)]
        lines.append(f"| {' | '.join([*cells, numbers[0], errors, *numbers[1:]])} |")
    return "\n".join(lines)


def metrics(studio: Studio) -> dict[str, float | int | str]:
    """One stable key a figure of each version that serves, and the table."""
    found = versions(studio)
    summary: dict[str, float | int | str] = {"versions": table(found)}
    for v in found:
        if v.stage is None:
            continue
        role = "live" if v.status == "live" else "candidate"
        values = {
            "stage": v.stage,
            "calls_1d": v.n,
            "latency_ms_1d": v.latency_ms,
            "err_rate_1d": v.err_rate,
            "input_psi_1d": v.input_psi,
            "output_psi_1d": v.output_psi,
        }
        summary |= {f"{v.name}_{role}_{key}": value for key, value in values.items() if value is not None}
    return summary
