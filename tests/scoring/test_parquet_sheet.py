"""Parquet sheets: batches from any row on, and a copy with the same schema, row groups and rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import BadInput, Unavailable
from pipelines.scoring import opening
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Answer, Scored
from pipelines.scoring.sheet import EXTRA, Sheet, SheetRow, Span
from pipelines.settings import Settings

RUBRIC = Rubric.of(["joy", "anger"])
ANSWER = Answer((4, 2), 0.75, "=it laughs")


def opened(path: Path, out: Path | None = None) -> Sheet:
    return opening.opened(str(path), RUBRIC, Settings(), out=out)


def write(path: Path, table: pa.Table, group: int = 3, **options: object) -> Path:
    pq.write_table(table, path, row_group_size=group, **options)
    return path


def test_rows_are_read_from_any_chunk_on(tmp_path: Path) -> None:
    table = pa.table({"n": range(10), "utterance": [f" t{n}\0 " for n in range(9)] + [None], "joy": [None, 3] * 5})
    sheet = opened(write(tmp_path / "a.bin", table))
    spans = sheet.spans(4)
    assert spans == [Span(0, 4), Span(4, 8), Span(8, 10)]
    expected = [SheetRow(n, f"t{n}" if n < 9 else "", ("3" if n % 2 else None, None)) for n in range(10)]
    assert [row for span in spans for row in sheet.rows(span)] == expected
    for span in reversed(spans):
        assert list(sheet.rows(span)) == expected[span.first : span.last]
    sheet.close()


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
def test_the_copy_keeps_schema_row_groups_and_cells(tmp_path: Path, compression: str) -> None:
    schema = pa.schema(
        [
            pa.field("when", pa.timestamp("us", "UTC"), metadata={"a": "b"}),
            pa.field("utterance", pa.dictionary(pa.int32(), pa.string())),
            pa.field("joy", pa.int8(), nullable=False),
            pa.field("anger", pa.string()),
            pa.field("deep", pa.list_(pa.struct([("x", pa.float32())]))),
        ],
        metadata={"mine": "kept"},
    )
    texts = [f"t{n % 3}" for n in range(8)]
    deep = [[{"x": n}] for n in range(8)]
    table = pa.table([range(8), texts, [n % 5 for n in range(8)], ["", None, "3", "x"] * 2, deep], schema=schema)
    path = write(tmp_path / "a.parquet", table, compression=compression)
    sheet = opened(path)
    outcome = sheet.finish([Scored(n, b"", ANSWER, "fallback") for n in range(6)])
    sheet.close()
    assert outcome.place == str(tmp_path / "a.scored.parquet")
    assert (outcome.rows, outcome.kept) == (6, 6 + 2)
    with pq.ParquetFile(outcome.place) as copy:
        groups = [copy.metadata.row_group(number) for number in range(copy.num_row_groups)]
        assert [group.num_rows for group in groups] == [3, 3, 2]
        assert groups[0].column(0).compression == {"none": "UNCOMPRESSED"}.get(compression, compression.upper())
        new = copy.read()
    assert new.schema.metadata[b"mine"] == b"kept"
    assert new.select(["when", "utterance", "joy", "deep"]).to_pydict() == table.drop(["anger"]).to_pydict()
    assert [new.schema.field(name).type for name in table.schema.names] == table.schema.types
    assert new["anger"].to_pylist() == ["2", "2", "3", "x", "2", "2", "3", "x"]
    assert new.schema.names[5:] == list(EXTRA)
    assert new["score_confidence"].to_pylist() == [0.75] * 6 + [None] * 2
    assert new["score_reason"].to_pylist() == ["=it laughs"] * 6 + [None] * 2
    assert new["score_flag"].to_pylist() == ["fallback"] * 6 + [None] * 2


def test_columns_of_nothing_and_columns_of_the_same_name(tmp_path: Path) -> None:
    arrays = [pa.array(["a", "b"]), pa.nulls(2), pa.array([1, 2]), pa.array(["x", "y"])]
    path = write(tmp_path / "a.parquet", pa.table(arrays, names=["utterance", "joy", "x", "x"]))
    outcome = opened(path).finish([Scored(1, b"", Answer((5, 1), None, ""))])
    with pq.ParquetFile(outcome.place) as copy:
        new = copy.read()
    assert new.schema.names == ["utterance", "joy", "x", "x", "anger", *EXTRA]
    assert new.column(1).to_pylist() == [None, 5] and new.schema.field(1).type == pa.int64()
    assert [new.column(2).to_pylist(), new.column(3).to_pylist()] == [[1, 2], ["x", "y"]]
    assert new.column(4).to_pylist() == [None, 1]


def test_a_large_row_group_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.scoring import parquet_sheet

    monkeypatch.setattr(parquet_sheet, "WHOLE", 1)
    monkeypatch.setattr(parquet_sheet, "COPIED", 100)
    path = write(tmp_path / "a.parquet", pa.table({"utterance": [str(n) for n in range(1_000)]}), group=700)
    outcome = opened(path).finish(Scored(n, b"", Answer((n % 5, 1)), "") for n in range(0, 1_000, 7))
    new = pq.read_table(outcome.place)
    assert new["utterance"].to_pylist() == [str(n) for n in range(1_000)]
    assert new["joy"].to_pylist() == [n % 5 if n % 7 == 0 else None for n in range(1_000)]


def test_a_table_without_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", pa.table({"utterance": pa.array([], pa.string())}))
    sheet = opened(path)
    assert sheet.spans() == []
    assert pq.read_table(sheet.finish([]).place).schema.names == ["utterance", "joy", "anger", *EXTRA]


def test_what_is_no_sheet_is_told(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.parquet", pa.table({"utterance": ["a"] * 1_000}))
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(BadInput, match=r"cut\.parquet: is not a whole Parquet file"):
        opened(cut)
    data = bytearray(whole.read_bytes())
    data[4:400] = b"\xff" * 396
    cut.write_bytes(data)
    sheet = opened(cut)
    with pytest.raises(BadInput, match=r"cut\.parquet: is a damaged Parquet file"):
        list(sheet.rows(sheet.spans()[0]))
    sheet.close()
    for column, message in [
        ({"text": ["a"]}, 'has no column "utterance"'),
        ({"utterance": ["a"], "joy": [[1]]}, "in the column 'joy', which cannot take"),
        ({"utterance": ["a"], "score_reason": [1]}, "in the column 'score_reason', which cannot take"),
    ]:
        with pytest.raises(BadInput, match=message):
            opened(write(tmp_path / "b.parquet", pa.table(column)))
    sheet = opened(write(tmp_path / "b.parquet", pa.table({"utterance": [["a"]]})))
    with pytest.raises(BadInput, match="in the column 'utterance'; give a column of strings"):
        list(sheet.rows(sheet.spans()[0]))
    sheet.close()


def test_a_full_disk_leaves_the_former_copy(tmp_path: Path, full_disk: Callable[[], None]) -> None:
    path = write(tmp_path / "a.parquet", pa.table({"utterance": [f"{n * n * n:x}" for n in range(10_000)]}), 5_000)
    (tmp_path / "a.scored.parquet").write_text("former")
    sheet = opened(path)
    full_disk()
    with pytest.raises(Unavailable, match="there is no room left on its disk"):
        sheet.finish([])
    assert (tmp_path / "a.scored.parquet").read_text() == "former"
    assert len(list(tmp_path.iterdir())) == 2
