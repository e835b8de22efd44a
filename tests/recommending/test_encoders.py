"""Words of any script, TF-IDF, vocabularies and standardisers."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.recommending.encoders import Standardiser, Terms, Vocabulary, tokens


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The Night Watch, a 3D film", ["the", "night", "watch", "3d", "film"]),
        ("夜行列車", ["夜行", "行列", "列車"]),
        ("東京の夜 Tokyo", ["東京", "京の", "の夜", "tokyo"]),
        ("愛 I", ["愛"]),
        ("ﾗｰﾒﾝ＆ＡＢＣ", ["ラー", "ーメ", "メン", "abc"]),
        ("スター・ウォーズ", ["スタ", "ター", "ウォ", "ォー", "ーズ"]),
        ("佐々木", ["佐々", "々木"]),
        ("サマー2020夏", ["サマ", "マー", "2020", "夏"]),
        ("사랑", ["사랑"]),
        ("\U00020bb7野家", ["\U00020bb7野", "野家"]),
        ("Amélie straße", ["amélie", "strasse"]),
        ("snake_case", ["snake", "case"]),
        ("…!? ♪", []),
    ],
)
def test_tokens(text: str, found: list[str]) -> None:
    assert tokens(text) == found


def test_weights_are_those_of_scikit_learn() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = ["night train train train", "夜行列車 train", "night watch", "", "東京の夜 night"]
    ours = Terms.fit(texts, 1000)
    theirs = TfidfVectorizer(analyzer=tokens, sublinear_tf=True, vocabulary=list(ours.terms))
    # Texts without a word are not texts to us; scikit-learn counts them.
    theirs.fit([text for text in texts if text])
    found, missing, unknown = ours.transform([*texts, "nothing known"])
    dense = np.zeros((len(texts) + 1, len(ours)), np.float32)
    dense[found.rows, found.columns] = found.values
    np.testing.assert_allclose(dense[:-1], theirs.transform(texts).toarray(), atol=1e-6)
    assert (missing, unknown) == (1, 1)
    assert "night" not in ours.terms  # in three of four texts


def test_a_large_catalogue_keeps_a_thousand_terms_and_none_of_a_single_item() -> None:
    texts = [f"film{i % 1500} w{i} every" for i in range(3000)]
    terms = Terms.fit(texts, 1000).terms
    assert len(terms) == 1000
    assert set(terms) <= {f"film{i}" for i in range(1500)}


def test_a_vocabulary_takes_the_most_frequent_and_ties_in_order() -> None:
    cells = [["b", "B", "a"], ["c", "b"], ["c"], ["a"], ["rare"]]
    assert Vocabulary.fit(cells, most=2).words == ("a", "b")
    assert Vocabulary.fit(cells, most=9, least=2).words == ("a", "b", "c")


def test_standardised_columns() -> None:
    scaler = Standardiser.fit(np.array([[1.0, 5, np.nan], [3, 5, np.nan], [np.nan, 5, np.nan]]))
    found = scaler.transform(np.array([[1.0, 5, 7], [np.nan, np.inf, 1e9], [1e9, 5, -1e9]]))
    np.testing.assert_array_equal(found, np.array([[-1, 0, 6], [0, 0, 6], [6, 0, -6]], np.float32))
