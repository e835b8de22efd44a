"""Viewers who withdraw: whatever they decided is nowhere any more, and nothing of others is lost."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import func, select, text

from pipelines.errors import BadInput
from pipelines.governance import audit, consent, withdrawal
from pipelines.governance.people import Actor, pseudonym
from pipelines.models import snapshots
from pipelines.recommending import importing
from pipelines.recommending.people import video_id, viewer_id
from pipelines.storage import (
    consents,
    decisions,
    embedding_loads,
    embedding_sets,
    imports,
    storage_use,
    videos,
    viewers,
)
from pipelines.storage import snapshots as snapshot_table
from pipelines.storage.recommending_tables import Decision, Recommendation, UserEmbedding, Video, Viewer
from pipelines.storage.tables import ModelVersion, TrainingSnapshot, Upload, Withdrawal
from pipelines.studio import Studio
from tests.governance.house import NOW, OPERATOR, Given, everything, give, mentions
from tests.governance.killed import kill_at

AOI = "Aoi Hanamura <aoi@example.org>"
HER_ID = str(viewer_id(AOI))
HERS = {"Aoi Hanamura", "aoi@example.org", HER_ID, "grandmother's garden"}
T = int(NOW.timestamp()) - 100_000
FILMS = "video_id,title,genres\n" + "".join(f"f{i},Film number {i},Drama\n" for i in range(6))


def table(*rows: tuple[object, ...], head: str = "user_id,video_id,rating,decided_at") -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([head.split(","), *rows])
    return out.getvalue().encode()


RATED = table(
    *((AOI, f"f{i}", 4.5, T + i) for i in range(3)),
    *(("ren", f"f{i}", 2, T + 10 + i) for i in range(4)),
)
TAGGED = table(
    (AOI, "f1", "grandmother's garden"), (AOI, "f1", "slow"), ("ren", "f1", "slow"), head="user_id,video_id,tag"
)


def studio_job(
    studio: Studio, name: str = "studio-export", owner: str = "studio", files: dict[str, bytes] | None = None
) -> Given:
    contents = files or {
        "videos-catalogue.csv": FILMS.encode(),
        "decisions-all.csv.gz": gzip.compress(RATED, mtime=0),
        "tags-all.csv": TAGGED,
    }
    given = give(studio, name, owner, contents, cached=False)
    importing.load(studio, given.job_id, NOW)
    return given


def embed(studio: Studio) -> int:
    """A set of one version with a vector of everybody, and everybody's list."""
    with studio.database.session() as session:
        row = ModelVersion(
            name="two_tower", version="v20261121", uri="models/x", framework="keras", input_dim=4, output_dim=768,
            metrics={}, sha256="0" * 64, feature_version="1", code_version="1", created_by="test",
        )  # fmt: skip
        session.add(row)
        session.flush()
        made = embedding_sets.create_set(session, row.id)
        people = list(session.execute(select(Viewer.user_id).order_by(Viewer.user_id)).scalars())
        vectors = np.zeros((len(people), 768), np.float32)
        vectors[:, 0] = 1
        digests = embedding_loads.digests(vectors)
        embedding_loads.copy_in(session, "user", made, people, vectors, digests, version=row.version, now=NOW)
        embedding_loads.index(session, made)
        embedding_sets.finish(session, made, NOW)
        for who in people:
            session.add(
                Recommendation(
                    user_id=who, rank=1, video_id=video_id("f5"), score=0.5, reason="popular", model_version=row.version
                )
            )
    return made


def learned(studio: Studio) -> int:
    """A snapshot of all decisions that may be learned from."""
    with studio.database.session() as session:
        frame = decisions.events(session)
        people = sorted({*viewers.pseudonyms(session, frame["user_id"].unique()), *decisions.givers(session)})
    content = frame.to_csv(index=False).encode()
    return snapshots.keep(studio, content, "two_tower", "1", len(frame), people, {}, NOW).id


