"""The pipeline against a real server on loopback, with a ledger and a sheet in memory."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from pipelines.errors import BadInput, Unavailable
from pipelines.scoring import stopping
from pipelines.scoring.pipeline import Options, Outcome, Progress, run
from pipelines.scoring.providers import opened
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Scored
from pipelines.settings import Settings
from tests.scoring.in_memory import MemoryLedger, MemorySheet
from tests.scoring.llm_server import LLM, Behaviour, expected, serve

RUBRIC = Rubric.of(["joy", "anger"])


@pytest.fixture
def llm() -> Iterator[LLM]:
    with serve(Behaviour(latency=0.01)) as server:
        yield server


def texts(count: int, word: str = "row") -> list[str]:
    return [f"{word} {number} " + "♪" * (number % 5) for number in range(count)]


def score(
    llm: LLM, sheet: MemorySheet, ledger: MemoryLedger, options: Options | None = None, *, most: int | None = None,
    size: int = 500, only: tuple[str, ...] = (), key: str = "", **more: object,
) -> Outcome:  # fmt: skip
    provider = opened(Settings(openai_api_key=key), RUBRIC, "openai", base_url=llm.url, concurrency=most)
    chunks = [chunk for chunk in sheet.chunks(size) if not only or chunk.chunk_id in only]
    return run(sheet, chunks, RUBRIC, provider, ledger, options or Options(), **more)  # type: ignore[arg-type]


def right(sheet: MemorySheet, ledger: MemoryLedger) -> None:
    """Every row has what anybody would have got for its text, and the sheet was told of each."""
    assert set(ledger.rows) == set(range(len(sheet.texts)))
    for number, row in ledger.rows.items():
        answer = row.answer
        assert answer is not None
        assert dict(zip(RUBRIC.categories, answer.scores, strict=True)) == expected(
            sheet.texts[number].strip(), RUBRIC.categories
        )
    assert sheet.written == ledger.rows


def test_every_row_is_asked_once_and_recorded(llm: LLM) -> None:
    sheet, ledger = MemorySheet([text.strip() for text in texts(1200)]), MemoryLedger()
    looks: list[Progress] = []
    outcome = score(llm, sheet, ledger, watch=looks.append)
    right(sheet, ledger)
    assert outcome.finished == ("1-0001", "1-0002", "1-0003")
    assert (outcome.failed, outcome.stopped) == ({}, False)
    assert set(llm.asked.values()) == {1}
    assert llm.requests.total == 1200
    assert ledger.tally == outcome.tally
    assert (outcome.tally.rows, outcome.tally.asked, outcome.tally.requests) == (1200, 1200, 1200)
    assert outcome.tally.tokens_in > 0
    assert set(ledger.status.values()) == {"finished"}
    assert ledger.cleaned >= 1
    assert (looks[-1].rows, looks[-1].of, looks[-1].eta) == (1200, 1200, 0.0)


def test_what_needs_no_model_is_not_asked(llm: LLM) -> None:
    rows = ["same", "", "same", "long " * 100, "filled", "same", "half"]
    sheet = MemorySheet(rows, given={4: ("1", "2"), 6: ("3", None)})
    ledger = MemoryLedger()
    outcome = score(llm, sheet, ledger, Options(max_chars=200))
    assert (outcome.tally.too_long, outcome.tally.refused, outcome.tally.fallbacks) == (1, 0, 0)
    flags = {number: row.flag for number, row in ledger.rows.items()}
    assert flags == {0: "", 1: "empty", 2: "", 3: "too_long", 4: "given", 5: "", 6: ""}
    assert ledger.rows[1].answer is None
    assert ledger.rows[4].answer is None
    assert ledger.rows[3].answer is not None
    assert ledger.rows[3].answer.scores == (3, 3)
    assert llm.asked == {"same": 1, "half": 1}
    assert (outcome.tally.asked, outcome.tally.cache_hits, outcome.tally.rows) == (2, 2, 7)
    assert len(ledger.cache) == 2


def test_a_second_run_asks_nothing(llm: LLM) -> None:
    rows = [text.strip() for text in texts(700)]
    first = MemoryLedger()
    score(llm, MemorySheet(rows), first)
    again = MemoryLedger(cache=first.cache)
    sheet = MemorySheet(rows)
    outcome = score(llm, sheet, again)
    right(sheet, again)
    assert llm.requests.total == 700
    assert (outcome.tally.cache_hits, outcome.tally.hit_rate) == (700, 1.0)


def test_rows_recorded_before_are_passed_over(llm: LLM) -> None:
    rows = [text.strip() for text in texts(900)]
    ledger = MemoryLedger()
    score(llm, MemorySheet(rows), ledger, only=("1-0002",))
    ledger.cache.clear()
    looks: list[Progress] = []
    score(llm, MemorySheet(rows), ledger, watch=looks.append)
    assert set(ledger.recorded.values()) == {1}
    assert llm.requests.total == 900
    assert looks[-1].rows == 900


def test_a_wrong_key_costs_a_handful_of_requests(llm: LLM) -> None:
    llm.behaviour.key = "right"
    ledger = MemoryLedger()
    with pytest.raises(BadInput, match="ORIMONO_OPENAI_API_KEY"):
        score(llm, MemorySheet(texts(2000)), ledger, key="wrong")
    assert llm.requests.total <= 8
    assert set(ledger.status.values()) == {"planned"}
    assert ledger.rows == {}


def test_what_was_done_is_kept_when_the_key_ends(llm: LLM) -> None:
    sheet, ledger = MemorySheet([text.strip() for text in texts(1500)]), MemoryLedger()

    def revoke(progress: Progress) -> None:
        llm.behaviour.key = "another"

    llm.behaviour.latency = 0.2
    with pytest.raises(BadInput):
        score(llm, sheet, ledger, most=64, watch=revoke)
    assert set(ledger.rows) == {number for number, text in enumerate(sheet.texts) if text in llm.asked}
    assert "running" not in ledger.status.values()


def test_only_the_chunk_of_a_row_without_answer_fails(llm: LLM) -> None:
    rows = [text.strip() for text in texts(300)]
    rows[130], rows[140] = "poison one", "poison two"
    llm.behaviour.fail = "poison"
    sheet, ledger = MemorySheet(rows), MemoryLedger()
    outcome = score(llm, sheet, ledger, Options(tries=2), size=100)
    assert outcome.finished == ("1-0001", "1-0003")
    assert ledger.status == {"1-0001": "finished", "1-0002": "failed", "1-0003": "finished"}
    error = outcome.failed["1-0002"]
    assert error == ledger.errors["1-0002"]
    assert "no answer in 2 tries" in error
    assert "(and 1 more)" in error
    assert "poison" not in error
    assert set(ledger.rows) == set(range(300)) - {130, 140}
    assert outcome.tally.failed == 4
    llm.behaviour.fail = ""
    again = score(llm, sheet, ledger, size=100, only=("1-0002",))
    assert again.finished == ("1-0002",)
    right(sheet, ledger)
    assert set(ledger.recorded.values()) == {1}


def test_invalid_answers_are_asked_again_then_given_up_and_not_cached(llm: LLM) -> None:
    llm.behaviour.invalid = {"once": 1, "never": -1}
    sheet, ledger = MemorySheet(["well", "once", "never", "never"]), MemoryLedger()
    outcome = score(llm, sheet, ledger)
    assert [ledger.rows[number].flag for number in range(4)] == ["", "", "fallback", "fallback"]
    assert ledger.rows[2].answer is not None
    assert ledger.rows[2].answer.scores == (3, 3)
    assert len(ledger.cache) == 2
    assert (outcome.tally.requests, outcome.tally.failed, outcome.tally.fallbacks) == (6, 4, 1)


def test_a_refused_text_is_flagged_and_others_go_on(llm: LLM) -> None:
    llm.behaviour.refuse = "forbidden"
    ledger = MemoryLedger()
    outcome = score(llm, MemorySheet(["fine", "forbidden words"]), ledger)
    assert (outcome.tally.refused, outcome.tally.fallbacks, ledger.tally.refused) == (1, 0, 1)
    assert [ledger.rows[number].flag for number in range(2)] == ["", "refused"]
    assert len(ledger.cache) == 1


def test_limits_storms_and_faults_end_in_a_complete_sheet() -> None:
    behaviour = Behaviour(
        latency=0.01, jitter=0.01, rate=400, burst=20, slots=30, retry_after="ms", windows=[(0.5, 1.0)],
        unavailable=0.02, cut=0.02, broken=0.01, dropped=0.01,
    )  # fmt: skip
    with serve(behaviour) as llm:
        sheet, ledger = MemorySheet([text.strip() for text in texts(1200)]), MemoryLedger()
        outcome = score(llm, sheet, ledger)
        right(sheet, ledger)
        assert set(ledger.recorded.values()) == {1}
        assert outcome.tally.requests == llm.requests.total
        assert outcome.tally.throttled == llm.requests.throttled
        assert outcome.tally.requests - outcome.tally.throttled - outcome.tally.failed == 1200


def test_interrupted_from_outside_and_gone_on_with(llm: LLM) -> None:
    llm.behaviour.latency = 0.1
    sheet, ledger = MemorySheet([text.strip() for text in texts(1500)]), MemoryLedger()

    def interrupt(progress: Progress) -> None:
        if progress.rows:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(llm, sheet, ledger, most=32, watch=interrupt)
    done = set(ledger.rows)
    assert 0 < len(done) < 1500
    # What was in flight was waited for and recorded.
    assert done == {number for number, text in enumerate(sheet.texts) if text in llm.asked}
    assert set(ledger.status.values()) <= {"planned", "finished"}
    assert threading.active_count() < 20
    llm.behaviour.latency = 0.0
    outcome = score(llm, sheet, ledger, only=tuple(k for k, v in ledger.status.items() if v == "planned"))
    assert not outcome.stopped
    score(llm, sheet, ledger)
    right(sheet, ledger)
    assert set(llm.asked.values()) == {1}


def test_stopped_by_an_event_it_says_so(llm: LLM) -> None:
    stop = threading.Event()
    stop.set()
    llm.behaviour.latency = 0.2
    ledger = MemoryLedger()
    outcome = score(llm, MemorySheet(texts(2000)), ledger, stop=stop)
    assert outcome.stopped
    assert len(ledger.rows) < 2000
    assert len(outcome.finished) < 4


@pytest.mark.parametrize("after", [0, 100])
def test_a_ledger_that_is_away_ends_the_run(llm: LLM, after: int) -> None:
    ledger = MemoryLedger(broken=Unavailable("database", "is away"), broken_after=after)
    with pytest.raises(Unavailable, match="is away"):
        score(llm, MemorySheet(texts(1000)), ledger)
    assert len(ledger.rows) < 1000


def test_no_more_than_most_are_asked_and_not_recorded(llm: LLM) -> None:
    """Also when the ledger is slow: what a killed process would ask twice is bounded."""
    llm.behaviour.latency = 0.0
    ledger = MemoryLedger(slow=0.05)
    worst = 0
    record = ledger.record

    def recording(*given: object) -> None:
        nonlocal worst
        worst = max(worst, len(llm.asked) - len(ledger.rows))
        record(*given)  # type: ignore[arg-type]

    ledger.record = recording  # type: ignore[method-assign]
    score(llm, MemorySheet([text.strip() for text in texts(400)]), ledger, most=16)
    assert 0 < worst <= 16
    assert llm.requests.most_in_flight <= 16


def test_nobody_there_ends_the_run_and_nothing_is_held_against_chunks(caplog: pytest.LogCaptureFixture) -> None:
    with serve() as server:
        url = server.url
    ledger = MemoryLedger()
    provider = opened(Settings(), RUBRIC, "openai", base_url=url)
    sheet = MemorySheet(texts(600))
    with pytest.raises(Unavailable, match=r"gave no answer to anybody in \d+ tries, the last one: no connection"):
        run(sheet, sheet.chunks(300), RUBRIC, provider, ledger, Options(tries=3))
    assert set(ledger.status.values()) == {"planned"}
    assert ledger.rows == {}
    assert 3 <= ledger.tally.requests == ledger.tally.failed < 100  # what it took is kept
    told = [record.getMessage() for record in caplog.records if "gives no answer: no connection" in record.getMessage()]
    assert len(told) == 3


def test_an_endpoint_that_only_fails_ends_the_run(llm: LLM) -> None:
    llm.behaviour.fail = "row"
    ledger = MemoryLedger()
    with pytest.raises(Unavailable, match="the last one: answered 5"):
        score(llm, MemorySheet(texts(3)), ledger, Options(tries=2))
    assert ledger.status == {"1-0001": "planned"}


def test_a_row_that_a_server_breaks_on_fails_its_chunk_also_when_it_is_all_that_is_left(llm: LLM) -> None:
    llm.behaviour.fail = "poison"
    sheet, ledger = MemorySheet(["well", "poison"]), MemoryLedger()
    for _ in range(2):
        outcome = score(llm, sheet, ledger, Options(tries=2))
        assert "no answer in 2 tries" in outcome.failed["1-0001"]
    assert set(ledger.rows) == {0}


def test_nothing_but_nonsense_ends_the_run_and_what_there_is_is_kept(llm: LLM) -> None:
    llm.behaviour.invalid = {"row": -1}
    ledger = MemoryLedger()
    with pytest.raises(BadInput, match="gave no valid answer to the first 50 rows; try another model"):
        score(llm, MemorySheet(texts(2000)), ledger, Options(repairs=1), most=16)
    assert 50 <= len(ledger.rows) <= 50 + 16
    assert {row.flag for row in ledger.rows.values()} == {"fallback"}
    assert set(ledger.status.values()) == {"planned"}
    assert ledger.cache == {}
    assert ledger.tally.requests == llm.requests.total


def test_one_valid_answer_among_the_first_is_enough_to_go_on(llm: LLM) -> None:
    llm.behaviour.invalid = {"row": -1}
    ledger = MemoryLedger()
    outcome = score(llm, MemorySheet(["well", *texts(120)]), ledger, Options(repairs=0), most=1)
    assert outcome.tally.fallbacks == 120
    assert not outcome.stopped


def test_refusals_are_told_of_without_the_text(llm: LLM, caplog: pytest.LogCaptureFixture) -> None:
    llm.behaviour.refuse = "forbidden"
    score(llm, MemorySheet(["fine", *(f"forbidden {n}" for n in range(30))]), MemoryLedger())
    told = [record.getMessage() for record in caplog.records]
    assert len([line for line in told if "was refused: the provider's content policy" in line]) == 20
    assert "30 rows were refused altogether" in told
    assert not any("forbidden" in line for line in told)


def test_seconds_of_chunks_that_overlap_add_up_to_the_runs(llm: LLM) -> None:
    llm.behaviour.latency = 0.05
    ledger = MemoryLedger()
    outcome = score(llm, MemorySheet(texts(400)), ledger, size=20, most=64)
    assert 0 < ledger.seconds <= outcome.seconds


def test_what_lost_tries_cost_is_recorded_when_the_run_is_stopped(llm: LLM) -> None:
    llm.behaviour.cut = 1.0
    ledger, stop = MemoryLedger(), threading.Event()
    ledger.rows[0] = Scored(0, b"", None, "given")  # an earlier run had answers: this one goes on trying

    def watch(progress: Progress) -> None:
        if llm.requests.total:
            stop.set()

    outcome = score(llm, MemorySheet(texts(3)), ledger, Options(price=(1.0, 1.0)), watch=watch, stop=stop)
    assert outcome.stopped
    assert ledger.tally == outcome.tally
    assert ledger.tally.requests == llm.requests.total > 0
    assert ledger.tally.rows == 0
    assert ledger.tally.cost > 0
    assert ledger.status == {"1-0001": "planned"}


@dataclass
class HangingLedger(MemoryLedger):
    """Hangs in what is named so, until it is let go."""

    method: str = "record"
    reached: threading.Event = field(default_factory=threading.Event)
    free: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        usual = getattr(self, self.method)

        def hanging(*given: object) -> object:
            self.reached.set()
            self.free.wait()
            return usual(*given)

        setattr(self, self.method, hanging)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "HANGING", 0.2)
    monkeypatch.setattr(stopping, "DRAIN", 0.2)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("method", ["begin", "recall", "record", "end", "leave", "clean"])
def test_a_ledger_that_hangs_does_not_keep_a_run_that_is_interrupted(llm: LLM, method: str) -> None:
    ledger, sheet = HangingLedger(method=method), MemorySheet(texts(30))

    def interrupt(progress: Progress) -> None:
        if ledger.reached.is_set() or method == "leave":
            raise KeyboardInterrupt

    llm.behaviour.latency = 1.0 if method == "leave" else 0.0
    with pytest.raises(KeyboardInterrupt):
        score(llm, sheet, ledger, watch=interrupt)
    assert ledger.abandoned
    known = dict(sheet.written)
    ledger.free.set()
    for thread in threading.enumerate():
        if thread.name.startswith("score-"):
            thread.join()
    assert sheet.written == known  # whoever comes back late leaves the sheet alone


@pytest.mark.usefixtures("impatient")
def test_a_stop_by_an_event_says_that_the_ledger_hangs(llm: LLM) -> None:
    ledger = HangingLedger()
    with pytest.raises(Unavailable, match="the database: has not answered"):
        score(llm, MemorySheet(texts(30)), ledger, stop=ledger.reached)
    ledger.free.set()


STUCK = """
import sys
from pipelines.scoring import pipeline, stopping
from tests.scoring.test_pipeline import HangingLedger, MemorySheet, Options, RUBRIC, Settings, opened, run, texts

