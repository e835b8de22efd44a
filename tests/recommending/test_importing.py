"""Catalogues, decisions and tags from files: what is taken, what is refused and why, and that twice is once."""

from __future__ import annotations

import csv
import gzip
import io
import math
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from pipelines.errors import BadInput
from pipelines.governance.people import pseudonym
from pipelines.recommending import blocks, importing, reading
from pipelines.recommending.people import video_id, viewer_id
from pipelines.settings import Settings
from pipelines.storage import decisions, imports, jobs, uploads, videos, viewers
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.jobs import NewJob
from pipelines.storage.objects import Objects
from pipelines.storage.recommending_tables import Decision, Video, Viewer
from pipelines.storage.tables import Withdrawal
from pipelines.storage.uploads import NewUpload
from pipelines.studio import Studio

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
T = int(NOW.timestamp()) - 10_000
MOVIES = 'movieId,title,genres\n1,Toy Story (1995),Adventure|Comedy\n2,"Heat, The (1995)",(no genres listed)\n'
RATINGS = f"userId,movieId,rating,timestamp\nann,1,4.0,{T}\nann,2,2.0,{T + 1}\nben,1,3.0,{T + 2}\n"
TAGS = f"userId,movieId,tag,timestamp\nann,1,Pixar,{T}\nben,1,pixar,{T}\nann,2,slow,{T}\n"


@pytest.fixture
def studio(settings: Settings, database: Database, objects: Objects) -> Studio:
    return Studio(replace(settings, database_url=database.settings.database_url), database, objects, Cache(objects))


@pytest.fixture
def job(studio: Studio, tmp_path: Path) -> Callable[..., int]:
    """Makes a job of files by their kinds: text, bytes, or several by name."""

    def make(name: str = "job", owner: str = "studio", **kinds: str | bytes | Mapping[str, str | bytes]) -> int:
        new = []
        for kind, content in kinds.items():
            for file, data in (content if isinstance(content, Mapping) else {f"{kind}.csv": content}).items():
                path = tmp_path / file
                path.write_bytes(data.encode() if isinstance(data, str) else data)
                new.append(
                    NewUpload(file, kind, name + file, path.stat().st_size, object_key=studio.objects.put_file(path))
                )
        with studio.database.session() as session:
            job_id, _ = jobs.add(session, NewJob(name, name, owner))
            uploads.add(session, job_id, owner, new)
        return job_id

    return make


def everything(studio: Studio) -> list[str]:
    names = ("viewers", "videos", "user_video_decisions", "tags", "video_tags", "performers", "video_performers")
    with studio.database.session() as session:
        return [
            row for name in names for row in session.execute(text(f"select t::text from {name} t order by 1")).scalars()
        ]


def title(session: Session) -> str | None:
    card = videos.find(session, "1")
    assert card is not None
    return card.title


def test_movielens_as_it_comes(studio: Studio, job: Callable[..., int]) -> None:
    found = importing.load(studio, job(videos=MOVIES, decisions=RATINGS, tags=TAGS), NOW)
    assert found.counts["videos"] == {"rows": 2, "repeated": 0, "new": 2, "changed": 0, "older": 0}
    assert found.counts["decisions"] == {"rows": 3, "new": 3, "known": 0, "viewers": 2, "videos": 0}
    assert found.counts["tags"] == {"rows": 3, "given": 2}
    assert found.lines() == [] and found.n_refused == 0
    with studio.database.session() as session:
        frame = videos.frame(session).set_index("external_id")
        history = decisions.history(session, viewer_id("ann"))
        people = session.execute(select(Viewer.pseudonym)).scalars().all()
        counts: dict[str, int] = dict(
            session.execute(text("select name, n from tags join video_tags on tag_id = id")).all()
        )
    assert frame.loc["1", "genres"] == ["Adventure", "Comedy"] and frame.loc["1", "year"] == 1995
    assert frame.loc["2", "genres"] == [] and frame.loc["2", "title"] == "Heat, The (1995)"
    assert counts == {"pixar": 2, "slow": 1}
    assert history.external_ids.tolist() == ["1", "2"] and history.decisions.tolist() == ["like", "dislike"]
    assert sorted(people) == sorted([pseudonym("ann"), pseudonym("ben")])


