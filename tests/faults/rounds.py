"""One round: jobs of all five systems come in while faults befall the house; then it is left alone until it is done,
and what must hold is looked at."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from pipelines.errors import OrimonoError
from pipelines.intake.ingest import ingest
from pipelines.storage.objects import Objects
from serving.client import ApiError, Orimono, Unreachable
from serving.wire.submissions import ArrangementWanted, MasterWanted, ScoringWanted
from tests.faults import invariants, kinds, material
from tests.faults.kinds import Fault
from tests.faults.material import Material
from tests.faults.whole import Watcher
from tests.faults.world import World

RECOVERY_SECONDS = 300.0  # within which all must be done after the last fault is over
ACCEPT_SECONDS = 180.0  # for a job to be taken at all: who sends it tries again, as people do


@dataclass(frozen=True, slots=True)
class Outcome:
    seed: int
    faults: tuple[Fault, ...]
    seconds: float  # in all
    recovery: float  # s from the end of the last fault and the last job's coming to the end of all work
    violations: tuple[str, ...]
    files: int  # results that were read as they appeared

    def __str__(self) -> str:
        told = ", ".join(map(str, self.faults))
        end = "ok" if not self.violations else f"{len(self.violations)} VIOLATIONS"
        return f"seed {self.seed}: {told}; done {self.recovery:.1f} s after, {self.seconds:.1f} s in all: {end}"


def play(
    world: World, seed: int, faults: list[Fault] | None = None, recovery_seconds: float = RECOVERY_SECONDS
) -> Outcome:
    """Raises nothing that a fault brings: what does not hold is told as a violation."""
    rng = random.Random(seed)
    planned = kinds.drawn(rng) if faults is None else faults
    made = {f"s{seed}-{system}": system for system in material.SYSTEMS}
    ready = {
        name: material.make(world.folder / "material", system, name, random.Random(f"{seed} {system}"))
        for name, system in made.items()
    }
    order = list(ready)
    rng.shuffle(order)
    gap = rng.choice((0.0, 0.3, 2.0))  # all in one batch, or one after the other
    done: list[Fault] = []
    errors: list[str] = []
    start = time.monotonic()

    def strike(fault: Fault, number: int) -> None:
        try:
            done.append(kinds.befall(world, fault, start, random.Random(f"{seed} {number}")))
        except Exception as error:  # noqa: BLE001 a defect of the harness, to be told with the round
            errors.append(f"{fault.kind} could not be done ({type(error).__name__}: {error})")

    threads = [threading.Thread(target=strike, args=(fault, n)) for n, fault in enumerate(planned)]
    jobs: dict[str, Material] = {}
    with Watcher(world.settings, Objects.open(world.settings), jobs) as watcher:
        for thread in threads:
            thread.start()
        for name in order:
            try:
                jobs[_send(world, ready[name])] = ready[name]
            except TimeoutError as error:
                errors.append(f"{name} was not taken in {ACCEPT_SECONDS:.0f} s: {error}")
            time.sleep(rng.uniform(0, gap))
        for thread in threads:
            thread.join()
        over = time.monotonic()
        left = _settle(world, jobs, over + recovery_seconds)
        recovery = time.monotonic() - over
        if left:
            errors += [f"not done after {recovery:.0f} s: {what}" for what in left]
        else:
            disturbances = sum(1 for fault in done if fault.begun)
            errors += invariants.violations(world, jobs, disturbances)
    errors += watcher.seen
    ordered = tuple(sorted(done, key=lambda fault: fault.at))
    return Outcome(seed, ordered, time.monotonic() - start, recovery, tuple(errors), watcher.read)


def _send(world: World, job: Material) -> str:
    """By folder or through the API, until it is taken; its name."""
    end = time.monotonic() + ACCEPT_SECONDS
    while True:
        try:
            if job.system in ("master", "sheet"):
                return _by_api(world, job)
            return ingest(job.folder, world.settings.inbox).name
        except (OrimonoError, ApiError, Unreachable, httpx.HTTPError, OSError) as error:
            if time.monotonic() > end:
                raise TimeoutError(f"{type(error).__name__}: {error}") from error
            time.sleep(0.5)


def _by_api(world: World, job: Material) -> str:
    # Tried again under one Idempotency-Key, so that an answer that was lost makes no second job.
    with Orimono(world.house.api, world.key(), attempts=40) as api:
        upload = api.upload(job.file, job.kind, seconds=60)
        if job.system == "sheet":
            return api.create_scoring_job(
                ScoringWanted(sheet=upload, categories=material.CATEGORIES, title=job.folder.name)
            ).name
        if job.system == "melody":
            wish = ArrangementWanted(melody=upload, styles=("pop",), candidates=1, title=job.folder.name)
            return api.create_arrangement(wish).name
        return api.create_master(MasterWanted(mix=upload, title=job.folder.name)).name


def _settle(world: World, jobs: dict[str, Material], deadline: float) -> list[str]:
    """Waits until nothing is left to do; what is left at the deadline."""
    while True:
        try:
            left = invariants.unsettled(world, jobs) or [f"run {r}" for r in world.runs_in_progress()]
            if not left and not world.answers():
                left = ["a server does not answer"]
        except (OrimonoError, OSError, AssertionError) as error:
            left = [f"cannot be asked: {error}"]
        if not left:
            return []
        if time.monotonic() > deadline:
            return left
        time.sleep(1.0)


def material_gone(folder: Path) -> None:
    """Frees what a round made, so that fifty of them need little room."""
    import shutil

    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder / "material")
