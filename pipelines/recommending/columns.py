"""How one column of anybody's data frame is read: ids, times, ratings, texts, lists of words.

Which rows stay is cleaning.py's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

NEVER = int(np.iinfo(np.int64).min)  # in place of a time that is none
_NOTHING = ("NAType", "NaTType")  # pandas' own
_LONGEST_ID = 200  # characters: ids become one array of fixed width, which a single long one would blow up
_ANY_TIME = 1 << 40  # s on either side of 1970
_NO_UNIT = 9e18  # more than nanoseconds ever are
_UNITS = ((1e16, 1_000_000_000, "nanoseconds"), (1e13, 1_000_000, "microseconds"), (1e11, 1_000, "milliseconds"))


def ids_of(values: pd.Series[Any], what: str) -> tuple[NDArray[np.int64], list[str]]:
    """(codes [n], distinct ids as text): 7, 7.0 and "7" are one id, a UUID is its text; -1 where an id is missing
    (None, NaN, empty) or longer than 200 characters."""
    import pandas as pd

    try:
        codes, distinct = pd.factorize(values, use_na_sentinel=True)
    except TypeError as error:
        raise BadInput(what, f"holds values that cannot be ids ({error})", "give numbers, texts or UUIDs") from error
    texts: dict[str, int] = {}
    renamed = np.full(len(distinct) + 1, -1, np.int64)  # the last is for what pandas numbers -1
    for code, value in enumerate(distinct.tolist()):
        text = id_text(value)
        if text:
            renamed[code] = texts.setdefault(text, len(texts))
    return renamed[codes], list(texts)


def id_text(value: object) -> str:
    """One id as text, as `ids_of` has it; empty where it is missing."""
    if value is None:
        return ""
    if isinstance(value, float):
        if not np.isfinite(value):
            return ""
        value = int(value) if value.is_integer() else value  # a column of ints with one gap is read as floats
    text = str(value).strip().strip("\0")
    return text if len(text) <= _LONGEST_ID else ""


def times_of(values: pd.Series[Any]) -> tuple[NDArray[np.int64], str]:
    """Seconds since the epoch, `NEVER` where there is none, and the unit that numbers were in."""
    import pandas as pd

    unit = "seconds"
    if pd.api.types.is_datetime64_any_dtype(values):
        return _seconds(values), unit
    numbers = pd.to_numeric(values if values.dtype != object else values.mask(_dates(values)), errors="coerce")
    found = numbers.to_numpy(np.float64, na_value=np.nan)
    finite = np.abs(found) < _NO_UNIT  # and no NaN
    typical = float(np.median(np.abs(found[finite]))) if finite.any() else 0.0
    for least, divisor, name in _UNITS:  # seconds reach 1e11 in the year 5138
        if typical > least:
            found, unit = found / divisor, name
            break
    finite &= np.abs(found) < _ANY_TIME
    times = np.full(len(found), NEVER, np.int64)
    times[finite] = np.floor(found[finite]).astype(np.int64)
    texts = np.flatnonzero(~finite & values.notna().to_numpy())
    if len(texts) and not pd.api.types.is_numeric_dtype(values):
        dates = pd.to_datetime(values.iloc[texts].astype("str"), errors="coerce", utc=True, format="ISO8601")
        times[texts] = _seconds(dates)
    return times, unit


def _dates(values: pd.Series[Any]) -> NDArray[np.bool_]:
    """Objects that are dates, which pandas would take for numbers of an unstated unit."""
    return np.array([isinstance(value, date | np.datetime64) for value in values.tolist()], np.bool_)


def _seconds(values: pd.Series[Any]) -> NDArray[np.int64]:
    naive = values.dt.tz_convert("UTC").dt.tz_localize(None) if values.dt.tz is not None else values
    stamps = naive.to_numpy().astype("datetime64[s]")  # towards the past, as floor is
    return np.where(np.isnat(stamps), NEVER, stamps.astype(np.int64))


def ratings_of(frame: pd.DataFrame) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(ratings, NaN where there is none; where something stands that is not a number)."""
    import pandas as pd

    if "rating" not in frame.columns:
        return np.full(len(frame), np.nan, np.float32), np.zeros(len(frame), np.bool_)
    given = frame["rating"]
    found = pd.to_numeric(given, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    with np.errstate(over="ignore"):
        ratings = found.astype(np.float32)
    ratings[~np.isfinite(ratings)] = np.nan
    return ratings, np.isnan(ratings) & given.notna().to_numpy(np.bool_)


def wanted_of(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """The column wanted, true where it is missing; BadInput for other words than true and false."""
    if "wanted" not in frame.columns:
        return np.ones(len(frame), np.bool_)
    values = frame["wanted"]
    distinct = set(values.dropna().unique().tolist())
    if not distinct <= {True, False}:  # 1 and 0 are these, too
        strange = sorted(map(str, distinct - {True, False}))[0]
        raise BadInput("interactions", f"have {strange!r} in their column wanted", "give true or false there")
    return values.astype(object).where(values.notna(), True).to_numpy(np.bool_)


def text_of(value: object) -> str | None:
    """A cell as text; None where nothing stands in it."""
    if value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ in _NOTHING:
        return None
    return str(value).strip() or None


def words_of(value: object) -> list[str]:
    """The entries of a cell that holds a list, or a text such as "Action|Comedy", each once."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        found = [text_of(part) for part in value]
    else:
        found = [text_of(part) for part in (text_of(value) or "").split("|")]
    return list(dict.fromkeys(word for word in found if word))
