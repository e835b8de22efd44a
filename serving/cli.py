"""The ``orimono`` command: its arguments, exit codes and output. What each command does stands in commands.py."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from pipelines import settings
from pipelines.errors import BadInput, OrimonoError, Unavailable

EXIT_FAILED, EXIT_BAD_INPUT = 1, 2


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
        _fail(arguments, "interrupted", "interrupted; what was done is kept and the same command goes on from there")
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
    from serving import commands

    root = _Parser(prog="orimono", description="A studio's uploads become features, models and finished work.")
    subparsers = root.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, help: str) -> argparse.ArgumentParser:
        sub = subparsers.add_parser(name, help=help, description=help)
        sub.add_argument("--json", action="store_true", help="print one JSON object on stdout")
        sub.set_defaults(run=getattr(commands, name))
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

    ingest = command("ingest", "put a job folder into the inbox")
    ingest.add_argument("dir")

    command("status", "what runs, what failed and why")
    command("retry", "run failed items and batches again")
    command("config", "all settings with their defaults")
    up = command("up", "start the Dagster UI and daemon on loopback")
    up.add_argument("--port", type=int)
    demo = command("demo", "make everything from the sample library and say where it lies")
    demo.add_argument("--samples", help="folder of job folders; the project's own by default")
    return root


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
