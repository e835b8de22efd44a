"""The life of a recommender from a studio's tables to everybody's lists, on a small world of series."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from pipelines import clock
from pipelines.errors import BadInput
from pipelines.governance import withdrawal
from pipelines.governance.people import Actor
from pipelines.models import rollout, snapshots
from pipelines.recommending import candidates, findings, judging, learning
from pipelines.recommending.people import viewer_id
from pipelines.recommending.serving import LiveRecommender
from pipelines.storage import decisions, embedding_sets, recommended, viewers
from pipelines.storage import models as registry_table
from pipelines.studio import Studio
from tests.recommending import house, series

pytestmark = pytest.mark.xdist_group("towers")


def both_embeddings(studio: Studio) -> list[str]:
    return [*findings.user_embeddings(studio), *findings.video_embeddings(studio)]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where trainings are kept from one test to the next: the same tables give the same snapshot."""
    return tmp_path_factory.mktemp("trained") / "candidate"


@pytest.fixture
def studio(studio: Studio) -> Studio:
    return replace(studio, settings=replace(studio.settings, workers="1"))


@pytest.fixture
def learned(studio: Studio, kept: Path, tmp_path: Path) -> Studio:
    """A judged candidate."""
    house.take(studio, series.job(tmp_path / "series"))
    house.learn(studio, kept)
    return studio


@pytest.fixture
def served(learned: Studio) -> Studio:
    """A version in use by everybody."""
    house.release(learned)
    return learned


def test_from_tables_to_everybodys_lists(served: Studio) -> None:
    assert findings.interactions(served) == findings.features(served) == findings.parity(served) == []
    assert findings.against_the_bars(served) == findings.broken_artefacts(served) == []
    assert both_embeddings(served) == findings.versions_without_embeddings(served) == []
    summary = learning.recommend_all(served)
    assert (summary["viewers"], summary["places"]) == (120, 120 * learning.LENGTH)
    assert findings.broken_lists(served) == []
    with served.database.session() as session:
        places = recommended.of_viewer(session, viewer_id("viewer 3"))
        seen = decisions.seen(session, viewer_id("viewer 3"))
    assert [place.rank for place in places] == list(range(1, 21))
    assert not {str(place.video_id) for place in places} & seen


def test_the_judgement_is_stored_with_its_report(learned: Studio) -> None:
    found = judging.judged(learned)
    assert set(found.evaluations) == {"leave_last_out", "global_time"}
    for split in found.evaluations.values():
        ours, bar = split["scorers"]["two_tower"], split["scorers"]["recent_popularity"]
        assert ours["ndcg"]["mean"] > 2 * bar["ndcg"]["mean"]
    again = learning.evaluate(learned)
    assert again.report is not None
    page = Path(again.report).read_text()
    assert "<table" in page
    assert "://" not in page.replace("http://www.w3.org/", "")


def test_what_was_made_before_is_not_made_again(served: Studio) -> None:
    before = {p: p.stat().st_mtime_ns for p in house.candidates_folder(served).rglob("*") if p.is_file()}
    learning.assemble(served)
    learning.train(served)
    learning.evaluate(served)
    assert "serves already" in learning.register(served)["decision"]
    synced = learning.sync(served)
    assert "nothing changed" in str(synced["video_embeddings"]["done"])
    assert learning.begin(served)["decision"] == "was begun before and is live"
    after = {p: p.stat().st_mtime_ns for p in house.candidates_folder(served).rglob("*") if p.is_file()}
    assert {p: t for p, t in after.items() if p in before} == before


def test_a_new_version_gets_five_per_cent_and_its_own_embeddings(served: Studio, tmp_path: Path) -> None:
    house.take(served, series.job(tmp_path / "more", viewers=130, seed=1))
    learning.assemble(served)
    learning.train(served)
    learning.evaluate(served)
    learning.register(served)
    assert findings.versions_without_embeddings(served) == []
    with pytest.raises(BadInput, match="has no embeddings yet"):
        learning.begin(served)
    learning.sync(served)
    assert learning.begin(served)["stage"] == 5
    assert both_embeddings(served) == []
    with served.database.session() as session:
        routes = rollout.current(session, candidates.NAME)
        assert routes.running is not None and routes.live is not None
        assert len(embedding_sets.current_sets(session)) == 2
        rollout.roll_back(session, candidates.NAME, routes, clock.now(), "tester", "not liked")
    assert [row.id for row in learning.versions_to_embed(served)] == [routes.live]


