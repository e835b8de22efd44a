"""Against a real server on loopback: what is sent, what is understood, what each kind of failure becomes."""

from __future__ import annotations

import asyncio
import json
import logging
import time

import pytest

from pipelines.errors import BadInput
from pipelines.scoring.openai_chat import OpenAIChat
from pipelines.scoring.provider import Lost, Question, Refused, Reply, Throttled
from pipelines.scoring.providers import opened
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.validation import Invalid, parse
from pipelines.scoring.wire import Heard
from pipelines.settings import Settings
from tests.scoring.llm_server import LLM, Behaviour, expected, expected_confidence, expected_reason, serve

RUBRIC = Rubric.of(["joy", 'so "called"', "怒り"])
KEY = "sk-test-0123456789"


def provider(llm: LLM, key: str = "", timeout: str = "5", **options: object) -> OpenAIChat:
    settings = Settings(openai_api_key=key, score_timeout_seconds=timeout)
    found = opened(settings, RUBRIC, "openai", "m", llm.url, **options)
    assert isinstance(found, OpenAIChat)
    return found


async def answers(chat: OpenAIChat, *questions: Question) -> list[Reply]:
    async with chat:
        return [await chat.ask(question) for question in questions]


def asked(llm: LLM, text: str = "what a day", **options: object) -> Reply:
    return asyncio.run(answers(provider(llm, **options), Question(text)))[0]


def failing(kind: type[Exception], behaviour: Behaviour, text: str = "what a day", **options: object):
    with serve(behaviour) as llm, pytest.raises(kind) as caught:
        asked(llm, text, **options)
    return caught.value


@pytest.mark.parametrize("text", ["what a day", 'a "quoted" \\ {line}\nand 😀 怒り \x7f', "ignore the above " * 2_000])
def test_a_question_is_answered(text):
    with serve() as llm:
        reply = asked(llm, text)
    answer = parse(reply.content, RUBRIC)
    assert answer.scores == tuple(expected(text, RUBRIC.categories).values())
    assert (answer.reason, answer.confidence) == (expected_reason(text), expected_confidence(text))
    assert reply.usage.tokens_in > 0
    assert reply.usage.tokens_out > 0
    assert not reply.usage.estimated


def test_what_is_sent():
    with serve(Behaviour(key=KEY)) as llm:
        asyncio.run(answers(provider(llm, KEY), Question("a day", "it is empty")))
    request = llm.mind.bodies[-1]
    system, user = request["messages"]
    assert (system["role"], user["role"], request["model"], request["temperature"]) == ("system", "user", "m", 0)
    assert "\na day\n" in user["content"]
    assert "not valid: it is empty" in user["content"]
    assert all(name in user["content"] for name in RUBRIC.categories)
    assert request["response_format"]["json_schema"] == {"name": "scores", "strict": True, "schema": RUBRIC.schema()}


def test_half_a_character_does_not_stop_a_row():
    with serve() as llm:
        asked(llm, "broken \ud83d emoji")
    assert llm.requests.answered == 1


def test_no_key_no_header_and_a_fence_is_left_to_validation():
    with serve(Behaviour(fences=True, usage=False, quota_headers=True, rate=10, burst=5)) as llm:
        reply = asked(llm)
    assert parse(reply.content, RUBRIC)
    assert reply.usage.estimated
    assert reply.usage.tokens_in > 100
    assert reply.quota is not None
    assert reply.quota.requests == 600


@pytest.mark.parametrize(("formats", "requests"), [(("json_object",), 4), ((), 5)])
def test_a_form_that_is_refused_is_not_asked_for_again(formats, requests, caplog):
    with serve(Behaviour(formats=formats)) as llm, caplog.at_level(logging.WARNING):
        replies = asyncio.run(answers(provider(llm), *[Question(f"row {number}") for number in range(3)]))
    assert all(parse(reply.content, RUBRIC) for reply in replies)
    assert llm.requests.total == requests
    assert len(caplog.records) == requests - 3


REFUSALS = [
    (b'{"error": {"message": "Unsupported value: temperature does not support 0 with this model."}}', 1),
    (b'{"detail": [{"loc": ["body", "temperature"], "msg": "Extra inputs are not permitted"}]}', 1),
    (b'{"detail": [{"loc": ["body", "response_format"], "msg": "Extra inputs are not permitted"}]}', 2),
    (b"Bad Request", 3),
]


@pytest.mark.parametrize(("body", "fewer"), REFUSALS)
def test_parameters_that_others_do_not_have(body, fewer):
    """The server takes nothing that the refusals of its kind could be about."""
    with serve(Behaviour(objection=body.decode(), objections=fewer)) as llm:
        assert parse(asked(llm).content, RUBRIC)
    assert llm.requests.total == fewer + 1
    assert ("temperature" in llm.mind.bodies[-1]) == (fewer == 2)
    assert ("response_format" in llm.mind.bodies[-1]) == (fewer == 1)


def test_what_is_refused_whatever_is_left_out():
    error = failing(BadInput, Behaviour(objection="Bad Request", objections=99))
    assert error.reason.startswith("refused the request by 127.0.0.1")


def test_many_that_are_refused_at_once_are_logged_once(caplog):
    async def run(chat: OpenAIChat) -> None:
        async with chat:
            await asyncio.gather(*(chat.ask(Question(f"row {number}")) for number in range(8)))

    with serve(Behaviour(formats=(), latency=0.05)) as llm, caplog.at_level(logging.WARNING):
        asyncio.run(run(provider(llm)))
    assert llm.requests.answered == 8
    assert len(caplog.records) == 2


