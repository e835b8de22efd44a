"""The ``orimono`` command: its arguments, exit codes and output. What each command does stands in commands.py."""

from __future__ import annotations

import argparse
import functools
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NoReturn

from pipelines import settings
from pipelines.errors import BadInput, OrimonoError, Unavailable

EXIT_FAILED, EXIT_BAD_INPUT = 1, 2
Command = Callable[[str, str], argparse.ArgumentParser]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. 0: done, 1: failed, 2: bad input; with --json one object on stdout, logs on stderr."""
    arguments = parser().parse_args(argv)
    try:
        config = settings.load()
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(message)s")
        for room in ("pipelines", "resources", "serving"):  # libraries speak only when something is wrong
            logging.getLogger(room).setLevel(config.log_level)
        result, text = arguments.run(arguments, config)
    except OrimonoError as error:
        kind = (
            "bad_input"
            if isinstance(error, BadInput)
            else "unavailable"
            if isinstance(error, Unavailable)
            else "failed"
        )
        _fail(arguments, kind, str(error))
        return EXIT_BAD_INPUT if isinstance(error, BadInput) else EXIT_FAILED
    except KeyboardInterrupt:
        again = "the same command with --resume" if hasattr(arguments, "resume") else "the same command"
        _fail(arguments, "interrupted", f"interrupted; what was done is kept and {again} goes on from there")
        return EXIT_FAILED
    except Exception as error:
        logging.getLogger(__name__).debug("defect", exc_info=True)
        _fail(
            arguments, "defect", f"Orimono itself failed ({type(error).__name__}: {error}); see ORIMONO_LOG_LEVEL=DEBUG"
        )
        return EXIT_FAILED
    try:
        print(json.dumps(_finite(result), ensure_ascii=False) if arguments.json else text, flush=True)
    except BrokenPipeError:  # `orimono status | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(result.get("exit_code", 0)) if isinstance(result, dict) else 0


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments as every other bad input is said."""

    def error(self, message: str) -> NoReturn:
        if "--json" in sys.argv:
            print(json.dumps({"error": {"kind": "bad_input", "message": message}}, ensure_ascii=False))
        super().error(message)


def parser() -> argparse.ArgumentParser:
    from serving import (
        backfill_commands,
        commands,
        composing_commands,
        deploy_commands,
        governance_commands,
        key_commands,
        mastering_commands,
        model_commands,
        recommending_commands,
        scoring_commands,
        upkeep_commands,
    )

    root = _Parser(prog="orimono", description="A studio's uploads become features, models and finished work.")
    subparsers = root.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, help: str, module: ModuleType = commands) -> argparse.ArgumentParser:
        sub = subparsers.add_parser(name, help=help, description=help)
        sub.add_argument("--json", action="store_true", help="print one JSON object on stdout")
        sub.set_defaults(run=getattr(module, name))
        return sub

    features = command("features", "feature vector, loudness and tempo of a sound file")
    features.add_argument("file")

    analyse = command("analyse", "frame rate, frames, shot boundaries, motion and histograms of a clip")
    analyse.add_argument("video")

    edit = command("edit", "edits of a music video, as timelines, MP4s and a quality report")
    edit.add_argument("--music", required=True, help="the song: wav, flac, ogg, mp3, m4a")
    edit.add_argument("--video", required=True, nargs="+", action="extend", help="one clip or more")
    edit.add_argument("--lyrics", help=".lrc, .srt or plain text")
    edit.add_argument("--duration", type=float, help="seconds; 60, or the whole song when it is shorter")
    edit.add_argument(
        "--patterns", default="dynamic,narrative,hybrid", help="which edits to make (default: %(default)s)"
    )
    edit.add_argument("--fps", default="25", help="such as 25, 29.97 or 30000/1001")
    edit.add_argument("--no-render", action="store_true", help="timelines only; quality is then not measured")
    edit.add_argument("--out", required=True, help="folder for the results")

    _add_mastering(functools.partial(command, module=mastering_commands))
    _add_composing(functools.partial(command, module=composing_commands))
    _add_recommending(functools.partial(command, module=recommending_commands))
    _add_scoring(functools.partial(command, module=scoring_commands))
    _add_models(functools.partial(command, module=model_commands))
    _add_governance(functools.partial(command, module=governance_commands))
    _add_keys(functools.partial(command, module=key_commands))
    _add_upkeep(functools.partial(command, module=upkeep_commands))

    _add_backfills(functools.partial(command, module=backfill_commands))

    ingest = command("ingest", "put a job folder into the inbox")
    ingest.add_argument("dir")

    command("status", "what runs, what failed and why")
    command("retry", "run failed items and batches again")
    command("config", "all settings with their defaults")
    up = command("up", "start the Dagster UI and daemon, the API and the admin pages on loopback")
    up.add_argument("--port", type=int, help="of the Dagster UI; ORIMONO_PORT by default")
    up.add_argument("--api-port", type=int, help="of the API and the pages; ORIMONO_API_PORT by default")
    serve = command("serve", "start the API and the admin pages alone; log lines are JSON on stderr")
    serve.add_argument("--port", type=int, help="ORIMONO_API_PORT by default")
    command("migrate", "bring databases and object store to this version's state, and end", module=deploy_commands)
    demo = command("demo", "make everything from the sample library and say where it lies")
    demo.add_argument("--samples", help="folder of job folders; the project's own by default")
    return root


