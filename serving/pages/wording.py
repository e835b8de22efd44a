"""Figures in the reader's words: moments, durations, sizes, shares, counts. Text only; templates are rendering.py's."""

from __future__ import annotations

from datetime import UTC, datetime

from markupsafe import Markup

from pipelines import clock

_UNITS = (("year", 365 * 86400), ("month", 30 * 86400), ("day", 86400), ("hour", 3600), ("minute", 60))


def ago(when: datetime | str | None) -> Markup:
    """A ``time`` element: "3 minutes ago" or "in 2 hours", the exact moment beneath; a dash for none."""
    if when is None or when == "":
        return Markup('<span class="none">–</span>')
    moment = _moment(when)
    seconds = (clock.now() - moment).total_seconds()
    name, length = next(((n, s) for n, s in _UNITS if abs(seconds) >= s), ("", 1))
    n = int(abs(seconds) // length)
    some = f"{n} {name}{'' if n == 1 else 's'}"
    text = "just now" if not name else f"{some} ago" if seconds > 0 else f"in {some}"
    exact = moment.astimezone(UTC)
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        exact.isoformat(timespec="seconds"), exact.strftime("%-d %B %Y, %H:%M:%S"), text
    )


def moment(when: datetime | str | None) -> Markup:
    """A ``time`` element with the day and the minute, UTC."""
    if when is None or when == "":
        return Markup('<span class="none">–</span>')
    exact = _moment(when).astimezone(UTC)
    return Markup('<time datetime="{}">{} UTC</time>').format(
        exact.isoformat(timespec="seconds"), exact.strftime("%-d %b %Y, %H:%M")
    )


def duration(seconds: float | None) -> str:
    """0.042 -> "42 ms", 3.21 -> "3.2 s", 125 -> "2 min 5 s", 7300 -> "2 h 2 min"."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 2 * 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} days {whole % 86400 // 3600} h"


def size(n: float | None) -> str:
    """Bytes in powers of 1000, as the file manager says them: 1234567 -> "1.2 MB"."""
    if n is None:
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(n) < 1000:
            return f"{n:.0f} {unit}" if unit == "B" or abs(n) >= 99.95 else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"


def share(x: float | None, digits: int = 0) -> str:
    """0.875 -> "88 %"."""
    return "–" if x is None else f"{100 * x:.{digits}f} %"


def count(n: float | None) -> str:
    """12345 -> "12,345" with thin spaces."""
    return "–" if n is None else f"{n:,.0f}".replace(",", "\u2009")


def figure(x: float | None, digits: int = 3) -> str:
    """A measured figure to ``digits`` significant ones; a dash for none."""
    return "–" if x is None else f"{x:.{digits}g}"


def _moment(when: datetime | str) -> datetime:
    found = datetime.fromisoformat(when) if isinstance(when, str) else when
    return found if found.tzinfo else found.replace(tzinfo=UTC)


FILTERS = {
    "ago": ago,
    "moment": moment,
    "duration": duration,
    "size": size,
    "share": share,
    "count": count,
    "figure": figure,
}
