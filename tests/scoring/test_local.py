"""The local scorer: what names say, what labelled rows teach, answers as of any provider, nothing left over."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.scoring.local import BATCH, ENOUGH, MODEL, Label, LocalScorer
from pipelines.scoring.provider import Question
from pipelines.scoring.rubric import Rubric

EMOTIONS = Rubric.of(["joy", "anger"])
HAPPY = ("I am so happy, this is wonderful!", "今日は最高に楽しい一日だった!")
ANGRY = ("I am furious, how dare they!", "ふざけるな、もう我慢できない。")
ANIMALS = (
    "The dog chased a cat up the tree.",
    "A horse and two cows stood by the fence.",
    "Our kitten sleeps all day.",
)
CARS = ("The truck broke down on the motorway.", "He parked the car behind the bus.", "My new bicycle has flat tyres.")


async def _asked(scorer: LocalScorer, texts: Sequence[str]) -> list[dict[str, Any]]:
    async with scorer:
        replies = await asyncio.gather(*(scorer.ask(Question(text)) for text in texts))
    return [json.loads(reply.content) for reply in replies]


def ask(scorer: LocalScorer, texts: Sequence[str]) -> list[dict[str, Any]]:
    return asyncio.run(_asked(scorer, texts))


def labelled(n: int = 30) -> list[Label]:
    """``n`` rows, scored 5 where an animal is in them: what "joy" does not mean."""
    beasts, things = (
        ("dog", "cat", "horse", "cow", "rabbit", "sheep"),
        ("car", "table", "phone", "house", "road", "cup"),
    )
    rows: list[Label] = []
    for i in range(n // 2):
        rows.append((f"There is a {beasts[i % 6]} number {i} in the picture.", (5, None)))
        rows.append((f"There is a {things[i % 6]} number {i} in the picture.", (1, None)))
    return rows


def test_names_of_emotions_are_understood_in_two_languages() -> None:
    for rubric in (EMOTIONS, Rubric.of(["喜び", "怒り"])):
        joy, anger = rubric.categories
        for answer in ask(LocalScorer(rubric), HAPPY):
            assert answer["scores"][joy] >= 4
            assert answer["scores"][anger] <= 2
        for answer in ask(LocalScorer(rubric), ANGRY):
            assert answer["scores"][anger] >= 4
            assert answer["scores"][joy] <= 2


def test_any_other_name_is_likened_to_the_text() -> None:
    answers = ask(LocalScorer(Rubric.of(["animals", "vehicles"])), [*ANIMALS, *CARS])
    leading = ["animals" if a["scores"]["animals"] > a["scores"]["vehicles"] else "vehicles" for a in answers]
    assert leading == ["animals"] * 3 + ["vehicles"] * 3


def test_people_decide_what_a_category_means() -> None:
    scorer = LocalScorer(Rubric.of(["joy"]), [(text, scores[:1]) for text, scores in labelled()])
    answers = ask(
        scorer,
        ["There is a goat in the picture.", "There is a pig in the picture.", "There is a bus in the picture."],
    )
    assert [answer["scores"]["joy"] for answer in answers] == [5, 5, 1]
    assert all(0.5 < answer["confidence"] <= 1 for answer in answers)


def test_a_confidence_is_given_only_where_it_was_found_out() -> None:
    assert "confidence" not in ask(LocalScorer(EMOTIONS), HAPPY)[0]
    partly = ask(LocalScorer(EMOTIONS, labelled()), HAPPY)[0]  # nobody scored anger
    assert "confidence" not in partly
    assert "1 of 2 categories" in partly["reason"]


def test_the_model_tells_which_rows_it_learned_from() -> None:
    rows = labelled()
    model = LocalScorer(EMOTIONS, rows).model
    assert LocalScorer(EMOTIONS).model == MODEL
    assert model.startswith(MODEL) and model != MODEL
    assert LocalScorer(EMOTIONS, rows[::-1]).model == model
    assert LocalScorer(EMOTIONS, [*rows[1:], (rows[0][0], (4, None))]).model != model
    assert LocalScorer(EMOTIONS, [*rows, ("Another row.", (3, None))]).model != model


def test_too_few_rows_empty_rows_and_scores_off_the_scale_teach_nothing() -> None:
    few = labelled(ENOUGH - 2)
    useless: list[Label] = [("  ", (5, 1)), ("A row.", (6, 0)), ("A row.", (None, None))] * ENOUGH
    assert LocalScorer(EMOTIONS, [*few, *useless]).model == MODEL


def test_rows_that_were_all_scored_alike_or_are_all_the_same_are_no_trouble() -> None:
    alike: list[Label] = [(text, (2, None)) for text, _ in labelled()]
    same: list[Label] = [("The same row.", (1 + i % 5, None)) for i in range(40)]
    assert ask(LocalScorer(EMOTIONS, alike), HAPPY)[0]["scores"]["joy"] == 2
    assert 1 <= ask(LocalScorer(EMOTIONS, same), HAPPY)[0]["scores"]["joy"] <= 5


@given(st.lists(st.text(max_size=60), min_size=1, max_size=5), st.sampled_from([(1, 5), (0, 1), (0, 100)]))
def test_whatever_is_asked_gets_a_whole_number_within_the_scale(texts: list[str], scale: tuple[int, int]) -> None:
    rubric = Rubric.of(['a "quoted" name', "怒り", "{}"], scale=scale)
    for answer in ask(LocalScorer(rubric), texts):
        assert list(answer["scores"]) == list(rubric.categories)
        assert all(type(score) is int and scale[0] <= score <= scale[1] for score in answer["scores"].values())
        assert isinstance(answer["reason"], str)


def test_an_answer_does_not_depend_on_who_asks_beside_it() -> None:
    texts = [f"{text} {i}" for i in range(BATCH // 3) for text in (*HAPPY, *ANGRY)]
    together = ask(LocalScorer(EMOTIONS), texts)
    assert len(texts) > BATCH
    assert ask(LocalScorer(EMOTIONS), texts[-3:]) == together[-3:]


def test_of_a_long_row_the_beginning_and_the_end_are_read() -> None:
    dull = "The meeting starts at nine. " * 2_000
    quick, slow = ask(LocalScorer(EMOTIONS), [dull[:1000] + " " + dull[-1000:], dull])
    assert quick == slow
    (end,) = ask(LocalScorer(EMOTIONS), [dull + "I hate this, I am so angry! " * 30])
    assert end["scores"]["anger"] > slow["scores"]["anger"]


def test_the_loop_goes_on_while_it_loads_and_embeds() -> None:
    async def run() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counting = asyncio.create_task(count())
        await _asked(LocalScorer(EMOTIONS), HAPPY * 50)
        counting.cancel()
        return turns

    assert asyncio.run(run()) > 20


def test_who_stops_waiting_takes_nobody_along() -> None:
    async def run() -> dict[str, Any]:
        async with LocalScorer(EMOTIONS) as scorer:
            gone = asyncio.create_task(scorer.ask(Question(ANGRY[0])))
            stays = asyncio.create_task(scorer.ask(Question(HAPPY[0])))
            await asyncio.sleep(0)
            gone.cancel()
            answer: dict[str, Any] = json.loads((await stays).content)
            assert gone.cancelled()
        return answer

    assert asyncio.run(run())["scores"]["joy"] >= 4


def test_it_is_opened_again_in_another_loop() -> None:
    scorer = LocalScorer(EMOTIONS, labelled())
    first = ask(scorer, HAPPY)
    assert ask(scorer, HAPPY) == first == ask(LocalScorer(EMOTIONS, labelled()), HAPPY)


@pytest.mark.parametrize("asked", [0, 3])
def test_nothing_runs_after_the_end(asked: int) -> None:
    async def run() -> None:
        before = set(threading.enumerate())
        async with LocalScorer(EMOTIONS) as scorer:
            waiting = [asyncio.create_task(scorer.ask(Question(text))) for text in (HAPPY * 100)[: asked * 60]]
            await asyncio.sleep(0)
            for task in waiting:
                task.cancel()
        assert set(threading.enumerate()) <= before
        assert asyncio.all_tasks() - set(waiting) == {asyncio.current_task()}
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(run())


def test_the_module_is_imported_without_an_array_library() -> None:
    import subprocess
    import sys

    code = "import sys, pipelines.scoring.local; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
