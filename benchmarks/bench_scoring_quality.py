"""How often the local scorer agrees with people: by names alone, and learned from 100, 500 and 5,000 of their rows.

GoEmotions at its authors' two levels, learned from train, chosen on dev, and test beside what they published; pairs of
Japanese sentences; the sample's own sheet; what a row costs. Data that is not there is left out.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Figure, cpu_seconds, peak_rss_mb, write
from benchmarks.sample_sheets import GROUPS
from pipelines.scoring.agreement import measured
from pipelines.scoring.local import Label, LocalScorer
from pipelines.scoring.provider import Question
from pipelines.scoring.rubric import Rubric

PROJECT = Path(__file__).resolve().parent.parent
DATA = PROJECT.parent / "shared" / "data"
SAMPLE = PROJECT / "sample/jobs/comments/comments.csv.gz"
EKMAN = {"disgust": ("disgust",), "fear": ("fear", "nervousness"), **GROUPS, "neutral": ("neutral",)}
# Macro-F1 of BERT, fine-tuned on all 43,410 comments of train (Demszky et al., 2020, tables 4 and 5).
PUBLISHED = {"emotions": 0.46, "ekman": 0.64}
# What captions of photographs name, to see where the cosine with a category's name may be called strong.
CAPTIONS = {
    "動物": "犬|猫|馬|牛|象|ゾウ|キリン|鳥|羊|ヒツジ|シマウマ|熊|クマ|動物|ネコ",
    "食べ物": "ピザ|ケーキ|サンド|料理|食べ物|バナナ|ドーナツ|果物|リンゴ|野菜|ホットドッグ|パン",
    "乗り物": "電車|列車|バス|バイク|自転車|車が|飛行機|船|ボート|トラック|ヘリ",
    "スポーツ": "サーフィン|サーフボード|スキー|スノーボード|テニス|野球|スケート|サッカー|バット|ラケット",
}

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Split:
    texts: list[str]
    truth: Bools  # [n, n_categories]


def run(goemotions: Path = DATA / "goemotions", jsts: Path = DATA / "jsts/valid-v1.3.json") -> dict[str, Figure]:
    figures = {**_cost(), **_sample()}
    if jsts.is_file():
        figures |= _japanese(jsts)
    if goemotions.is_dir():
        labels = (goemotions / "labels.txt").read_text("utf-8").split()
        figures |= _level("ekman", EKMAN, goemotions, labels)
        figures |= _level("emotions", {label: (label,) for label in labels}, goemotions, labels)
    return figures


def _level(level: str, groups: dict[str, tuple[str, ...]], folder: Path, labels: Sequence[str]) -> dict[str, Figure]:
    train, dev, test = (_split(folder / f"{name}.tsv", groups, labels) for name in ("train", "dev", "test"))
    rubric = Rubric.of(list(groups))
    rows: list[Label] = [
        (text, tuple(5 if there else 1 for there in truth))
        for text, truth in zip(train.texts, train.truth, strict=True)
    ]
    picked = np.random.default_rng(0).permutation(len(rows))
    figures = {}
    for name, n in (("by_name", 0), ("of_100", 100), ("of_500", 500), ("of_5000", 5_000)):
        answers = _asked(LocalScorer(rubric, [rows[i] for i in picked[:n]]), [*dev.texts, *test.texts])
        named = np.array([[score > 3 for score in answer["scores"].values()] for answer in answers])
        for split_name, split, here in (("dev", dev, named[: len(dev.texts)]), ("test", test, named[len(dev.texts) :])):
            note = f"{len(groups)} categories, {len(split.texts):,} comments; " + (
                f"learned from {n:,} of train's"
                if n
                else "none of a sheet's; the emotion head learnt from train's 43,410"
            )
            figures[f"{level}_macro_f1_{name}_{split_name}"] = Figure(_macro_f1(here, split.truth), "share", note=note)
        if n == 500 and all("confidence" in answer for answer in answers):
            right = (named[len(dev.texts) :] == test.truth).mean(axis=1)
            sure = np.array([answer["confidence"] for answer in answers[len(dev.texts) :]])
            note = (
                f"mean gap of a tenth of test; the mean confidence is {sure.mean():.3f}, {right.mean():.3f} are right"
            )
            figures[f"{level}_confidence_error_test"] = Figure(_gap(sure, right), "share", at_most=0.05, note=note)
    figures[f"{level}_macro_f1_cosine_test"] = Figure(
        _macro_f1(_by_cosine(rubric, test.texts), test.truth), "share", note="of text and name alone, nothing learned"
    )
    common = train.truth.mean(axis=0).argmax()
    figures[f"{level}_macro_f1_majority_test"] = Figure(
        _macro_f1(np.tile(np.arange(len(groups)) == common, (len(test.texts), 1)), test.truth),
        "share",
        note="the commonest category every time",
    )
    figures[f"{level}_macro_f1_published"] = Figure(
        PUBLISHED[level], "share", note="BERT fine-tuned on 43,410 comments, not measured here"
    )
    return figures


def _split(path: Path, groups: dict[str, tuple[str, ...]], labels: Sequence[str]) -> Split:
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(row[0], row[1]) for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    named = [{labels[int(k)] for k in ids.split(",")} for _, ids in rows]
    truth = np.array([[bool(one & set(group)) for group in groups.values()] for one in named])
    return Split([text for text, _ in rows], truth)


def _asked(scorer: LocalScorer, texts: Sequence[str]) -> list[dict[str, Any]]:
    async def ask() -> list[str]:
        async with scorer:
            return [reply.content for reply in await asyncio.gather(*(scorer.ask(Question(text)) for text in texts))]

    return [json.loads(content) for content in asyncio.run(ask())]


def _by_cosine(rubric: Rubric, texts: Sequence[str]) -> Bools:
    from pipelines.lyrics.embeddings import embed
    from pipelines.scoring.by_name import ByName, label_probabilities

    embeddings = embed(texts)
    found = ByName.of(rubric.categories, emotions=False).strengths(embeddings, label_probabilities(embeddings))
    return np.rint(1 + 4 * found) > 3


def _macro_f1(named: Bools, truth: Bools) -> float:
    both = (named & truth).sum(axis=0)
    return float((2 * both / np.maximum(named.sum(axis=0) + truth.sum(axis=0), 1)).mean())


def _gap(sure: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    order = np.argsort(sure, kind="stable")
    return float(np.mean([abs(sure[tenth].mean() - right[tenth].mean()) for tenth in np.array_split(order, 10)]))


def _sample() -> dict[str, Figure]:
    """The demo's own sheet: its 500 scored rows, and people's opinion of the other 1,000."""
    text = gzip.decompress(SAMPLE.read_bytes()).decode("utf-8")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    rubric = Rubric.of(list(GROUPS))
    labelled: list[Label] = [(row["utterance"], tuple(int(row[name]) for name in GROUPS)) for row in rows if row["joy"]]
    others = [row for row in rows if not row["joy"]]
    figures = {}
    for name, known in (("learned", labelled), ("by_name", [])):
        answers = _asked(LocalScorer(rubric, known), [row["utterance"] for row in others])
        people = [tuple(int(row[f"human_{category}"]) for category in GROUPS) for row in others]
        found = measured([(tuple(a["scores"].values()), p) for a, p in zip(answers, people, strict=True)], rubric)
        assert found is not None
        kappa = np.mean([c.kappa.value for c in found.categories if c.kappa])
        low, high = found.macro_f1.low, found.macro_f1.high
        note = f"{len(others):,} rows, {low:.3f} to {high:.3f}; mean weighted kappa {kappa:.3f}"
        figures[f"sample_macro_f1_{name}"] = Figure(found.macro_f1.value, "share", note=note)
        if known:
            figures["sample_accuracy"] = Figure(
                found.accuracy.value, "share", at_least=found.baseline_accuracy, note="the very score; learned"
            )
            figures["sample_accuracy_majority"] = Figure(found.baseline_accuracy, "share", note="the commonest score")
            figures["sample_macro_f1_constant"] = Figure(found.baseline_macro_f1, "share", note="the highest score")
    return figures


def _japanese(path: Path) -> dict[str, Figure]:
    from scipy.stats import pearsonr, spearmanr

    from pipelines.lyrics.embeddings import embed

    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    first, second = (embed([row[f"sentence{k}"] for row in rows]) for k in (1, 2))
    cosine, people = (first * second).sum(axis=1), [row["label"] for row in rows]
    note = f"JSTS v1.3 valid, {len(rows):,} pairs, cosine, nothing trained; a person reaches"
    texts = sorted({row[f"sentence{k}"] for row in rows for k in (1, 2)})
    answers = _asked(LocalScorer(Rubric.of(list(CAPTIONS))), texts)
    named = np.array([[score > 3 for score in answer["scores"].values()] for answer in answers])
    truth = np.array([[bool(re.search(words, text)) for words in CAPTIONS.values()] for text in texts])
    return {
        "jsts_pearson": Figure(float(pearsonr(cosine, people).statistic), "r", at_least=0.75, note=f"{note} 0.899"),
        "jsts_spearman": Figure(float(spearmanr(cosine, people).statistic), "rho", at_least=0.75, note=f"{note} 0.861"),
        "captions_macro_f1_by_name": Figure(
            _macro_f1(named, truth), "share",
            note=f"{len(texts):,} captions, 4 Japanese names; true where one of about 12 words is in it, so no more "
            "than a hint; the cosine's threshold was chosen on them",
        ),
        "captions_macro_f1_always": Figure(_macro_f1(np.ones_like(truth), truth), "share", note="every category"),
    }  # fmt: skip


def _cost() -> dict[str, Figure]:
    text = gzip.decompress(SAMPLE.read_bytes()).decode("utf-8")
    texts = [row["utterance"] for row in csv.DictReader(io.StringIO(text, newline=""))]
    rubric = Rubric.of(list(GROUPS))
    _asked(LocalScorer(rubric), texts[:1])
    few, many = (cpu_seconds(lambda n=n: _asked(LocalScorer(rubric), texts[:n])) for n in (100, 1_500))  # type: ignore[misc]
    code = (
        "import sys\n"
        "from benchmarks.bench_scoring_quality import GROUPS, LocalScorer, Rubric, _asked\n"
        "_asked(LocalScorer(Rubric.of(list(GROUPS))), [f'{i} {sys.argv[1]}' for i in range(2000)])"
    )
    long = "I was walking along the river and thought about all of the things that had happened. " * 120
    return {
        "row_cpu": Figure(1000 * (many - few) / 1_400, "ms", at_most=4, note="a comment of 60 characters, warm"),
        "peak_memory": Figure(peak_rss_mb(code, "x " * 30), "MB", at_most=400, note="a fresh process, 2,000 rows"),
        "peak_memory_long": Figure(
            peak_rss_mb(code.replace("2000", "300"), long), "MB", at_most=400, note="300 rows of 10,000 characters"
        ),
    }


if __name__ == "__main__":
    print(write("scoring_quality", run()).read_text())
