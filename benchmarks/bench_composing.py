"""Composing: the chorale model beside every reference on the test pieces, how long it takes to learn and to harmonise,
and how fast MIDI files are read and written. Live mode has a benchmark of its own (bench_live.py).

Quality is that of the model that ships, which saw the training pieces alone; weights were chosen on the validation
pieces. The test pieces are asked once, here. CPU time throughout, so that a busy machine is not held against anybody.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import RESULTS, Figure, write
from pipelines.composing import chorale, corpus, evaluation, metrics, midi_reading, midi_writing, references
from pipelines.composing.corpus import Corpus
from pipelines.composing.evaluation import BACH, NAME, ONE_SHOT
from pipelines.composing.harmonizer import Harmonizer, orderless_nll

TUNES = Path(__file__).resolve().parents[1] / "sample" / "tunes"
BAR = 16  # sixteenths
FILES = 400
SHOWN = ("frames", "onsets", "notes", "beat_chords", "parallels_beats", "parallels_eighths", "crossing", "out_of_range")
UNITS = {"parallels_beats": "in 100", "parallels_eighths": "in 100"}
LEAST = {("all", "frames"): 0.445, ("disjoint", "frames"): 0.42, ("all", "onsets"): 0.37, ("all", "beat_chords"): 0.49}
MOST = {("all", "parallels_beats"): 2.0, ("all", "parallels_eighths"): 1.0, ("all", "crossing"): 0.02}
IMPORTS = "import sys, definitions\nsys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"


def quality(pieces: Corpus, model: Harmonizer) -> Iterator[tuple[str, Figure]]:
    """Everybody on the test pieces, all and those with tunes of their own; the model on the validation pieces, too."""
    scorers = evaluation.simple(pieces.train)
    scorers |= {ONE_SHOT: references.one_shot(model), NAME: evaluation.of_harmonizer(model)}
    judged = evaluation.evaluate(pieces, "test", scorers)
    told = judged.to_json()
    yield "test_pieces", Figure(len(judged.pieces), "pieces")
    yield "test_pieces_disjoint", Figure(int(judged.apart.sum()), "pieces", note="no tune shared, see disjoint.py")
    for name in evaluation.ranked(told):
        for of in evaluation.SETS:
            found = judged.of(name, of)
            for key in SHOWN if of == "all" else ("frames", "onsets", "beat_chords"):
                targets = (LEAST.get((of, key)), MOST.get((of, key))) if name == NAME else (None, None)
                value, low, high = found.values[key].to_json()
                note = f"95 % {low:.3f} to {high:.3f}" if math.isfinite(low) and name != BACH else ""
                figure = Figure(value, UNITS.get(key, "share"), at_least=targets[0], at_most=targets[1], note=note)
                yield f"test_{of}_{name}_{key}", figure
    for name, differences in told["differences"].items():
        value, low, high = differences["all"]["frames"]
        yield f"test_frames_above_{name}", Figure(value, "share", note=f"95 % {low:+.3f} to {high:+.3f}, paired")
    for split in ("valid", "test"):
        figure = Figure(orderless_nll(model, pieces.split(split)), "nats", at_most=1.12 if split == "test" else None)
        yield f"{split}_orderless_nll", figure
    valid = evaluation.evaluate(pieces, "valid", {NAME: scorers[NAME]}).judged[NAME]
    for key in SHOWN:
        yield f"valid_all_{NAME}_{key}", Figure(valid[key], UNITS.get(key, "share"))
    (RESULTS / "composing.md").write_text(tables(told))


def tables(judged: dict[str, object]) -> str:
    """The tables of docs/explanation/composing-measured.md."""
    parts = [f"{title}:\n\n{evaluation.table(judged, of)}" for of, title in (("all", "All 77"), ("disjoint", "The 25"))]
    return "\n\n".join(parts) + "\n"


def speed(pieces: Corpus, model: Harmonizer) -> Iterator[tuple[str, Figure]]:
    for bars, most in ((1, 5.0), (16, 80.0)):
        melodies = [passage for piece in pieces.test if (passage := _passage(piece.frames[:, 0], bars)) is not None]
        taken = []
        for melody in [*melodies[:5], *(melodies * (1 + 100 // len(melodies)))[:150]]:
            start = time.process_time()
            chorale.harmonize(melody, harmonizer=model)
            taken.append((time.process_time() - start) * 1e3)
        p50, p95 = np.quantile(taken[5:], [0.5, 0.95])
        yield f"harmonize_{bars}_bars_p50", Figure(float(p50), "ms", at_most=most, note="one thread, CPU")
        yield f"harmonize_{bars}_bars_p95", Figure(float(p95), "ms")
    melody = next(p for piece in pieces.test if (p := _passage(piece.frames[:, 0], 16)) is not None)
    start = time.process_time()
    chorale.harmonize(melody, harmonizer=model, candidates=10)
    yield "ten_candidates_16_bars", Figure((time.process_time() - start) * 1e3, "ms", note="one thread, CPU")


def _passage(soprano: NDArray[np.int64], bars: int) -> NDArray[np.int64] | None:
    """The first bars, repeated where the piece is shorter."""
    return np.resize(soprano[: len(soprano) // BAR * BAR], bars * BAR) if len(soprano) >= BAR else None


def files() -> Iterator[tuple[str, Figure]]:
    tunes = sorted(TUNES.glob("*.mid"))
    with tempfile.TemporaryDirectory() as folder:
        chosen = [tunes[i % len(tunes)] for i in range(FILES)]
        midi_writing.write(midi_reading.read(chosen[0]), Path(folder) / "warm.mid")
        start = time.process_time()
        read = [midi_reading.read(path) for path in chosen]
        between = time.process_time()
        for i, piece in enumerate(read):
            midi_writing.write(piece, Path(folder) / f"{i}.mid")
        end = time.process_time()
    yield "read_400_files", Figure(between - start, "s", note=f"{sum(map(_notes, read)):,} notes")
    yield "write_400_files", Figure(end - between, "s")
    yield "read_and_write_400_files", Figure(end - start, "s", at_most=0.2)


def _notes(piece: object) -> int:
    return sum(len(part.notes) for part in piece.parts)  # type: ignore[attr-defined]


def learning(pieces: Corpus) -> Iterator[tuple[str, Figure]]:
    """The whole training, with its curves, and whether it comes out as well as the model that ships."""
    from pipelines.composing import training

    made = training.train(pieces)
    yield "training_cpu", Figure(made.cpu_seconds, "s", at_most=300, note="all threads")
    yield "training", Figure(made.seconds, "s", note="by the clock")
    yield "training_parameters", Figure(made.parameters, "weights")
    yield "training_parity", Figure(made.parity, "logits", at_most=training.PARITY)
    truth = [piece.frames for piece in pieces.valid]
    complete = evaluation.of_harmonizer(made.harmonizer)
    anew = metrics.judge(truth, [complete(frames[:, 0]) for frames in truth])["frames"]
    yield "valid_all_trained_anew_frames", Figure(anew, "share", note="beside the model that ships, above")


def loading() -> Iterator[tuple[str, Figure]]:
    import subprocess

    code = subprocess.run([sys.executable, "-c", IMPORTS], check=False, cwd=Path(__file__).parents[1]).returncode
    yield "code_location_loads_tensorflow", Figure(code, "", at_most=0)


def main() -> None:
    pieces, model = corpus.load(), Harmonizer.load()
    figures: dict[str, Figure] = {}
    steps = [speed(pieces, model), files(), quality(pieces, model), loading()]
    if "--without-training" not in sys.argv[1:]:
        steps.append(learning(pieces))
    elif (RESULTS / "composing.json").exists():  # keep what was measured before
        before = json.loads((RESULTS / "composing.json").read_text())["figures"]
        for name in before:
            if name.startswith("training") or name == "valid_all_trained_anew_frames":
                figures[name] = Figure(**{key: value for key, value in before[name].items() if key != "met"})
    for step in steps:
        for name, figure in step:
            figures[name] = figure
            print(f"{name:56} {figure.value:10.4g} {figure.unit:8} {'' if figure.met else 'MISSED'}", flush=True)
    write("composing", figures)


if __name__ == "__main__":
    main()
