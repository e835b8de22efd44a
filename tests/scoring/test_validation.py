from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Answer
from pipelines.scoring.validation import MAX_REASON, Invalid, parse

RUBRIC = Rubric.of(["joy", 'so "called"', "怒り"])
GOOD = {"scores": {"joy": 1, 'so "called"': 5, "怒り": 3}, "reason": "glad", "confidence": 0.5}


def changed(**parts: object) -> str:
    return json.dumps({**GOOD, **parts})


def scored(**scores: object) -> str:
    return changed(scores={**GOOD["scores"], **scores})


def test_a_good_answer_in_the_rubrics_order():
    shuffled = {"confidence": 0.5, "scores": dict(reversed(GOOD["scores"].items())), "reason": "glad", "extra": [1]}
    assert parse(json.dumps(shuffled), RUBRIC) == Answer((1, 5, 3), 0.5, "glad")


@pytest.mark.parametrize("fence", ["```json\n{}\n```", "```\n{}\n```", "  ```JSON\r\n{}\r\n```\n", "```json\n{}```"])
def test_code_fences_are_tolerated(fence):
    assert parse(fence.replace("{}", changed()), RUBRIC) == Answer((1, 5, 3), 0.5, "glad")


def test_what_may_be_missing():
    assert parse(json.dumps({"scores": GOOD["scores"]}), RUBRIC) == Answer((1, 5, 3), None, "")
    assert parse(changed(confidence=None, reason=None), RUBRIC) == Answer((1, 5, 3), None, "")


@pytest.mark.parametrize("value", [True, "4", 3.5, 0, 6, None, [], math.nan, math.inf, -1, 1e400, 10**400])
def test_a_score_is_a_whole_number_on_the_scale(value):
    with pytest.raises(Invalid) as caught:
        parse(scored(joy=value), RUBRIC)
    assert '"joy"' in caught.value.reason


def test_a_whole_number_with_a_point_is_one():
    assert parse(scored(joy=4.0), RUBRIC).scores == (4, 5, 3)
    assert all(type(score) is int for score in parse(scored(joy=4.0), RUBRIC).scores)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it is empty"),
        ("  ", "it is empty"),
        ("I think", "it is not JSON"),
        (changed()[:-10], "it is not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "no object named scores"),
        ('{"scores": [1, 2, 3]}', "scores is not an object"),
        ('{"scores": {"joy": 1}}', 'lacks "so \\"called\\"", "怒り"'),
        (changed(reason=["a"]), "reason is not text"),
        (changed(confidence=95), "confidence is not"),
        (changed(confidence=True), "confidence is not"),
        (changed(confidence="0.5"), "confidence is not"),
        (changed(confidence=math.nan), "confidence is not"),
        ("[" * 100_000, "nested too deeply"),
        ('{"scores": ' + "1" * 5_000 + "}", "out of any scale"),
        (changed(reason="x" * 300_000), "longer than"),
    ],
)
def test_what_is_wrong_is_said(content, reason):
    with pytest.raises(Invalid) as caught:
        parse(content, RUBRIC)
    assert reason in caught.value.reason


def test_the_complaint_never_repeats_the_answer():
    for content in (
        "secret words",
        '{"scores": "secret words"}',
        scored(joy="secret words"),
        changed(reason=["secret"]),
    ):
        with pytest.raises(Invalid) as caught:
            parse(content, RUBRIC)
        assert "secret" not in caught.value.reason


def test_many_wrong_categories_are_not_all_named():
    rubric = Rubric.of([f"category {number}" for number in range(200)])
    with pytest.raises(Invalid, match="and 195 more"):
        parse('{"scores": {}}', rubric)


def test_a_reason_fit_for_a_cell_and_a_database():
    dirty = 'a\0b\nc\r\n d\x1b[0m\ud800"é\u2028e👩\u200d👩\u200d👧'
    assert parse(changed(reason=dirty), RUBRIC).reason == 'ab c  d[0m"é e👩\u200d👩\u200d👧'
    assert len(parse(changed(reason="é" * 5_000), RUBRIC).reason) == MAX_REASON