def test_the_same_however_often(studio: Studio, job: Callable[..., int]) -> None:
    made = job(videos=MOVIES, decisions=RATINGS, tags=TAGS)
    importing.load(studio, made, NOW)
    before = everything(studio)
    again = importing.load(studio, made, NOW + timedelta(hours=1))
    assert everything(studio) == before
    assert again.counts["decisions"]["known"] == 3 and again.counts["decisions"]["new"] == 0
    assert again.counts["videos"]["changed"] == 0


def test_a_studios_own_columns(studio: Studio, job: Callable[..., int]) -> None:
    catalogue = (
        "Video ID;Title;Year;Duration;Category;Cast;Keywords;Description;Available\n"
        "clip-1;春の小川;2024;95.5;ambient;Aoi|Ren|Aoi;Calm|sea;A brook.;no\n"
        "clip-2;;;;;;;;\n"
        "clip-3;Third;MMXX;long;;;;;perhaps\n"
    )
    said = (
        "viewer,video,decision,decided_at\n"
        "Aoi ,clip-1,LIKE,2026-11-20T10:00:00+09:00\n"
        "ren,clip-2,skip,2026-11-20 10:00:00\n"
        f"ren,clip-1,dislike,{T}000\n"
    )
    found = importing.load(studio, job(videos=catalogue, decisions=said), NOW)
    assert [str(each) for each in found.left_out["videos.csv"]] == [
        *("year not understood: 1 (line 4)", "available not understood: 1 (line 4)"),
        "duration_s not understood: 1 (line 4)",
    ]
    with studio.database.session() as session:
        row = videos.frame(session).set_index("external_id").loc["clip-1"]
        rows = session.execute(select(Decision.decision, Decision.decided_at, Decision.rating)).all()
        assert viewers.of_name(session, "AOI")
    assert (row["title"], row["category"], row["description"], bool(row["available"])) == (
        *("春の小川", "ambient", "A brook."),
        False,
    )
    assert row["performers"] == ["Aoi", "Ren"] and row["tags"] == ["calm", "sea"] and row["duration_s"] == 95.5
    assert sorted((d, at.timestamp()) for d, at, _ in rows) == [
        ("dislike", float(T)),
        ("like", datetime(2026, 11, 20, 1, tzinfo=UTC).timestamp()),
        ("skip", datetime(2026, 11, 20, 10, tzinfo=UTC).timestamp()),
    ]


def test_every_bad_row_is_counted_by_its_reason(studio: Studio, job: Callable[..., int]) -> None:
    rows = [
        b"ann,1,4.0,,%d" % T,
        b"ann,1,4.0,,%d" % (T + 10**7),  # line 3
        b"ann,1,4.0,,0",
        b",1,4.0,,%d" % T,
        b"ann,,4.0,,%d" % T,
        b"ann,1,,,%d" % T,
        b"ann,1,nan,,%d" % T,
        b"ann,1,inf,,%d" % T,
        b"ann,1,many,,%d" % T,  # line 10
        b"ann,1,87,,%d" % T,
        b"ann,1,87,like,%d" % (T + 1),  # taken: the scale is the studio's
        b"ann,1,4.0,love,%d" % T,
        b"ann,1,4.0,,yesterday",
        b"a\x00nn,1,4.0,,%d" % T,
        b"\xff\xfe,1,4.0,,%d" % T,
        b"%s,1,4.0,,%d" % (b"a" * 300, T),
        b"ann,1,4.0,,1e400",
        b"ann,1",
        b"",
        b'"never closed,1,4.0,,%d' % T,
    ]
    table = b"user_id,video_id,rating,decision,decided_at\n" + b"\n".join(rows) + b"\n"
    found = importing.load(studio, job(videos=MOVIES, decisions=table), NOW)
    assert found.counts["decisions"]["new"] == 2
    assert {each.reason: each.lines for each in found.refused["decisions.csv"]} == {
        "was decided in the future": (3,),
        "was decided before 1990, or has no time": (4,),
        "has no user_id": (5,),
        "has no video_id": (6, 21),
        "has neither decision nor rating": (7, 8, 19),
        "has a rating that is no finite number": (9,),
        "has a rating that is no number": (10,),
        "has a rating outside 0 to 5 and no decision": (11,),
        "has a decision that is none of like, watch, skip, dislike": (13,),
        "has a decided_at that is neither seconds since 1970 nor ISO 8601": (14, 18),
        "has a NUL byte in user_id": (15,),
        "has a user_id that is not UTF-8": (16,),
        "has a user_id of more than 200 characters": (17,),
    }
    assert "decisions.csv: refused: a row was decided in the future: 1 (line 3)" in found.lines()


