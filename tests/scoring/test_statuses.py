from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from pipelines.errors import BadInput
from pipelines.scoring.provider import Lost, Quota, Refused, Throttled
from pipelines.scoring.statuses import Trouble, duration, failure, quota, retry_after, shown, trouble, unanswered
from pipelines.scoring.wire import Endpoint, Heard

KEY = "secret-key-12345"
ENDPOINT = Endpoint.of("https://llm.example/v1", KEY, key_setting="K", base_setting="B", needs_key=True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "details", "violations", "code", "detail"]), inner, max_size=3
        )
    ),
)


def failed(status: int, body: object = None, headers: dict[str, str] | None = None, text: str = "") -> Exception:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return failure(Heard(status, CIMultiDict(headers or {}), raw), ENDPOINT, "m", text=text, sent=400)


def error(message: str, **parts: object) -> dict[str, object]:
    return {"error": {"message": message, **parts}}


@pytest.mark.parametrize(
    ("status", "body", "kind", "what"),
    [
        (301, b"", BadInput, "B"),
        (400, error("Unknown parameter"), BadInput, "model m"),
        (400, error("x", code="context_length_exceeded"), Refused, ""),
        (400, error("This model's maximum context length is 8192 tokens."), Refused, ""),
        (400, error("The input token count (9) exceeds the maximum."), Refused, ""),
        (400, error("x", code="content_filter"), Refused, ""),
        (400, error("User location is not supported", status="FAILED_PRECONDITION"), BadInput, "model m"),
        (401, error("no"), BadInput, "K"),
        (402, error("no"), BadInput, "model m"),
        (403, error("no"), BadInput, "K"),
        (403, error("Your account has been flagged for violations of the content policy"), BadInput, "K"),
        (403, error("Your input was flagged by moderation"), BadInput, "K"),
        (403, error("Maximum context length of your plan is 0"), BadInput, "K"),
        (403, error("x", code="account_flagged", type="moderation"), BadInput, "K"),
        (403, error("x", code="content_policy_violation"), Refused, ""),
        (403, error("x", type="invalid_prompt"), Refused, ""),
        (403, error("Your input was flagged", code=403, metadata={"flagged_input": "people's text"}), Refused, ""),
        (400, error("Your account has been flagged"), BadInput, "model m"),
        (400, error("Your input was flagged by moderation"), Refused, ""),
        (400, error("Your account may not say this", code="content_filter"), Refused, ""),
        (404, error("The model does not exist"), BadInput, "model m"),
        (404, b"<html>", BadInput, "B"),
        (405, {"detail": "Method Not Allowed"}, BadInput, "B"),
        (408, b"", Lost, ""),
        (409, b"", Lost, ""),
        (413, b"", Refused, ""),
        (422, {"detail": [{"msg": "field required", "input": "people's text"}]}, BadInput, "model m"),
        (429, error("Rate limit"), Throttled, ""),
        (429, error("x", type="insufficient_quota"), BadInput, "model m"),
        (429, error("Request too large for m: limit 10, requested 20"), Refused, ""),
        (429, b"<html>", Throttled, ""),
        (500, b"<html>", Lost, ""),
        (529, error("Overloaded"), Lost, ""),
    ],
)
def test_what_a_status_means(status, body, kind, what):
    found = failed(status, body)
    assert isinstance(found, kind)
    if isinstance(found, BadInput):
        assert found.what == what
        assert "people's text" not in str(found)


def test_a_days_quota_that_is_used_up_ends_the_run():
    violations = [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]
    assert isinstance(failed(429, error("x", details=[{"violations": violations}])), BadInput)
    violations = [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]
    assert isinstance(failed(429, error("x", details=[{"violations": violations}])), Throttled)


def test_a_gateways_failure_may_have_been_paid_for():
    paid, unpaid = failed(504), failed(503, headers={"Retry-After": "7"})
    assert isinstance(paid, Lost)
    assert isinstance(unpaid, Lost)
    assert (paid.usage.tokens_in, unpaid.usage.tokens_in, unpaid.retry_after) == (100, 0, 7.0)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": "0.25"}, 0.25),
        ({"retry-after-ms": "1500", "Retry-After": "9"}, 1.5),
        ({"x-ms-retry-after-ms": "20"}, 0.02),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"Retry-After": "99999999"}, 86_400.0),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        ({"retry-after-ms": "soon", "Retry-After": "2"}, 2.0),
        ({}, None),
    ],
)
def test_retry_after(headers, wait):
    assert retry_after(CIMultiDict(headers)) == wait


@given(st.text(), st.text())
def test_any_header_is_read_or_passed_over(given_, date):
    wait = retry_after({"retry-after": given_, "date": date})
    assert wait is None or 0 <= wait <= 86_400


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("20ms", 0.02), ("1.5s", 1.5), ("6m0s", 360.0), ("1h2m3.5s", 3723.5), ("37s", 37.0), ("12", 12.0), ("", None),
     ("x", None)],
)  # fmt: skip
def test_durations(text, seconds):
    assert duration(text) == seconds


@given(st.text())
def test_any_duration_is_read_or_passed_over(text):
    found = duration(text)
    assert found is None or (math.isfinite(found) and found >= 0)