def test_a_viewer_is_nowhere_any_more_and_others_lose_nothing(any_studio: Studio) -> None:
    studio = any_studio
    given = studio_job(studio)
    with studio.database.session() as session:
        decisions.record(session, viewer_id(AOI), video_id("f4"), "like", person=pseudonym(AOI), now=NOW)
        assert len(decisions.history(session, viewer_id(AOI))) == 4
    embed(studio)
    snapshot = learned(studio)
    places = {where.split()[0] for where, _ in mentions(studio, HERS | {pseudonym(AOI)})}
    assert places >= {
        *("viewers", "user_video_decisions", "user_embeddings_1", "recommendations", "tags", "object", "file"),
        "training_snapshots",
    }

    asked = withdrawal.request(studio, AOI.upper(), Actor(AOI, "viewer"), now=NOW)

    with studio.database.session() as session:  # at once
        assert len(decisions.history(session, viewer_id(AOI))) == 0
        assert HER_ID not in decisions.events(session)["user_id"].tolist()
        for table in (UserEmbedding, Recommendation):
            assert session.execute(select(table.user_id)).scalars().all() == [viewer_id("ren")]
        with pytest.raises(BadInput, match="withdrew"):
            decisions.record(session, viewer_id(AOI), video_id("f5"), "like", now=NOW)
    planned = withdrawal.plan(studio, asked)
    assert planned.rows == {"viewers": 1, "user_video_decisions": 4}
    assert {key for key, _ in planned.objects} == {given.keys["decisions-all.csv.gz"], given.keys["tags-all.csv"]}
    assert not [word for word in HERS if word in str(planned.summary())]

    (report,) = withdrawal.carry_out(studio, NOW + timedelta(hours=1))

    assert report.done and report.waiting is None
    assert mentions(studio, HERS) == []
    left = {where for where, _ in mentions(studio, {pseudonym(AOI)})}
    assert left == {"withdrawals", "audit_logs", "training_snapshots"}, "by design: who is not to be learned from"
    with studio.database.session() as session:
        assert session.get_one(TrainingSnapshot, snapshot).erased_at is not None
        assert len(decisions.history(session, viewer_id("ren"))) == 4 and videos.count(session) == 6
        counted = session.execute(text("select name, n from tags join video_tags on id = tag_id")).all()
        assert [tuple(row) for row in counted] == [("slow", 1)]
        statuses = dict(session.execute(select(Upload.name, Upload.status)).all())
        assert statuses == {
            "videos-catalogue.csv": "ok", "decisions-all.csv.gz": "expired", "tags-all.csv": "expired"
        }  # fmt: skip
        assert consents.withdrawn_pseudonyms(session, {pseudonym(AOI), pseudonym("ren")}) == {pseudonym(AOI)}
        assert audit.verify(session).ok
    assert withdrawal.carry_out(studio, NOW) == []


def test_who_withdrew_does_not_come_back_with_the_next_export(studio: Studio) -> None:
    studio_job(studio)
    withdrawal.request(studio, AOI, OPERATOR)
    assert [r.done for r in withdrawal.carry_out(studio)] == [True]
    studio_job(
        studio, "next-day", files={"decisions-all.csv": RATED, "videos-x.csv": FILMS.encode(), "tags-x.csv": TAGGED}
    )
    with studio.database.session() as session:
        assert session.execute(select(Viewer.user_id)).scalars().all() == [viewer_id("ren")]
        decisions.record(session, viewer_id(AOI), video_id("f4"), "like", person=pseudonym(AOI))
        viewers.consent(session, viewer_id(AOI), training=True, actor="x", now=NOW)
    with studio.database.session() as session:
        assert decisions.history(session, viewer_id(AOI)).external_ids.tolist() == ["f4"], "told anew"
        assert consents.withdrawn_pseudonyms(session, {pseudonym(AOI)}) == set()
    assert learned(studio)


