"""The house for real: webserver, daemon and code location as `orimono up` starts them, a job dropped into the inbox,
its run followed and its materializations read back over GraphQL; the asset's page opened in a browser.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dags.house import House, opened
from tests.recommending import series

PROJECT = Path(__file__).resolve().parents[2]
MEDIA = PROJECT / "sample" / "media"
CHROMIUM = shutil.which("chromium")

pytestmark = [pytest.mark.xdist_group("daemon"), pytest.mark.timeout(420)]

ASSETS = [
    "uploads",
    "music_features",
    "video_features",
    "lyrics_features",
    "shared_features",
    "edit_patterns",
    "edit_renders",
    "edit_quality",
]


def make_job(folder: Path, duration: float, lyrics: str) -> Path:
    folder.mkdir(parents=True)
    for name in ("vibe_ace.ogg", "big_buck_bunny_0_30.webm", "big_buck_bunny_5s.mp4"):
        shutil.copy(MEDIA / name, folder / name)
    (folder / "words.lrc").write_text(lyrics, encoding="utf-8")
    (folder / "job.yaml").write_text(
        f"""\
owner: tester@example.com
consents: {{quality: false, training: false}}
files:
  - {{file: vibe_ace.ogg, kind: music}}
  - {{file: big_buck_bunny_0_30.webm, kind: clip, tags: [forest, sky, morning]}}
  - {{file: big_buck_bunny_5s.mp4, kind: clip, tags: [rabbit, meadow]}}
  - {{file: words.lrc, kind: lyrics}}
edit: {{duration: {duration}, fps: 25, patterns: [dynamic]}}
""",
        encoding="utf-8",
    )
    return folder


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with opened(tmp_path_factory.mktemp("house")) as found:
        yield found


@pytest.fixture(scope="module")
def finished(house: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    """One good job and one bad one have been through."""
    source = tmp_path_factory.mktemp("source")
    bad = source / "no music"
    bad.mkdir()
    (bad / "job.yaml").write_text("owner: x\nfiles: 7\n")
    (house.home / "inbox" / "no music").mkdir(parents=True)
    shutil.copy(bad / "job.yaml", house.home / "inbox" / "no music" / "job.yaml")
    (house.home / "inbox" / "no music" / "_COMPLETE").touch()
    house.orimono("ingest", str(make_job(source / "first", 6, "[00:01.00]The morning sun is shining\n")))
    house.wait_for("SUCCESS", 1)
    return house


def test_the_sensor_picks_the_job_up_and_its_run_succeeds(finished: House) -> None:
    (run,) = finished.runs()
    tags = {t["key"]: t["value"] for t in run["tags"]}
    assert run["jobName"] == "batch"
    assert tags["dagster/sensor_name"] == "inbox"


def test_materializations_are_read_back_over_graphql(finished: House) -> None:
    query = """query($path: [String!]!) { assetOrError(assetKey: {path: $path}) { ... on Asset {
      assetMaterializations(limit: 1) { partition metadataEntries { label
        ... on IntMetadataEntry { intValue } ... on MarkdownMetadataEntry { mdStr } } } } } }"""
    for name in ASSETS:
        (found,) = finished.ask(query, path=[name])["assetOrError"]["assetMaterializations"]
        metadata = {e["label"]: e.get("intValue", e.get("mdStr")) for e in found["metadataEntries"]}
        assert metadata["items"] >= 1, name
        assert metadata["failed"] == 0, metadata
        if name not in ("uploads", "shared_features", "edit_quality"):
            assert "data:image/webp;base64," in metadata["picture_1"], name


def test_the_result_can_be_taken_away(finished: House) -> None:
    out = finished.home / "results" / "first"
    names = {p.name for p in out.iterdir()}
    assert {f"dynamic.{e}" for e in ("otio", "edl", "xml", "fcpxml", "json", "mp4")} <= names
    assert {"quality.json", "report.html", "media"} <= names


def test_the_bad_job_is_recorded_and_blocked_nothing(finished: House) -> None:
    status = finished.orimono("status")
    (bad,) = status["bad_jobs"]
    assert bad["job"] == "no music"
    assert "job.yaml" in bad["error"]


def test_a_changed_lyric_is_a_new_item_that_runs_neither_audio_nor_video_again(finished: House, tmp_path: Path) -> None:
    before = len(finished.runs())
    finished.orimono("ingest", str(make_job(tmp_path / "first", 6, "[00:02.00]Rain is falling on the hills\n")))
    finished.wait_for("SUCCESS", before + 1)
    query = """query($path: [String!]!) { assetOrError(assetKey: {path: $path}) { ... on Asset {
      assetMaterializations(limit: 1) { metadataEntries { label ... on IntMetadataEntry { intValue } } } } } }"""

    def computed(name: str) -> int:
        (found,) = finished.ask(query, path=[name])["assetOrError"]["assetMaterializations"]
        return next(e["intValue"] for e in found["metadataEntries"] if e["label"] == "computed")

    assert {n: computed(n) for n in ("music_features", "video_features", "lyrics_features", "shared_features")} == {
        "music_features": 0,
        "video_features": 0,
        "lyrics_features": 1,
        "shared_features": 1,
    }


def test_a_person_backfills_a_batch(finished: House) -> None:
    before = len(finished.runs())
    (tags,) = [r["tags"] for r in finished.runs()[-1:]]
    key = next(t["value"] for t in tags if t["key"] == "dagster/partition")
    mutation = """mutation($assets: [AssetKeyInput!]!, $keys: [String!]!) {
      launchPartitionBackfill(backfillParams: {assetSelection: $assets, partitionNames: $keys}) {
        __typename ... on LaunchBackfillSuccess { backfillId } } }"""
    done = finished.ask(mutation, assets=[{"path": ["lyrics_features"]}], keys=[key])["launchPartitionBackfill"]
    assert done["__typename"] == "LaunchBackfillSuccess"
    runs = finished.wait_for("SUCCESS", before + 1)
    assert {"key": "dagster/backfill", "value": done["backfillId"]} in runs[0]["tags"]


def test_decisions_become_a_served_model_when_a_person_asks_for_it(finished: House, tmp_path: Path) -> None:
    before = len(finished.runs())
    finished.orimono("ingest", str(series.job(tmp_path / "series")))
    run = finished.wait_for("SUCCESS", before + 1)[0]
    assert finished.orimono("recommend", "viewer 1")["path"] == "popular"
    key = next(t["value"] for t in run["tags"] if t["key"] == "dagster/partition")
    finished.launch("recommending", key)
    finished.wait_for("SUCCESS", before + 2)
    found = finished.orimono("recommend", "viewer 1", "--limit", "5")
    assert (found["path"], len(found["items"])) == ("tower", 5)
    told = finished.orimono("decide", "viewer 1", found["items"][0]["external_id"], "like")
    assert found["items"][0]["id"] not in [item["id"] for item in told["items"]]


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_assets_page_shows_the_pictures(finished: House) -> None:
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        (run,) = finished.runs()[-1:]
        key = next(t["value"] for t in run["tags"] if t["key"] == "dagster/partition")
        page.goto(f"http://127.0.0.1:{finished.port}/assets/music_features?view=partitions&partition={key}")
        page.get_by_text("[Show Markdown]").first.click(timeout=60_000)
        page.locator("img[src^='data:image/webp']").wait_for(timeout=20_000)
        width, shown = page.locator("img[src^='data:image/webp']").evaluate("i => [i.naturalWidth, i.clientWidth]")
        assert width == shown > 800
        browser.close()
