"""What is remembered of keys: seldom asked, soon forgotten, kept while nobody can be asked, bounded."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from pipelines.errors import Unavailable
from pipelines.governance.people import Actor
from pipelines.identity import known
from pipelines.identity.callers import Caller
from pipelines.identity.known import AGAIN, AWAY, FRESH, REFUSED, SOON, Remembered
from tests.identity.conftest import Seconds

NOON = datetime(2031, 5, 4, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Answer:
    caller: Caller
    expires_at: datetime | None = None


@dataclass
class Register:
    """Who has which key, and who asked."""

    keys: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    away: bool = False

    def check(self, secret: str) -> Answer | None:
        self.asked.append(secret)
        if self.away:
            raise Unavailable("the database", "is away", 3)
        return self.keys.get(secret)


def of(name: str, key_id: int = 1) -> Answer:
    return Answer(Caller(Actor(name, "editor"), frozenset(), f"key:{name}", key_id))


@pytest.fixture
def register() -> Register:
    return Register({"good": of("ada")})


@pytest.fixture
def remembered(register: Register, seconds: Seconds) -> Remembered[Answer]:
    return Remembered(register.check, seconds=seconds)


def test_a_good_one_counts_for_ten_seconds(
    remembered: Remembered[Answer], register: Register, seconds: Seconds
) -> None:
    assert remembered.known("good") is None
    assert remembered.ask("good") == register.keys["good"]
    begun = seconds.now
    for after, ask in ((0, False), (SOON - 0.1, False), (SOON, True), (FRESH - 0.1, True)):
        seconds.now = begun + after
        found = remembered.known("good")
        assert found is not None and found.answer == register.keys["good"] and found.ask is ask
    seconds.now = begun + FRESH
    assert remembered.known("good") is None, "so a revocation is seen within ten seconds"
    assert register.asked == ["good"]


def test_a_refusal_counts_for_two(remembered: Remembered[Answer], register: Register, seconds: Seconds) -> None:
    assert remembered.ask("bad") is None
    found = remembered.known("bad")
    assert found is not None and found.answer is None
    register.keys["bad"] = of("bea")
    seconds.now += REFUSED
    assert remembered.known("bad") is None
    assert remembered.ask("bad") == of("bea")
    found = remembered.known("bad")
    assert found is not None and found.answer == of("bea")


def test_a_revoked_one_is_forgotten_at_once(remembered: Remembered[Answer], register: Register) -> None:
    register.keys["other"] = of("bea", 2)
    remembered.ask("good")
    remembered.ask("other")
    remembered.forget(lambda caller: caller.key_id == 1)
    assert remembered.known("good") is None and remembered.late("good") is None
    assert remembered.known("other") is not None


def test_what_was_read_before_a_revocation_is_not_kept_after_it(register: Register, seconds: Seconds) -> None:
    def check(secret: str) -> Answer | None:
        found = register.check(secret)
        remembered.forget(lambda caller: True)  # it is revoked just then
        return found

    remembered = Remembered(check, seconds=seconds)
    remembered.ask("good")
    assert remembered.known("good") is None


def test_known_ones_go_on_while_nobody_can_be_asked(
    remembered: Remembered[Answer], register: Register, seconds: Seconds
) -> None:
    remembered.ask("good")
    begun = seconds.now
    register.away = True
    seconds.now += FRESH
    assert remembered.known("good") is None, "nobody knows yet that it is away"
    assert remembered.ask("good") == register.keys["good"]
    found = remembered.known("good")
    assert found is not None and found.answer is not None and not found.ask
    with pytest.raises(Unavailable, match="is away"):
        remembered.known("never seen")
    seconds.now += AGAIN
    found = remembered.known("good")
    assert found is not None and found.ask, "somebody looks again, beside the work"
    assert remembered.known("never seen") is None
    with pytest.raises(Unavailable):
        remembered.ask("never seen")
    seconds.now = begun + AWAY
    assert remembered.late("good") is None
    with pytest.raises(Unavailable):
        remembered.ask("good")


def test_who_hangs_is_away(remembered: Remembered[Answer], register: Register, seconds: Seconds) -> None:
    remembered.ask("good")
    seconds.now += FRESH
    assert remembered.known("good") is None
    remembered.hangs(Unavailable("the database", "takes long", 2))
    found = remembered.known("good")
    assert found is not None and found.answer is not None, "nobody else waits for it"
    with pytest.raises(Unavailable, match="takes long"):
        remembered.known("never seen")


def test_it_recovers_by_itself(remembered: Remembered[Answer], register: Register, seconds: Seconds) -> None:
    remembered.ask("good")
    register.away = True
    seconds.now += FRESH
    remembered.ask("good")
    register.away = False
    del register.keys["good"]
    seconds.now += AGAIN
    assert remembered.ask("good") is None
    found = remembered.known("good")
    assert found is not None and found.answer is None


def test_nobody_outlives_their_expiry(remembered: Remembered[Answer], register: Register) -> None:
    register.keys["short"] = Answer(of("ada").caller, NOON + timedelta(seconds=3))
    with time_machine.travel(NOON, tick=False) as clock:
        remembered.ask("short")
        found = remembered.known("short")
        assert found is not None and found.answer is not None
        clock.shift(3)
        found = remembered.known("short")
        assert found is not None and found.answer is None
        assert remembered.late("short") is None


def test_memory_is_bounded_and_holds_no_secret(
    remembered: Remembered[Answer], register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "MOST", 50)
    for number in range(500):
        register.keys[f"right-{number}"] = of("ada", number)
        remembered.ask(f"right-{number}")
        remembered.ask(f"wrong-{number}")
    assert len(remembered) == 100
    assert remembered.known("right-499") is not None and remembered.known("right-0") is None
    assert "right-499" not in repr(vars(remembered)["_good"]) + repr(vars(remembered)["_bad"])
