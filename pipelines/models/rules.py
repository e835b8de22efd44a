"""When a version goes up, waits or is taken back: bounds as data, one rule a sentence.

Nothing here touches a database or a clock: watching.py measures and acts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from pipelines.models.drift import Drift
from pipelines.models.rollout import NEXT_STAGE, Routes


@dataclass(frozen=True, slots=True)
class Policy:
    """What is asked of a version. Shares are 0..1; stages are per cent of the users."""

    min_n: Mapping[int, int] = field(default_factory=lambda: {5: 30, 25: 100})  # calls before it leaves the stage
    min_age: Mapping[int, timedelta] = field(
        default_factory=lambda: {5: timedelta(days=1), 25: timedelta(days=2)}  # live before the next weekly training
    )
    patience: timedelta = timedelta(days=3)  # for calls: then more users are asked at 5 %, and a person at 25 %
    max_err_rate: float = 0.02
    max_retry_rate: float = 0.05
    max_p95_ms: float = 50.0
    max_psi: float = 0.25  # the usual bound for "another population"
    max_ks: float = 0.3
    max_moved: float = 0.5  # share of the features beyond max_psi at which all inputs count as strange
    min_drift_n: int = 100  # rows before drift is judged: below, the worst of 164 features is beyond 0.25 by chance
    worse: float = 1.5  # slow or drifting is the candidate's fault when it is so many times worse than the live one


POLICIES: dict[str, Policy] = {
    # Stems come less often than mixes, and a wrong confidence is seen by the person at once.
    "align_conf": Policy(min_n={5: 20, 25: 60}),
    # A call is a whole arrangement with all its candidates. It learned from chorales and is asked about all sorts of
    # melodies: drift is told where a composer's are of another world, not of another style.
    "harmonizer": Policy(min_n={5: 20, 25: 60}, max_p95_ms=5_000.0, max_psi=1.0, max_ks=0.6, max_moved=1.0),
}


def policy(name: str) -> Policy:
    return POLICIES.get(name, Policy())


@dataclass(frozen=True, slots=True)
class Window:
    """What a version did in 1, 7 or 30 days, not counting what was before its rollout began."""

    n: int
    errors: int
    retries: int
    p95_ms: float | None
    drift: Drift | None
    last_error: str | None = None

    @property
    def err_rate(self) -> float | None:
        return self.errors / self.n if self.n else None

    @property
    def retry_rate(self) -> float | None:
        return self.retries / self.n if self.n else None


Windows = Mapping[str, Window]  # by "1d", "7d", "30d"


@dataclass(frozen=True, slots=True)
class Promote:
    reason: str
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    reason: str
    alarms: tuple[str, ...] = ()  # what a person should look at


@dataclass(frozen=True, slots=True)
class RollBack:
    reason: str
    live: bool = False  # the live version; else the candidate
    alarms: tuple[str, ...] = ()


def decide(
    windows: Mapping[int, Windows],
    routes: Routes,
    ages: Mapping[int, timedelta],
    policy: Policy,
    restored: bool = False,
) -> Promote | Hold | RollBack:
    """One verdict for one name.

    ``windows`` and ``ages`` (since its stage began) by model id, of the candidate and the live version. ``restored``:
    the live version took the place of one that failed less than a day ago, so that failures now are hardly its own.
    A candidate that fails is taken back first; then a live version that fails, when there is one before it. Latency and
    drift that candidate and live version share are the machine's and the world's: they stop a promotion, no more.
    """
    candidate, live = routes.running, routes.live
    running = windows[candidate[0]] if candidate is not None else {}
    serving = windows[live] if live is not None else {}
    alarms = tuple(_live_alarms(serving, policy))
    if candidate is not None and (faults := list(_faults(running, serving, policy))):
        return RollBack("; ".join(faults), alarms=alarms)
    if live is not None and (failing := list(_failing(serving, policy))):
        if restored:
            alarms = (*failing, "the version before it failed, too: look at what reaches the model", *alarms)
        elif routes.previous is None:
            alarms = (*failing, "there is no earlier version to return to", *alarms)
        else:
            return RollBack("; ".join(failing), live=True, alarms=alarms)
    if candidate is None:
        return Hold("is live" if live is not None else "nothing is rolled out", alarms)
    return _rise(running, candidate[1], ages[candidate[0]], policy, alarms)


def _rise(windows: Windows, stage: int, age: timedelta, policy: Policy, alarms: tuple[str, ...]) -> Promote | Hold:
    """Of a candidate that is not to be taken back."""
    week = windows["7d"]
    doubts = list(_doubts(windows, policy))
    if doubts:
        return Hold("; ".join(doubts), (*doubts, *alarms))
    if age < policy.min_age[stage]:
        return Hold(f"{_span(age)} at {stage} %, of {_span(policy.min_age[stage])} that are asked", alarms)
    if week.n < policy.min_n[stage]:
        few = f"{week.n} calls in 7 days, of {policy.min_n[stage]} that are asked"
        if age < policy.patience:
            return Hold(few, alarms)
        if NEXT_STAGE[stage] == 100:
            return Hold(few, (f"waits for calls at {stage} % and needs a person to decide: {few}", *alarms))
        reason = (
            f"only {week.n} calls in {_span(age)} at {stage} %, {week.errors} failed: more users are needed to tell"
        )
        return Promote(reason, alarms)
    return Promote(_praise(week, age, stage), alarms)


def _faults(windows: Windows, live: Windows, policy: Policy) -> Iterator[str]:
    """Why a candidate is taken back."""
    yield from _failing(windows, policy)
    day = windows["1d"]
    theirs = live.get("1d")
    if _slow(day, policy) and not _shared(day.p95_ms, theirs.p95_ms if theirs else None, policy):
        yield f"95 % of the calls took up to {day.p95_ms:.0f} ms in 1 day, bound {policy.max_p95_ms:g} ms"
    for window in ("1d", "7d"):
        ours, other = windows[window].drift, live[window].drift if live else None
        if ours is None:
            continue
        if other is not None and other.n < policy.min_drift_n:
            other = None
        strange = ours.n >= policy.min_drift_n and ours.moved is not None and ours.moved > policy.max_moved
        if strange and not _shared(ours.input_psi_mean, other.input_psi_mean if other else None, policy):
            yield f"{ours.moved:.0%} of its inputs are another population than it learned from ({_worst(ours)})"
            return
        if _outputs_moved(ours, policy) and not _shared(ours.output_psi, other.output_psi if other else None, policy):
            yield (
                f"its answers have moved: PSI {ours.output_psi:.2f} (bound {policy.max_psi:g}), "
                f"KS {ours.output_ks:.2f} (bound {policy.max_ks:g})"
            )
            return


def _failing(windows: Windows, policy: Policy) -> Iterator[str]:
    """Failures and calls passed on that are too many for chance: the lower end of the interval is above the bound."""
    for name, days in (("1d", "1 day"), ("7d", "7 days")):
        window = windows[name]
        found = []
        if lower_bound(window.errors, window.n) > policy.max_err_rate:
            why = f", the last: {window.last_error}" if window.last_error else ""
            found.append(_rate(window.errors, window.n, "failed", days, policy.max_err_rate) + why)
        if lower_bound(window.retries, window.n) > policy.max_retry_rate:
            found.append(_rate(window.retries, window.n, "went to another version", days, policy.max_retry_rate))
        if found:
            yield from found
            return


def _doubts(windows: Windows, policy: Policy) -> Iterator[str]:
    """Why a candidate that is not taken back is not promoted either."""
    day, week = windows["1d"], windows["7d"]
    for window, days in ((day, "1 day"), (week, "7 days")):
        if window.n and window.errors / window.n > policy.max_err_rate:
            yield _rate(window.errors, window.n, "failed", days, policy.max_err_rate)
            break
    for window, days in ((day, "1 day"), (week, "7 days")):
        if window.n and window.retries / window.n > policy.max_retry_rate:
            yield _rate(window.retries, window.n, "went to another version", days, policy.max_retry_rate)
            break
    if _slow(day, policy):
        yield f"95 % of the calls took up to {day.p95_ms:.0f} ms, bound {policy.max_p95_ms:g} ms"
    if week.drift is not None:
        yield from moved(week.drift, policy)


def _live_alarms(windows: Windows, policy: Policy) -> Iterator[str]:
    """Slow or drifting is no reason to return to an older version, which saw less of the world."""
    if not windows:
        return
    if _slow(windows["1d"], policy):
        yield f"95 % of the calls took up to {windows['1d'].p95_ms:.0f} ms, bound {policy.max_p95_ms:g} ms"
    if (drift := windows["7d"].drift) is not None:
        yield from moved(drift, policy)


def moved(drift: Drift, policy: Policy) -> Iterator[str]:
    """What drifts beyond the bounds, one sentence each."""
    if drift.n >= policy.min_drift_n and drift.input_psi is not None and drift.input_psi > policy.max_psi:
        most = f"PSI up to {drift.input_psi:.2f} in 7 days, bound {policy.max_psi:g}"
        yield f"inputs have moved: {most} ({_worst(drift)})"
    if _outputs_moved(drift, policy):
        yield f"answers have moved: PSI {drift.output_psi:.2f}, KS {drift.output_ks:.2f} in 7 days"


def _outputs_moved(drift: Drift, policy: Policy) -> bool:
    if drift.output_n < policy.min_drift_n or drift.output_psi is None or drift.output_ks is None:
        return False
    return drift.output_psi > policy.max_psi or drift.output_ks > policy.max_ks


def _slow(window: Window, policy: Policy) -> bool:
    return window.n >= min(policy.min_n.values()) and window.p95_ms is not None and window.p95_ms > policy.max_p95_ms


def _shared(ours: float | None, theirs: float | None, policy: Policy) -> bool:
    """The live version has it about as badly."""
    return ours is not None and theirs is not None and ours <= theirs * policy.worse


def lower_bound(failed: int, n: int, z: float = 1.96) -> float:
    """Below which the true share of failures hardly is (E. B. Wilson's score interval, 1927, here 95 %): 3 of 3 give
    0.44, 1 of 20 gives 0.009, so that one mishap takes nothing back and a broken model is taken back within minutes."""
    if n <= 0 or failed <= 0:
        return 0.0
    share = min(1.0, failed / n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, (share + z * z / (2 * n) - spread) / (1 + z * z / n))


def _rate(failed: int, n: int, verb: str, days: str, bound: float) -> str:
    return f"{failed} of {n} calls {verb} in {days} ({failed / n:.1%}, bound {bound:.0%})"


def _praise(week: Window, age: timedelta, stage: int) -> str:
    parts = [f"{week.n} calls in {_span(age)} at {stage} %: {week.errors} failed"]
    if week.p95_ms is not None:
        parts.append(f"95 % within {week.p95_ms:.1f} ms")
    if week.drift is not None and week.drift.input_psi is not None:
        parts.append(f"input PSI up to {week.drift.input_psi:.2f}")
    return ", ".join(parts)


def _worst(drift: Drift) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in drift.worst[:3])


def _span(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    return f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.0f} days"