def _count(text: str) -> int:
    """argparse words the ValueError."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value


_count.__name__ = "whole number above 0"


def _add_mastering(command: Command) -> None:
    align = command("align", "where a vocal lies in its instrumental: lag, drift, confidence, ok or warn or fail")
    align.add_argument("inst")
    align.add_argument("vocal")
    align.add_argument("--picture", help="PNG of the lag over time")

    master = command("master", "masters a mix; parameters, loudness and true peak before and after")
    master.add_argument("input", metavar="IN")
    master.add_argument("--out", required=True, help="the master: .wav, .flac, .m4a, .mp3 or .ogg")
    master.add_argument("--preset", help="see `orimono presets`; suggested when left out")
    master.add_argument("--target", type=float, help="LUFS, in place of the preset's")
    master.add_argument("--alone", action="store_true", help="no preview, waveform and before/after picture beside it")
    command("presets", "the mastering presets and what each is for")

    label = command("label", "corrects what a mastered job is labelled with; models learn from it")
    label.add_argument("job")
    answer = label.add_mutually_exclusive_group(required=True)
    answer.add_argument("--preset")
    answer.add_argument("--alignment", choices=("right", "wrong"), help="whether the lag that was found is right")
    answer.add_argument("--settings", type=float, nargs=4, metavar=("LOW_DB", "HIGH_DB", "COMP_DB", "LUFS"))


def _add_backfills(command: Command) -> None:
    stale = command("stale", "batches whose items an older version of the code made, by step")
    stale.add_argument("step", nargs="*", help="such as music_features; all steps by default")

    backfill = command("backfill", "make a step of chosen batches anew; what the present code made costs nothing")
    backfill.add_argument("step", help="such as music_features")
    which = backfill.add_mutually_exclusive_group()
    which.add_argument("--stale", action="store_true", help="batches that `orimono stale` lists (the default)")
    which.add_argument("--batches", help="keys and spans: 20261121-0001,20261121-0004..20261121-0010")
    which.add_argument("--all", action="store_true", help="every batch that has ended")
    backfill.add_argument("--downstream", action="store_true", help="and every step that works from it")
    backfill.add_argument("--dry-run", action="store_true", help="only say what would be made")
    backfill.add_argument("--wait", action="store_true", help="until it has ended; 1 when a batch failed")
    backfill.add_argument("--here", action="store_true", help="in this process, though a Dagster may run")


def _share(text: str) -> float:
    """argparse words the ValueError."""
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError
    return value


_share.__name__ = "number from 0 to 1"


def _add_composing(command: Command) -> None:
    from pipelines.composing.piece import ROLES
    from pipelines.composing.wishes import STYLES

    harmonize = command("harmonize", "a melody with the parts that it lacks, as MIDI files and something to hear")
    harmonize.add_argument("input", help="MIDI file with a melody")
    harmonize.add_argument(
        "--out", required=True, help="MIDI file; further candidates, a report and previews lie beside it"
    )
    harmonize.add_argument("--style", choices=STYLES, default="chorale", help="default: %(default)s")
    harmonize.add_argument("--candidates", type=_count, default=1, help="how many, ranked (default: %(default)s)")
    harmonize.add_argument(
        "--seed",
        type=int,
        default=0,
        help="another one draws other candidates; a chorale's most likely setting is always among them",
    )
    harmonize.add_argument("--track", help="the melody's, by number from 1 or by name; found out by default")
    harmonize.add_argument("--key", help="such as 'F# minor'; found out by default")
    harmonize.add_argument("--chords", help="given chords, such as 'C | Am F | %% | G7', or a .txt file of them")
    harmonize.add_argument("--groove", help="pop: ballad, rock, folk, waltz ...; chosen by metre and tempo by default")
    harmonize.add_argument("--density", type=float, help="pop: 0 (sparse) to 1")
    harmonize.add_argument("--energy", type=float, help="pop: 0 (quiet) to 1")
    harmonize.add_argument(
        "--section", action="append", help="pop: NAME:BARS[:DENSITY:ENERGY], such as chorus:9-16:0.8:0.9"
    )
    harmonize.add_argument("--instrument", action="append", metavar="ROLE=PROGRAM", help="such as bass=33")
    harmonize.add_argument("--earlier", help="an arrangement to go on from: what is kept of it says the rest")
    harmonize.add_argument("--keep-voices", help="of --earlier, in every bar: alto,bass")
    harmonize.add_argument("--keep-bars", help="of --earlier, in every voice: 1-4,9")
    harmonize.add_argument("--bars", help="of --earlier, the only ones to make anew: 5-8")
    harmonize.add_argument("--owner", help="whose style and taste count; candidates are recorded under that name")
    sound = harmonize.add_mutually_exclusive_group()
    sound.add_argument("--silent", action="store_true", help="render nothing to listen to")
    sound.add_argument("--wav", action="store_true", help="the whole sound as WAV, too, beside the preview")

    choose = command("choose", "tells which candidate was taken, so that the next ones are ranked accordingly")
    choose.add_argument("file", help="as `orimono harmonize --owner` wrote it")
    choose.add_argument("--owner", required=True)

    style = command("style", "a composer's own style: shown, learned from their MIDI files, or forgotten")
    style.add_argument("--owner", required=True)
    what = style.add_mutually_exclusive_group()
    what.add_argument("--learn", metavar="FOLDER", help="MIDI files of their own pieces")
    what.add_argument("--forget", action="store_true", help="delete every version")
    style.add_argument("--consent", action="store_true", help="they consent to learning from this folder")

    plugins = command("plugins", "instruments for a part, as suggested, chosen, or found on this machine")
    plugins.add_argument("role", nargs="?", default="melody", choices=ROLES)
    plugins.add_argument("--style", choices=STYLES, default="pop", help="default: %(default)s")
    plugins.add_argument("--owner", help="whose choices count most")
    plugins.add_argument("--limit", type=_count, default=5)
    either = plugins.add_mutually_exclusive_group()
    either.add_argument(
        "--scan", nargs="*", metavar="FOLDER", help="look for VST 3 and CLAP plug-ins (default: usual folders)"
    )
    either.add_argument("--choose", metavar="FORMAT:ID", help="keep that this instrument was taken for the part")
    plugins.add_argument("--again", action="store_true", help="with --scan: ask those that failed, too")


def _add_recommending(command: Command) -> None:
    recommend = command("recommend", "a viewer's list: videos, scores, reasons, and the version that chose them")
    recommend.add_argument("user", help="the viewer's name or id; somebody unknown gets what is popular")
    recommend.add_argument("--limit", type=_count, default=20, help="places (default: %(default)s)")
    recommend.add_argument("--genre", action="append", default=[], help="only videos of this genre; may be repeated")
    recommend.add_argument("--without-genre", action="append", default=[], help="none of this genre; may be repeated")
    recommend.add_argument("--unavailable-too", action="store_true", help="also videos that cannot be watched now")
    recommend.add_argument("--diversity", type=_share, default=0.0, help="0: the best, 1: as unlike as possible")
    recommend.add_argument("--exploration", type=_share, default=0.0, help="how much chance has a say, 0 to 1")
    recommend.add_argument("--seed", type=int, help="makes a list with exploration repeatable")

    decide = command("decide", "keeps what a viewer decided about a video; their next list knows it")
    decide.add_argument("user", help="the viewer's name or id")
    decide.add_argument("video", help="as the studio calls it, or its id")
    decide.add_argument("decision", choices=("like", "watch", "skip", "dislike"))
    decide.add_argument("--rating", type=float)
    decide.add_argument("--at", help="when, such as 2026-11-21T18:30+09:00 (UTC without a zone); now by default")
    decide.add_argument(
        "--limit", type=_count, default=5, help="places of the list that is shown (default: %(default)s)"
    )

    embeddings = command("embeddings", "which set of embeddings serves each version; takes one back")
    embeddings.add_argument("--back", metavar="VERSION", help="serve this version by its set before")
    embeddings.add_argument("--reason", help="stands in the audit trail")


def _add_scoring(command: Command) -> None:
    from pipelines.scoring.providers import NAMES

    score = command("score", "scores every row of a sheet by categories, and goes on where it was left")
    score.add_argument("sheet", metavar="SHEET", help="CSV, XLSX, Parquet or the address of a Google Sheet")
    score.add_argument("--categories", required=True, help="such as joy,anger; one output column each")
    score.add_argument("--provider", choices=NAMES, help="ORIMONO_SCORE_PROVIDER by default")
    score.add_argument("--base-url", help="of the endpoint; an OpenAI-compatible one of your own, for instance")
    score.add_argument("--model", help="the provider's own by default")
    score.add_argument(
        "--out", help="the scored file; NAME.scored.csv beside it by default. A Google Sheet holds its own"
    )
    score.add_argument(
        "--resume", action="store_true", help="go on with the last run of the same; nothing is asked twice"
    )
    score.add_argument("--concurrency", type=_count, help="requests in flight at once, at most; found out by default")
    score.add_argument("--column", help="of the texts; `utterance` by default, `video` with --video")
    score.add_argument("--scale", type=int, nargs=2, metavar=("LOWEST", "HIGHEST"), help="1 5 by default")
    score.add_argument("--instructions", help="what the model should know beforehand, or @FILE")
    score.add_argument("--video", action="store_true", help="the column holds links to videos; gemini looks at them")


def _add_models(command: Command) -> None:
    models = command("models", "registered models, who gets them and how they behave")
    models.add_argument("name", nargs="?")
    models.add_argument("--limit", type=_count, default=5, help="versions a model (default: %(default)s)")

    rollout = command("rollout", "shows, sets and takes back the rollout of a model")
    rollout.add_argument("name", nargs="?")
    rollout.add_argument("--version", help="with --stage: the version to roll out; the running one by default")
    rollout.add_argument("--stage", type=int, choices=(0, 5, 25, 100), help="per cent of the users; 0 ends it")
    rollout.add_argument("--promote", action="store_true", help="one stage up")
    rollout.add_argument("--roll-back", action="store_true", help="ends the candidate, or takes the live version back")
    rollout.add_argument("--live", action="store_true", help="with --roll-back, where nothing is being rolled out")
    rollout.add_argument("--reason", help="stands in the audit trail")
    rollout.add_argument("--limit", type=_count, default=5, help="rollouts a model (default: %(default)s)")

    flag = command("flag", "shows and turns the switches")
    flag.add_argument("name", nargs="?")
    flag.add_argument("state", nargs="?", choices=("on", "off"))
    flag.add_argument("--reason")


def _add_governance(command: Command) -> None:
    consents = command("consents", "what a person allows, job by job; sets what is named, leaves the rest")
    consents.add_argument("owner")
    consents.add_argument("--job", help="only this job; all of theirs by default")
    consents.add_argument("--quality", choices=("yes", "no"), help="use for watching and improving quality")
    consents.add_argument("--training", choices=("yes", "no"), help="whether models may learn from it")

    withdraw = command("withdraw", "takes a person's consent back: excluded at once, deleted within 24 hours")
    withdraw.add_argument("owner")
    withdraw.add_argument("--keep-originals", action="store_true", help="leave what they uploaded to its own period")
    withdraw.add_argument("--dry-run", action="store_true", help="only list what would be deleted")
    withdraw.add_argument("--now", action="store_true", help="delete now instead of with the next hourly run")

    retention = command("retention", "deletes originals and results whose time is up")
    retention.add_argument("--dry-run", action="store_true", help="only list what would be deleted")

    vault = command("vault", "what is kept of a person and until when; legal holds")
    vault.add_argument("owner", nargs="?")
    hold = vault.add_mutually_exclusive_group()
    hold.add_argument("--hold", type=int, metavar="ITEM", help="put a legal hold on it")
    hold.add_argument("--release", type=int, metavar="ITEM", help="end the hold")
    vault.add_argument("--reason")

    access = command("access", "opening an original: one person asks, another decides, the link lives 120 s")
    access.description = (
        "Opening an original: one person asks, another decides. Who is who is taken on trust here, since --as may name "
        "anybody: the audit trail holds that name and the machine's user, as pseudonyms, of both steps. The link lives "
        "120 s; of a local store it is a copy, which goes with the next opening or hourly retention after that."
    )
    access.add_argument("step", choices=("list", "request", "approve", "refuse", "open"))
    access.add_argument("id", type=int, nargs="?", help="of the vault item for request, of the request otherwise")
    access.add_argument("--reason")
    access.add_argument(
        "--as", dest="as_", metavar="NAME", help="who acts, the machine's user by default; taken on trust"
    )

    audit = command("audit", "the audit trail: verified, or its newest rows")
    audit.add_argument("step", choices=("verify", "show"))
    audit.add_argument("--head", help="NUMBER:HASH noted earlier, which the trail must still hold")
    audit.add_argument("--subject", help="such as model:preset_cls")
    audit.add_argument("--limit", type=_count, default=20, help="rows (default: %(default)s)")


def _add_keys(command: Command) -> None:
    from pipelines.governance.people import ROLES

    key = command("key", "keys of the API: a new one, which is shown once, the list, revoking one")
    key.add_argument("step", choices=("new", "list", "revoke"))
    key.add_argument("id", nargs="?", help="with revoke: the eight digits that list shows")
    key.add_argument("--owner", help="whose; the machine's user by default, with list everybody")
    key.add_argument("--role", choices=ROLES, default="editor", help="with new (default: %(default)s)")
    key.add_argument("--scope", action="append", default=[], help="with new: only this; may be repeated")
    key.add_argument("--label", default="", help="with new: what it is for")
    key.add_argument("--days", type=_days, default=90, help="with new: how long it works, 0 for ever (%(default)s)")


def _add_upkeep(command: Command) -> None:
    collect = command("gc", "deletes objects that nothing has referred to for ORIMONO_OBJECT_GRACE_DAYS")
    collect.add_argument("--dry-run", action="store_true", help="only list what would go")

    backup = command("backup", "a copy of the house that another can be made of: databases, objects, files")
    backup.add_argument("folder", nargs="?", help="on another disk; ORIMONO_BACKUP_FOLDER by default")
    backup.add_argument("--keep", type=_count, help="how many the folder keeps; ORIMONO_BACKUPS_KEPT by default")
    either = backup.add_mutually_exclusive_group()
    either.add_argument("--list", action="store_true", help="only list those that are there")
    either.add_argument("--check", action="store_true", help="only read the newest one through, by its hashes")

    restore = command("restore", "makes a house of a backup, verified; never over one that is there")
    restore.add_argument("folder", help="as `orimono backup` wrote it")
    restore.add_argument("--backup", metavar="NAME", help="the newest by default; `orimono backup --list` names them")
    restore.add_argument("--into", metavar="HOME", help="the new home; ORIMONO_HOME by default")


def _days(text: str) -> int:
    """argparse words the ValueError."""
    value = int(text)
    if not 0 <= value <= 3660:
        raise ValueError
    return value


_days.__name__ = "number of days up to 3660"


def _fail(arguments: argparse.Namespace, kind: str, message: str) -> None:
    if arguments.json:
        print(json.dumps({"error": {"kind": kind, "message": message}}, ensure_ascii=False))
    print(f"orimono: {message}", file=sys.stderr)


def _finite(value: Any) -> Any:
    """JSON has no infinity: the loudness of silence is null."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value


if __name__ == "__main__":
    sys.exit(main())
