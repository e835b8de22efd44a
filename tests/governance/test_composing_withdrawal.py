"""Arrangements, styles and choices of somebody who withdraws are gone, others' are not; what nobody chose at the
command line goes by itself."""

from __future__ import annotations

import dataclasses
import hashlib
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text, update

from pipelines.composing import batch, personal
from pipelines.governance import budget, consent, retention, vault, withdrawal
from pipelines.governance.people import Actor, pseudonym
from pipelines.intake import batches
from pipelines.storage import arrangements, composer_styles, storage_use
from pipelines.storage.arrangements import Melody, NewArrangement
from pipelines.storage.composing_tables import Arrangement, ComposerStyle, InstrumentChoice
from pipelines.storage.tables import Job, VaultItem
from pipelines.studio import Studio
from tests.governance.house import NOW, OPERATOR, Given, give, mentions

AOI, REN = "Aoi Hanamura <aoi@example.org>", "ren@example.org"
HERS = {"melody-aoi.mid": b"a tune by A.H."}
HIS = {"melody-ren.mid": b"a tune by Ren"}
TUNE = Path(__file__).parents[2] / "sample" / "tunes" / "ode_to_joy.mid"
COUNTED = (Arrangement, ComposerStyle, InstrumentChoice)


def compose(
    studio: Studio, owner: str, given: Given | None, melody: bytes, files: list[bytes], wish: str = "w"
) -> list[int]:
    """Candidates of a melody, as record writes them: rows, objects and, of a job, items of the vault and results."""
    new = []
    for number, data in enumerate(files, 1):
        key = studio.objects.put_bytes(data, ".mid")
        new.append(NewArrangement(number, 0, {"parallels": 0.0}, 1.0, "harmonizer v1", key))
        if given is not None:
            with studio.database.session() as session:
                digest = hashlib.sha256(data).hexdigest()
                vault.keep(session, given.job_id, owner, "arrangement", key, digest, len(data), NOW)
            results = studio.settings.home_path / "results" / given.name
            results.mkdir(parents=True, exist_ok=True)
            (results / f"{number}.mid").write_bytes(data)
    about = Melody(
        owner,
        f"tune of {owner}",
        hashlib.sha256(melody).hexdigest(),
        "chorale",
        wish,
        None if given is None else given.job_id,
    )
    with studio.database.session() as session:
        ids, replaced = arrangements.record(session, about, new)
    assert not replaced
    return ids


def style(studio: Studio, owner: str, data: bytes) -> ComposerStyle:
    with studio.database.session() as session:
        version = composer_styles.next_version(session, [owner])
        row = composer_styles.add(session, owner=owner, version=version, content_hash="0" * 64, pieces=3, metrics={})
        session.add(InstrumentChoice(owner=owner, role="bass", style="pop", format="gm", identifier="33"))
        studio.objects.put_named(row.object_key, data)
        return row


def counts(studio: Studio) -> dict[str, int]:
    with studio.database.session() as session:
        return {
            table.__tablename__: session.execute(select(func.count()).select_from(table)).scalar_one()
            for table in COUNTED
        }


@pytest.mark.parametrize("keep", [False, True], ids=["all", "originals kept"])
def test_nothing_composed_for_a_person_is_left_and_nothing_of_others_is_lost(any_studio: Studio, keep: bool) -> None:
    studio = any_studio
    common = b"the same arrangement for both"
    his = give(studio, "rens", REN, HIS, cached=False)
    compose(studio, REN, his, HIS["melody-ren.mid"], [b"his first", common])
    by_hand = compose(studio, REN, None, b"another tune", [b"his by hand", b"hers and his by hand"])
    ren_style = style(studio, REN, b"style of Ren")
    hers = give(studio, "aois", AOI, HERS, cached=False)
    compose(studio, AOI, hers, HERS["melody-aoi.mid"], [b"her first", common])
    compose(studio, AOI.upper(), None, b"hummed by Aoi", [b"hers by hand", b"hers and his by hand"])
    aoi_style = style(studio, AOI, b"style of Aoi")
    style(studio, AOI, b"style of Aoi, grown")
    studio.objects.put_named(composer_styles.key(pseudonym(AOI), 3), b"style of Aoi, of a learning that was killed")
    words = {"her first", "hers by hand", "style of Aoi", AOI.upper(), f"tune of {AOI}"}
    words |= {hashlib.sha256(b"hummed by Aoi").hexdigest(), aoi_style.object_key}
    assert {where.split()[0] for where, _ in mentions(studio, words)} >= {
        *("arrangements", "composer_styles", "object", "file")
    }
    assert counts(studio) == {"arrangements": 8, "composer_styles": 3, "instrument_choices": 3}

    asked = withdrawal.request(studio, AOI, OPERATOR, keep_originals=keep, now=NOW)
    planned = withdrawal.plan(studio, asked)
    assert {name: planned.rows[name] for name in counts(studio)} == {
        "arrangements": 4,
        "composer_styles": 2,
        "instrument_choices": 2,
    }
    assert personal.current(studio, AOI) is None, "not used from the moment of asking"
    (report,) = withdrawal.carry_out(studio, NOW + timedelta(hours=1))

    assert report.done and report.summary["rows"] == planned.rows
    assert mentions(studio, words) == []
    assert counts(studio) == {"arrangements": 4, "composer_styles": 1, "instrument_choices": 1}
    assert studio.objects.get(ren_style.object_key) == b"style of Ren"
    with studio.database.session() as session:
        for row in session.execute(select(Arrangement)).scalars():
            assert row.owner == REN and row.object_key is not None and studio.objects.exists(row.object_key)
        assert arrangements.get(session, by_hand[0], [REN]) is not None
        kinds = session.execute(select(VaultItem.kind).where(VaultItem.deleted_at.is_(None))).scalars().all()
    assert sorted(kinds) == sorted(["arrangement", "arrangement", "melody", *(["melody"] if keep else [])])
    assert studio.objects.exists(hers.keys["melody-aoi.mid"]) == keep

    withdrawal.request(studio, REN, OPERATOR)
    assert [r.done for r in withdrawal.carry_out(studio)] == [True]
    assert set(counts(studio).values()) == {0}
    assert mentions(studio, {"his by hand", common.decode(), "style of Ren"}) == []