def test_an_export_given_again_is_let_go_once_the_others_rows_are_taken(any_studio: Studio) -> None:
    """Of a full export every week, too, nothing that names who withdrew is kept; nor of a row that was refused."""
    studio = any_studio
    studio_job(studio)
    withdrawal.request(studio, AOI, OPERATOR)
    assert [r.done for r in withdrawal.carry_out(studio)] == [True]
    rows = RATED + table(("kai", "f5", 5, T), head="x,x,x,x").split(b"\r\n", 1)[1]
    bad = table(("kai", "f4", 5, T), (AOI, "f4", "many", T))
    files = {
        "videos-catalogue.csv": FILMS.encode(),
        "decisions-all.csv.gz": gzip.compress(rows, mtime=0), "tags-all.csv": TAGGED,
        "decisions-bad.csv": bad, "decisions-plain.csv": table(("kai", "f3", 5, T)),
    }  # fmt: skip
    found = importing.load(studio, give(studio, "next-week", "studio", files, cached=False).job_id, NOW)
    assert mentions(studio, HERS) == []
    assert found.counts["decisions"]["new"] == 3 and found.counts["tags"] == {"rows": 3, "given": 1}
    assert {name: [str(each) for each in told] for name, told in found.refused.items()} == {
        "decisions-all.csv.gz": ["was decided by somebody who withdrew since: 3 (line 2, 3, 4)"],
        "decisions-bad.csv": ["has a rating that is no number: 1 (line 3)"],
        "tags-all.csv": ["was given by somebody who withdrew since: 2 (line 2, 3)"],
    }
    said = "named somebody who withdrew: its other rows were taken, and the file was deleted"
    assert found.notes == tuple(f"{n} {said}" for n in ("decisions-all.csv.gz", "tags-all.csv", "decisions-bad.csv"))
    with studio.database.session() as session:
        query = select(Upload.name, Upload.status).where(Upload.job_id == 2)
        statuses = dict(session.execute(query).all())
        assert {name for name, status in statuses.items() if status == "ok"} == {
            "videos-catalogue.csv",
            "decisions-plain.csv",
        }
        assert audit.verify(session).ok


def test_an_export_under_a_legal_hold_is_told(studio: Studio) -> None:
    from pipelines.governance import vault
    from tests.governance.house import ADMINISTRATOR, item_of

    studio_job(studio)
    withdrawal.request(studio, AOI, OPERATOR)
    assert [r.done for r in withdrawal.carry_out(studio)] == [True]
    given = give(studio, "held", "studio", {"decisions-b.csv": RATED}, cached=False)
    with studio.database.session() as session:
        vault.hold(session, item_of(studio, given, "decisions").id, ADMINISTRATOR, "a court asked")
    found = importing.load(studio, given.job_id, NOW)
    assert found.notes == ("decisions-b.csv names somebody who withdrew, and stays: a legal hold keeps it",)
    assert studio.objects.exists(given.keys["decisions-b.csv"])


def test_a_viewer_is_found_by_their_id_too(studio: Studio) -> None:
    """Then it is the pseudonym of the name under which snapshots hold them, which nobody can tell from the id."""
    studio_job(studio)
    snapshot = learned(studio)
    withdrawal.request(studio, f" {HER_ID.upper()}", OPERATOR, now=NOW)
    assert [r.done for r in withdrawal.carry_out(studio, NOW)] == [True]
    assert mentions(studio, HERS - {HER_ID}) == []
    with studio.database.session() as session:
        assert session.get_one(TrainingSnapshot, snapshot).erased_at is not None
        assert session.execute(select(func.count()).where(Viewer.user_id == UUID(HER_ID))).scalar_one() == 0
        gone = consents.withdrawn_pseudonyms(session, {pseudonym(AOI), pseudonym(HER_ID)})
        assert gone == {pseudonym(AOI), pseudonym(HER_ID)}
    importing.load(studio, studio_job(studio, "again", files={"decisions-b.csv": RATED}).job_id, NOW)
    assert not [where for where, _ in mentions(studio, {HER_ID}) if where.startswith("viewers")]


