"""What a phrase is about, and in which language."""

from __future__ import annotations

import pytest

from pipelines.lyrics.keywords import MOST, find_keywords, language


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Row, row, row your boat\ngently down the stream", "en"),
        ("Don’t stop me now", "en"),
        ("春が来た どこに来た", "ja"),
        ("君が好き Baby I love you だから Oh yeah そばにいて 離さない", "ja"),
        ("我爱你 你爱我", "und"),
        ("Quand il me prend dans ses bras\nIl me parle tout bas", "und"),
        ("1 2 3 4", "und"),
        ("", "und"),
    ],
)
def test_language(text: str, expected: str) -> None:
    assert language(text.split("\n")) == expected


def test_japanese_keywords_are_content_words_in_dictionary_form() -> None:
    (words,) = find_keywords(["東京タワーで君を待っていた"])
    assert words == ("東京", "タワー", "待つ")


def test_english_keywords_leave_function_words_and_singing_out() -> None:
    assert find_keywords(["Oh, I wandered lonely as a cloud, la la la"]) == (("wandered", "lonely", "cloud"),)


def test_a_mixed_line_gives_both_languages() -> None:
    (words,) = find_keywords(["Forever 夢を見る tonight"])
    assert set(words) == {"forever", "tonight", "夢", "見る"}


def test_the_songs_theme_comes_first() -> None:
    first, _, _ = find_keywords(["golden river", "river bank", "river bed"])
    assert first == ("river", "golden")


def test_at_most_so_many_and_none_for_sounds_alone() -> None:
    long, sounds = find_keywords(["mountain valley river ocean desert forest island", "Oh oh oh yeah"])
    assert len(long) == MOST
    assert sounds == ()
