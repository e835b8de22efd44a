"""Editing: what sharing saves, how fast a pattern is solved and how good the answer is beside simpler ways.

The material of the solver's figures is synthetic (200 shots), that of the sharing figure real.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Figure, peak_rss_mb, write
from pipelines.audio.analysis import MusicFeatures
from pipelines.audio.analysis import analyse as analyse_music
from pipelines.editing.casting import cast, score
from pipelines.editing.framing import Problem, frame_problem
from pipelines.editing.patterns import BUILT_IN, Query
from pipelines.editing.quality import difference
from pipelines.editing.rhythm import frames_of, place_cuts
from pipelines.editing.shared import SharedFeatures, share
from pipelines.editing.solver import allowed_lengths
from pipelines.lyrics.analysis import LyricsFeatures
from pipelines.lyrics.analysis import analyse as analyse_lyrics
from pipelines.video.analysis import VideoFeatures
from pipelines.video.analysis import analyse as analyse_clip
from tests.editing.material import FPS, answer, clip, embed, song, words
from tests.editing.test_solver import best_casting, tiny_problems

SAMPLE = Path(__file__).resolve().parent.parent / "sample"
MINUTE = 60.0
SHOTS = 200


def run() -> dict[str, Figure]:
    return {**solving(), **optimality(), **sharing()}


def two_hundred_shots() -> tuple[MusicFeatures, list[VideoFeatures], LyricsFeatures]:
    return song(MINUTE), [clip(20.0, 4, seed=k) for k in range(SHOTS // 4)], words(MINUTE)


def solving() -> dict[str, Figure]:
    """A 60 s edit over 200 shots: seconds on the clock, median of five, the slowest pattern; memory of it all."""
    # First, since a child may inherit the peak of a parent that has grown.
    idle = peak_rss_mb("import benchmarks.bench_editing")
    busy = peak_rss_mb("import benchmarks.bench_editing as b; b.solve_once()")
    figures = {"solve_60s_200_shots_memory": Figure(busy - idle, "MB", at_most=150.0, note="above the imports")}
    music, clips, lyrics = two_hundred_shots()
    shared = share(music, clips, lyrics, [()] * len(clips), embed=embed)
    for query in BUILT_IN:
        answer(shared, query, clips)
        seconds = statistics.median(_seconds(lambda query=query: answer(shared, query, clips)) for _ in range(5))
        figures[f"solve_60s_200_shots_{query.name}"] = Figure(seconds, "s", at_most=2.0)
    edits = [answer(shared, q, clips) for q in BUILT_IN]
    figures["patterns_differ"] = Figure(difference(edits), "mean 1 - Jaccard of (clip, second) shown", at_least=0.3)
    return figures


def solve_once() -> None:
    music, clips, lyrics = two_hundred_shots()
    shared = share(music, clips, lyrics, [()] * len(clips), embed=embed)
    for query in BUILT_IN:
        answer(shared, query, clips)


def optimality() -> dict[str, Figure]:
    """How far the casting lies below the best there is (tiny), below a far wider beam, and above simpler ways."""
    gaps = []
    for problem in tiny_problems():
        best, found = best_casting(problem), cast(problem)
        if found is not None:
            gaps.append((best - found.score) / abs(best))
    music, clips, lyrics = two_hundred_shots()
    shared = share(music, clips, lyrics, [()] * len(clips), embed=embed)
    found, wide, greedy, lucky = [], [], [], []
    for query in BUILT_IN:
        problem = minute_problem(shared, query)
        ours, wider = cast(problem), cast(problem, beam=1024)
        assert ours is not None and wider is not None
        found.append(ours.score)
        wide.append(wider.score)
        greedy.append(score(problem, one_by_one(problem, np.argmax)))
        dice = np.random.default_rng(0)
        draws = [one_by_one(problem, lambda gain, dice=dice: dice.choice(np.flatnonzero(gain > -1))) for _ in range(20)]
        lucky.append(float(np.mean([score(problem, windows) for windows in draws])))
    ours = np.array(found)
    return {
        "gap_to_exhaustive_search_mean": Figure(
            float(np.mean(gaps)), "of the best score", at_most=0.01, note=f"{len(gaps)} instances of 20,160 castings"
        ),
        "gap_to_exhaustive_search_worst": Figure(float(np.max(gaps)), "of the best score", at_most=0.05),
        "gap_to_a_beam_16_times_as_wide": Figure(
            float(np.max((np.array(wide) - ours) / np.array(wide))), "of its score", at_most=0.02, note="worst pattern"
        ),
        "score_over_greedy": Figure(
            float(np.min(ours / np.array(greedy))), "ratio", at_least=1.0, note="worst pattern"
        ),
        "greedy_share_of_the_gain_over_random": Figure(
            float(np.max((np.array(greedy) - lucky) / (ours - lucky))),
            "of our own gain",
            at_most=1.0,
            note="best pattern",
        ),
    }


def minute_problem(shared: SharedFeatures, query: Query) -> Problem:
    seconds = frames_of(shared, FPS) / float(FPS)
    cuts = place_cuts(shared, query.style, next(allowed_lengths(shared, query)), seconds, 0)
    assert cuts is not None
    return frame_problem(shared, query.weights, cuts, seconds, (0,))


def one_by_one(problem: Problem, choose: Callable[[NDArray[np.float64]], np.integer]) -> NDArray[np.int64]:
    """A window for each segment in turn, by ``choose`` among those still possible."""
    windows: list[int] = []
    used = np.zeros(problem.clip.size + 1, np.int64)
    for k in range(problem.lengths.size):
        taken = problem.n_windows[k]
        first = np.arange(problem.clip.size)
        count = np.concatenate([[0], np.cumsum(used[:-1])])
        gain = np.where((taken > 0) & (count[first + taken] == count[first]), problem.content[k], -np.inf)
        if windows:
            out = windows[-1] + problem.n_windows[k - 1, windows[-1]] - 1
            gain = np.where(problem.visible[out], gain + problem.flow[out], -np.inf)
        windows.append(int(choose(gain)))
        used[windows[-1] : windows[-1] + taken[windows[-1]]] = 1
    return np.array(windows)


def sharing() -> dict[str, Figure]:
    """Three patterns against one, from media to edits and from stored features to edits."""
    paths = [SAMPLE / "media" / name for name in ("big_buck_bunny_0_30.webm", "car-detection.mp4")]
    tune = SAMPLE / "media" / "vibe_ace.ogg"
    sheet = SAMPLE / "jobs/daffodils/daffodils.lrc"
    analysed: list[tuple[MusicFeatures, list[VideoFeatures], LyricsFeatures]] = []

    def analyse() -> None:
        analysed[:] = [(analyse_music(tune), [analyse_clip(p) for p in paths], analyse_lyrics(sheet))]

    def edit(queries: Sequence[Query]) -> None:
        music, clips, lyrics = analysed[0]
        shared = share(music, clips, lyrics, [()] * len(clips), duration=30.0, scorers={})
        for query in queries:
            answer(shared, query, clips)

    def whole(queries: Sequence[Query]) -> None:
        analyse()
        edit(queries)

    analyse()
    edit(BUILT_IN)
    ratios, later = [], []
    for _, query in zip(range(3), itertools.cycle(BUILT_IN), strict=False):
        one = [query]
        ratios.append(_cpu(lambda: whole(BUILT_IN)) / _cpu(lambda one=one: whole(one)))
        later.append(_cpu(lambda: edit(BUILT_IN)) / _cpu(lambda one=one: edit(one)))
    return {
        "three_patterns_over_one": Figure(
            statistics.median(ratios), "ratio of CPU", at_most=1.15, note="from a song and two clips of 30 s, to plans"
        ),
        "three_patterns_over_one_from_features": Figure(
            statistics.median(later), "ratio of CPU", note="sharing and solving alone; analysis comes from the cache"
        ),
    }


def _seconds(call: Callable[[], object]) -> float:
    gc.collect()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _cpu(call: Callable[[], object]) -> float:
    gc.collect()
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    figures = run()
    for name, figure in figures.items():
        print(f"{name:45} {figure.value:8.4f} {figure.unit}  {'' if figure.met else 'MISSED'}")
    print(write("editing", figures))