def test_nothing_is_left_of_real_work(studio: Studio, tmp_path: Path) -> None:
    full = dataclasses.replace(studio.settings, workers="1", storage_budget_gb="0.0000001")
    studio = dataclasses.replace(studio, settings=full)
    tune = TUNE.read_bytes()
    give(studio, "rens", REN, {"melody-ren.mid": tune}, cached=False, settle=False)
    before = {item.key for item in storage_use.stored(studio.objects)}
    give(studio, "aois-hymn", AOI, {"melody-aoi.mid": tune}, cached=False, settle=False)
    budget.measure(studio)  # the store is full: nothing to listen to is made, which takes long
    with studio.database.session() as session:
        session.execute(update(Job).values(compose={"styles": ["pop"], "candidates": 2}))
        keys = [planned.key for planned in batches.plan_batches(session)]
    own = tmp_path / "own"
    own.mkdir()
    (own / "mine.mid").write_bytes(tune)
    personal.learn(studio, AOI, own)
    for key in keys:
        assert [result.error for result in batch.arrange(studio, key) if result.error] == []
        with studio.database.session() as session:
            batches.mark_requested(session, key)
            batches.mark_finished(session, key)
    with studio.database.session() as session:
        hers, his = (
            {row.object_key for row in session.execute(select(Arrangement).where(Arrangement.owner == owner)).scalars()}
            for owner in (AOI, REN)
        )
    results = studio.settings.home_path / "results"
    assert (
        len(hers) == len(his) == 2
        and list((results / "aois-hymn").rglob("*.mid"))
        and list((results / "rens").rglob("*.mid"))
    )
    withdrawal.request(studio, AOI, Actor(AOI, "viewer"))
    assert [report.done for report in withdrawal.carry_out(studio)] == [True]
    assert {item.key for item in storage_use.stored(studio.objects)} >= before | {str(key) for key in his}
    assert not (results / "aois-hymn").exists() and list((results / "rens").rglob("*.mid"))
    assert mentions(studio, {"Aoi Hanamura", "aois-hymn", "melody-aoi"}) == []
    withdrawal.request(studio, REN, OPERATOR)
    assert [report.done for report in withdrawal.carry_out(studio)] == [True]
    assert list(storage_use.stored(studio.objects)) == [] and not list(results.rglob("*.mid"))


def test_somebody_known_by_the_command_line_alone_can_withdraw(studio: Studio) -> None:
    compose(studio, AOI, None, b"hummed by Aoi", [b"hers by hand"])
    with studio.database.session() as session:
        session.execute(update(Arrangement).values(created_at=text("now() - interval '1 minute'")))
    withdrawal.request(studio, AOI.lower(), Actor(AOI, "viewer"))
    later = compose(studio, AOI, None, b"hummed anew", [b"given anew"])
    assert [r.done for r in withdrawal.carry_out(studio)] == [True]
    with studio.database.session() as session:
        assert session.execute(select(Arrangement.id)).scalars().all() == later, "what came since was given anew"
    assert mentions(studio, {"hers by hand"}) == []


def test_a_style_goes_when_training_is_taken_back(studio: Studio) -> None:
    hers = give(studio, "aois", AOI, HERS, cached=False)
    row, other = style(studio, AOI, b"style of Aoi"), style(studio, REN, b"style of Ren")
    with studio.database.session() as session:
        consent.give(session, Actor(AOI, "viewer"), hers.job_id, quality=True, training=False)
    assert personal.current(studio, AOI) is None
    withdrawal.carry_out(studio)
    assert not studio.objects.exists(row.object_key) and studio.objects.exists(other.object_key)
    assert counts(studio)["composer_styles"] == 1
    assert personal.forget(studio, REN.upper()) == 1 and personal.forget(studio, REN) == 0
    assert not studio.objects.exists(other.object_key)


def test_what_nobody_chose_at_the_command_line_goes_after_thirty_days(studio: Studio) -> None:
    his = give(studio, "rens", REN, HIS, cached=False)
    compose(studio, REN, his, HIS["melody-ren.mid"], [b"his first", b"in both"])
    old = compose(studio, REN, None, b"one", [b"old", b"in both"])
    chosen = compose(studio, REN, None, b"two", [b"taken", b"not taken"])
    with studio.database.session() as session:
        row = arrangements.get(session, chosen[0], [REN])
        assert row is not None
        arrangements.choose(session, row, NOW)
        session.execute(update(Arrangement).values(created_at=text("now() - interval '31 days'")))
    young = compose(studio, REN, None, b"three", [b"young"])
    foreseen = retention.expire(studio, dry_run=True)
    assert foreseen.arrangements == tuple(old)
    assert f"would delete arrangement {old[0]} of the command line" in foreseen.lines()
    assert counts(studio)["arrangements"] == 7
    report = retention.expire(studio)
    assert report.arrangements == tuple(old) and report.expired == ()
    with studio.database.session() as session:
        left = set(session.execute(select(Arrangement.id)).scalars())
    assert left >= {*chosen, *young} and len(left) == 5
    digest = hashlib.sha256(b"old").hexdigest()
    assert mentions(studio, {digest}) == []
    assert mentions(studio, {"in both"}), "the job's candidate is the same"
    assert retention.expire(studio).arrangements == ()
