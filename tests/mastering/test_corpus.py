"""The generated corpus: the same seed gives the same rows, in any number of processes, and what is stored is not made
again; every row says that it is generated."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from pipelines import items
from pipelines.errors import BadInput
from pipelines.items import Item, Result
from pipelines.mastering import corpus, degrading, excerpts, recipes
from pipelines.mastering.corpus import generate
from pipelines.mastering.recipes import Mix, Pair, Recording, Source
from pipelines.settings import PROJECT, Settings
from pipelines.storage import labels
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.storage.tables import Consent, FeatureRow, Job, Label
from pipelines.studio import Studio

FOUND = [
    Recording(f"{piece}#{i}", Path(f"{piece}.ogg"), piece * 32, 17.0 * i, 12.5)
    for piece, n in (("ab", 5), ("cd", 3), ("ef", 1))
    for i in range(1, n + 1)
]


@pytest.fixture
def studio(settings: Settings, database: Database, objects: Objects) -> Studio:
    return Studio(settings, database, objects, Cache(objects))


def rows(database: Database) -> list[tuple[object, ...]]:
    with database.session() as session:
        features = session.execute(select(FeatureRow).order_by(FeatureRow.content_hash)).scalars()
        vectors = [(f.clip_kind, f.content_hash, f.vec, f.feature_version) for f in features]
        found = session.execute(select(Label).order_by(Label.task, Label.content_hash)).scalars()
        return [*vectors, *((x.task, x.content_hash, x.recording, x.y_reg, x.y_cls, x.quality) for x in found)]


def test_a_corpus_is_the_same_in_one_process_or_two_and_grows_without_changing(studio: Studio) -> None:
    alone = replace(studio, settings=replace(studio.settings, workers="1"))
    first = generate(alone, 2, seed=5)
    assert (first.made, first.stored, first.failed) == (2, 0, ())
    grown = generate(replace(studio, settings=replace(studio.settings, workers="2")), 4, seed=5)
    assert (grown.made, grown.stored, grown.job_id) == (2, 2, first.job_id)
    kept = rows(studio.database)
    assert generate(alone, 4, seed=5).made == 0

    with studio.database.session() as session:
        session.delete(session.get_one(Job, first.job_id))
    assert generate(alone, 4, seed=5).made == 4
    assert rows(studio.database) == kept


def test_every_row_says_that_it_is_generated_and_from_what(studio: Studio) -> None:
    made = generate(studio, 6)
    with studio.database.session() as session:
        job = session.get_one(Job, made.job_id)
        consent = session.execute(select(Consent)).scalar_one()
        found = session.execute(select(FeatureRow)).scalars().all()
        counts = {(c.task, c.quality): c.n for c in labels.counts(session)}
    assert (job.status, job.owner, job.batch_id) == ("generated", "corpus@orimono", None)
    assert job.master["generated"] and {s["licence"] for s in job.master["sources"]} == {"CC BY 3.0", "public domain"}
    assert (consent.training, consent.quality) == (True, False)
    assert len(found) == 6 and all(row.stats["generated"] for row in found)
    assert {row.stats["recipe"]["kind"] for row in found} == {"mix", "pair"}
    assert counts[("align_conf", "auto")] == 2 and counts[("master_reg", "auto")] == 4
    assert counts.get(("preset_cls", "auto"), 0) + counts.get(("preset_cls", "low"), 0) == 4
    assert json.dumps(made.summary())


def test_another_seed_replaces_the_corpus(studio: Studio) -> None:
    generate(studio, 2, seed=1)
    before = rows(studio.database)
    generate(studio, 2, seed=2)
    after = rows(studio.database)
    assert len(after) == len(before) and not {r[1] for r in before} & {r[1] for r in after}


def test_a_run_that_dies_keeps_the_blocks_that_were_done(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "BLOCK", 2)
    blocks = 0
    real = items.run

    def dying(settings: Settings, work: Sequence[Item[recipes.Recipe]], step: object) -> list[Result[recipes.Recipe]]:
        nonlocal blocks
        blocks += 1
        if blocks == 3:
            raise KeyboardInterrupt
        return real(settings, work, step)  # type: ignore[arg-type]

    monkeypatch.setattr(items, "run", dying)
    with pytest.raises(KeyboardInterrupt):
        generate(studio, 6)
    resumed = generate(studio, 6)
    assert (resumed.stored, resumed.made) == (4, 2)


def test_a_silent_passage_is_told_and_left_out(studio: Studio, tmp_path: Path) -> None:
    from tests.media import soundfiles

    path = soundfiles.write(tmp_path / "quiet.wav", np.zeros((2, 30 * 44_100), np.float32), 44_100)
    made = generate(studio, 2, sources=[Source(path, "Quiet", "nobody", "CC0")])
    assert made.made == 0 and len(made.failed) == 2
    assert "is silent" in made.failed[0]


@pytest.mark.parametrize("seconds", [0.5, 11.0])
def test_music_that_is_too_short_is_refused(studio: Studio, tmp_path: Path, seconds: float) -> None:
    from tests.media import soundfiles

    path = soundfiles.write(tmp_path / "short.wav", np.zeros((1, round(seconds * 8000)), np.float32), 8000)
    with pytest.raises(BadInput, match="give longer music"):
        generate(studio, 2, sources=[Source(path, "Short", "nobody", "CC0")])
    with pytest.raises(BadInput, match="not a file"):
        generate(studio, 2, sources=[Source(tmp_path / "none.wav", "None", "nobody", "CC0")])


def test_the_samples_passages_lie_apart_and_are_attributed() -> None:
    sources = recipes.sample_sources()
    found = recipes.recordings(sources)
    by_file: dict[Path, list[Recording]] = {}
    for recording in found:
        by_file.setdefault(recording.path, []).append(recording)
    assert len(found) >= 12 and len(by_file) == len(sources)
    for passages in by_file.values():
        assert all(recipes.PASSAGE <= p.seconds <= recipes.LONGEST for p in passages)
        for one, next_ in pairwise(passages):
            assert next_.start - (one.start + one.seconds) >= recipes.GAP - 0.01
    attributed = (PROJECT / "sample" / "media" / "ATTRIBUTION.md").read_text()
    for source in sources:
        (line,) = [line for line in attributed.splitlines() if f"`{source.path.name}`" in line]
        licence = {"CC BY 3.0": "Creative Commons Attribution 3.0"}.get(source.licence, source.licence)
        assert source.title in line and licence in line


@given(st.integers(0, 2**40), st.integers(0, 5000))
def test_a_recipe_stays_in_its_passages_and_says_where_the_vocal_lies(seed: int, index: int) -> None:
    recipe = recipes.draw(seed, index, FOUND)
    assert recipes.draw(seed, index, FOUND) == recipe
    assert json.loads(json.dumps(recipes.as_json(recipe))) == recipes.as_json(recipe)
    if isinstance(recipe, Mix):
        inside = [(recipe.recording, recipe.start)]
        assert recipe.group == recipe.recording.name
    else:
        inside = [(recipe.inst, recipe.inst_start), (recipe.vocal, recipe.vocal_start)]
        assert {recipe.inst.name, recipe.vocal.name} <= set(recipe.group.split("+"))
        if recipe.lag_s is None:
            assert recipe.inst != recipe.vocal
        else:
            assert recipe.inst == recipe.vocal
            assert recipe.lag_s == pytest.approx(recipe.vocal_start - recipe.inst_start, abs=1e-5)
    for recording, start in inside:
        assert recording.start - 1e-3 <= start <= recording.start + recording.seconds - recipe.seconds + 1e-3


def test_couples_meet_only_each_other_and_are_of_different_pieces() -> None:
    made = recipes.couples(FOUND)
    names = [recording.name for couple in made for recording in couple]
    assert sorted(names) == sorted(recording.name for recording in FOUND)
    assert all(len({recipes.piece_of(r.name) for r in couple}) > 1 for couple in made)
    assert recipes.couples(FOUND[:1]) == [(FOUND[0],)]
    assert recipes.piece_of("ab#1+cd#2+ab#4") == "ab+cd"


def test_changes_are_data_and_deterministic() -> None:
    sound = np.random.default_rng(0).standard_normal((2, 44_100)).astype(np.float32) * 0.1
    changes = [
        degrading.Gain(-6),
        degrading.Equal("bell", 1000, 6),
        degrading.Squeeze(-30, 4),
        degrading.Swell(0.5, 12),
        degrading.Pauses(0.5, 0.3),
        degrading.Width(-20),
        degrading.Noise("hum", 20, 1),
        degrading.Noise("pink", 20, 1),
        degrading.Cut(0.2, 0.3),
        degrading.Dull(4000),
        degrading.Clip(3),
        degrading.Stretch(100),
    ]
    assert {type(change) for change in changes} == set(get_args(degrading.Change))
    copied = [degrading.from_json(json.loads(json.dumps(degrading.to_json(change)))) for change in changes]
    assert copied == changes
    untouched = sound.copy()
    for change in changes:
        once = degrading.apply([change], sound, 44_100)
        assert once.shape == sound.shape and once.dtype == np.float32 and np.isfinite(once).all()
        assert not np.array_equal(once, sound)
        assert np.array_equal(once, degrading.apply([change], sound, 44_100))
    assert np.array_equal(sound, untouched)
    assert np.abs(degrading.apply([degrading.Cut(0.2, 0.3)], sound, 44_100)[:, 9500:21_000]).max() == 0


@pytest.mark.parametrize("shape", ["low", "high", "bell"])
def test_an_equaliser_has_its_gain_where_it_should(shape: str) -> None:
    section = degrading.Equal(shape, 1000, 6)
    low, at, high = 20 * np.log10(section.gains(np.array([20.0, 1000.0, 20_000.0]), 48_000))
    expected = {"low": (6, 3, 0), "high": (0, 3, 6), "bell": (0, 6, 0)}[shape]
    assert (low, at, high) == pytest.approx(expected, abs=0.05)


def test_noise_lies_as_far_below_the_sound_as_it_says() -> None:
    sound = np.sin(np.arange(88_200) * 0.1, dtype=np.float32)[None]
    for colour in ("white", "pink", "hum"):
        noise = degrading.Noise(colour, 12, 3).apply(sound, 44_100) - sound
        assert 10 * np.log10(np.mean(sound**2) / np.mean(noise**2)) == pytest.approx(12, abs=0.01)


def test_a_pair_lies_as_its_recipe_says() -> None:
    """Without any change, the vocal's samples are the instrumental's, moved by the lag."""
    (recording, *_) = recipes.recordings(recipes.sample_sources()[1:2])
    pair = Pair(recording, recording, 1.0, 1.5, 4.0, 0.5, "copy", 0.0, (), (), recording.name)
    inst, vocal = excerpts.pair(pair)
    shift = round(0.5 * excerpts.RATE)
    assert np.allclose(inst[shift:], 2 * vocal[:-shift], atol=1e-6)  # the rest and all of the bleed: twice the sound
