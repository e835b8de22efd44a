"""One row's way to an answer: tried again when a try is lost, asked again when an answer is invalid.

How many are asked at once is the turnstile's; which rows, and what becomes of their answers, flow.py's.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, field

from pipelines.errors import Unavailable
from pipelines.scoring.provider import Lost, Provider, Question, Refused, Reply, Throttled, Usage
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Answer, Flag, Tally
from pipelines.scoring.turnstile import Turnstile
from pipelines.scoring.validation import Invalid, parse

log = logging.getLogger(__name__)

TOKENS = 500.0  # taken for granted of a request until one has told
LONGEST = 8.0  # s between two tries of a row, unless the provider says so
FIRST_LOSSES = 3  # of a run that nobody has answered yet: each is told of
REFUSALS = 20  # told of one by one, at most
UNREACHED = "no connection"  # what wire.py says when nothing was sent
SILENT = 60.0  # s without any answer to anybody, after which a row's tries may be everybody's together
MANY = 10  # rows without an answer that are not these rows' fault


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
        self.answered_before = False  # rows of these chunks have answers of an earlier run
        self.refusals = 0
        self._answered = self._reached = False  # anybody, in this run
        self._losses, self._without = 0, 0  # tries, and rows, before anybody was answered
        self._began = self._loop.time()

    async def ask(self, text: str, account: Account, number: int) -> tuple[Answer, Flag]:
        """A valid answer and "", or the middle of the scale and why. Raises Exhausted, turnstile.Closed, Unavailable
        when there is nobody to answer, and whatever the provider raises for good (BadInput). ``number``: the row's."""
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
                self._reached = True
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
                if not self._answered:
                    self._note_silence(loss, first=tries == 1, exhausted=tries >= options.tries)
                if tries >= options.tries:
                    everybody = turnstile.control.last_answer < begun
                    raise Exhausted(f"no answer in {tries} tries, the last one: {loss.reason}", everybody) from None
                reply, wait = None, pause(tries, loss.retry_after)
            except Refused as refusal:
                self._answered = True
                turnstile.answered(ticket)
                self._count(refusal.usage, account)
                self._note_refusal(number, refusal.reason)
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
            self._answered = True
            turnstile.answered(ticket, reply.quota)
            self._count(reply.usage, account)
            try:
                return parse(reply.content, self.rubric, cut=reply.cut), ""
            except Invalid as invalid:
                account.tally.failed += 1
                repairs += 1
                if repairs > options.repairs:
                    account.tally.fallbacks += 1
                    return Answer((self.rubric.middle,) * len(self.rubric.categories)), "fallback"
                question = Question(text, str(invalid))

    def _note_silence(self, loss: Lost, *, first: bool, exhausted: bool) -> None:
        """A try was lost, and nobody was answered yet. Raises Unavailable once that is nobody's row's fault."""
        self._losses += 1
        self._without += first
        self._reached |= not loss.reason.startswith(UNREACHED)
        if self._losses <= FIRST_LOSSES:
            log.warning("%s gives no answer: %s; trying again", self._whom(), loss.reason)
        exhausted |= self._losses >= self.options.tries and self._loop.time() - self._began > SILENT
        # A row that a server breaks on breaks it again when it is the only one left: that fails its chunk.
        if exhausted and (not self._reached or not self.answered_before or self._without >= MANY):
            reason = f"gave no answer to anybody in {self._losses} tries, the last one: {loss.reason}"
            raise Unavailable(self._whom(), reason, 30.0) from None

    def _note_refusal(self, number: int, reason: str) -> None:
        self.refusals += 1
        if self.refusals <= REFUSALS:
            log.warning("row %d was refused: %s", number + 1, reason or "without a reason")

    def _whom(self) -> str:
        return f"{self.provider.name}'s model {self.provider.model}"

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
