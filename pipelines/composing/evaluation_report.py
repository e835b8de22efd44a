"""The page on which a person decides about a harmoniser: verdict, every harmoniser, voice leading, curves, pieces.

One file, no network. Figures come from evaluation.py, sentences against it from gates.py, places of marks from
evaluation_drawings.py; the style is that of the recommender's page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.composing import evaluation_drawings as drawings
from pipelines.composing.evaluation import BACH, LIVE, NAME, ONE_SHOT, SETS, WORDS, ranked
from pipelines.composing.gates import MOST
from pipelines.recommending import report as house
from pipelines.recommending.report_drawings import intervals

FOLDER = Path(__file__).parent
TITLES = {
    "valid": ("Validation pieces", "These decide: weights were chosen on them, and the gate asks about them."),
    "test": ("Test pieces", "These decide nothing. They tell how the model does on pieces that chose nothing of it."),
}
SET_TITLES = {"all": "All pieces", "disjoint": "Pieces that share no tune with those it learned from"}
EXPLAINED = (
    ("Frames", "Share of the sixteenths at which alto, tenor or bass has exactly Bach's pitch. Many other settings of "
     "a melody are as good, so nobody comes near 1; it tells harmonisers apart, not good from bad."),
    ("Onsets", "The same at those sixteenths alone at which Bach's voice comes to a new note."),
    ("Beat chords", "Share of the beats at which the four voices together have the pitch classes that Bach's have."),
    ("Parallels", "Two voices that move in one direction from a fifth to a fifth, or from an octave to an octave, in "
     "100 changes of chord; looked for from beat to beat, and from eighth to eighth."),
    ("Crossing", "Share of the sixteenths at which a voice sounds above the one that should be above it."),
    ("Interval", "95 % of what comes out when as many pieces are drawn anew, with repeats, 1,000 times."),
    ("A tune of its own", "A piece no three bars of whose melody occur, in any key, in the training or validation "
     "pieces. Bach set many tunes several times, and a memory of them helps with those."),
)  # fmt: skip
SCORERS = {
    NAME: "network, memory of melodies, and decoding of whole pieces under the rules of voice leading",
    LIVE: "the version that serves now, asked again today",
    ONE_SHOT: "the likeliest pitch of each voice by itself, from the network without memory and decoding",
    "boosted_trees": "LightGBM, one ensemble a voice; the voices do not know of each other",
    "hidden_markov": "the likeliest path through the voicings of the training pieces",
    "most_frequent_voicing": "what is most often sung under this degree of the scale",
    "fixed_intervals": "each voice at its commonest distance below the soprano",
    BACH: "what he wrote, counted alike",
}


def html(
    evaluations: Mapping[str, Mapping[str, Any]],
    *,
    curves: Sequence[Mapping[str, Any]] = (),
    problems: Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
    rolls: Sequence[drawings.Roll] = (),
) -> str:
    """The page. ``evaluations``: Evaluation.to_json() by split; ``curves``: the epochs of the training as mappings;
    ``problems``: gates.problems' sentences; ``facts``: what else is to be known of the candidate; ``rolls``: pieces to
    look at."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from pipelines.recommending import report_wording

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = "".join(
        path.read_text(encoding="utf-8") for path in (house.FOLDER / "report.css", FOLDER / "evaluation_report.css")
    )
    shown = [_section(split, judged) for split, judged in evaluations.items()]
    return environment.get_template("evaluation_report.html.j2").render(
        style=Markup(style),  # noqa: S704 - our own files
        allowed=not problems,
        problems=problems,
        summary=[section["summary"] for section in shown if section["summary"]],
        splits=shown,
        curves=drawings.curves(curves),
        rolls=rolls,
        facts=report_wording.facts(facts or {}),
        words=WORDS,
        candidate=NAME,
        bach=BACH,
        most=MOST,
        explained=EXPLAINED,
        scorers=SCORERS,
    )


def _section(split: str, judged: Mapping[str, Any]) -> dict[str, Any]:
    title, asks = TITLES.get(split, (split, ""))
    sets = [_set(judged, pieces) for pieces in SETS if judged["n"].get(pieces)]
    differences = [
        (other, {pieces: _difference(figures) for pieces, figures in judged["differences"][other].items()})
        for other in ranked(judged)
        if other in judged["differences"]
    ]
    return {
        "id": split,
        "title": title,
        "asks": asks,
        "n": judged["n"],
        "sets": sets,
        "differences": differences,
        "scatter": drawings.scatter(judged),
        "summary": _summary(judged, title),
        "seconds": {name: one["seconds"] for name, one in judged["scorers"].items()},
    }


def _set(judged: Mapping[str, Any], pieces: str) -> dict[str, Any]:
    names = ranked(judged, pieces)
    figures = {name: judged["scorers"][name][pieces] for name in names}
    others = [name for name in names if name != BACH]
    drawn = {name: dict(zip(("mean", "low", "high"), figures[name]["frames"], strict=True)) for name in others}
    return {
        "title": SET_TITLES[pieces],
        "pieces": pieces,
        "n": judged["n"][pieces],
        "names": names,
        "figures": figures,
        "drawn": intervals(drawn, judged["best_simple"] or ""),
    }


def _difference(figures: Mapping[str, Any]) -> dict[str, Any]:
    value, low, high = figures["frames"]
    if value is None or low is None or high is None:
        return {"value": "–", "between": "", "sign": 0, "words": "unknown"}
    sign = 1 if low > 0 else -1 if high < 0 else 0
    words = {1: "clearly more", -1: "clearly fewer", 0: "cannot be told apart"}[sign]
    return {"value": f"{value:+.3f}", "between": f"{low:+.3f} to {high:+.3f}", "sign": sign, "words": words}


def _summary(judged: Mapping[str, Any], title: str) -> str:
    if NAME not in judged["scorers"] or judged["best_simple"] is None:
        return ""
    ours, theirs = judged["scorers"][NAME]["all"], judged["scorers"][judged["best_simple"]]["all"]
    if ours["frames"][0] is None or ours["parallels_beats"][0] is None:
        return ""
    return (
        f"{title}: {ours['frames'][0]:.3f} of the sixteenths are Bach's, {theirs['frames'][0]:.3f} by the best simple "
        f"one ({WORDS[judged['best_simple']]}); {ours['parallels_beats'][0]:.2f} parallels on beats and "
        f"{ours['parallels_eighths'][0]:.2f} on eighths in 100 chord changes."
    )