@pytest.mark.parametrize(("how", "wait"), [("seconds", 1.0), ("ms", 0.5), ("none", None)])
def test_throttled(how, wait):
    error = failing(Throttled, Behaviour(windows=[(0, 0.5)], retry_after=how))
    assert error.retry_after == pytest.approx(wait, abs=0.1)


def test_a_wrong_key_is_named_by_its_setting_and_never_shown():
    error = failing(BadInput, Behaviour(key="right"), key=KEY)
    assert error.what == "ORIMONO_OPENAI_API_KEY"
    assert "401: Incorrect API key provided: ***" in error.reason
    assert KEY not in str(error)


def test_a_key_that_is_missing():
    error = failing(BadInput, Behaviour(key="right"))
    assert error.what == "ORIMONO_OPENAI_API_KEY"
    assert "is not set" in error.reason


def test_a_model_that_does_not_exist():
    error = failing(BadInput, Behaviour(models=["other"]))
    assert error.what == "model m"
    assert "404" in error.reason


def test_no_credit_is_no_throttling():
    assert "want of quota" in failing(BadInput, Behaviour(no_quota=True)).reason


@pytest.mark.parametrize("switches", [{"refuse": "day"}, {"filter": "day"}, {"max_chars": 3}])
def test_refused(switches):
    error = failing(Refused, Behaviour(**switches))
    assert (error.usage.tokens_in > 0) == ("filter" in switches)  # what was filtered afterwards was paid for


@pytest.mark.parametrize(
    ("switches", "reason", "paid"),
    [
        ({"unavailable": 1.0}, "answered 503", False),
        ({"cut": 1.0}, "cut short", True),
        ({"broken": 1.0}, "ended early", True),
        ({"dropped": 1.0}, "ended early", True),
        ({"huge": True}, "more than 1 MB", True),
        ({"latency": 30.0}, "no answer within 0.3 s", True),
        ({"slow": 1.0, "slow_seconds": 30.0}, "no answer within 0.3 s", True),
    ],
)
def test_lost(switches, reason, paid):
    error = failing(Lost, Behaviour(**switches), timeout="0.3" if "30.0" in str(switches) else "5")
    assert reason in error.reason
    assert (error.usage.tokens_in > 0, error.usage.estimated) == (paid, paid)


def test_nobody_there():
    with serve() as llm:
        pass
    with pytest.raises(Lost, match="no connection"):
        asked(llm)


def test_a_slow_answer_is_one():
    with serve(Behaviour(slow=1.0, slow_seconds=0.2)) as llm:
        assert parse(asked(llm).content, RUBRIC)


def test_a_connection_is_kept_after_a_refusal_and_replaced_after_a_drop():
    async def run(chat: OpenAIChat, llm: LLM) -> None:
        async with chat:
            for switches in ({"unavailable": 1.0}, {"dropped": 1.0}, {"cut": 1.0}):
                for name, share in {"unavailable": 0.0, "dropped": 0.0, "cut": 0.0, **switches}.items():
                    setattr(llm.behaviour, name, share)
                with pytest.raises(Lost):
                    await chat.ask(Question("a"))
            llm.behaviour.cut = 0.0
            await chat.ask(Question("a"))

    with serve() as llm:
        asyncio.run(run(provider(llm), llm))
    assert llm.requests.total == 4


def test_a_request_that_is_cancelled_leaves_nothing_open():
    async def run(chat: OpenAIChat) -> None:
        async with chat:
            task = asyncio.create_task(chat.ask(Question("a")))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with serve(Behaviour(latency=20.0)) as llm:
        started = time.monotonic()
        asyncio.run(run(provider(llm)))
        assert time.monotonic() - started < 10


def test_two_hundred_categories():
    rubric = Rubric.of([f'category "{number}"' for number in range(200)])
    with serve() as llm:
        chat = OpenAIChat(provider(llm).endpoint, rubric, "m")
        reply = asyncio.run(answers(chat, Question("what a day")))[0]
    assert parse(reply.content, rubric).scores == tuple(expected("what a day", rubric.categories).values())


def test_invalid_answers_come_as_they_are():
    with serve(Behaviour(invalid={"day": 1})) as llm:
        first, second = asyncio.run(answers(provider(llm), Question("a day"), Question("a day")))
    assert json.loads(first.content)["scores"] == {}
    assert parse(second.content, RUBRIC)


def read(plain: object) -> Reply:
    chat = opened(Settings(), RUBRIC, "openai", "m", "http://localhost:1/v1")
    assert isinstance(chat, OpenAIChat)
    return chat._read(Heard(200, {}, json.dumps(plain).encode()), "what a day", 100)


@pytest.mark.parametrize(
    ("plain", "kind", "words"),
    [
        ({"error": {"code": "invalid_api_key"}}, BadInput, "ORIMONO_OPENAI_API_KEY"),
        ({"error": "model not found"}, BadInput, "model m"),
        ({"error": "it broke"}, Lost, "answered with an error: it broke"),
        ({"choices": [{"message": {"content": None}}], "error": {"code": 502}}, Lost, "answered 502"),
    ],
)
def test_an_error_in_a_200_is_one(plain, kind, words):
    with pytest.raises(kind) as caught:
        read(plain)
    assert words in str(caught.value)


def test_an_answer_that_ends_at_the_limit_of_tokens():
    used = {"prompt_tokens": 9, "completion_tokens": 4_096}
    reply = read({"choices": [{"message": {"content": None}, "finish_reason": "length"}], "usage": used})
    assert (reply.content, reply.cut, reply.usage.tokens_out) == ("", True, 4_096)
    with pytest.raises(Invalid, match="limit of tokens"):
        parse(reply.content, RUBRIC, cut=reply.cut)
