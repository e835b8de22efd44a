"""The words of a phrase that say what it is about, and which language they are in. Their meaning is embeddings.py's.

Japanese: SudachiPy's content words (nouns, verbs, adjectives, adjectival nouns, mimetic adverbs) in dictionary form.
English: what is left when the function words of STOP_WORDS and the singing (oh, la, yeah) are taken away.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sudachipy import Dictionary, Tokenizer

MOST = 5  # keywords a phrase


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LATIN_WORD = re.compile(r"[^\W\d_]+(?:[’'][^\W\d_]+)*")
_JAPANESE = re.compile("[\u3041-\u30fa\u30fc-\u30ff\u3400-\u9fff々ー]")
_KANA = re.compile("[\u3041-\u30fa]")
_LETTER = re.compile(r"[^\W\d_]")

# English function words, from the closed classes of the grammar: articles, pronouns, prepositions, conjunctions,
# auxiliaries, particles of place and degree; then what is sung without meaning, then poetry's short forms.
STOP_WORDS = _words(
    """a an the this that these those some any no every each all both either neither such another other
    i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers
    herself it its itself they them their theirs themselves thou thee thy thine ye who whom whose which what one ones
    someone something anyone anything everyone everything nobody nothing none
    of in on at by for with without about against between among into through during before after above below to from up
    down out off over under again upon within along across behind beyond beside besides near toward towards till until
    since than as like per via amid
    and but or nor so yet if because while although though unless whether when where why how whenever wherever whatever
    be am is are was were been being have has had having do does did doing done will would shall should can could may
    might must ought need dare used let lets get gets got gonna wanna gotta
    not now then there here just only too very much more most less least own same few many even also ever never always
    still once quite rather almost away back else maybe perhaps well
    ain't aren't can't cannot couldn't didn't doesn't don't hadn't hasn't haven't isn't mustn't needn't shan't shouldn't
    wasn't weren't won't wouldn't i'm i'd i'll i've you're you'd you'll you've he's he'd he'll she's she'd she'll it's
    it'll we're we'd we'll we've they're they'd they'll they've that's there's here's what's who's where's let's
    oh ooh ah aah eh hey ho yeah yea yes nah uh um hmm mm la na da doo du sha woah whoa wow ay ya yo
    o o'er 'tis 'twas e'er ne'er thro 'mid 'neath"""
)

_CONTENT = frozenset({"名詞", "動詞", "形容詞", "形状詞", "副詞"})
_EMPTY_NOUNS = frozenset({"数詞", "助動詞語幹"})
# Words that are nouns, verbs or adverbs by form, and grammar by use.
_EMPTY_WORDS = _words(
    """こと 事 もの 物 者 とき 時 よう 様 ため 為 ところ 所 まま 儘 ほう 方 うち わけ 訳 はず つもり かぎり 限り
    なか 中 上 下 の ん ごと 度 たび 今 いま する 為る ある 有る 在る 居る いる おる なる 成る できる 出来る
    くれる あげる もらう しまう いう 言う ゆく いく やる ない 無い いい 良い もう まだ また ただ とても もっと
    そう こう ああ どう なぜ いつも すぐ ずっと きっと まるで いったい ちょっと さあ ほら"""
)


def language(texts: Sequence[str]) -> str:
    """ "ja", "en" or "und" (undetermined) of a whole song.

    Japanese when at least three in ten letters are kana or kanji, some of them kana; English when the letters are
    Latin and a fifth of the words are English function words, as they are in any English of a few lines.
    """
    text = "\n".join(texts)
    letters = len(_LETTER.findall(text))
    if letters and len(_JAPANESE.findall(text)) >= 0.3 * letters:
        return "ja" if _KANA.search(text) else "und"
    words = [word.lower().replace("’", "'") for word in _LATIN_WORD.findall(text)]
    known = sum(word in STOP_WORDS for word in words)
    return "en" if known and known >= 0.2 * len(words) else "und"


def find_keywords(texts: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """At most ``MOST`` keywords a phrase, the song's most frequent first, then in the order in which they are sung."""
    japanese = any(_JAPANESE.search(text) for text in texts)
    # The longest units, since a keyword names a thing. A tokenizer serves one thread only.
    tokenizer = _dictionary().tokenizer(mode="C") if japanese else None
    found = [list(dict.fromkeys(_english(text) + _japanese(text, tokenizer))) for text in texts]
    frequency = Counter(word for words in found for word in words)
    return tuple(tuple(sorted(words, key=lambda w: -frequency[w])[:MOST]) for words in found)


def _english(text: str) -> list[str]:
    words = (word.lower().replace("’", "'") for word in _LATIN_WORD.findall(_JAPANESE.sub(" ", text)))
    bare = (word.removesuffix("'s") for word in words if word not in STOP_WORDS)
    return [word for word in bare if len(word) > 1 and word not in STOP_WORDS]


def _japanese(text: str, tokenizer: Tokenizer | None) -> list[str]:
    if tokenizer is None or not _JAPANESE.search(text):
        return []
    words = []
    for morpheme in tokenizer.tokenize(text):
        kind, subkind = morpheme.part_of_speech()[:2]
        word = morpheme.dictionary_form()
        if (
            kind in _CONTENT
            and subkind not in _EMPTY_NOUNS
            and word not in _EMPTY_WORDS
            and _JAPANESE.search(word)
            and not (len(word) == 1 and _KANA.match(word))
        ):
            words.append(word)
    return words


@cache
def _dictionary() -> Dictionary:
    from sudachipy import Dictionary

    return Dictionary(dict="small")
