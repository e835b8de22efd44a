"""`python -m tests.faults --rounds 50 --seed 0`: rounds in a row, each of another seed, in one house; ends with 1 at
the first that does not hold, and says where the logs are."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.faults import kinds, rounds, world


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the first round; the next one has the next")
    parser.add_argument("--recovery-seconds", type=float, default=rounds.RECOVERY_SECONDS, help="for a busy machine")
    parser.add_argument("--fault", type=kinds.parse, action="append", help="KIND:AT:SECONDS, in place of the seed's")
    parser.add_argument("--keep-on", action="store_true", help="go on after a round that did not hold")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # takes its house with it, as Ctrl+C does
    folder = Path(tempfile.mkdtemp(prefix="orimono-faults-"))
    start, recoveries, failed = time.monotonic(), [], 0
    with world.opened(folder) as house:
        say(f"the house is up after {time.monotonic() - start:.0f} s; logs in {folder}")
        for number in range(arguments.rounds):
            outcome = rounds.play(
                house, arguments.seed + number, arguments.fault, recovery_seconds=arguments.recovery_seconds
            )
            rounds.material_gone(folder)
            recoveries.append(outcome.recovery)
            say(f"{number + 1:3}/{arguments.rounds} {outcome}")
            for violation in outcome.violations:
                say(f"      {violation}")
            failed += bool(outcome.violations)
            if outcome.violations and not arguments.keep_on:
                break
    passed = len(recoveries) - failed
    say(
        f"{passed} of {arguments.rounds} rounds passed in {(time.monotonic() - start) / 60:.1f} minutes; "
        f"recovered within {max(recoveries):.0f} s, {sorted(recoveries)[len(recoveries) // 2]:.0f} s as a rule"
    )
    if failed:
        say(f"the house's log: {folder}/up.log")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
