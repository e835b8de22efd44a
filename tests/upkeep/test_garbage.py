"""What nothing refers to goes, and nothing else: over a local store and over S3."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from pipelines.errors import Unavailable
from pipelines.settings import Settings
from pipelines.storage import storage_use, upkeep_locks
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.storage.references import References
from pipelines.storage.storage_use import Stored
from pipelines.studio import Studio
from pipelines.upkeep import garbage
from tests.governance.house import give, snapshot

DAY = timedelta(days=1)


def keys(studio: Studio) -> set[str]:
    return {item.key for item in storage_use.stored(studio.objects) if not item.copy}


def test_it_takes_two_looks_a_grace_period_apart(any_studio: Studio) -> None:
    studio, now = any_studio, datetime.now(UTC)
    ada, bea = (give(studio, name, name.title(), {f"music-{name}.ogg": name.encode()}) for name in ("ada", "bea"))
    snapshot(studio, ada, bea)
    studio.objects.put_named("incremental/preset_cls.json", b"{}")  # replaced in place, named by nobody
    studio.objects.put_named("results/ada/" + "0" * 64 + ".mp4", b"of another keeper")
    orphan = studio.objects.put_bytes(b"left by somebody", ".json")
    computed = Cache.key("music", "1.x", "f" * 64, {})
    studio.objects.put_named(computed, b"of nobody's song")
    former = {ada.keys["former plan"], bea.keys["former plan"]}  # of a job, but no row names them any more
    before = keys(studio)

    first = garbage.collect(studio, now)
    assert (first.deleted, first.waiting) == ((), 4)
    assert garbage.collect(studio, now + DAY).deleted == ()
    assert keys(studio) == before
    foreseen = garbage.collect(studio, now + 4 * DAY, dry_run=True)
    assert keys(studio) == before
    done = garbage.collect(studio, now + 4 * DAY)
    assert set(done.deleted) == set(foreseen.deleted) == {orphan, computed, *former}
    assert keys(studio) == before - set(done.deleted)
    assert done.freed > 0
    assert (done.waiting, done.missing) == (0, ())
    assert garbage.collect(studio, now + 9 * DAY).deleted == ()


def test_what_is_referred_to_in_between_begins_anew(studio: Studio) -> None:
    now = datetime.now(UTC)
    content = hashlib.sha256(b"spring").hexdigest()
    computed = Cache.key("music", "1.x", content, {})
    studio.objects.put_named(computed, b"numbers")
    garbage.collect(studio, now)
    give(studio, "spring", "Ada", {"music-a.ogg": b"spring"}, cached=False, settle=False)
    assert garbage.collect(studio, now + 4 * DAY).deleted == ()
    assert computed in keys(studio)


def test_of_several_versions_of_the_code_the_last_one_stays(studio: Studio) -> None:
    now = datetime.now(UTC)
    ada = give(studio, "ada", "Ada", {"music-a.ogg": b"a song"})
    content = hashlib.sha256(b"a song").hexdigest()
    old, new = (Cache.key("music", version, content, {}) for version in ("1.x", "2.x"))
    studio.objects.put_named(new, b"other numbers")
    os.utime(studio.objects.folder / old, (1, 1))
    garbage.collect(studio, now)
    done = garbage.collect(studio, now + 4 * DAY)
    assert set(done.deleted) == {old, ada.keys["former plan"]}
    assert done.by_reason == {"unnamed": 1, "superseded": 1}


def test_an_object_that_was_put_again_stays(studio: Studio) -> None:
    """Found unreferenced long ago, and written anew a moment ago: a row will name it."""
    now = datetime.now(UTC)
    key = studio.objects.put_bytes(b"a cut list", ".json")
    garbage.collect(studio, now - 9 * DAY)
    assert garbage.collect(studio, now).deleted == ()
    assert garbage.collect(studio, now + 3 * DAY).deleted == (key,)


def test_what_tables_name_and_the_store_lacks_is_told(studio: Studio) -> None:
    ada = give(studio, "ada", "Ada", {"music-a.ogg": b"a song"})
    studio.objects.delete(ada.keys["music-a.ogg"])
    assert garbage.collect(studio).missing == (ada.keys["music-a.ogg"],)


def test_remains_of_killed_writes_go_after_a_day(studio: Studio) -> None:
    place = studio.objects.folder / "media" / "ab"
    place.mkdir(parents=True)
    old, young = place / f"{'a' * 64}.ogg#1", place / f"{'b' * 64}.ogg#2"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    assert garbage.collect(studio).parts == 1
    assert (old.exists(), young.exists()) == (False, True)


def test_not_while_a_backup_copies(studio: Studio) -> None:
    with (
        upkeep_locks.no_garbage_collection(studio.database),
        upkeep_locks.no_garbage_collection(studio.database),
        pytest.raises(Unavailable, match="a backup or another collection is under way"),
    ):
        garbage.collect(studio)
    with (
        upkeep_locks.collecting_garbage(studio.database),
        pytest.raises(Unavailable, match="are being deleted"),
        upkeep_locks.no_garbage_collection(studio.database),
    ):
        pass


@pytest.mark.timeout(420)
def test_killed_in_the_middle_the_next_call_goes_on(studio: Studio) -> None:
    now = datetime.now(UTC)
    ada = give(studio, "ada", "Ada", {"music-a.ogg": b"a song"})
    living = keys(studio) - {ada.keys["former plan"]}
    for n in range(40):
        studio.objects.put_bytes(b"orphan %d" % n, ".json")
    garbage.collect(studio, now)
    child = multiprocessing.get_context("spawn").Process(target=_collect_until_killed, args=(studio.settings, now))
    child.start()
    child.join(240)
    assert child.exitcode == -signal.SIGKILL
    left = keys(studio)
    assert living < left
    assert len(left - living) < 41
    done = garbage.collect(studio, now + 4 * DAY)
    assert keys(studio) == living
    assert (done.waiting, done.missing) == (0, ())


def _collect_until_killed(settings: Settings, now: datetime) -> None:
    remove: Callable[..., None] = storage_use.remove
    calls = 0

    def killed_after_three(*arguments: object) -> None:
        nonlocal calls
        remove(*arguments)
        calls += 1
        if calls == 3:  # its deletions are done, the table does not know of them
            os.kill(os.getpid(), signal.SIGKILL)

    garbage.AT_ONCE = 5
    storage_use.remove = killed_after_three
    objects = Objects.open(settings)
    garbage.collect(Studio(settings, Database(settings), objects, Cache(objects)), now + 4 * DAY)


HASHES = [f"{n:x}" * 64 for n in range(6)]
KEYS = [
    *(f"media/{h[:2]}/{h}.ogg" for h in HASHES),
    *(f"features/{kind}/{v}/{h}-{'0' * 16}.png" for kind in "ab" for v in "12" for h in HASHES),
    *(f"training/t/{h}.parquet" for h in HASHES),
    *("training/t/chosen", "incremental/x.json", "other/" + HASHES[0]),
]


@drawn(
    st.lists(st.tuples(st.sampled_from(KEYS), st.integers(0, 9)), unique_by=lambda pair: pair[0]),
    st.frozensets(st.sampled_from(KEYS)),
    st.frozensets(st.sampled_from(HASHES)),
)
def test_nothing_referred_to_is_ever_found(
    stored: list[tuple[str, int]], named: frozenset[str], hashes: frozenset[str]
) -> None:
    items = [Stored(key, 1, datetime(2026, 1, 1 + day, tzinfo=UTC)) for key, day in stored]
    found = garbage.unreferenced_among(items, References(named, hashes))
    assert not found.keys() & named
    for item in items:
        if item.key not in found or not item.key.startswith("features/") or not item.hashes & hashes:
            continue
        # A living content's features go only where another version made the same.
        kind, name = item.key.split("/")[1], item.key.split("/")[3]
        assert any(o.key != item.key and o.key.split("/")[1::2] == [kind, name] and o.key not in found for o in items)
    assert not any(item.key in found for item in items if not item.hashes or item.key.startswith(("other/", "incr")))
