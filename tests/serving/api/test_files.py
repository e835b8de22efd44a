"""Files by signed links, from a real server: ranges as a browser's player asks for them, and links that are none."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest
from sqlalchemy import select

from pipelines import clock, results
from pipelines.errors import BadInput, NotAllowed, NotFound
from pipelines.governance.people import pseudonym
from pipelines.identity import links
from pipelines.identity.links import Expired, Signer
from pipelines.settings import Settings
from pipelines.storage.tables import AuditLog
from serving.api.house import House
from serving.views.links import Links
from tests.serving.api.conftest import Api, Running
from tests.serving.api.work import mastered

VIDEO = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def folder(house: House) -> Path:
    """Results of a job ``film`` that no table knows: what a link leads to is its own matter."""
    found = house.settings.home_path / "results" / "film"
    found.mkdir(parents=True)
    (found / "dynamic.mp4").write_bytes(VIDEO)
    (found / "report.html").write_text("<video src=dynamic.mp4></video><script>alert(1)</script>")
    (found / "quality.json").write_text("{}")
    (found / "ночь 100%.m4a").write_bytes(b"sound")
    (found / "sub").mkdir()
    (found / "sub" / "inner.txt").write_text("inner")
    return found


@pytest.fixture
def signer(house: House) -> Signer:
    return house.one(Links).signer


@pytest.fixture
def web(server: Running) -> Iterator[httpx.Client]:
    """Comes without a key."""
    with httpx.Client(base_url=server.url, timeout=30) as found:
        yield found


def test_a_job_lists_its_files_with_links_that_open_them(house: House, api: Api, web: httpx.Client) -> None:
    mastered(house)
    listed = api(name="ada").get("/v1/jobs/dance/results").json()
    found = {item["path"]: item for item in listed["items"]}
    assert {(i["kind"], i["media_type"], i["system"]) for i in found.values()} == {
        ("master", "audio/wav", "mastering"),
        ("figures", "application/json", "mastering"),
        ("preview", "audio/mp4", "mastering"),
        ("peaks", "application/json", "mastering"),
        ("picture", "image/png", "mastering"),
    }
    assert listed["expires_in"] == 120
    for path, item in found.items():
        answer = web.get(item["url"])
        assert answer.status_code == 200, answer.text
        assert answer.content == (house.settings.home_path / "results" / "dance" / path).read_bytes()
        assert len(answer.content) == item["size"]
    (master,) = api(name="ada").get("/v1/masters/dance").json()["items"]
    assert (master["piece"], master["preset"], master["chosen_by"]) == ("mix-dance", "classical", "owner")
    assert web.get(master["preview"]["url"]).content[4:8] == b"ftyp"
    assert len(master["pictures"]) == 2
    assert master["facts"]["after"]["true_peak_dbtp"] <= master["facts"]["ceiling_dbtp"] + 0.05


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-", 0, len(VIDEO)),  # a player's first question
        ("bytes=0-1", 0, 2),  # Safari's
        ("bytes=1000000-1000999", 1_000_000, 1_001_000),
        ("bytes=1000000-99999999", 1_000_000, len(VIDEO)),
        ("bytes=-500", len(VIDEO) - 500, len(VIDEO)),
        ("bytes=-99999999", 0, len(VIDEO)),
        (f"bytes={len(VIDEO) - 1}-", len(VIDEO) - 1, len(VIDEO)),
    ],
)
def test_a_player_gets_the_part_that_it_asks_for(
    folder: Path, signer: Signer, web: httpx.Client, asked: str, first: int, last: int
) -> None:
    url = signer.link_file("film", "dynamic.mp4", who="w")
    answer = web.get(url, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == VIDEO[first:last]
    assert answer.headers["content-range"] == f"bytes {first}-{last - 1}/{len(VIDEO)}"
    assert answer.headers["content-length"] == str(last - first)
    assert answer.headers["content-type"] == "video/mp4"
    looked = web.head(url, headers={"Range": asked})
    assert (looked.status_code, looked.content) == (206, b"")
    assert looked.headers["content-range"] == answer.headers["content-range"]


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=0-1,5-6", "items=0-5", "bytes=x-", "bytes=-", "bytes=--5"])
def test_what_is_no_range_gets_the_whole(folder: Path, signer: Signer, web: httpx.Client, asked: str) -> None:
    answer = web.get(signer.link_file("film", "dynamic.mp4", who="w"), headers={"Range": asked})
    assert (answer.status_code, answer.content == VIDEO) == (200, True)


@pytest.mark.parametrize("asked", [f"bytes={len(VIDEO)}-", "bytes=-0", "bytes=999999999999999999-"])
def test_a_range_behind_the_end_is_refused(folder: Path, signer: Signer, web: httpx.Client, asked: str) -> None:
    answer = web.get(signer.link_file("film", "dynamic.mp4", who="w"), headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(VIDEO)}"
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_empty_file_is_a_file(folder: Path, signer: Signer, web: httpx.Client) -> None:
    (folder / "none.txt").touch()
    url = signer.link_file("film", "none.txt", who="w")
    assert (web.get(url).status_code, web.get(url).content) == (200, b"")
    assert web.get(url, headers={"Range": "bytes=0-"}).status_code == 416


def test_what_is_known_is_not_sent_again(folder: Path, signer: Signer, web: httpx.Client) -> None:
    url = signer.link_file("film", "dynamic.mp4", who="w")
    tag = web.head(url).headers["etag"]
    assert web.get(url, headers={"If-None-Match": f'"x", {tag}'}).status_code == 304
    part = {"Range": "bytes=0-9", "If-Range": tag}
    assert web.get(url, headers=part).status_code == 206
    (folder / "dynamic.mp4").write_bytes(VIDEO[::-1])
    changed = web.get(url, headers=part)
    assert (changed.status_code, changed.content == VIDEO[::-1]) == (200, True), "a part of another file is no part"
    assert web.get(url, headers={"If-None-Match": tag}).status_code == 200


def test_a_report_runs_as_nobody_and_shows_the_files_beside_it(folder: Path, signer: Signer, web: httpx.Client) -> None:
    url = signer.link_file("film", "report.html", who="w", whole=True)
    answer = web.get(url)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts") and "allow-same-origin" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer", "the address is the right to read"
    beside = web.get(url.replace("report.html", "dynamic.mp4"), headers={"Range": "bytes=0-"})
    assert beside.status_code == 206
    assert beside.headers["cross-origin-resource-policy"] == "cross-origin"


def test_a_page_in_any_clothes_is_not_shown(folder: Path, signer: Signer, web: httpx.Client) -> None:
    for name, content_type in (("a.svg", "image/svg+xml"), ("a.xml", "application/xml"), ("a.htm", "octet-stream")):
        (folder / name).write_text("<script xmlns='http://www.w3.org/1999/xhtml'>alert(1)</script>")
        answer = web.get(signer.link_file("film", name, who="w"))
        assert content_type in answer.headers["content-type"]
        assert answer.headers["content-disposition"].startswith("attachment")
        assert "sandbox" in answer.headers["content-security-policy"]


def test_any_name_comes_through(folder: Path, signer: Signer, web: httpx.Client) -> None:
    answer = web.get(signer.link_file("film", "ночь 100%.m4a", who="w"))
    assert (answer.status_code, answer.content) == (200, b"sound")
    said = answer.headers["content-disposition"]
    assert unquote(said.rpartition("UTF-8''")[2]) == "ночь 100%.m4a"
    assert web.get(signer.link_file("film", "sub/inner.txt", who="w")).text == "inner"


def test_a_link_ends_after_two_minutes(folder: Path, signer: Signer, web: httpx.Client) -> None:
    began = clock.now()
    token = signer.link_file("film", "dynamic.mp4", who="w", now=began).split("/")[3]
    assert signer.read(token, "dynamic.mp4", began + timedelta(seconds=119)).key == "film"
    with pytest.raises(Expired):
        signer.read(token, "dynamic.mp4", began + timedelta(seconds=121))
    old = signer.link_file("film", "dynamic.mp4", who="w", now=began - timedelta(seconds=121))
    replayed = web.get(old)
    assert replayed.status_code == 410
    assert "120 s" in replayed.json()["detail"]
    assert web.head(old).status_code == 410


def test_a_link_is_for_one_file(folder: Path, signer: Signer, web: httpx.Client) -> None:
    url = signer.link_file("film", "dynamic.mp4", who="w")
    for other in ("quality.json", "sub/inner.txt", "dynamic.mp4/", ""):
        answer = web.get(url.removesuffix("dynamic.mp4") + other)
        assert answer.status_code in (403, 404), other
        assert not answer.content.startswith(VIDEO[:16])


def test_no_link_is_made_elsewhere(folder: Path, signer: Signer, web: httpx.Client) -> None:
    url = signer.link_file("film", "dynamic.mp4", who="w")
    token = url.split("/")[3]
    payload, _, signature = token.partition(".")
    foreign = Signer(b"x" * 32).link_file("film", "dynamic.mp4", who="w").split("/")[3]
    swapped = signer.link_file("other", "dynamic.mp4", who="w").split("/")[3].partition(".")[0]
    forged = [
        foreign,
        f"{swapped}.{signature}",
        f"{payload}.",
        payload,
        f"{payload}.{signature[:-1]}",
        f"{payload}.{signature}=",
        f"{payload}=.{signature}",
        f"{payload}.{signature[:-1]}{'A' if signature[-1] != 'A' else 'B'}",
        "a.b",
        "..",
        "x" * 4000,
        "%F0%9F%8E%B5",
    ]
    for one in forged:
        answer = web.get(f"/v1/files/{one}/dynamic.mp4")
        assert answer.status_code in (403, 404, 422), one
        assert one not in answer.text or len(one) < 5, "a problem does not repeat a right"
    assert web.get(url).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("../../api-secret", "..%2f..%2fapi-secret", "%2e%2e/%2e%2e/api-secret", "sub/../../../api-secret"),
        *("/etc/passwd", "%2fetc%2fpasswd", "..", ".", "", "sub", "sub/", "//dynamic.mp4", ".hidden", "a%00b"),
        *("..%5c..%5capi-secret", "linked.txt", "linked/passwd", "pipe", "ghost.mp4", "x" * 300, "sub/" * 200 + "x"),
    ],
)
def test_no_path_leads_out(house: House, folder: Path, signer: Signer, server: Running, path: str) -> None:
    """The whole folder's link, so that only the way in is between the caller and the file. The request is written by
    hand: a client would tidy the path up."""
    (folder / ".hidden").write_text("hidden")
    (folder / "linked.txt").symlink_to(folder / "quality.json")
    (folder / "linked").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    token = signer.link_file("film", "report.html", who="w", whole=True).split("/")[3]
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 20) as line:
        line.sendall(f"GET /v1/files/{token}/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := line.recv(65536):
            answer += piece
    status = int(answer.split(b" ")[1])
    assert status in (400, 403, 404, 422), answer[:300]
    secret = (house.settings.home_path / "api-secret").read_bytes()
    assert secret not in answer and b"root:" not in answer


def test_a_link_put_in_a_folders_place_leads_nowhere(folder: Path, tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    (away / "inner.txt").write_text("secret")
    with results.opened(folder, "sub/inner.txt") as file:
        assert file.read() == b"inner"
    (folder / "sub" / "inner.txt").unlink()
    (folder / "sub").rmdir()
    (folder / "sub").symlink_to(away)
    with pytest.raises(NotFound):
        results.opened(folder, "sub/inner.txt")
    assert [f.path for f in results.listed(folder) if "sub" in f.path] == [], "nor is it listed"
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    with pytest.raises(NotFound):
        results.opened(folder, "quality.json")


def test_an_object_is_read_as_long_as_it_is_there(house: House, signer: Signer, web: httpx.Client) -> None:
    key = house.studio.objects.put_bytes(b"MThd", ".mid")
    url = signer.link_object(key, purpose="arrangement:1", who="w", name="tune.chorale.mid")
    answer = web.get(url)
    assert (answer.status_code, answer.content) == (200, b"MThd")
    assert answer.headers["content-type"] == "audio/midi"
    house.studio.objects.delete(key)
    assert web.get(url).status_code == 404


def test_a_withdrawn_file_is_gone_before_its_link(folder: Path, signer: Signer, web: httpx.Client) -> None:
    url = signer.link_file("film", "dynamic.mp4", who="w")
    assert web.head(url).status_code == 200
    (folder / "dynamic.mp4").unlink()
    assert web.get(url).status_code == 404


def test_files_are_read_only(folder: Path, signer: Signer, web: httpx.Client) -> None:
    url = signer.link_file("film", "dynamic.mp4", who="w")
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert web.request(method, url).status_code == 405
    assert (folder / "dynamic.mp4").read_bytes() == VIDEO


def test_the_secret_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    settings = Settings(home=str(tmp_path / "home"))
    secret = links.secret_of(settings)
    place = tmp_path / "home" / "api-secret"
    assert links.secret_of(settings) == secret and len(secret) == 32
    assert place.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["api-secret"]
    given = replace(settings, api_secret="long enough to be one, and never shown")
    assert links.secret_of(given) not in (secret, links.secret_of(replace(given, api_secret="z" * 40)))
    assert given.api_secret not in repr(given)
    with pytest.raises(BadInput, match="32 characters"):
        links.secret_of(replace(settings, api_secret="short"))
    place.write_text("spoilt")
    with pytest.raises(BadInput, match="delete it"):
        links.secret_of(settings)


def test_two_links_of_one_secret_are_told_apart() -> None:
    signer = Signer(b"s" * 32)
    one = signer.link_file("a", "b/c", who="w").split("/")[3]
    other = signer.link_object("a", purpose="results", who="w", name="b/c").split("/")[3]
    assert signer.read(one, "b/c").place == "results" and signer.read(other, "b/c").place == "object"
    with pytest.raises(NotAllowed):
        signer.read(one.partition(".")[0] + "." + other.partition(".")[2], "b/c")


def test_no_link_is_in_the_audit_trail_or_the_logs(
    house: House, folder: Path, signer: Signer, web: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    url = signer.link_file("film", "dynamic.mp4", who=pseudonym("ada"))
    with caplog.at_level("DEBUG"):
        assert web.get(url, headers={"Range": "bytes=0-1"}).status_code == 206
        assert web.get(url + "x").status_code in (403, 404)
    token = url.split("/")[3]
    # httpx is the test's own, not the product's.
    lines = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert [line for line in lines if token in line] == []
    with house.session() as session:
        assert not any(token in str(row.detail) for row in session.execute(select(AuditLog)).scalars())
