"""The golden edit is found good, and every mutant of it is caught by the check that is meant for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import pytest

from pipelines.audio.analysis import MusicFeatures
from pipelines.audio.analysis import analyse as analyse_music
from pipelines.editing.patterns import patterns
from pipelines.editing.plan import Edit
from pipelines.editing.quality import Quality, measure
from pipelines.editing.render import render
from pipelines.editing.shared import SharedFeatures, share
from pipelines.editing.solver import solve
from pipelines.lyrics.analysis import LyricsFeatures
from pipelines.lyrics.analysis import analyse as analyse_lyrics
from pipelines.video.analysis import VideoFeatures, analyse
from tests.editing import golden
from tests.editing.golden import Flaws

THRESHOLD = 0.88


@dataclass(frozen=True)
class Studio:
    """The golden job, analysed once for the module."""

    job: golden.Job
    clips: tuple[VideoFeatures, ...]
    shared: SharedFeatures
    scratch: Path

    def solve(self, pattern: str) -> Edit:
        music, clips = golden.sources(self.job)
        size = {"width": golden.WIDTH, "height": golden.HEIGHT}
        return solve(self.shared, patterns()[pattern], music=music, clips=clips, fps=Fraction(25), **size)

    def judge(self, edit: Edit, flaws: Flaws | None = None, plan: Edit | None = None) -> Quality:
        """``plan``: what the renderer claims to have rendered."""
        rendered = golden.render_plainly(edit, self.scratch / "edit.mp4", flaws)
        return measure(
            plan or edit,
            rendered,
            music=golden.true_music(),
            clips=self.clips,
            lyrics=golden.true_lyrics(),
            shared=self.shared,
        )


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    folder = tmp_path_factory.mktemp("golden")
    job = golden.make_job(folder / "job")
    clips = tuple(analyse(path) for path in job.clips)
    shared = share(golden.true_music(), clips, golden.true_lyrics(), job.clip_tags, embed=golden.embed, scorers={})
    return Studio(job, clips, shared, folder)


@pytest.fixture(scope="module")
def edit(studio: Studio) -> Edit:
    return studio.solve("hybrid")


def is_golden(quality: Quality) -> None:
    assert quality.failed == ()
    assert quality.confidence >= THRESHOLD
    assert all(score.applies for score in quality.scores.values())
    for name in ("sync", "cut_rate", "lyrics"):
        assert quality.scores[name].above_chance, name


def test_the_edit_by_hand_passes_every_gate_and_the_threshold(studio: Studio) -> None:
    is_golden(studio.judge(golden.edit_by_hand(studio.job)))


@pytest.fixture(scope="module")
def analysed(studio: Studio) -> tuple[MusicFeatures, LyricsFeatures, SharedFeatures]:
    """What our own analysis makes of the song and the words, instead of what is known of their making."""
    music, words = analyse_music(studio.job.music), analyse_lyrics(studio.job.lyrics)
    return music, words, share(music, studio.clips, words, studio.job.clip_tags, scorers={})


@pytest.mark.parametrize("pattern", ["dynamic", "narrative", "hybrid"])
def test_the_whole_pipeline_passes_every_gate_and_the_threshold(
    studio: Studio, analysed: tuple[MusicFeatures, LyricsFeatures, SharedFeatures], pattern: str, tmp_path: Path
) -> None:
    music, words, shared = analysed
    own = replace(studio, shared=shared)
    edit = own.solve(pattern)
    rendered = tmp_path / "edit.mp4"
    render(edit, rendered, cache_dir=tmp_path / "segments")
    quality = measure(
        edit, rendered, music=music, clips=studio.clips, lyrics=words, shared=shared, again=own.solve(pattern)
    )
    is_golden(quality)
    assert all(gate.passed for gate in quality.gates.values())


Mutate = Callable[[Edit], Edit]

# What is wrong -> the plan, the renderer's flaw, the check that must notice.
MUTANTS: dict[str, tuple[Mutate | None, Flaws | None, str]] = {
    "half a beat late": (golden.half_a_beat_late, None, "on_time"),
    "song half a beat late": (None, Flaws(song_late=golden.BEAT / 2), "song"),
    "song two frames late": (None, Flaws(song_late=0.08), "song"),
    "another song": (None, Flaws(other_song=True), "song"),
    "half a frame too long a shot, as planned": (golden.drifting, None, "drift"),
    "half a frame too long a shot, as rendered": (None, Flaws(drift=0.5), "drift"),
    "other clips than planned": (None, Flaws(wrong_clips=True), "source"),
    "a repeated clip": (golden.repeating, None, "repeats"),
    "over a shot boundary": (golden.across_a_boundary, None, "cuts_unplanned"),
    "a cut nobody sees": (golden.invisible_cut, None, "cuts_found"),
    "a black shot": (None, Flaws(black=5), "black"),
    "a frozen calm shot": (None, Flaws(frozen=3), "frozen"),
    "a frozen fast shot": (None, Flaws(frozen=20), "frozen"),
    "a frame lost": (None, Flaws(lost_frame=600), "frames"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_fails_its_own_check_and_the_threshold(studio: Studio, edit: Edit, name: str) -> None:
    mutate, flaws, check = MUTANTS[name]
    quality = studio.judge(mutate(edit) if mutate else edit, flaws)
    assert check in quality.failed
    assert quality.confidence < THRESHOLD


def test_shots_drawn_by_lot_are_no_better_than_chance(studio: Studio, edit: Edit) -> None:
    quality = studio.judge(golden.shuffled(edit))
    assert quality.failed == ()  # nothing is technically wrong with it
    assert quality.confidence < THRESHOLD
    assert not quality.scores["lyrics"].above_chance
    assert not quality.scores["motion"].above_chance


def test_a_repetition_is_seen_in_the_picture_even_when_the_plan_denies_it(studio: Studio, edit: Edit) -> None:
    quality = studio.judge(golden.repeating(edit), plan=edit)
    assert "repeats" in quality.failed
