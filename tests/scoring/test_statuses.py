from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from pipelines.errors import BadInput
from pipelines.scoring.provider import Lost, Quota, Refused, Throttled
from pipelines.scoring.statuses import duration, failure, quota, retry_after, shown, trouble
from pipelines.scoring.wire import Endpoint, Heard

KEY = "secret-key-12345"
ENDPOINT = Endpoint.of("https://llm.example/v1", KEY, key_setting="K", base_setting="B", needs_key=True)


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
        (403, error("Your input was flagged by moderation"), Refused, ""),
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


def test_what_people_are_shown():
    assert shown(f"Bad key {KEY}, or Bearer abcdef.\nmore", KEY, "") == "Bad key ***, or ***"
    assert shown("x" * 500, "", "") == "x" * 200 + "..."
    assert (
        shown("Cannot score 'my name is Ann Smith' today", "", "my name is Ann Smith and I live")
        == "Cannot score '(the text)"
    )
    assert shown("\x1b[31m\n\n red", "", "") == "[31m"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, b"3", b"[]", b"null", b"\xff", b'{"error": "plain"}'])
def test_any_body_is_read(body):
    assert trouble(body).message in ("", "plain")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "details", "violations", "code", "detail"]), inner, max_size=3
        )
    ),
)


@given(st.integers(300, 599), JSON)
def test_any_failure_is_one_of_four(status, body):
    assert isinstance(failed(status, body), BadInput | Throttled | Refused | Lost)
