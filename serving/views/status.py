"""What an operator sees at a glance. What waits and failed is pipelines/status.py's, how full the store is
pipelines/governance/budget.py's."""

from __future__ import annotations

from pipelines import clock
from pipelines import status as report_of_all
from pipelines.governance import budget
from pipelines.identity.callers import Caller
from pipelines.scoring.state import ScoringState
from pipelines.status import BatchState, Refusal
from pipelines.storage import counts, storage_use
from serving.api.house import House
from serving.dagster_ui import Pages
from serving.wire import status as wire
from serving.wire.status import Counts, FailedStep, Sheet, Status, Storage, Waiting

SHOWN = 200  # of each kind, the newest where they are many; counts are of all


def status(house: House, caller: Caller) -> Status:
    """For operators: it names everybody's jobs."""
    studio = house.studio
    report = report_of_all.report(studio)
    with house.session() as session:
        underway, late = counts.withdrawals(session, clock.now())
        counted = Counts(
            jobs=counts.jobs(session),
            batches=counts.batches(session),
            failed_steps=len(report.failed_items),
            refused_jobs=len(report.bad_jobs),
            waiting_folders=len(report.waiting_jobs),
            open_sheets=len(report.sheets),
            open_withdrawals=underway,
            overdue_withdrawals=late,
            waiting_access_requests=counts.undecided(session),
            legal_holds=counts.holds(session),
        )
        measured = storage_use.newest(session)
        level = budget.level(session)
    return Status(
        counts=counted,
        storage=Storage(
            at=None if measured is None else measured.at,
            used=0 if measured is None else measured.used,
            budget=int(house.settings.number("storage_budget_gb") * 1e9),
            level=level,
            consequence=budget.CONSEQUENCES[level],
            kinds={} if measured is None else measured.detail,
        ),
        open_batches=_batches(house, report.open_batches),
        failed_batches=_batches(house, report.failed_batches),
        failed_steps=tuple(
            FailedStep(job=one.job, step=one.step, error=one.error) for one in report.failed_items[-SHOWN:]
        ),
        refused_jobs=_refusals(report.bad_jobs),
        refused_files=_refusals(report.refused_files),
        waiting_jobs=tuple(Waiting(job=one.job, reason=one.reason) for one in report.waiting_jobs[-SHOWN:]),
        sheets=tuple(_sheet(one) for one in report.sheets[-SHOWN:]),
        links=_links(house),
    )


def _batches(house: House, found: tuple[BatchState, ...]) -> tuple[wire.Batch, ...]:
    return tuple(
        wire.Batch(
            key=one.key,
            status=one.status,
            attempts=one.attempts,
            error=one.error,
            url=Pages(house.settings).batch(one.key),
        )
        for one in found[-SHOWN:]
    )


def _refusals(found: tuple[Refusal, ...]) -> tuple[wire.Refusal, ...]:
    return tuple(wire.Refusal(job=one.job, error=one.error) for one in found[:SHOWN])


def _sheet(one: ScoringState) -> Sheet:
    return Sheet(
        id=one.id,
        name=one.name,
        job=one.job,
        status=one.status,
        rows=one.rows,
        of=one.of,
        rate=one.rate,
        eta=one.eta,
        sentence=one.line(),
    )


def _links(house: House) -> dict[str, str]:
    pages = Pages(house.settings)
    assets = {
        "models": "model_rollouts",
        "withdrawals": "withdrawals",
        "storage": "storage_use",
        "audit": "audit_trail",
    }
    return {"dagster": pages.root, "runs": pages.runs} | {name: pages.asset(asset) for name, asset in assets.items()}
