"""Commands of scoring: a sheet scored by a language model, or by the local scorer. Arguments are cli.py's."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import BadInput
from pipelines.settings import Settings

if TYPE_CHECKING:
    from pipelines.scoring.jobs import Report, Watch
    from pipelines.scoring.pipeline import Progress

Answer = tuple[dict[str, Any], str]


def score(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines.scoring import jobs
    from pipelines.scoring.jobs import Asking, Wish
    from pipelines.scoring.rubric import HIGHEST, LOWEST, Rubric
    from pipelines.studio import Studio

    rubric = Rubric.parse(
        arguments.categories,
        scale=tuple(arguments.scale or (LOWEST, HIGHEST)),
        instructions=_instructions(arguments.instructions),
    )
    studio = Studio.open(settings)
    asking = Asking.of(
        studio,
        provider=arguments.provider,
        model=arguments.model,
        base_url=arguments.base_url,
        column=arguments.column,
        video=arguments.video,
    )
    out = Path(arguments.out).expanduser() if arguments.out else None
    wish = Wish(_place(arguments.sheet), rubric, asking, out, arguments.concurrency)
    try:
        with _bar(arguments.json) as watch:
            report = jobs.score(studio, wish, resume=arguments.resume, watch=watch)
    finally:
        studio.database.close()
    return _told(report)


def _place(text: str) -> str:
    return text if "://" in text else str(Path(text).expanduser().resolve())


def _instructions(text: str | None) -> str:
    """The words themselves, or ``@FILE`` for those of a file."""
    if text is None or not text.startswith("@"):
        return text or ""
    path = Path(text[1:]).expanduser()
    try:
        with path.open(encoding="utf-8-sig") as file:
            return file.read(100_000)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(path, "cannot be read as text", "give --instructions the words, or @ and a text file") from error


@contextmanager
def _bar(quiet: bool) -> Iterator[Watch | None]:
    """On the error stream, where a person looks on; nothing for a program."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(
        unit="row", dynamic_ncols=True, smoothing=0.1, bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt}{postfix}"
    ) as bar:

        def watch(now: Progress) -> None:
            bar.total, bar.n = now.of, now.rows
            left = "" if now.eta is None else f", {_clock(now.eta)} left"
            bar.set_postfix_str(f"{now.rate:,.0f} rows/s{left}{_costs(now)}", refresh=False)
            bar.refresh()

        yield watch


def _costs(now: Progress) -> str:
    tally = now.tally
    parts = [
        f"{tally.throttled:,} 429s" if tally.throttled else "",
        f"{100 * tally.hit_rate:.0f} % cached" if tally.cache_hits else "",
        f"${tally.cost:,.2f}" if tally.cost else "",
    ]
    return "".join(f", {part}" for part in parts if part)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def _told(report: Report) -> Answer:
    tally, written = report.tally, report.written
    rate = tally.rows / report.seconds if report.seconds else 0.0
    result = {
        **asdict(tally),
        "done_now": tally.rows,
        "out": written.place,
        "score_job": report.score_job_id,
        "rows": written.rows,
        "written": asdict(written),
        "seconds": round(report.seconds, 2),
        "rate": round(rate, 1),
        "hit_rate": round(tally.hit_rate, 4),
        "failed_chunks": dict(report.failed),
        "exit_code": 1 if report.failed else 0,
    }
    lines = [f"{written.rows:,} rows hold scores: {written.place}"]
    lines.append(f"  {tally.rows:,} rows in {report.seconds:.1f} s ({rate:,.0f} a second), {tally.requests:,} requests")
    if tally.throttled or tally.failed:
        lines.append(f"  {tally.throttled:,} of them were turned away (429), {tally.failed:,} brought nothing usable")
    if tally.cache_hits:
        lines.append(f"  {tally.cache_hits:,} rows cost no request ({100 * tally.hit_rate:.0f} %)")
    if tally.tokens_in or tally.tokens_out:
        price = f", ${tally.cost:,.4f}" if tally.cost else ""
        lines.append(f"  {tally.tokens_in:,} tokens read, {tally.tokens_out:,} written{price}")
    middle = {"fallbacks": "the model never answered in the form asked for", "refused": "the provider refused them"}
    middle["too_long"] = "they are too long to be asked about"
    for name, words in middle.items():
        if count := getattr(tally, name):
            lines.append(f"  {count:,} rows got the middle of the scale, see score_flag: {words}")
    kept = {"kept": "cells that were filled are as they were", "moved": "rows were moved, and found again"}
    kept["gone"] = "rows were changed or deleted meanwhile, and are not written"
    lines += [f"  {count:,} {words}" for name, words in kept.items() if (count := getattr(written, name))]
    for chunk, reason in list(report.failed.items())[:5]:
        lines.append(f"  chunk {chunk} was given up: {reason}")
    if report.failed:
        lines.append("  the same command with --resume asks for what is missing")
    return result, "\n".join(lines)