def limits(limit: str, left: str, reset: str) -> CIMultiDict[str]:
    names = ("limit", "remaining", "reset")
    return CIMultiDict({f"x-ratelimit-{n}-requests": v for n, v in zip(names, (limit, left, reset), strict=True)})


def test_quota():
    assert quota({}) is None
    assert quota(limits("500", "499", "120ms")) == Quota(500.0, 499, 0.12)
    assert quota(limits("many", "", "soon")) == Quota(None, None, None)
    assert quota(limits("14400", "14370", "2m59.56s")) == Quota(None, 14370, 179.56)  # a day's, not a minute's


def said(message: str, text: str = "", key: str = "", *kinds: str) -> str:
    return shown(Trouble(message, kinds=kinds), key, text)


def test_what_people_are_shown():
    assert said(f"Bad key {KEY}, or Bearer abcdef.\nmore", key=KEY) == "Bad key ***, or ***"
    assert said("x" * 500) == "x" * 200 + "..."
    assert said("\x1b[31m\n\n red") == "[31m"
    assert said("Unsupported value: 'temperature'", "my name is Ann Smith") == "Unsupported value: 'temperature'"


TEXT = 'my name is Ann Smith,\nI live at "12 Elm Street"; わたしの名前は花子で、住所は秘密です'


@pytest.mark.parametrize(
    "quote",
    [
        TEXT,
        TEXT[:20],
        r"at \"12 Elm Str",  # from its middle, escaped
        "Ann Smith,\\nI live",
        "Ann Smith,\\\\nI live",  # escaped twice
        "ANN SMITH, I LIVE",
        TEXT[-14:-1],
        json.dumps(TEXT[-14:]),
        json.dumps(json.dumps(TEXT[-14:])),
        repr(TEXT),
        "x" * 150 + TEXT[:20],
    ],
)
def test_a_message_that_quotes_the_text_is_not_shown(quote):
    message = f"Cannot score '{quote}' with {KEY}"
    assert said(message, TEXT, KEY, "bad_value", "messages[1]", f"of {KEY}") == "bad_value, messages[1], of ***"
    assert said(message, TEXT, KEY) == said("x", "", "")[1:]
    for status in (400, 401, 404, 422):
        found = failed(status, error(message, code="bad_value", param=TEXT), text=TEXT)
        assert not any(word in str(found) for word in ("Ann", "Elm", "花子", "秘密", "u79d8", KEY)), str(found)


def test_a_short_text_is_not_shown_either():
    assert said("Cannot score 'さようなら'", "さようなら") == ""
    assert said(f"Cannot score {json.dumps('さようなら')} now", "さようなら") == ""
    assert said("Cannot score 'goodbye'", "goodbye") == ""
    assert said("Cannot score this", "is") == "Cannot score this"


@given(st.text(min_size=12), st.data())
def test_no_run_of_the_text_is_ever_shown(text, data):
    start = data.draw(st.integers(0, len(text) - 12))
    part = text[start : start + 12]
    quote = data.draw(st.sampled_from([part, json.dumps(part), json.dumps(part, ensure_ascii=False), repr(part)]))
    if part.isprintable() and part.strip() == part:
        assert said(f"Cannot score {quote}", text) == ""


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ({"error": {"code": "invalid_api_key"}}, BadInput, "K: was refused by llm.example (401)"),
        ({"error": "model not found"}, BadInput, "model m: was refused by llm.example (404: model not found)"),
        ({"error": {"message": "The model `m` does not exist", "code": "model_not_found"}}, BadInput, "model m"),
        ({"error": {"message": "no", "type": "insufficient_quota"}}, BadInput, "credit"),
        ({"error": {"message": "Rate limit reached"}}, Throttled, ""),
        ({"error": {"code": 503}}, Lost, "answered 503"),
        ({"error": {"code": "429", "message": "slow down"}}, Throttled, ""),
        ({"error": {"code": "content_filter"}}, Refused, ""),
        ({"error": {"message": "Your account was flagged"}}, Lost, "answered with an error: Your account was flagged"),
        ([{"error": {"code": 401, "message": "no"}}], BadInput, "K: was refused"),
        ({"error": "it broke at 'people are nice'"}, Lost, "answered with an error"),
        ({"error": None}, Lost, "an answer that is none"),
        ({"choices": []}, Lost, "an answer that is none"),
        (b'{"error": "mod', Lost, "an answer cut short"),
        (b"<html>", Lost, "an answer cut short"),
    ],
)
def test_a_200_that_holds_an_error_is_taken_as_one(body, kind, words):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = unanswered(Heard(200, CIMultiDict(), raw), ENDPOINT, "m", text="most people are nice", sent=400)
    assert isinstance(found, kind)
    assert words in str(found)
    assert "nice" not in str(found)


@given(JSON)
def test_any_200_is_one_of_four(body):
    found = unanswered(Heard(200, CIMultiDict(), json.dumps(body).encode()), ENDPOINT, "m")
    assert isinstance(found, BadInput | Throttled | Refused | Lost)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, b"3", b"[]", b"null", b"\xff", b'{"error": "plain"}'])
def test_any_body_is_read(body):
    assert trouble(body).message in ("", "plain")


@given(st.integers(300, 599), JSON)
def test_any_failure_is_one_of_four(status, body):
    assert isinstance(failed(status, body), BadInput | Throttled | Refused | Lost)