def test_of_many_bad_rows_the_first_lines_are_named(studio: Studio, job: Callable[..., int]) -> None:
    table = "user_id,video_id,decision,decided_at\n" + f"ann,1,love,{T}\n" * 50 + f"ann,1,like,{T}\n"
    (reason,) = importing.load(studio, job(decisions=table), NOW).refused["decisions.csv"]
    assert (reason.n, reason.lines) == (50, (2, 3, 4, 5, 6))
    assert str(reason).endswith("50 (line 2, 3, 4, 5, 6, ...)")


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("decisions", "user,film,stars\nann,1,4\n", "has no column video_id, no column decided_at"),
        ("decisions", "user_id,video_id,decided_at\na,1,5\n", "has no column decision or rating"),
        ("videos", "a,b\n1,2\n", "videos need the columns video_id"),
        ("decisions", "", "has no header"),
        ("decisions", b"\x00\x01\x02PK", "is no table of text"),
        ("decisions", "user_id,video_id,decision,decided_at\n", "holds no rows below its header"),
        ("decisions", f"user_id,video_id,decision,decided_at\na,1,love,{T}\n", "has no usable row; a row has"),
        ("decisions", gzip.compress(RATINGS.encode(), mtime=0)[:-9], "is damaged gzip"),
        ("decisions", b"PAR1" + bytes(100), "is damaged Parquet"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_whole(
    studio: Studio, job: Callable[..., int], kind: str, data: str | bytes, message: str
) -> None:
    before = everything(studio)
    with pytest.raises(BadInput, match=message) as caught:
        importing.load(studio, job(**{"tags": TAGS, kind: data}), NOW)
    assert str(caught.value).startswith(f"{kind}.csv: ")
    assert everything(studio) == before, "nothing of the others either"


@pytest.mark.parametrize("kind", ["decisions", "tags", "videos"])
def test_without_a_header_nobody_is_named(studio: Studio, job: Callable[..., int], kind: str) -> None:
    """Messages are stored and logged, where no withdrawal looks."""
    with pytest.raises(BadInput, match=f"has no header line: .*; {kind} need the columns video_id|user_id") as caught:
        importing.load(studio, job(**{kind: f"Aoi Hanamura <aoi@example.org>,f1,4.5,{T}\n"}), NOW)
    assert "Aoi" not in str(caught.value) and "f1" not in str(caught.value)


def test_what_the_database_refuses_names_nobody(
    studio: Studio, job: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its message quotes the row, and is kept with the outcome."""
    real = imports.copy_in

    def cut(session: Session, name: str, rows: Iterable[tuple[Any, ...]]) -> None:
        real(session, name, (row[:-1] for row in rows))

    monkeypatch.setattr(imports, "copy_in", cut)
    with pytest.raises(RuntimeError, match="BadCopyFileFormat, 22P04") as caught:
        importing.load(studio, job(decisions=RATINGS), NOW)
    assert str(viewer_id("ann")) not in str(caught.value) and caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("said", "moment"),
    [
        ("20261120", datetime(2026, 11, 20, tzinfo=UTC)),
        ("19951120", datetime(1995, 11, 20, tzinfo=UTC)),
        ("1763550000", datetime(2025, 11, 19, 11, tzinfo=UTC)),
        ("20261320", None),  # no date, and as seconds of 1970
        ("19691231", None),
        ("1989-12-31", None),
        ("600000000", None),
    ],
)
def test_eight_digits_are_a_date_and_what_cannot_be_is_refused(
    studio: Studio, job: Callable[..., int], said: str, moment: datetime | None
) -> None:
    table = f"user_id,video_id,decision,decided_at\nann,1,like,{said}\nann,2,like,{T}\n"
    found = importing.load(studio, job(decisions=table), NOW)
    with studio.database.session() as session:
        at = session.execute(select(Decision.decided_at).where(Decision.video_id == video_id("1"))).scalar()
    assert at == moment
    refused = [str(each) for each in found.refused.get("decisions.csv", ())]
    assert refused == ([] if moment else ["was decided before 1990, or has no time: 1 (line 2)"])


def test_a_number_too_small_for_the_database(studio: Studio, job: Callable[..., int]) -> None:
    table = f"user_id,video_id,rating,decided_at\nann,1,1e-50,{T}\n"
    found = importing.load(studio, job(decisions=table, videos="video_id,duration\n1,1e-60\n"), NOW)
    assert found.counts["decisions"]["new"] == 1


def test_each_file_of_a_kind_has_its_own_reasons(studio: Studio, job: Callable[..., int]) -> None:
    """And of two rows about one decision that of the later file counts, whichever line it stands in."""
    head = "user_id,video_id,rating,decision,decided_at\n"
    made = job(decisions={"a.csv": head + "\n" * 9 + f"ann,1,1,like,{T}\n", "b.csv": head + f"ann,1,5,like,{T}\n"})
    with studio.database.session() as session:
        viewers.ensure(session, viewer_id("ann"), pseudonym("ann"))
    importing.load(studio, made, NOW)
    with studio.database.session() as session:
        assert session.execute(select(Decision.rating)).scalars().all() == [5.0]
        viewers.withdraw(session, [viewer_id("ann")], NOW)
    found = importing.load(studio, made, NOW)
    assert {name: [each.lines for each in told] for name, told in found.refused.items()} == {
        "a.csv": [(11,)],
        "b.csv": [(2,)],
    }


BIG = "x" * 60_000
_BOMB = """
import resource, sys
from pathlib import Path
from pipelines.errors import BadInput
from pipelines.recommending import reading
import pyarrow.parquet, pandas
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = 0
try:
    for block in reading.blocks(Path(sys.argv[1]), "decisions", "bomb"):
        rows += len(block.lines)
        assert all(cell is None or max(map(len, [cell, *cell])) <= 20_000 for c in block.columns.values() for cell in c)
except BadInput as error:
    print(error)
print(rows, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("binary", True),
        ("large_binary", True),
        ("large_string", True),
        ("list", True),
        ("large_list", True),
        ("long list", False),
        ("plain", True),
        ("wide", False),
        ("struct", False),
        ("list of lists", False),
    ],
)
def test_a_parquet_bomb_costs_little(tmp_path: Path, kind: str, read: bool) -> None:
    """One value of 60 kB in each of 10,000 rows is 600 MB, and 30 kB as a file; 20,000 different ones of 20 kB, 400."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    n = 20_000 if kind == "plain" else 10_000
    index = pa.array(np.zeros(n, np.int32))
    one = pa.array([BIG])
    cells: Any = {
        "binary": lambda: pa.DictionaryArray.from_arrays(index, one.cast(pa.binary())).cast(pa.binary()),
        "large_binary": lambda: one.cast(pa.large_binary()).take(index),
        "large_string": lambda: one.cast(pa.large_string()).take(index),
        "list": lambda: pa.array([[BIG]]).take(index),
        "large_list": lambda: pa.array([[BIG]], pa.large_list(pa.large_string())).take(index),
        "long list": lambda: pa.array([["x"] * 3_000], pa.list_(pa.string())).take(index),
        "plain": lambda: pa.array([f"{i:09d}" + "x" * 20_000 for i in range(n)]),
        "wide": lambda: pa.array([BIG.encode()], pa.binary(60_000)).take(index),
        "struct": lambda: pa.array([{"a": BIG}]).take(index),
        "list of lists": lambda: pa.array([[[BIG]]]).take(index),
    }
    column = "decision" if "list" in kind else "user_id"
    others = {c: pa.array(["1"] * n) for c in ("user_id", "video_id", "decision", "decided_at") if c != column}
    path = tmp_path / "bomb.parquet"
    pq.write_table(
        pa.table({column: cells[kind](), **others}), path, compression="zstd", use_dictionary=kind != "plain"
    )
    del cells
    assert path.stat().st_size < 3 << 20
    done = subprocess.run([sys.executable, "-c", _BOMB, str(path)], capture_output=True, text=True, check=True)
    *said, last = done.stdout.splitlines()
    rows, grown = map(int, last.split())
    assert grown < 400, f"{grown} MB"
    assert (rows, said) == ((n, []) if read else (0, said))
    assert read or said[0].startswith("bomb: h")


def test_lists_in_place_of_ids_are_refused(studio: Studio, job: Callable[..., int], tmp_path: Path) -> None:
    import pandas as pd

    path = tmp_path / "l.parquet"
    pd.DataFrame({"user_id": [["ann"]], "video_id": ["1"], "decision": ["like"], "decided_at": [T]}).to_parquet(path)
    with pytest.raises(BadInput, match="holds no plain values in its column user_id"):
        importing.load(studio, job(decisions=path.read_bytes()), NOW)


def test_any_title_is_data(studio: Studio, job: Callable[..., int]) -> None:
    titles = ["=HYPERLINK(1)", "+1", "@x", "'; drop table videos; --", "a\tb\nc", "\\N", "{a,b}", "🎬", '"', "\x1b[31m"]
    out = io.StringIO()
    csv.writer(out).writerows([("video_id", "title", "genres"), *((i, t, t) for i, t in enumerate(titles))])
    importing.load(studio, job(videos=out.getvalue()), NOW)
    with studio.database.session() as session:
        frame = videos.frame(session).set_index("external_id")
    for number, title in enumerate(titles):
        assert frame.loc[str(number), "title"] == title
        assert frame.loc[str(number), "genres"] == ([] if title == "\\N" else [title])


def test_parquet_and_gzip_say_the_same_as_csv(studio: Studio, job: Callable[..., int], tmp_path: Path) -> None:
    import pandas as pd

    importing.load(studio, job("first", videos=MOVIES, decisions=RATINGS), NOW)
    before = everything(studio)
    movies = pd.DataFrame(
        {"movieId": [1, 2], "title": ["Toy Story (1995)", "Heat, The (1995)"], "genres": [["Adventure", "Comedy"], []]}
    )
    times = pd.to_datetime([T, T + 1, T + 2], unit="s")
    ratings = pd.DataFrame(
        {"userId": ["ann", "ann", "ben"], "movieId": [1.0, 2.0, 1.0], "rating": [4.0, 2.0, 3.0], "timestamp": times}
    )
    for name, frame in (("m.parquet", movies), ("r.parquet", ratings)):
        frame.to_parquet(tmp_path / name)
    for kinds in (
        {"videos": (tmp_path / "m.parquet").read_bytes(), "decisions": (tmp_path / "r.parquet").read_bytes()},
        {"videos": gzip.compress(MOVIES.encode(), mtime=0), "decisions": gzip.compress(RATINGS.encode(), mtime=0)},
        {"videos": MOVIES.encode("utf-16"), "decisions": "\ufeff" + RATINGS.replace(",", "\t")},
    ):
        other = job(f"again {len(everything(studio))} {sorted(map(len, kinds.values()))}", **kinds)
        found = importing.load(studio, other, NOW)
        assert found.counts["decisions"]["known"] == 3 and not found.lines()
        with studio.database.session() as session:
            session.execute(text("update videos set job_id = 1"))
            session.execute(text("update videos set updated_at = :now"), {"now": NOW})
        assert everything(studio) == before


def test_a_gzip_bomb_costs_little(studio: Studio, job: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_UNPACKED", 8 << 20)
    bomb = gzip.compress(RATINGS.encode() + b"," * (64 << 20), mtime=0)
    with pytest.raises(BadInput, match="unpacks to more than 8 MB"):
        importing.load(studio, job(decisions=bomb), NOW)


def test_a_line_without_end_is_one_refused_row(studio: Studio, job: Callable[..., int]) -> None:
    found = importing.load(studio, job(decisions=RATINGS + "x" * (3 << 20) + f"\nzoe,1,4,{T}\n"), NOW)
    assert found.counts["decisions"]["new"] == 4
    assert [str(each) for each in found.refused["decisions.csv"]] == ["is longer than 1,048,576 characters: 1 (line 5)"]


def test_the_same_and_contradictory_decisions_in_one_file(studio: Studio, job: Callable[..., int]) -> None:
    table = RATINGS + f"ann,1,4.0,{T}\nann,1,1.0,{T}\nann,1,1.0,{T + 60}\n"
    found = importing.load(studio, job(decisions=table), NOW)
    assert found.counts["decisions"]["known"] == 1
    with studio.database.session() as session:
        assert decisions.history(session, viewer_id("ann")).decisions.tolist() == ["dislike", "dislike"]


def test_decisions_may_come_before_their_catalogue(studio: Studio, job: Callable[..., int]) -> None:
    later = job("catalogue", videos=MOVIES)  # the older job of the two, and imported after the other
    found = importing.load(studio, job("decisions", decisions=RATINGS), NOW)
    assert found.counts["decisions"]["videos"] == 2 and "no title" in found.notes[0]
    with studio.database.session() as session:
        assert title(session) is None
    assert importing.load(studio, later, NOW).counts["videos"]["changed"] == 2
    with studio.database.session() as session:
        assert title(session) == "Toy Story (1995)"
        assert set(session.execute(select(Video.job_id)).scalars()) == {later}


def test_the_newest_catalogue_describes_a_video_whole(studio: Studio, job: Callable[..., int]) -> None:
    first = job("first", videos=MOVIES, tags=TAGS)
    importing.load(studio, first, NOW)
    second = job("second", owner="other", videos="video_id,title\n1,Other name\n")
    importing.load(studio, second, NOW)
    with studio.database.session() as session:
        row = videos.frame(session).set_index("external_id").loc["1"]
    assert (row["title"], row["genres"], row["tags"]) == ("Other name", [], [])
    again = importing.load(studio, first, NOW)
    assert again.counts["videos"]["older"] == 1 and "came later" in again.notes[0]
    assert again.refused["tags.csv"][0].reason == "names a video that is not in this job's catalogue"
    with studio.database.session() as session:
        assert title(session) == "Other name"


def test_who_withdrew_does_not_come_back_by_a_file(studio: Studio, job: Callable[..., int]) -> None:
    """Neither while the withdrawal is open nor after it; what they decide afterwards is given anew."""
    made = job(videos=MOVIES, decisions=RATINGS)
    with studio.database.session() as session:
        done = {"keep_originals": False, "requested_by": "x", "due_at": NOW, "completed_at": NOW}
        session.add(Withdrawal(user_id=pseudonym("ann"), requested_at=NOW - timedelta(hours=1), **done))
        viewers.ensure(session, viewer_id("ben"), pseudonym("ben"))
        viewers.withdraw(session, [viewer_id("ben")], NOW)
    found = importing.load(studio, made, NOW)
    assert found.counts["decisions"]["new"] == 0
    assert [str(each) for each in found.refused["decisions.csv"]] == [
        "was decided by somebody who withdrew since: 3 (line 2, 3, 4)"
    ]
    with studio.database.session() as session:
        assert session.execute(select(Viewer.pseudonym)).scalars().all() == [pseudonym("ben")]
    anew = RATINGS.replace(str(T), str(int(NOW.timestamp()) - 60))
    assert importing.load(studio, job("anew", decisions=anew), NOW).counts["decisions"]["new"] == 1


def test_ids_may_be_uuids_however_they_are_written(studio: Studio, job: Callable[..., int]) -> None:
    who, what = viewer_id("ann"), video_id("1")
    table = "user_id,video_id,decision,decided_at\n" + "".join(
        f"{user},{film},like,{T + i}\n" for i, (user, film) in enumerate([(who, what), (who.hex, what.hex.upper())])
    )
    importing.load(studio, job(decisions=table), NOW)
    with studio.database.session() as session:
        assert videos.count(session) == 1
        assert session.execute(select(Viewer.pseudonym)).scalars().all() == [pseudonym(str(who))]


CELLS = st.text(st.characters(exclude_categories=()), max_size=12) | st.sampled_from(
    ["ann", "1", "4.0", str(T), "like", "nan", "\x00", '"', "2026-01-01", "-1", "9" * 30]
)


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), max_size=8), st.binary(max_size=40))
def test_any_cells_are_rows_or_reasons(tmp_path: Path, rows: list[tuple[str, ...]], tail: bytes) -> None:
    """Each row of a file is either usable or counted; nothing else comes of it."""
    from pipelines.recommending.rows import Reader

    out = io.StringIO()
    csv.writer(out).writerows([("user_id", "video_id", "rating", "decided_at"), *rows])
    path = tmp_path / "any.csv"
    path.write_bytes(out.getvalue().encode("utf-8", "surrogatepass") + tail)
    reader = Reader(NOW)
    for block in reading.blocks(path, "decisions", "any.csv"):
        for made in reader.read("decisions", block):
            assert made[5] in ("like", "watch", "dislike")
            assert made[6] is not None and math.isfinite(made[6])
            assert "\x00" not in made[4]
    assert reader.refused.n <= reader.rows


def test_a_file_of_several_blocks(studio: Studio, job: Callable[..., int]) -> None:
    """More than one block, and every row of them."""
    rows = 2 * blocks.BLOCK + 7
    lines = "".join(f"u{i % 501},v{i % 977},{i % 10 / 2},{T - i}\n" for i in range(rows))
    found = importing.load(studio, job(decisions="user_id,video_id,rating,decided_at\n" + lines), NOW)
    assert found.counts["decisions"]["new"] == rows and found.counts["decisions"]["viewers"] == 501