@pytest.mark.parametrize(
    "words",
    [
        "Sure! Here you are: {}",
        "{}\nI hope that helps {you}.",
        "<think>between {1} and {5}</think>{}",
        '<think>perhaps {"scores": {"joy": 2}}, no</think>\n{}',
        "<think>" + "hm { " * 30_000 + "</think>{}",
        "Here:\n```json\n{}\n```\nThe scale is {1, 5}.",
        'It is {"a": 1}, or [{"b": {}}], thus {}',
        "{}\n{}",
    ],
)
def test_words_around_an_answer_are_passed_over(words):
    head, _, tail = words.rpartition("{}")
    assert parse(f"{head.replace('{}', changed())}{changed()}{tail}", RUBRIC) == Answer((1, 5, 3), 0.5, "glad")


def test_two_answers_are_none():
    """The text may hold one of its own, which the model quotes."""
    with pytest.raises(Invalid, match="more than one answer"):
        parse(f"The text says {scored(joy=5)}, but: {changed()}", RUBRIC)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (f"Here: {changed()[:-40]}", "it is not JSON"),  # what is inside it is not it
        (f"{'{' * 60} {changed()}", "it is not JSON"),
        (f"{'x' * 70_000} {changed()}", "it is not JSON"),
        ("x " + '{"a":' * 30_000, "it is not JSON"),
        ("x " + '{"scores": ' + "1" * 5_000 + "}", "it is not JSON"),
        (f"Here: {scored(joy=9)}", 'from 1 to 5: "joy"'),
    ],
)
def test_what_is_not_found_amid_words(content, reason):
    with pytest.raises(Invalid) as caught:
        parse(content, RUBRIC)
    assert reason in caught.value.reason


def test_what_was_cut_is_said_to_be():
    for content in ("", changed()[:-10], "let me think"):
        with pytest.raises(Invalid, match="limit of tokens"):
            parse(content, RUBRIC, cut=True)
    assert parse(changed(), RUBRIC, cut=True).scores == (1, 5, 3)


PROSE = st.text(st.characters(exclude_characters="{"), max_size=50)


@given(PROSE, st.lists(st.sampled_from(["{", "{}", '{"a": [1]}', "{x}"]) | PROSE, max_size=8), st.text(max_size=50))
def test_any_words_around_an_answer_are_passed_over(before, between, after):
    around = ["words ", before, *between]
    if '"scores"' in after:
        return
    # A "{" that is never closed may swallow the answer only when what follows makes an object of both, which no
    # text before a '{"scores"' does: it would have to end in a key and a colon.
    content = "".join(around) + " " + changed() + " " + after.replace("</think>", "")
    assert parse(content, RUBRIC) == Answer((1, 5, 3), 0.5, "glad")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 8) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["joy", "怒り", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
SCORES = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        RUBRIC.categories, st.integers(0, 6) | st.sampled_from([1.0, 2.5, True, "3", None, math.nan])
    ),
)
WHOLE = st.fixed_dictionaries(
    {"scores": SCORES | st.fixed_dictionaries(dict.fromkeys(RUBRIC.categories, st.integers(1, 5))) | JSON},
    optional={"reason": st.text(max_size=20) | JSON, "confidence": st.floats(-1, 2) | JSON},
)


@given(WHOLE | JSON)
def test_it_agrees_with_the_json_schema(value):
    """But for what is tolerated: a missing reason or confidence (null is missing), and unknown keys."""
    schema = RUBRIC.schema()
    schema["required"] = ["scores"]
    del schema["additionalProperties"], schema["properties"]["scores"]["additionalProperties"]
    plain = value
    if isinstance(value, dict):
        plain = {k: v for k, v in value.items() if v is not None or k not in ("reason", "confidence")}
    try:
        answer = parse(json.dumps(value), RUBRIC)
    except Invalid:
        answer = None
    numbers = [*plain["scores"].values(), plain.get("confidence")] if isinstance(plain, dict) and isinstance(
        plain.get("scores"), dict) else []  # fmt: skip
    odd = any(isinstance(n, float) and not math.isfinite(n) for n in numbers)  # no JSON; the validator lets NaN pass
    assert (answer is not None) == (Draft202012Validator(schema).is_valid(plain) and not odd)
    if answer is not None:
        assert answer.scores == tuple(value["scores"][name] for name in RUBRIC.categories)


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_nothing_but_invalid_is_raised(content):
    with pytest.raises(Invalid):
        parse(content, RUBRIC)
