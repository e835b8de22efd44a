"""What sums over a viewer's first events mean: the raw features of prefixes, group by group.

The sums are user_sums.py's; scales, and the encoder that is saved, user_features.py's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipelines.recommending.user_sums import DAY, FIXED, HOUR, Events, Sums

RECENT = 10  # events
_SHORT = 5  # events
_WINDOWS = (HOUR, DAY, 7 * DAY, 30 * DAY)
GROUPS: Mapping[str, tuple[str, ...]] = {
    "behavioural": (
        "events_log",
        "wanted_log",
        "wanted_share",
        "wanted_share_recent",
        "wanted_last",
        "rated_share",
        "rating_mean",
        "rating_sd",
        "rating_shift_recent",
        "rating_last",
        "popularity_mean",
        "popularity_mean_recent",
        "year_mean",
        "year_mean_recent",
        "repeat_share",
    ),
    "genres": ("genre_entropy", "genre_shift_recent"),  # then the share of each genre
    "temporal": (
        "hour_sin",
        "hour_cos",
        "weekday_sin",
        "weekday_cos",
        "night_share",
        "morning_share",
        "afternoon_share",
        "evening_share",
        "weekend_share",
        "gap_last_log",
        "gap_mean_log",
        "same_second_share",
        "session_events_log",
        "session_seconds_log",
        "sessions_log",
    ),
    "history": (
        "cold",
        "short",
        "span_log",
        "age_mean_log",
        "last_hour_log",
        "last_day_log",
        "last_week_log",
        "last_month_log",
        "last_event",
    ),
}
# What a viewer without events has; everything else is unknown (NaN) then.
_COLD = {
    "events_log": 0.0,
    "wanted_log": 0.0,
    "session_events_log": 0.0,
    "sessions_log": 0.0,
    "cold": 1.0,
    "short": 1.0,
}
_COLD |= {f"last_{window}_log": 0.0 for window in ("hour", "day", "week", "month")}

Columns = list[NDArray[np.float64]]


def names(genres: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The columns of each group, in order."""
    return {**GROUPS, "genres": (*GROUPS["genres"], *(f"genre:{genre}" for genre in genres))}


def raw(
    events: Events, starts: NDArray[np.int64], ends: NDArray[np.int64], span: tuple[int, int]
) -> NDArray[np.float64]:
    """float64[n, f] of prefixes, the events ``starts[i]:ends[i]``; NaN where a prefix cannot tell. ``span``: the
    first and the last second of training."""
    some = ends > starts
    if some.all() and len(some):
        return _of_some(events, starts, ends, span)
    n_genres = len(events.genres)
    every = [name for group in names(("",) * n_genres).values() for name in group]
    found = np.empty((len(starts), len(every)))
    found[:] = [_COLD.get(name, math.nan) for name in every]
    if some.any():
        found[some] = _of_some(events, starts[some], ends[some], span)
    return found


def _of_some(
    events: Events, starts: NDArray[np.int64], ends: NDArray[np.int64], span: tuple[int, int]
) -> NDArray[np.float64]:
    n = ends - starts
    total = events.between(starts, ends)
    recent_starts = np.maximum(starts, ends - RECENT)
    recent = events.between(recent_starts, ends)
    columns = [
        *_behaviour(events, ends - 1, n, total, np.minimum(n, RECENT), recent),
        *_tastes(events, starts, recent_starts, ends),
        *_times(events, ends - 1, n, total),
        *_history(events, starts, ends, n, total, span),
    ]
    return np.ascontiguousarray(np.array(columns).T)


def _behaviour(
    events: Events,
    last: NDArray[np.int64],
    n: NDArray[np.int64],
    total: Sums,
    n_recent: NDArray[np.int64],
    recent: Sums,
) -> Columns:
    rating = _over(total.rating, total.rated) / FIXED
    spread = _over(total.square, total.rated) / FIXED - rating * rating
    return [
        np.log1p(n),
        np.log1p(total.wanted),
        total.wanted / n,
        recent.wanted / n_recent,
        events.wanted[last].astype(np.float64),
        total.rated / n,
        rating,
        np.where(total.rated > 1, np.sqrt(np.maximum(spread, 0)), np.nan),
        _over(recent.rating, recent.rated) / FIXED - rating,
        np.where(events.rated[last], events.ratings[last] / FIXED, np.nan),
        total.popularity / n / FIXED,
        recent.popularity / n_recent / FIXED,
        _over(total.year, total.dated) / FIXED,
        _over(recent.year, recent.dated) / FIXED,
        total.repeated / n,
    ]


def _tastes(
    events: Events, starts: NDArray[np.int64], recent_starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> Columns:
    """Shares of each genre in all genres of the wanted events; their entropy, 0 (one genre) to 1 (all alike), and how
    far the recent events' shares lie from them, 0 to 1."""
    upto = events.genres[:, ends]
    shares = _shares(upto - events.genres[:, starts])
    recent = _shares(upto - events.genres[:, recent_starts])
    logs = np.log(np.where(shares > 0, shares, 1.0))
    most = math.log(max(len(shares), 2))
    return [-_sum(shares * logs, len(ends)) / most, _sum(np.abs(recent - shares), len(ends)) / 2, *shares]


def _times(events: Events, last: NDArray[np.int64], n: NDArray[np.int64], total: Sums) -> Columns:
    moment = events.times[last]
    hour = moment % DAY * (2 * math.pi / DAY)
    weekday = (moment // DAY + 3) % 7 * (2 * math.pi / 7)
    session = events.sessions[last]
    return [
        np.sin(hour),
        np.cos(hour),
        np.sin(weekday),
        np.cos(weekday),
        total.night / n,
        total.morning / n,
        total.afternoon / n,
        total.evening / n,
        total.weekend / n,
        np.where(n > 1, np.log1p(events.gaps[last]), np.nan),
        np.log1p(_over(moment - events.times[last + 1 - n], n - 1)),
        _over(total.same_second, n - 1),
        np.log1p(last + 1 - session),
        np.log1p(moment - events.times[session]),
        np.log1p(total.sessions),
    ]


def _history(
    events: Events,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    n: NDArray[np.int64],
    total: Sums,
    span: tuple[int, int],
) -> Columns:
    moment, key = events.times[ends - 1], events.keys[ends - 1]
    whole = (moment - events.times[starts]).astype(np.float64)
    first, final = span
    return [
        np.zeros(len(n)),
        (n < _SHORT).astype(np.float64),
        np.log1p(whole / DAY),
        np.log1p(np.maximum(whole - total.age / n, 0) / DAY),
        *(np.log1p(ends - np.searchsorted(events.keys, key - window, "right")) for window in _WINDOWS),
        np.clip((moment - first) / max(final - first, 1), 0.0, 1.0),  # later ones are the last that training knew
    ]


def _over(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """part / whole, NaN where the whole is 0."""
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _shares(counts: NDArray[np.int32]) -> NDArray[np.float64]:
    whole = counts.sum(axis=0)  # integers: in any order
    shares: NDArray[np.float64] = np.where(whole > 0, counts / np.maximum(whole, 1), np.nan)
    return shares


def _sum(parts: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Over the first axis, one after the other: numpy's own sum adds one column in another order than many."""
    return np.cumsum(parts, axis=0)[-1] if len(parts) else np.full(n, np.nan)