def test_a_candidate_that_is_not_better_is_not_registered(learned: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    worse = judging.judged(learned)
    problem = "On leave-last-out NDCG@20 is 0.100, not clearly above recent popularity's 0.120"
    monkeypatch.setattr(judging, "judged", lambda studio: replace(worse, problems=(problem,)))
    assert findings.against_the_bars(learned) == [problem]
    with pytest.raises(BadInput, match=r"not clearly above .* read the report"):
        learning.register(learned)
    with learned.database.session() as session:
        assert registry_table.listed(session, candidates.NAME) == []


def test_a_decision_changes_the_next_list_at_once_and_the_embeddings_by_night(served: Studio) -> None:
    with LiveRecommender(served) as recommender:
        before = recommender.recommend("viewer 5", 10)
        assert before.path == "tower"
        first = before.items[0]
        recommender.decide("viewer 5", first.video_id, "like")
        after = recommender.recommend("viewer 5", 10)
    assert first.video_id not in [item.video_id for item in after.items]
    assert [item.video_id for item in after.items] != [item.video_id for item in before.items[1:]]
    assert both_embeddings(served) == []  # as of the sync; what came later is for the next one
    done = str(learning.sync(served)["user_embeddings"]["done"])
    assert "120 viewers" in done
    assert "nothing changed" not in done
    assert both_embeddings(served) == []


def test_a_vector_that_is_not_the_models_is_found(served: Studio) -> None:
    with served.database.session() as session:
        session.execute(text("update user_embeddings set embedding = (select embedding from user_embeddings limit 1)"))
    assert any("user vectors" in found and "not what the model says" in found for found in both_embeddings(served))


def test_a_withdrawal_leaves_the_sets_counts_true(served: Studio) -> None:
    withdrawal.request(served, "viewer 11", Actor("viewer 11", "viewer"), now=clock.now())
    # What is popular is another by then, but nobody is missed.
    assert not [found for found in both_embeddings(served) if "user" in found or "holds" in found]


def test_a_viewer_without_a_list_is_found(served: Studio) -> None:
    learning.recommend_all(served)
    with served.database.session() as session:
        session.execute(text("delete from recommendations where user_id = :user"), {"user": viewer_id("viewer 4")})
    assert findings.broken_lists(served) == ["1 lists have fewer than 20 places though there are videos left"]


def test_a_catalogue_whose_owner_allows_no_training_is_not_learned_from(studio: Studio, tmp_path: Path) -> None:
    house.take(studio, series.job(tmp_path / "mine", viewers=8))
    house.take(studio, series.catalogue(tmp_path / "theirs"))
    learning.assemble(studio)
    snapshot = candidates.chosen(studio)
    items = candidates.load(studio, snapshot).items
    assert not [title for title in items["title"] if title is not None and "secret" in title]
    key = snapshot.provenance["catalogue"]["key"]
    assert studio.objects.exists(key)
    withdrawal.request(studio, "series-studio", Actor("series-studio", "viewer"), now=clock.now())
    withdrawal.carry_out(studio)
    assert not studio.objects.exists(key)


def test_nothing_is_stored_of_a_snapshot_that_was_erased(learned: Studio) -> None:
    snapshot = candidates.chosen(learned)
    snapshots.put(learned, snapshot, "features/candidate/x/still-there", b"1")
    snapshots.erase(learned, snapshot.users[0], "withdrawn", clock.now())
    with pytest.raises(BadInput, match="was erased"):
        snapshots.put(learned, snapshot, "features/candidate/x/too-late", b"1")
    assert not learned.objects.exists("features/candidate/x/too-late")


def test_nothing_to_learn_from_is_said_and_no_failure(studio: Studio, tmp_path: Path) -> None:
    assert learning.assemble(studio) is None
    house.take(studio, series.job(tmp_path / "private", viewers=3, training=False))
    assert learning.assemble(studio) is None
    assert "no version" in str(learning.sync(studio)["user_embeddings"]["note"])
    assert "no version" in str(learning.begin(studio)["decision"])
    assert learning.recommend_all(studio)["by_popular"] == 3


def test_a_viewer_who_withdraws_before_the_release_stops_it(learned: Studio) -> None:
    withdrawal.request(learned, "viewer 7", Actor("viewer 7", "viewer"), now=clock.now() + timedelta(seconds=1))
    with pytest.raises(BadInput, match="withdrew"):
        learning.register(learned)
    withdrawal.carry_out(learned)
    with pytest.raises(BadInput, match="was erased"):
        candidates.chosen(learned)
    with learned.database.session() as session:
        assert viewers.of_name(session, "viewer 7") == []
    learning.assemble(learned)
    assert candidates.load(learned, candidates.chosen(learned)).interactions.n_users == 119
