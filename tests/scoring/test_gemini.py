"""Against a real server on loopback that speaks Gemini's generateContent."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import quote

import pytest

from pipelines.errors import BadInput
from pipelines.scoring.gemini import Gemini, dialect
from pipelines.scoring.provider import Lost, Question, Refused, Reply, Throttled
from pipelines.scoring.providers import opened
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.validation import parse
from pipelines.scoring.wire import Heard
from pipelines.settings import Settings
from tests.scoring.llm_server import LLM, Behaviour, expected, serve

RUBRIC = Rubric.of(["joy", 'so "called"', "怒り"])
KEY = "AIza-test-0123456789"


def provider(llm: LLM, key: str = "", model: str = "gemini-x") -> Gemini:
    settings = Settings(gemini_api_key=key, score_timeout_seconds="5")
    found = opened(settings, RUBRIC, "gemini", model, llm.address)
    assert isinstance(found, Gemini)
    return found


async def answer(gemini: Gemini, question: Question) -> Reply:
    async with gemini:
        return await gemini.ask(question)


def asked(llm: LLM, text: str = "what a day", key: str = "") -> Reply:
    return asyncio.run(answer(provider(llm, key), Question(text)))


def failing(kind: type[Exception], behaviour: Behaviour, key: str = ""):
    with serve(behaviour) as llm, pytest.raises(kind) as caught:
        asked(llm, key=key)
    return caught.value


def test_a_question_is_answered():
    with serve(Behaviour(key=KEY)) as llm:
        reply = asked(llm, 'a "day"\n😀', KEY)
    assert parse(reply.content, RUBRIC).scores == tuple(expected('a "day"\n😀', RUBRIC.categories).values())
    assert reply.usage.tokens_in > 0
    request = llm.mind.bodies[-1]
    assert request["systemInstruction"]["parts"][0]["text"].startswith("You score texts.")
    assert request["generationConfig"]["responseMimeType"] == "application/json"
    assert request["generationConfig"]["responseSchema"] == dialect(RUBRIC.schema())


def test_the_schema_in_geminis_dialect():
    found = dialect(RUBRIC.schema())
    assert found["propertyOrdering"] == ["scores", "reason", "confidence"]
    assert found["properties"]["scores"]["propertyOrdering"] == list(RUBRIC.categories)
    assert found["properties"]["scores"]["properties"]["joy"] == {"type": "INTEGER", "minimum": 1, "maximum": 5}
    assert "additionalProperties" not in json.dumps(found)


def test_a_file_is_asked_about():
    async def run(gemini: Gemini) -> None:
        async with gemini:
            await gemini.ask_of("https://files/1", "video/mp4", Question("the video"))

    with serve() as llm:
        asyncio.run(run(provider(llm)))
    shown, message = llm.mind.bodies[-1]["contents"][-1]["parts"]
    assert shown == {"fileData": {"mimeType": "video/mp4", "fileUri": "https://files/1"}}
    assert "the video" in message["text"]


def test_throttled_says_how_long_in_its_body():
    assert failing(Throttled, Behaviour(windows=[(0, 2.5)])).retry_after == 3.0


def test_a_wrong_key_is_a_400_here():
    error = failing(BadInput, Behaviour(key="right"), key=KEY)
    assert error.what == "ORIMONO_GEMINI_API_KEY"
    assert KEY not in str(error)


def test_a_model_that_does_not_exist():
    assert failing(BadInput, Behaviour(models=["other"])).what == "model gemini-x"


@pytest.mark.parametrize("switches", [{"refuse": "day"}, {"filter": "day"}, {"max_chars": 3}])
def test_refused(switches):
    failing(Refused, Behaviour(**switches))


@pytest.mark.parametrize("switches", [{"unavailable": 1.0}, {"cut": 1.0}, {"dropped": 1.0}])
def test_lost(switches):
    failing(Lost, Behaviour(**switches))


@pytest.mark.parametrize("model", ["gemini-x", "models/gemini-x", "../x?y#z", "a b", "モデル"])
def test_a_models_name_stays_in_its_place(model):
    with serve() as llm:
        asyncio.run(answer(provider(llm, model=model), Question("a day")))
    assert llm.mind.models == {quote(model.removeprefix("models/"), safe=""): 1}


def read(plain: object) -> Reply:
    heard = Heard(200, {}, json.dumps(plain).encode())
    gemini = opened(Settings(), RUBRIC, "gemini", "m", "http://localhost:1")
    assert isinstance(gemini, Gemini)
    return gemini._read(heard, "a day", 100)


def test_thoughts_are_paid_for_and_not_read():
    parts = [{"text": "hm", "thought": True}, {"text": '{"a":'}, {"text": " 1}"}]
    counts = {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 7}
    candidate = {"content": {"parts": parts}, "finishReason": "STOP"}
    reply = read({"candidates": [candidate], "usageMetadata": counts})
    assert (reply.content, reply.usage.tokens_in, reply.usage.tokens_out) == ('{"a": 1}', 10, 12)


@pytest.mark.parametrize(
    "plain",
    [[], {}, 3, {"candidates": []}, {"candidates": [3]}, {"candidates": [{"content": {"parts": [{"text": 3}]}}]}],
)
def test_an_answer_that_is_none(plain):
    with pytest.raises(Lost):
        read(plain)


def test_an_error_in_a_200_is_one():
    with pytest.raises(BadInput, match="ORIMONO_GEMINI_API_KEY"):
        read({"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}})
    with pytest.raises(Lost, match="answered with an error"):
        read({"error": {"message": "it broke"}})


def test_nothing_but_thoughts_up_to_the_limit_of_tokens():
    reply = read({"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]})
    assert (reply.content, reply.cut) == ("", True)
