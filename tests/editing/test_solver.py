"""The solver: what holds for every edit, how near it comes to the best there is, and what scarce material does."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.editing.casting import cast, score
from pipelines.editing.framing import Problem
from pipelines.editing.patterns import BUILT_IN, SHORTEST_CUT, CuttingStyle, Query
from pipelines.editing.plan import Edit
from pipelines.editing.rhythm import Lengths, place_cuts, rhythm_score
from pipelines.editing.shared import SharedFeatures, share
from pipelines.editing.windows import usable_stretches
from pipelines.errors import BadInput
from pipelines.video.analysis import VideoFeatures
from tests.editing.material import FPS, answer, clip, embed, song, words

DYNAMIC, NARRATIVE, HYBRID = BUILT_IN


def shared_of(clips: Sequence[VideoFeatures], duration: float, *, bpm: float = 120.0, seed: int = 0) -> SharedFeatures:
    return share(song(duration, bpm, seed=seed), clips, words(duration, seed=seed), [()] * len(clips), embed=embed)


@pytest.fixture(scope="module")
def clips() -> list[VideoFeatures]:
    return [clip(15.0, 3, seed=k) for k in range(12)]


@pytest.fixture(scope="module")
def shared(clips: list[VideoFeatures]) -> SharedFeatures:
    return shared_of(clips, 60.0)


def check(edit: Edit, shared: SharedFeatures, clips: Sequence[VideoFeatures]) -> None:
    """Everything that must hold for any edit."""
    fps = edit.rate
    edges = [s.record_start for s in edit.segments] + [edit.segments[-1].record_end]
    assert edges[0] == 0 and edges[-1] == edit.n_frames == round(shared.duration * float(fps))
    assert all(a.record_end == b.record_start for a, b in itertools.pairwise(edit.segments))
    assert set(edges) <= {round(float(t) * float(fps)) for t in shared.grid}
    assert len(edit.segments) == 1 or min(s.n_frames for s in edit.segments) / fps >= SHORTEST_CUT - 1e-6
    ranges = []
    for s in edit.segments:
        end = s.source_time + float(s.n_frames / fps)
        assert any(
            shot == s.shot and start - 1e-6 <= s.source_time and end <= stop + 1e-6
            for shot, start, stop in usable_stretches(clips[s.clip])
        ), (s, end)
        ranges.append((s.clip, s.source_time, end))
    for a, b in itertools.pairwise(sorted(ranges)):
        assert a[0] != b[0] or a[2] <= b[1] + 1e-6
    for (ca, _, end), (cb, start, _) in itertools.pairwise(ranges):
        out = window_at(shared, ca, end - 0.5 / float(fps))
        assert shared.visible_cut[out, window_at(shared, cb, start + 1e-6)]


def window_at(shared: SharedFeatures, clip: int, time: float) -> int:
    inside = (shared.window_clip == clip) & (shared.window_start <= time) & (time <= shared.window_end)
    return int(np.flatnonzero(inside)[0])


@pytest.mark.parametrize("query", BUILT_IN, ids=lambda q: q.name)
@pytest.mark.parametrize("fps", [Fraction(25), Fraction(24), Fraction(30000, 1001), Fraction(60)], ids=str)
def test_a_minute_from_twelve_clips(
    query: Query, fps: Fraction, shared: SharedFeatures, clips: list[VideoFeatures]
) -> None:
    edit = answer(shared, query, clips, fps=fps)
    check(edit, shared, clips)
    low, high = query.band(shared.pulse)
    lengths = np.array([float(s.n_frames / fps) for s in edit.segments])
    assert np.all((lengths >= low - 0.02) & (lengths <= high + 0.02))
    assert Edit.from_json(edit.to_json()) == edit


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sizes=st.lists(st.tuples(st.floats(0.3, 25), st.integers(1, 5)), min_size=1, max_size=7),
    duration=st.floats(1, 40),
    bpm=st.sampled_from([0.0, 48.0, 97.0, 120.0, 174.0]),
    fps=st.sampled_from([Fraction(25), Fraction(24000, 1001), Fraction(30), Fraction(12)]),
    query=st.sampled_from(BUILT_IN),
    seed=st.integers(0, 3),
)
def test_any_material_gives_a_sound_edit_or_one_clear_sentence(
    sizes: list[tuple[float, int]], duration: float, bpm: float, fps: Fraction, query: Query, seed: int
) -> None:
    rates = [Fraction(25), Fraction(10), Fraction(30000, 1001)]
    clips = [
        clip(d, min(n, max(1, int(d * 10) - 1)), fps=rates[k % 3], seed=10 * seed + k) for k, (d, n) in enumerate(sizes)
    ]
    try:
        shared = shared_of(clips, duration, bpm=bpm, seed=seed)
        edit = answer(shared, query, clips, fps=fps, seed=seed)
    except BadInput as error:
        assert any(word in error.remedy for word in ("more clips", "duration"))
        return
    check(edit, shared, clips)
    assert edit.to_json() == answer(shared, query, clips, fps=fps, seed=seed).to_json()


def test_same_seed_same_bytes_other_seed_other_edit(shared: SharedFeatures, clips: list[VideoFeatures]) -> None:
    for query in BUILT_IN:
        a, b, c = (answer(shared, query, clips, seed=s).to_json() for s in (1, 1, 2))
        assert a == b
        assert json.loads(a)["segments"] != json.loads(c)["segments"]


def seen(edit: Edit) -> set[tuple[int, int, int]]:
    """(record frame, clip, source second) of everything shown."""
    return {
        (k, s.clip, int(s.source_time + (k - s.record_start) / float(edit.rate)))
        for s in edit.segments
        for k in range(s.record_start, s.record_end)
    }


def test_patterns_differ(shared: SharedFeatures, clips: list[VideoFeatures]) -> None:
    edits = [answer(shared, q, clips) for q in BUILT_IN]
    apart = [1 - len(a & b) / len(a | b) for a, b in itertools.combinations(map(seen, edits), 2)]
    assert np.mean(apart) >= 0.3
    counts = {e.pattern: len(e.segments) for e in edits}
    assert counts["dynamic"] > counts["hybrid"] > counts["narrative"]


def test_louder_passages_are_cut_faster(shared: SharedFeatures, clips: list[VideoFeatures]) -> None:
    from scipy.stats import spearmanr

    for query in BUILT_IN:
        edit = answer(shared, query, clips)
        edges = [s.record_start / 25 for s in edit.segments] + [edit.duration]
        slots = np.searchsorted(shared.grid, [(a + b) / 2 for a, b in itertools.pairwise(edges)]) - 1
        assert spearmanr(1 / np.diff(edges), shared.slot_energy[slots]).statistic > 0.2


def test_every_section_begins_with_a_cut(shared: SharedFeatures, clips: list[VideoFeatures]) -> None:
    starts = np.flatnonzero(np.diff(shared.slot_section)) + 1
    for query in BUILT_IN:
        cuts = {s.record_start for s in answer(shared, query, clips).segments}
        met = [round(float(shared.grid[k]) * 25) in cuts for k in starts]
        assert np.mean(met) > 0.8


def test_movements_land_on_beats_more_often_than_by_luck(clips: list[VideoFeatures]) -> None:
    def jumpy(video: VideoFeatures, seed: int) -> VideoFeatures:
        motion = np.full(video.n_frames, 0.05, np.float32)
        motion[np.random.default_rng(seed).integers(0, video.n_frames, video.n_frames // 20)] = 0.5
        return replace(video, motion=motion)

    moving = [jumpy(c, k) for k, c in enumerate(clips)]
    shared = shared_of(moving, 40.0)
    edit = answer(shared, DYNAMIC, moving)
    hits, lucky = [], []
    for s in edit.segments:
        inside = shared.grid[(shared.grid >= s.record_start / 25 - 0.02) & (shared.grid < s.record_end / 25 - 0.1)]
        frames = ((inside - s.record_start / 25 + s.source_time) * 25 + 1e-6).astype(int)
        hits += (moving[s.clip].motion[frames] > 0.4).tolist()
        lucky.append(float(np.mean(moving[s.clip].motion > 0.4)))
    assert np.mean(hits) > 3 * np.mean(lucky)


def test_the_rhythm_is_the_best_there_is() -> None:
    """Against every subset of the grid times."""
    for seed in range(8):
        shared = shared_of([clip(8.0, 2, seed=seed)], 5.0, seed=seed)
        seconds = np.rint(shared.grid * 25) / 25
        style = CuttingStyle(shortest=1, longest=5, calm=4, intense=2, phrase=1.0)
        lengths = Lengths(0.45, 2.6, 2.6)
        n = shared.slot_energy.size
        best = -np.inf
        for inner in itertools.chain.from_iterable(itertools.combinations(range(1, n), k) for k in range(n)):
            cuts = np.array([0, *inner, n])
            step = np.diff(seconds[cuts])
            if step.min() >= lengths.shortest - 1e-6 and step.max() <= lengths.longest + 1e-6:
                best = max(best, rhythm_score(cuts, shared, style, lengths, seconds, seed))
        found = place_cuts(shared, style, lengths, seconds, seed)
        assert found is not None
        assert rhythm_score(found, shared, style, lengths, seconds, seed) == pytest.approx(best)


def tiny_problems() -> Iterator[Problem]:
    """Six segments, eight windows in four shots of two clips: 20,160 castings."""
    for seed in range(15):
        rng = np.random.default_rng(seed)
        visible = np.triu(rng.uniform(size=(8, 8)) < 0.75)
        yield Problem(
            lengths=rng.uniform(0.5, 2, 6),
            content=rng.uniform(0, 0.16, (6, 8)),
            n_windows=np.ones((6, 8), np.int64),
            flow=rng.uniform(0, 0.025, (8, 8)).astype(np.float32),
            visible=visible | visible.T,
            clip=np.arange(8) // 4,
            shot=np.arange(8) // 2,
            clip_cost=np.full(2, 0.0025),
            shot_cost=np.full(4, 0.005),
            again=0.02,
            jump=0.05,
            opens=np.arange(8) % 2 == 0,
            tightness=0.0,
        )


def best_casting(p: Problem) -> float:
    """The highest score of any order of windows, where each segment takes one window."""
    orders = np.array(list(itertools.permutations(range(p.clip.size), p.lengths.size)))
    total = np.take_along_axis(p.content[None], orders[:, :, None], axis=2).sum(axis=(1, 2))
    total += p.flow[orders[:, :-1], orders[:, 1:]].sum(axis=1)
    for of, cost in ((p.clip, p.clip_cost), (p.shot, p.shot_cost)):
        use = (p.lengths[None, :, None] * (of[orders][:, :, None] == np.arange(cost.size))).sum(axis=1)
        total -= use**2 @ cost
    total -= p.again * (p.shot[orders[:, 2:]] == p.shot[orders[:, :-2]]).sum(axis=1)
    total -= p.jump * (p.shot[orders[:, 1:]] == p.shot[orders[:, :-1]]).sum(axis=1)
    return float(np.where(p.visible[orders[:, :-1], orders[:, 1:]].all(axis=1), total, -np.inf).max())


def test_the_casting_comes_close_to_the_best_there_is() -> None:
    """Against every order of windows."""
    gaps = []
    for problem in tiny_problems():
        best, found = best_casting(problem), cast(problem)
        assert (found is not None) == np.isfinite(best)
        if found is not None:
            assert score(problem, found.windows) == pytest.approx(found.score)
            gaps.append((best - found.score) / abs(best))
    assert len(gaps) > 10
    assert min(gaps) > -1e-9 and np.mean(gaps) < 0.005 and max(gaps) < 0.04


def test_two_short_shots_relax_to_what_they_hold() -> None:
    few = [clip(6.0, 1, seed=1), clip(6.0, 1, seed=2)]
    shared = shared_of(few, 8.0)
    edit = answer(shared, NARRATIVE, few)
    check(edit, shared, few)


def test_a_short_and_a_long_shot_take_turns() -> None:
    """Cuts of one length would need as much of the short shot as of the long one."""
    uneven = [clip(5.0, 1, seed=1), clip(30.0, 1, seed=2)]
    shared = shared_of(uneven, 14.0)
    for query in (DYNAMIC, HYBRID):
        edit = answer(shared, query, uneven)
        check(edit, shared, uneven)
        shown = np.bincount([s.clip for s in edit.segments], weights=[s.n_frames / 25 for s in edit.segments])
        assert shown[0] < 5.0 < 9.0 < shown[1]


def test_many_very_short_shots_make_a_fast_narrative() -> None:
    short = [clip(1.0, 1, seed=k) for k in range(60)]
    shared = shared_of(short, 20.0)
    edit = answer(shared, NARRATIVE, short)
    check(edit, shared, short)
    assert max(s.n_frames for s in edit.segments) <= 25


@pytest.mark.parametrize("query", BUILT_IN, ids=lambda q: q.name)
@pytest.mark.parametrize("sizes", [[(9.0, 2)], [(5.0, 1)] * 8, [(40.0, 2), (6.0, 1)]], ids=["one", "eight", "uneven"])
def test_too_little_material_names_counts_and_a_remedy_that_works(query: Query, sizes: list[tuple[float, int]]) -> None:
    few = [clip(d, n, seed=k) for k, (d, n) in enumerate(sizes)]
    shots, clips = sum(n for _, n in sizes), f"{len(few)} clip"
    told = rf"in {shots} shots of {clips}.* do not fill 60 s.* or give more clips"
    with pytest.raises(BadInput, match=told) as caught:
        answer(shared_of(few, 60.0), query, few)
    found = re.search(r"--duration of (\d+) s", caught.value.remedy)
    assert found is not None
    shared = shared_of(few, float(found[1]))
    check(answer(shared, query, few), shared, few)


def test_a_single_shot_cannot_be_edited() -> None:
    one = [clip(60.0, 1)]
    with pytest.raises(BadInput, match=r"1 shot of 1 clip .*look different from each other"):
        answer(shared_of(one, 30.0), DYNAMIC, one)


def test_a_duration_longer_than_the_music_is_refused() -> None:
    with pytest.raises(BadInput, match=r"duration 40 s: is longer than the music, which lasts 30\.00 s"):
        share(song(30), [clip()], None, [()], duration=40.0, embed=embed)
    with pytest.raises(BadInput, match="not above 0"):
        share(song(30), [clip()], None, [()], duration=0.0, embed=embed)


def test_an_excerpt_is_played_from_where_it_begins(clips: list[VideoFeatures]) -> None:
    shared = share(song(60), clips, None, [()] * 12, duration=20.0, start=17.0, embed=embed)
    edit = answer(shared, HYBRID, clips)
    assert edit.music_start == 17.0 and edit.n_frames == 500
    check(edit, shared, clips)


def test_a_query_may_weigh_a_head_that_is_missing(
    shared: SharedFeatures, clips: list[VideoFeatures], caplog: pytest.LogCaptureFixture
) -> None:
    edit = answer(shared, Query("odd", {"sync": 1, "smell": 1}, DYNAMIC.style), clips)
    assert edit.query == {"sync": 1.0}
    assert "smell" in caplog.text
    with pytest.raises(BadInput, match="pattern odd: weighs no head"):
        answer(shared, Query("odd", {"smell": 1}, DYNAMIC.style), clips)


def test_a_weighed_head_decides(shared: SharedFeatures, clips: list[VideoFeatures]) -> None:
    def mean(name: str, edit: Edit) -> float:
        head, out = shared.heads[name], []
        for s in edit.segments:
            slot = int(np.searchsorted(shared.grid, (s.record_start + s.record_end) / 50)) - 1
            out.append(head[slot, window_at(shared, s.clip, s.source_time + 1e-6)])
        return float(np.mean(out))

    for name in ("energy", "semantic", "coverage"):
        keen = answer(shared, Query("keen", {name: 0.9, "balance": 0.1}, DYNAMIC.style), clips)
        plain = answer(shared, Query("plain", {"balance": 1}, DYNAMIC.style), clips)
        assert mean(name, keen) > mean(name, plain) + 0.1


def test_no_long_song_is_too_long() -> None:
    many = [clip(60.0, 10, seed=k) for k in range(8)]
    shared = shared_of(many, 300.0)
    check(answer(shared, DYNAMIC, many, fps=FPS), shared, many)