def test_the_owner_of_decisions_takes_them_and_the_catalogue_along(studio: Studio) -> None:
    given = studio_job(studio)
    other = studio_job(
        studio, "others", "kai", files={"decisions-kai.csv": table(("ren", "f0", 5, T), ("mia", "g", 5, T))}
    )
    embed(studio)
    snapshot = learned(studio)
    withdrawal.request(studio, "studio", OPERATOR, now=NOW)
    (report,) = withdrawal.carry_out(studio, NOW)
    assert report.done
    assert mentions(studio, HERS | {"Film number", "Drama", "slow", pseudonym(AOI), *given.keys.values()}) == [
        ("training_snapshots", pseudonym(AOI))
    ]
    with studio.database.session() as session:
        rows = session.execute(select(Video.external_id, Video.title, Video.job_id).order_by(Video.external_id)).all()
        assert [tuple(row) for row in rows] == [("f0", None, None), ("g", None, other.job_id)], "what the other decided"
        assert set(session.execute(select(Viewer.user_id)).scalars()) == {viewer_id("ren"), viewer_id("mia")}
        assert set(session.execute(select(Decision.job_id)).scalars()) == {other.job_id}
        assert session.get_one(TrainingSnapshot, snapshot).erased_at is not None
        assert set(session.execute(select(UserEmbedding.user_id)).scalars()) <= {viewer_id("ren"), viewer_id("mia")}


def test_a_file_under_a_legal_hold_stays(studio: Studio) -> None:
    from pipelines.governance import vault
    from tests.governance.house import ADMINISTRATOR, item_of

    given = studio_job(studio)
    item = item_of(studio, given, "decisions")
    with studio.database.session() as session:
        vault.hold(session, item.id, ADMINISTRATOR, "a court asked")
    withdrawal.request(studio, AOI, OPERATOR, now=NOW)
    assert [r.done for r in withdrawal.carry_out(studio, NOW)] == [True]
    assert studio.objects.exists(given.keys["decisions-all.csv.gz"])
    assert not studio.objects.exists(given.keys["tags-all.csv"])


def test_somebody_of_whom_nothing_is_known_cannot_withdraw(studio: Studio) -> None:
    studio_job(studio)
    with pytest.raises(BadInput, match="gave nothing that is here"):
        withdrawal.request(studio, "Nobody", OPERATOR)


def test_a_plan_changes_nothing(studio: Studio) -> None:
    studio_job(studio)
    embed(studio)
    before = sorted(everything(studio))
    foreseen = withdrawal.foresee(studio, AOI)
    assert sorted(everything(studio)) == before
    assert foreseen.rows == {"user_embeddings": 1, "recommendations": 1, "viewers": 1, "user_video_decisions": 3}
    assert "delete 3 rows of user_video_decisions" in foreseen.lines()


@pytest.mark.parametrize(
    "place",
    [
        "before pipelines.governance.exports:drop",
        "before pipelines.recommending.importing:count_tags_anew",
        "before pipelines.governance.retention:expire_at_once",
        "after pipelines.governance.retention:expire_at_once",
        "before pipelines.storage.withdrawals:erase",
        "after pipelines.storage.forgetting:strip",
        "after pipelines.storage.withdrawals:erase",
        "before pipelines.governance.withdrawal:_complete",
    ],
)
def test_killed_anywhere_the_next_run_finishes(studio: Studio, place: str) -> None:
    studio_job(studio)
    embed(studio)
    learned(studio)
    withdrawal.request(studio, AOI, OPERATOR, now=NOW)
    kill_at(studio, "withdrawal", NOW, place)
    (report,) = withdrawal.carry_out(studio, NOW)
    assert report.done
    assert mentions(studio, HERS) == []
    with studio.database.session() as session:
        assert len(decisions.history(session, viewer_id("ren"))) == 4
        assert session.execute(select(Withdrawal.user_id)).scalar_one() == pseudonym(AOI)


