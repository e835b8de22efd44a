"""Scoring jobs over HTTP: chunk by chunk, what failed and again, and the scored sheet."""

from __future__ import annotations

import csv
import io

import httpx

from pipelines.scoring import batch, chunks
from pipelines.storage import score_chunks, score_jobs
from serving.api.house import House
from tests.serving.api.conftest import Api, Running
from tests.serving.api.work import opinions, studio_of


def test_a_sheet_is_told_from_its_chunks_to_its_scores(house: House, api: Api, server: Running) -> None:
    key = opinions(house)
    client = api(name="ada")
    (sheet,) = client.get("/v1/scoring-jobs").json()["items"]
    assert (sheet["status"], sheet["rows"], sheet["of"], sheet["job"]) == ("planned", 0, 700, "opinions")
    assert (sheet["provider"], sheet["categories"], sheet["chunks"]["planned"]) == ("local", ["joy", "anger"], 2)
    assert client.get("/v1/jobs/opinions").json()["status"] == "running", "its batch has ended, its sheet has not"
    path = f"/v1/scoring-jobs/{sheet['id']}"
    assert sheet["url"] == f"{house.settings.api_address}/scoring/{sheet['id']}", "the sheet's page"
    found = client.get(f"{path}/chunks", params={"limit": 1})
    (first,) = found.json()["items"]
    assert (first["number"], first["first"], first["last"], first["status"]) == (1, 0, 500, "planned")
    (second,) = client.get(found.links["next"]["url"]).json()["items"]
    assert (second["number"], second["first"], second["last"]) == (2, 500, 700)
    assert second["url"].endswith(f"/assets/score_chunks?view=partitions&partition={sheet['id']}-0002")

    studio = studio_of(house)
    batch.run(studio, [first["id"], second["id"]])
    batch.publish(studio, key)
    done = client.get(path).json()
    assert (done["status"], done["rows"], done["chunks"]["finished"]) == ("finished", 700, 2)
    assert done["finished_at"] is not None
    assert str(house.settings.home_path) not in str(done), "no path of this machine"
    sheet_file = httpx.get(server.url + done["result"]["url"]).text
    rows = list(csv.reader(io.StringIO(sheet_file)))
    assert len(rows) == 701
    assert {"joy", "anger"} <= set(rows[0])
    assert client.get("/v1/jobs/opinions").json()["status"] == "finished"


def test_failed_chunks_run_again_alone(house: House, api: Api) -> None:
    opinions(house)
    client = api(name="ada")
    (sheet,) = client.get("/v1/scoring-jobs", params={"job": "opinions"}).json()["items"]
    path = f"/v1/scoring-jobs/{sheet['id']}"
    refused = client.post(f"{path}/retry")
    assert refused.status_code == 409
    assert "no chunk that failed" in refused.json()["detail"]
    with house.session() as session:
        rows = score_chunks.of(session, sheet["id"])
        rows[0].status, rows[0].rows_done = "finished", 500
        rows[1].status, rows[1].last_error, rows[1].retry_count = "given_up", "the provider answers 500", 5
    told = client.get(path).json()
    assert told["failed"] == [
        {"chunk": f"{sheet['id']}-0002", "error": "the provider answers 500", "retries": 5, "not_before": None}
    ]
    again = client.post(f"{path}/retry")
    assert (again.status_code, again.json()) == (202, {"chunks": 1})
    with house.session() as session:
        assert dict(chunks.state(session, sheet["id"]).counts) == {"finished": 1, "planned": 1}


def test_another_persons_sheet_is_none(house: House, api: Api) -> None:
    opinions(house, owner="Ada")
    (sheet,) = api("operator", "olga").get("/v1/scoring-jobs").json()["items"]
    assert sheet["owner"] == "Ada"
    theirs = api(name="bob")
    assert theirs.get("/v1/scoring-jobs").json()["items"] == []
    for path in ("", "/chunks"):
        assert theirs.get(f"/v1/scoring-jobs/{sheet['id']}{path}").status_code == 404
    assert theirs.post(f"/v1/scoring-jobs/{sheet['id']}/retry").status_code == 404
    assert api(name="ADA").get(f"/v1/scoring-jobs/{sheet['id']}").status_code == 200
    for number in ("0", "-1", "x", str(2**63), "1e5"):
        assert api(name="ada").get(f"/v1/scoring-jobs/{number}").status_code == 422


def test_a_sheet_of_the_command_line_is_an_operators_to_see(house: House, api: Api) -> None:
    new = score_jobs.NewScoreJob("day.csv", "csv", "/tmp/day.csv", "c" * 64, {"categories": ["joy"]}, {}, 3)
    with house.session() as session:
        made = score_jobs.add(session, new)
    assert api(name="ada").get(f"/v1/scoring-jobs/{made}").status_code == 404
    operator = api("operator", "olga")
    told = operator.get(f"/v1/scoring-jobs/{made}").json()
    assert (told["job"], told["owner"], "/tmp" in str(told)) == (None, None, False)
    assert operator.post(f"/v1/scoring-jobs/{made}/retry").status_code == 409
