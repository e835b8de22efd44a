"""A few chorales as a file: what is to be harmonised are passages of what was learned, so that a memory is enough."""

from __future__ import annotations

from pathlib import Path

from pipelines.composing import corpus, tokens


def write(path: Path, learned: int = 24, judged: int = 10) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    train = corpus.load().train[:learned]
    splits = [("train", piece.number, piece.frames) for piece in train]
    for split, few in (("valid", train[:judged]), ("test", train[judged : 2 * judged])):
        splits += [(split, piece.number, piece.frames[32:]) for piece in few]
    columns: dict[str, list[object]] = {"split": [], "number": [], **{voice: [] for voice in tokens.VOICES}}
    for split, number, frames in splits:
        columns["split"].append(split)
        columns["number"].append(number)
        for voice, line in zip(tokens.VOICES, frames.T.tolist(), strict=True):
            columns[voice].append(line)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path
