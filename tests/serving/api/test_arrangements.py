"""Arrangements over HTTP: heard, seen and chosen by their owner."""

from __future__ import annotations

import httpx

from serving.api.house import House
from tests.serving.api.conftest import Api, Running
from tests.serving.api.work import arranged


def test_candidates_are_listed_opened_and_one_is_chosen(house: House, api: Api, server: Running) -> None:
    arranged(house, owner="Ada")
    client, theirs, operator = api(name="ada"), api(name="bob"), api("operator", "olga")
    items = client.get("/v1/arrangements", params={"job": "tune"}).json()["items"]
    assert sorted(one["candidate"] for one in items) == [1, 2]
    assert {one["style"] for one in items} == {"chorale"}
    best = next(one for one in items if one["candidate"] == 1)
    other = next(one for one in items if one["candidate"] == 2)
    assert {"midi", "project", "picture", "report"} <= set(best["files"])
    assert best["files"]["midi"]["path"] == "melody-tune.chorale.mid"
    assert other["files"]["midi"]["path"] == "melody-tune.chorale-2.mid"
    for one in (best, other):
        for file in one["files"].values():
            answer = httpx.get(server.url + file["url"])
            assert (answer.status_code, len(answer.content)) == (200, file["size"])
    assert httpx.get(server.url + best["files"]["midi"]["url"]).content[:4] == b"MThd"

    assert client.get(f"/v1/arrangements/{other['id']}").json()["chosen_at"] is None
    chosen = client.post(f"/v1/arrangements/{other['id']}/choose")
    assert chosen.status_code == 200
    assert (chosen.json()["candidate"], chosen.json()["among"]) == (2, 2)
    assert client.get(f"/v1/arrangements/{other['id']}").json()["chosen_at"] is not None
    operator.post(f"/v1/arrangements/{best['id']}/choose")
    assert client.get(f"/v1/arrangements/{other['id']}").json()["chosen_at"] is None, "the last word counts"

    assert theirs.get("/v1/arrangements").json()["items"] == []
    assert theirs.get(f"/v1/arrangements/{best['id']}").status_code == 404
    assert theirs.post(f"/v1/arrangements/{best['id']}/choose").status_code == 404
    first = client.get("/v1/arrangements", params={"limit": 1})
    following = client.get(first.links["next"]["url"]).json()
    assert following["items"][0]["id"] < first.json()["items"][0]["id"]

    # What was recorded is there, whatever became of the folder.
    (house.settings.home_path / "results" / "tune" / "melody-tune.chorale.mid").unlink()
    midi = client.get(f"/v1/arrangements/{best['id']}").json()["files"]["midi"]
    assert httpx.get(server.url + midi["url"]).content[:4] == b"MThd"
    assert client.get("/v1/jobs/tune").json()["systems"] == ["composing"]