def test_what_a_viewer_says_of_training(studio: Studio) -> None:
    """Goes before the owner's word, is audited, and what was learned before it was taken back is erased."""
    studio_job(studio)
    first = learned(studio)
    with studio.database.session() as session:
        assert consent.show_viewer(session, AOI)[0].training is None
        with pytest.raises(BadInput, match="needs an operator"):
            consent.give_viewer(session, Actor("ren", "viewer"), AOI, training=True)
        with pytest.raises(BadInput, match="decided nothing"):
            consent.give_viewer(session, OPERATOR, "nobody", training=True)
        consent.give_viewer(session, Actor(AOI.lower(), "viewer"), AOI, training=False)
    assert snapshots.erase_taken_back(studio, NOW) == [first]
    with studio.database.session() as session:
        assert set(decisions.events(session)["user_id"]) == {str(viewer_id("ren"))}
        assert consents.withdrawn_pseudonyms(session, {pseudonym(AOI)}) == {pseudonym(AOI)}
        assert len(decisions.history(session, viewer_id(AOI))) == 3, "her own lists go on"
        consent.give_viewer(session, OPERATOR, AOI, training=True)
    with studio.database.session() as session:
        assert consents.withdrawn_pseudonyms(session, {pseudonym(AOI)}) == set()
        assert len(set(decisions.events(session)["user_id"])) == 2
        assert consent.show_viewer(session, AOI)[0].training is True


def test_the_owner_takes_training_back(studio: Studio) -> None:
    given = studio_job(studio)
    snapshot = learned(studio)
    with studio.database.session() as session:
        consent.give(session, Actor("studio", "viewer"), given.job_id, quality=True, training=False)
    assert snapshots.erase_taken_back(studio, NOW) == [snapshot]
    with studio.database.session() as session:
        assert len(decisions.events(session)) == 0


def test_who_allows_no_training_as_an_owner_is_not_learned_from_as_a_viewer(studio: Studio) -> None:
    """Else a snapshot with their decisions would be refused, and with it everybody's training."""
    studio_job(studio)
    give(studio, "hers", AOI, {"mix-a.wav": b"a song" * 50}, training=False, cached=False)
    assert learned(studio)
    with studio.database.session() as session:
        assert set(decisions.events(session)["user_id"]) == {str(viewer_id("ren"))}
        (row,) = snapshot_table.of_task(session, "two_tower")
        assert row.users == sorted([pseudonym("ren"), pseudonym("studio")])


def test_hashes_of_exports_are_not_in_a_summary(studio: Studio) -> None:
    given = studio_job(studio)
    withdrawal.request(studio, AOI, OPERATOR, now=NOW)
    (report,) = withdrawal.carry_out(studio, NOW)
    digest = Path(given.keys["decisions-all.csv.gz"]).name.split(".")[0]
    assert digest not in str(report.summary) and len(digest) == len(hashlib.sha256().hexdigest())
    assert report.summary["objects"]["media"]["n"] == 2
    assert given.keys["decisions-all.csv.gz"] not in {item.key for item in storage_use.stored(studio.objects)}


def test_an_import_under_way_does_not_bring_a_withdrawn_viewer_back(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They withdraw, known as an owner, after the import has looked who withdrew and before it is committed."""
    give(studio, "hers", AOI, {"mix-a.wav": b"a song" * 50}, cached=False)
    real = imports.take_decisions

    def meanwhile(*args: object) -> object:
        monkeypatch.setattr(imports, "take_decisions", real)
        taken = real(*args)  # type: ignore[arg-type]
        withdrawal.request(studio, AOI, OPERATOR, now=NOW)
        return taken

    monkeypatch.setattr(imports, "take_decisions", meanwhile)
    studio_job(studio)
    with studio.database.session() as session:
        assert len(decisions.history(session, viewer_id(AOI))) == 3, "it was there first"
    assert [r.done for r in withdrawal.carry_out(studio, NOW)] == [True]
    assert mentions(studio, HERS) == []
