"""Runs every ``bench_*.py`` in a process of its own and prints each figure beside its target."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import RESULTS

HERE = Path(__file__).parent


def main(names: list[str]) -> int:
    missed: list[str] = []
    for module in sorted(HERE.glob("bench_*.py")):
        name = module.stem.removeprefix("bench_")
        if names and name not in names:
            continue
        # A process each: a benchmark's imports and caches must not weigh on the next one's figures.
        subprocess.run([sys.executable, "-m", f"benchmarks.{module.stem}"], check=True, stdout=subprocess.DEVNULL)
        for key, figure in json.loads((RESULTS / f"{name}.json").read_text())["figures"].items():
            target = next((f"{w} {figure[k]:g}" for k, w in (("at_most", "<="), ("at_least", ">=")) if figure[k]), "")
            print(f"{name:10} {key:48} {figure['value']:12.4g} {figure['unit']:10} {target:10}", end=" ")
            print("" if not target else "met" if figure["met"] else "MISSED", flush=True)
            if not figure["met"]:
                missed.append(f"{name}.{key}")
    if missed:
        print(f"\n{len(missed)} below target: {', '.join(missed)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
