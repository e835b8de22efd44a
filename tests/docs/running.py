"""Runs the blocks of a page as a reader would: in order, in a home of its own, with what each says about itself."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.storage import embedded
from tests.dags.house import free_ports
from tests.docs.blocks import PROJECT, RUN, Block

NOT_A_COPY = {".orimono", ".git", ".venv-docs", "site", "out", ".pytest_cache", ".mypy_cache", ".hypothesis"}
LONGEST = 3600.0  # s, of one block: on a machine with much other work; a page's test has a limit of its own


def followed(block: Block) -> bool:
    """Whether it is a command that runs."""
    return block.language in RUN and not block.title and block.skipped is None


class Untrue(AssertionError):
    """What the page says is not what happens."""


@dataclass
class Reader:
    """Somebody who follows a page. ``place``: a folder that looks like a fresh clone; what is written stays in it."""

    place: Path
    environment: dict[str, str]
    ports: dict[str, str]
    printed: str = ""
    last: str = ""
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)

    def follow(self, block: Block) -> None:
        """Does what the block says; raises Untrue with its place and output when that is not what happens."""
        if block.skipped is not None:
            return
        if block.title:
            self._write(block)
        elif block.language == "text":
            self._compare(block)
        elif block.language in RUN:
            self._run(block)

    def _write(self, block: Block) -> None:
        path = Path(self.cwd()) / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(self.translated(block.body), encoding="utf-8")

    def translated(self, text: str) -> str:
        for said, ours in self.ports.items():
            text = text.replace(said, ours)
        return text

    def cwd(self) -> str:
        kept = self.place / ".reader" / "cwd"
        return kept.read_text().strip() if kept.exists() else str(self.place)

    def _run(self, block: Block) -> None:
        body = self.translated(block.body)
        if block.taken:
            word, pattern = block.taken
            everything = self.printed + "".join(log.read_text(errors="replace") for log in self.logs)
            match = re.search(pattern, everything)
            if match is None:
                raise Untrue(f"{block.place}: nothing that was printed looks like {pattern!r}\n{everything[-3000:]}")
            body = body.replace(word, match[1])
        command = self._command(block, body)
        if (text := block.quoted("background")) is not None:
            self._start(block, command, text)
            return
        end = time.monotonic() + LONGEST
        while True:
            output = self._once(block, command)
            wanted = block.quoted("until")
            if wanted is None or re.search(wanted, output):
                return
            if time.monotonic() > end:
                raise Untrue(f"{block.place}: never printed {wanted!r}, but\n{output}\n{self._told()}")
            time.sleep(2)

    def _command(self, block: Block, body: str) -> list[str]:
        if block.language == "python":
            script = self.place / ".reader" / f"block-{block.line}.py"
            script.write_text(body, encoding="utf-8")
            body = f"python {shlex.quote(str(script))}"
        state = self.place / ".reader"
        # What one block exports, and where it goes, holds for the next.
        body = (
            f"[ -e {state}/environment ] && . {state}/environment\n"
            f"cd {shlex.quote(self.cwd())}\n"
            f"trap 'declare -px > {state}/environment; pwd > {state}/cwd' EXIT\n"
            f"set -eo pipefail\n{body}"
        )
        return ["bash", "-c", body]

    def _once(self, block: Block, command: list[str]) -> str:
        started = subprocess.Popen(
            command,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            raw, _ = started.communicate(timeout=LONGEST)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            started.communicate()
            raise
        output = raw.decode(errors="replace")
        self.printed += output
        self.last = output
        if started.returncode != block.exits and block.quoted("until") is None:
            told = f"exit code {started.returncode}, not {block.exits}"
            raise Untrue(f"{block.place}: {told}\n{block.body}\n{output[-6000:]}\n{self._told()}")
        return output

    def _start(self, block: Block, command: list[str], text: str) -> None:
        log = self.place / ".reader" / f"background-{len(self.logs)}.log"
        self.logs.append(log)
        with log.open("wb") as sink:
            process = subprocess.Popen(
                command,
                env=self.environment,
                stdout=sink,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )
        self.running.append(process)
        end = time.monotonic() + 240
        while not re.search(text, log.read_text(errors="replace")):
            if process.poll() is not None or time.monotonic() > end:
                raise Untrue(f"{block.place}: never printed {text!r}\n{self._told()}")
            time.sleep(0.3)

    def _told(self) -> str:
        return "\n".join(f"-- {log.name}\n{log.read_text(errors='replace')[-4000:]}" for log in self.logs)

    def _compare(self, block: Block) -> None:
        """A block of plain text right after commands is what they print; … stands for whatever there is."""
        if not self.last:
            return
        output = _squeezed(self.last)
        for row in self.translated(block.body).splitlines():
            if not row.strip() or row.strip() == "…":
                continue
            pattern = ".*".join(re.escape(part) for part in _squeezed(row).split("…"))
            if not re.search(pattern, output):
                raise Untrue(f"{block.place}: the page promises\n  {row}\nbut what is printed is\n{self.last[-4000:]}")

    def close(self) -> None:
        """Ends what goes on in the background, as Ctrl-C does."""
        for process in reversed(self.running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(90)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _squeezed(text: str) -> str:
    """Columns are as wide as their longest entry, so the number of blanks says nothing."""
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


@contextlib.contextmanager
def reader(folder: Path, *, settle: str = "0.5") -> Iterator[Reader]:
    """Somebody in ``folder``, which is made to look like a clone: every entry of the project, none of its home."""
    for entry in PROJECT.iterdir():
        if entry.name not in NOT_A_COPY:
            (folder / entry.name).symlink_to(entry)
    (folder / ".reader").mkdir()
    port, api_port, other = map(str, free_ports(3))
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("ORIMONO_", "DAGSTER_", "OPENAI_", "AWS_", "PYTEST_"))
    }
    environment = kept | {
        "ORIMONO_HOME": str(folder / ".orimono"),
        "ORIMONO_PORT": port,
        "ORIMONO_API_PORT": api_port,
        "ORIMONO_SETTLE_SECONDS": settle,
        "ORIMONO_LOG_LEVEL": "WARNING",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "120",
    }
    ports = {"127.0.0.1:3000": f"127.0.0.1:{port}", "127.0.0.1:3001": f"127.0.0.1:{api_port}"}
    # An address stands in a page as a URL has it, as Python does, and as options do.
    for between in (":", '", ', " --port "):
        ports[f"127.0.0.1{between}9000"] = f"127.0.0.1{between}{other}"
    found = Reader(folder, environment, ports)
    try:
        yield found
    finally:
        found.close()
        embedded.stop(folder / ".orimono", force=True)
