"""A token bucket seen from outside: its rate, worked out from what it let through and when it did not."""

from __future__ import annotations

import math

FINEST = 0.01  # s a bin
BINS = 600
FEW = 5  # requests that make no rate yet
CANDIDATES, COARSE = 40, 1.15  # rates that are tried, each so many times the next
WIDE, FINE = 24, 1.01  # and above and below the best of them


class Bucket:
    """Requests sent and let through, in bins of time; the bins double when they are too many.

    A bucket of ``rate`` and ``burst`` turns a request away when its level, which rises by one a request and falls by
    ``rate`` a second, reaches ``burst``. For the right rate, the level stands equally high at every rejection and
    nowhere higher; for a wrong one it does not.
    """

    def __init__(self, now: float) -> None:
        self.forget(now)

    def forget(self, now: float) -> None:
        self._origin, self._width = now, FINEST
        self._counts: list[int] = [0]
        self._marks: set[int] = set()  # bins with a rejection

    def _bin(self, at: float) -> int:
        place = int((at - self._origin) / self._width)
        while place >= BINS:
            self._width *= 2.0
            counts = self._counts + [0] * (len(self._counts) % 2)
            self._counts = [a + b for a, b in zip(counts[::2], counts[1::2], strict=True)]
            self._marks = {mark // 2 for mark in self._marks}
            place //= 2
        if place >= len(self._counts):
            self._counts += [0] * (place + 1 - len(self._counts))
        return max(0, place)

    def sent(self, at: float) -> None:
        place = self._bin(at)  # may put other counts in their place
        self._counts[place] += 1

    def rejected(self, at: float) -> None:
        """A request that was sent ``at`` was turned away."""
        place = self._bin(at)
        self._counts[place] -= 1
        self._marks.add(place)

    def pardon(self, since: float) -> None:
        """Rejections of about then and later were not the bucket's."""
        first = self._bin(since) - int(1.0 / self._width)
        self._marks = {mark for mark in self._marks if mark < first}

    def recent(self, until: float, span: float) -> float:
        """Requests a second that were let through in the ``span`` seconds before; in more, where they are few."""
        last = self._bin(until)
        first, passed = last, 0
        while first > 0 and (passed < FEW or (last - first) * self._width < span):
            first -= 1
            passed += self._counts[first]
        return max(1, passed) / (max(1, last - first) * self._width)

    def estimate(self) -> tuple[float, float] | None:
        """Tokens a second, at least and at most; None where rejections are too few, or no one bucket explains them.

        Too low a rate is contradicted sharply by what was let through, too high a one hardly.
        """
        if len(self._marks) < 2:
            return None
        highest = max(self.peak(), 1e-9)
        found = [(rate, *self._excess(rate)) for rate in (highest / COARSE**n for n in range(CANDIDATES))]
        # The longer it was watched, the narrower is the valley in which the right rate lies.
        near = min(found, key=lambda one: one[1])[0]
        found += [(rate, *self._excess(rate)) for rate in (near * FINE**n for n in range(-WIDE, WIDE) if n)]
        found.sort()
        best = min(found, key=lambda one: one[1])
        if best[1] > 4.0 + 0.5 * best[2]:
            return None
        bound = best[1] + 0.25 + 0.12 * best[2]
        last = max(place for place, one in enumerate(found) if one[1] <= bound)
        first = last
        while first > 0 and found[first - 1][1] <= bound:
            first -= 1
        return found[first][0], found[last][0]

    def _excess(self, rate: float) -> tuple[float, float]:
        """By how much the levels differ, beyond what the width of a bin does; the highest level."""
        gap, highest = self._gap(rate)
        return max(0.0, gap - 0.5 * rate * self._width), highest

    def burst(self, rate: float) -> float:
        """Tokens it holds, if that is its rate."""
        gap, highest = self._gap(rate)
        return highest - gap

    def peak(self) -> float:
        """The highest count of a run of ten bins, a second."""
        counts = self._counts
        span = min(10, len(counts))
        total = sum(counts[:span])
        best = total
        for k in range(span, len(counts)):
            total += counts[k] - counts[k - span]
            best = max(best, total)
        return best / (span * self._width)

    def _gap(self, rate: float) -> tuple[float, float]:
        drain = rate * self._width
        level = highest = 0.0
        lowest_mark = math.inf
        marks = self._marks
        for place, count in enumerate(self._counts):
            level = level - drain if level > drain else 0.0
            level += count
            if level > highest:
                highest = level
            if place in marks and level < lowest_mark:
                lowest_mark = level
        return highest - lowest_mark, highest