stopping.HANGING = pipeline.HANGING = 3_600.0
set_ = stopping.Stop.set
stopping.Stop.set = lambda stop: (set_(stop), print("stops", flush=True))
ledger, sheet = HangingLedger(), MemorySheet(texts(30))
provider = opened(Settings(), RUBRIC, "openai", base_url=sys.argv[1])
watch = lambda _: ledger.reached.is_set() and print("hangs", flush=True)
run(sheet, sheet.chunks(500), RUBRIC, provider, ledger, Options(), watch=watch)
"""


def test_a_second_interruption_ends_the_process(llm: LLM) -> None:
    process = subprocess.Popen([sys.executable, "-c", STUCK, llm.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"hangs\n"
        process.send_signal(signal.SIGINT)
        assert b"stops\n" in iter(process.stdout.readline, b"")
        with pytest.raises(subprocess.TimeoutExpired):  # what was asked may still be recorded
            process.wait(1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)  # a first one alone takes an hour here
        assert b"KeyboardInterrupt" in errors
    finally:
        process.kill()
        process.communicate()


def test_a_chunk_that_is_begun_while_the_run_stops_is_left_afterwards(llm: LLM) -> None:
    ledger, stop = HangingLedger(method="begin"), threading.Event()

    def watch(progress: Progress) -> None:
        if stop.is_set():
            ledger.free.set()
        stop.set()

    outcome = score(llm, MemorySheet(texts(30)), ledger, watch=watch, stop=stop)
    assert outcome.stopped
    assert ledger.status == {"1-0001": "planned"}


def test_a_429_that_never_ends_fails_chunks_when_patience_does(llm: LLM) -> None:
    llm.behaviour.storm, llm.behaviour.retry_after = True, "none"
    ledger = MemoryLedger()
    outcome = score(llm, MemorySheet(texts(600)), ledger, Options(patience=0.5), size=300)
    assert set(outcome.failed) == {"1-0001", "1-0002"}
    assert "429" in outcome.failed["1-0001"]
    assert llm.requests.total < 40


def test_money_and_tokens_are_counted_failed_tries_included(llm: LLM) -> None:
    llm.behaviour.invalid = {"once": 1}
    plain, costly = MemoryLedger(), MemoryLedger()
    score(llm, MemorySheet(["twice"]), plain, Options(price=(1.0, 2.0)))
    score(llm, MemorySheet(["once!"]), costly, Options(price=(1.0, 2.0)))
    assert plain.tally.cost == pytest.approx((plain.tally.tokens_in + 2 * plain.tally.tokens_out) / 1e6)
    assert costly.tally.cost > 1.5 * plain.tally.cost


def test_an_operators_limit_is_kept(llm: LLM) -> None:
    began = time.monotonic()
    score(llm, MemorySheet(texts(20)), MemoryLedger(), Options(requests_per_minute=600))
    assert time.monotonic() - began > 1.5  # 20 requests at 10 a second
    assert llm.requests.throttled == 0
