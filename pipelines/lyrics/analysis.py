"""Everything the product knows about a song's words, in one value.

Files are read by formats.py, judged by emotion.py and keywords.py; what the words mean for a cut is left to editing/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.lyrics.embeddings import embed
from pipelines.lyrics.emotion import EMOTIONS, predict_emotions, valence_arousal
from pipelines.lyrics.formats import read
from pipelines.lyrics.keywords import find_keywords, language

__all__ = ["EMOTIONS", "VERSION", "LyricsFeatures", "analyse", "lay_out"]

VERSION = "1"

_KANJI = re.compile("[\u3400-\u9fff々]")
_KANA = re.compile("[\u3041-\u30fa\u30fc]")
_SMALL_KANA = re.compile("[ぁぃぅぇぉゃゅょゎァィゥェォャュョヮ]")
_SYLLABLE = re.compile("[aeiouyà-öø-ÿ]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LyricsFeatures:
    """One row a phrase (a sung line), in order of time."""

    language: str  # "en", "ja" or "und"
    timed: bool  # False for plain text: starts and ends are then NaN until laid out over the music
    texts: tuple[str, ...]  # [n]
    starts: NDArray[np.float64]  # [n], s
    ends: NDArray[np.float64]  # [n], s
    emotions: NDArray[np.float32]  # [n, len(EMOTIONS)], each row sums to 1
    valence: NDArray[np.float32]  # [n], -1..1
    arousal: NDArray[np.float32]  # [n], 0..1
    keywords: tuple[tuple[str, ...], ...]  # [n]
    embeddings: NDArray[np.float32]  # [n, 512], unit length
    warnings: tuple[str, ...]  # stamps that were mended, encodings guessed ...


def analyse(path: str | Path) -> LyricsFeatures:
    """The features of an LRC, SRT or plain text file, Japanese or English; raises BadInput as ``formats.read`` does."""
    lyrics = read(path)
    texts = tuple(phrase.text for phrase in lyrics.phrases)
    embeddings = embed(texts)
    emotions = predict_emotions(embeddings)
    valence, arousal = valence_arousal(emotions)
    features = LyricsFeatures(
        language=language(texts),
        timed=lyrics.timed,
        texts=texts,
        starts=np.array([phrase.start for phrase in lyrics.phrases]),
        ends=np.array([phrase.end for phrase in lyrics.phrases]),
        emotions=emotions,
        valence=valence,
        arousal=arousal,
        keywords=find_keywords(texts),
        embeddings=embeddings,
        warnings=lyrics.warnings,
    )
    for array in (features.starts, features.ends, emotions, valence, arousal, embeddings):
        array.flags.writeable = False
    return features


def lay_out(features: LyricsFeatures, start: float, end: float) -> LyricsFeatures:
    """Untimed phrases spread over [start, end) s of the music, each as long as its share of the song's syllables.

    The phrases follow one another without a gap. ``timed`` stays False: a place in the song, not a measurement. Timed
    features come back as they are.
    """
    if features.timed:
        return features
    edges = np.cumsum([0.0, *(_sung_length(text) for text in features.texts)])
    edges = start + (end - start) * edges / edges[-1]
    edges.flags.writeable = False
    return replace(features, starts=edges[:-1], ends=edges[1:])


def _sung_length(text: str) -> float:
    """About how many syllables (morae) a phrase has: a group of vowels, a kana, or half a kanji each is one.

    Two more stand for the breath between phrases, so that a line of one word keeps a place of its own.
    """
    kana = len(_KANA.findall(text)) - len(_SMALL_KANA.findall(text))
    return 2.0 + kana + 2 * len(_KANJI.findall(text)) + len(_SYLLABLE.findall(text))
