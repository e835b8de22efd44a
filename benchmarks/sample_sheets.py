"""Makes the sample's sheets: ``python -m benchmarks.sample_sheets GOEMOTIONS JSTS.json`` (folder; file).

Comments come from GoEmotions' dev (scored by people) and test split (to be scored): what the product ships learnt from
the train split, and would recognise its comments. The same input always gives the same bytes.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

JOBS = Path(__file__).resolve().parent.parent / "sample" / "jobs"
SCORED, TO_SCORE = 500, 1_000  # comments
CAPTIONS = 200

# The four of Ekman's six emotions that enough comments have, and their labels, as the data set's authors grouped them
# (Demszky et al., 2020). A comment may have several or none.
GROUPS = {
    "joy": (
        *("joy", "amusement", "approval", "excitement", "gratitude", "love", "optimism", "relief", "pride"),
        *("admiration", "desire", "caring"),
    ),
    "sadness": ("sadness", "disappointment", "embarrassment", "grief", "remorse"),
    "anger": ("anger", "annoyance", "disapproval"),
    "surprise": ("surprise", "realization", "confusion", "curiosity"),
}

# Beginnings of words that nobody wants to meet in a sample: profanity, slurs, sex, violence, drugs, faith and party.
_UNWANTED = re.compile(
    r"\b(f+u+c*k|fck|fk|wtf|stfu|lmfao|sh+[i!*]t|bullsh|bs\b|crap|damn|dammit|goddam|hell\b|ass\b|arse|asshole|\w+ass\b"
    r"|bitch|bastard|bugger|bloody|piss|dick|cock|pussy|cunt|twat|tit|boob|balls|wank|slut|whore|hoe|thot|prick|douche"
    r"|jerk|screw|suck|blow|cum\b|jizz|porn|sex|nude|naked|rape|rapist|molest|pedo|paedo|incest|virgin|horny|penis|vagin"
    r"|nigg|negro|fag|dyke|tranny|trans|gay|lesb|queer|homo|retard|autis|cripple|spastic|midget|chink|gook|spic|kike"
    r"|paki|redneck|white|black|racis|nazi|hitler|holocaust|jew|muslim|islam|christian|god\b|jesus|church|religio|abortion"
    r"|trump|republican|democrat|liberal|conservativ|commie|fascis|maga|feminis|incel|immigra|illegal|terroris|isis\b|brexit|antifa|sjw"
    r"|kill|murder|suicid|die\b|died|dying|dead|death|shoot|shot|gun|stab|hang|abus|beat|slap|torture|blood"
    r"|drug|weed|cocaine|heroin|meth|drunk|stoned|idiot|moron|stupid|dumb|imbecile|loser|ugly|fat\b|trash|scum|hate"
    r"|ejac|boner|dildo|kink|squirt|fecal|turd|pregn|impregn|shroom|sativa|reefer|addict|psycho|lynch|slave|honkie|bomb"
    r"|nuke|firearm|israel|palest|muzzle|euthan|victim|jail|prison|embalm|burial)",
    re.IGNORECASE,
)


def main(goemotions: Path, jsts: Path) -> None:
    labels = (goemotions / "labels.txt").read_text("utf-8").split()
    scored = _chosen(_comments(goemotions / "dev.tsv", labels), SCORED)
    to_score = _chosen(_comments(goemotions / "test.tsv", labels), TO_SCORE)
    blank = ("",) * len(GROUPS)
    rows = [(text, *scores, *blank) for text, scores in scored] + [(text, *blank, *scores) for text, scores in to_score]
    header = ("utterance", *GROUPS, *(f"human_{name}" for name in GROUPS))
    # Scored ones and others mixed, as in the sheet of somebody who began at several places.
    _write(JOBS / "comments/comments.csv.gz", header, sorted(rows, key=_order))
    captions = {(json.loads(line)["sentence1"].strip(), ()) for line in jsts.read_text("utf-8").splitlines()}
    _write(JOBS / "captions/captions.csv.gz", ("utterance",), [(text,) for text, _ in _chosen(captions, CAPTIONS)])


def _comments(path: Path, labels: Sequence[str]) -> set[tuple[str, tuple[str, ...]]]:
    """(text, score a group): 5 where its people named one of the group's labels, 1 where they did not."""
    found = set()
    with path.open(encoding="utf-8", newline="") as file:
        for text, ids, _ in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if text[:1] == text[-1:] == '"':  # some were quoted as in a CSV
                text = text[1:-1].replace('""', '"')
            text = " ".join(text.split())
            named = {labels[int(k)] for k in ids.split(",")}
            if 12 <= len(text) <= 120 and not _UNWANTED.search(text) and "http" not in text and "r/" not in text:
                found.add((text, tuple("5" if named & set(group) else "1" for group in GROUPS.values())))
    return found


def _chosen(rows: Iterable[tuple[str, tuple[str, ...]]], n: int) -> list[tuple[str, tuple[str, ...]]]:
    """``n`` rows, the same in every run, no text twice."""
    return sorted(dict(sorted(rows)).items(), key=_order)[:n]


def _order(row: Sequence[object]) -> bytes:
    return sha256(str(row[0]).encode()).digest()


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(text.getvalue().encode(), 9, mtime=0))
    print(f"{path}: {len(rows)} rows, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m benchmarks.sample_sheets GOEMOTIONS JSTS.json")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
