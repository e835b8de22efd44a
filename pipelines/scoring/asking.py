"""One row's way to an answer: tried again when a try is lost, asked again when an answer is invalid.

How many are asked at once is the turnstile's; which rows, and what becomes of their answers, flow.py's.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from pipelines.scoring.provider import Lost, Provider, Question, Refused, Reply, Throttled, Usage
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Answer, Flag, Tally
from pipelines.scoring.turnstile import Turnstile
from pipelines.scoring.validation import Invalid, parse

TOKENS = 500.0  # taken for granted of a request until one has told
LONGEST = 8.0  # s between two tries of a row, unless the provider says so


@dataclass(frozen=True, slots=True)
class Options:
    """``price``: USD a million tokens, read and written."""

    tries: int = 8  # of a row, while they are lost
    repairs: int = 2  # of a row, while its answers are invalid
    most: int = 256  # in flight: asked and not recorded yet
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    price: tuple[float, float] | None = None
    max_chars: int = 100_000
    patience: float = 600.0  # s of nothing but 429

    def pace(self, tokens: float) -> float:
        """Requests a second at most, each of so many tokens."""
        requests = self.requests_per_minute / 60.0 if self.requests_per_minute else float("inf")
        by_tokens = self.tokens_per_minute / 60.0 / tokens if self.tokens_per_minute else float("inf")
        return min(requests, by_tokens)


@dataclass(slots=True, eq=False)
class Account:
    """Whom what it cost is put down to. The writer takes the tally away and leaves an empty one."""

    tally: Tally = field(default_factory=Tally)
    abandoned: bool = False  # its rows would get no answer, and are not to be tried any more


class Exhausted(Exception):
    """A row that gets no answer in this run. ``everybody``: nor did any other since it was first tried."""

    def __init__(self, reason: str, everybody: bool) -> None:
        self.reason, self.everybody = reason, everybody
        super().__init__(reason)


class Asker:
    """For one event loop."""

    def __init__(self, provider: Provider, rubric: Rubric, turnstile: Turnstile, options: Options) -> None:
        self.provider, self.rubric, self.turnstile, self.options = provider, rubric, turnstile, options
        self.sending: set[asyncio.Task[None] | None] = set()  # who waits for the provider, and for nothing else
        self._loop = asyncio.get_running_loop()
        self._tokens = TOKENS

    async def ask(self, text: str, account: Account) -> tuple[Answer, Flag]:
        """A valid answer and "", or the middle of the scale and why. Raises Exhausted, turnstile.Closed, and whatever
        the provider raises for good (BadInput)."""
        turnstile, options = self.turnstile, self.options
        question, tries, repairs = Question(text), 0, 0
        begun = 0.0
        task = asyncio.current_task()
        while True:
            ticket = await turnstile.enter(again=begun > 0.0)
            if account.abandoned:
                turnstile.withdrawn(ticket)
                raise Exhausted("no answer to others of its chunk", everybody=True)
            begun = begun or ticket.at
            account.tally.requests += 1
            self.sending.add(task)
            wait = 0.0
            reply: Reply | None
            try:
                reply = await self.provider.ask(question)
            except Throttled as throttle:
                turnstile.throttled(ticket, throttle.retry_after, throttle.quota)
                account.tally.throttled += 1
                silence = self._loop.time() - turnstile.control.last_answer
                if silence > options.patience:
                    raise Exhausted(f"throttled (429) for {silence:.0f} s", everybody=True) from None
                reply = None
            except Lost as loss:
                turnstile.lost(ticket)
                account.tally.failed += 1
                self._count(loss.usage, account)
                tries += 1
                if tries >= options.tries:
                    everybody = turnstile.control.last_answer < begun
                    raise Exhausted(f"no answer in {tries} tries, the last one: {loss.reason}", everybody) from None
                reply, wait = None, pause(tries, loss.retry_after)
            except Refused as refusal:
                turnstile.answered(ticket)
                self._count(refusal.usage, account)
                return Answer((self.rubric.middle,) * len(self.rubric.categories)), "refused"
            except BaseException:
                turnstile.withdrawn(ticket)
                raise
            finally:
                self.sending.discard(task)
            if reply is None:
                if wait:
                    await asyncio.sleep(wait)
                continue
            turnstile.answered(ticket, reply.quota)
            self._count(reply.usage, account)
            try:
                return parse(reply.content, self.rubric), ""
            except Invalid as invalid:
                account.tally.failed += 1
                repairs += 1
                if repairs > options.repairs:
                    account.tally.fallbacks += 1
                    return Answer((self.rubric.middle,) * len(self.rubric.categories)), "fallback"
                question = Question(text, str(invalid))

    def _count(self, usage: Usage, account: Account) -> None:
        tally, options = account.tally, self.options
        tally.tokens_in += usage.tokens_in
        tally.tokens_out += usage.tokens_out
        both = usage.tokens_in + usage.tokens_out
        if usage.estimated:
            tally.tokens_estimated += both
        if options.price is not None:
            tally.cost += (usage.tokens_in * options.price[0] + usage.tokens_out * options.price[1]) / 1e6
        if options.tokens_per_minute is not None and both:
            self._tokens += 0.1 * (both - self._tokens)
            self.turnstile.control.cap = options.pace(self._tokens)


def pause(tries: int, told: float | None) -> float:
    """Seconds until a row's next try: longer each time, and not in step with other rows."""
    if told is not None:
        return min(60.0, told) + random.uniform(0.0, 0.1)  # noqa: S311
    return min(LONGEST, 0.1 * 2.0**tries) * random.uniform(0.5, 1.0)  # noqa: S311
