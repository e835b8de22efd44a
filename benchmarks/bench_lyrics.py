"""Lyrics: what a phrase costs, and how often the emotions and the embeddings are right, in English and in Japanese.

GoEmotions and JSTS are not part of the project: their figures are taken when the folders named by the arguments of
``run`` are there, else the ones that the head's card holds.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measure import Figure, cpu_seconds, peak_rss_mb, write
from pipelines.lyrics.analysis import EMOTIONS, analyse
from pipelines.lyrics.embeddings import embed
from pipelines.lyrics.emotion import load_head, membership, predict_emotions
from pipelines.lyrics.train_emotions import majority, read_split, score

PROJECT = Path(__file__).resolve().parent.parent
DATA = PROJECT.parent / "shared" / "data"
JAPANESE = Path(__file__).with_name("japanese_emotions.tsv")
SONG = PROJECT / "sample/jobs/daffodils/daffodils.lrc"


def run(goemotions: Path = DATA / "goemotions", jsts: Path = DATA / "jsts/valid-v1.3.json") -> dict[str, Figure]:
    return {**_cost(), **_japanese(), **_emotions(goemotions), **_similarity(jsts)}


def _cost() -> dict[str, Figure]:
    load = cpu_seconds(lambda: analyse(SONG))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.txt"
        path.write_text(
            "\n".join(line.split("\t")[0] for line in JAPANESE.read_text("utf-8").splitlines() * 25), "utf-8"
        )
        phrases = len(analyse(path).texts)
        phrase = min(cpu_seconds(lambda: analyse(path)) for _ in range(3)) / phrases
    code = "import sys\nfrom pipelines.lyrics.analysis import analyse\nanalyse(sys.argv[1])"
    return {
        "first_song_cpu": Figure(load, "s", at_most=6, note="loads the encoder and the head, 12 phrases"),
        "phrase_cpu": Figure(1000 * phrase, "ms", at_most=10, note=f"mean of {phrases} Japanese phrases, warm"),
        "peak_memory": Figure(peak_rss_mb(code, str(SONG)), "MB", at_most=400, note="a fresh process, one song"),
    }


def _japanese() -> dict[str, Figure]:
    rows = [line.split("\t") for line in JAPANESE.read_text("utf-8").splitlines() if not line.startswith("#")]
    named = predict_emotions(embed([text for text, _ in rows])).argmax(axis=1)
    right = float(np.mean([EMOTIONS[k] == emotion for k, (_, emotion) in zip(named, rows, strict=True)]))
    note = (
        f"{len(rows)} own sentences, {len(EMOTIONS)} emotions, chance {1 / len(EMOTIONS):.3f}; the head learnt English"
    )
    return {"emotion_accuracy_ja": Figure(right, "share", at_least=0.7, note=note)}


def _emotions(folder: Path) -> dict[str, Figure]:
    """Of the one emotion named a comment: how often the annotators gave it, and macro-F1, beside the majority's."""
    head = load_head()
    if not folder.is_dir():
        figures = {}
        for name in ("dev", "test", "majority"):
            for value, kind in zip(re.findall(r"\d\.\d+", head.card[name]), ("hit_rate", "macro_f1"), strict=True):
                figures[f"emotion_{kind}_{name}"] = Figure(float(value), "share", note="from the card of the weights")
        return figures
    figures = {}
    for name, at_least in (("dev", None), ("test", 0.6)):
        split = read_split(folder, name, head.labels)
        ours, plain = score(head.predict(split.embeddings), split, head.labels), majority(split, head.labels)
        single = (split.fine @ membership(head.labels) > 0).sum(axis=1) == 1
        note = f"{len(single)} comments, {np.mean(~single):.0%} of them with several emotions"
        figures |= {
            f"emotion_hit_rate_{name}": Figure(ours.hit_rate, "share", at_least=at_least, note=note),
            f"emotion_macro_f1_{name}": Figure(ours.macro_f1, "share", note=note),
            f"emotion_hit_rate_majority_{name}": Figure(plain.hit_rate, "share", note="always the commonest emotion"),
            f"emotion_macro_f1_majority_{name}": Figure(plain.macro_f1, "share", note="always the commonest emotion"),
        }
    return figures


def _similarity(path: Path) -> dict[str, Figure]:
    if not path.is_file():
        return {}
    from scipy.stats import spearmanr

    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    first, second = embed([row["sentence1"] for row in rows]), embed([row["sentence2"] for row in rows])
    rho = float(spearmanr((first * second).sum(axis=1), [row["label"] for row in rows]).statistic)
    note = f"JGLUE JSTS valid, {len(rows)} pairs, cosine, nothing trained; a person reaches 0.861"
    return {"jsts_spearman": Figure(rho, "rho", at_least=0.75, note=note)}


if __name__ == "__main__":
    path = write("lyrics", run())
    for name, figure in json.loads(path.read_text())["figures"].items():
        print(f"{name:32} {figure['value']:9.3f} {figure['unit']:6} {figure['note']}")
