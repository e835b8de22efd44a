"""Tells people what was decided and what looks wrong: a Slack webhook, or the log when none is set.

What is worth telling is decided by whoever calls; nothing here ever fails a caller, and the webhook is in no message.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import json
import logging
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal
from urllib.parse import urlsplit

from pipelines import clock
from pipelines.settings import Settings

log = logging.getLogger(__name__)

Channel = Literal["decisions", "alarms"]
TIMEOUT_S = 5.0
HOUR_S = 3600.0
_MARKS: dict[str, str] = {"decisions": "🧵", "alarms": "🚨"}
_MOST_TEXT = 2900  # characters; Slack refuses a section of more than 3,000
_FORGOTTEN_S = 7 * 24 * HOUR_S


class Notifier:
    """Cheap to make: what was told is remembered in the home, so that the next process does not tell it again."""

    def __init__(self, settings: Settings) -> None:
        self._webhook = settings.slack_webhook
        self._told = settings.home_path / "told"

    def send(
        self, channel: Channel, title: str, lines: Sequence[str] = (), key: str = "", within_s: float = HOUR_S
    ) -> bool:
        """Tells it, unless the same ``key`` was told less than ``within_s`` ago; an empty key is always told.

        True when people were told by this call. A failure is in the log, and the same key may be sent again at once.
        Takes ``TIMEOUT_S`` at most.
        """
        try:
            with self._turn(key, within_s) as mine:
                return mine.due and mine.told(self._tell(channel, title, lines))
        except Exception as error:  # noqa: BLE001 - a message never fails the deed it is about; its type holds no URL
            log.error("the notifier failed (%s); it was to say: %s", type(error).__name__, title)
            return False

    def _tell(self, channel: Channel, title: str, lines: Sequence[str]) -> bool:
        level = logging.WARNING if channel == "alarms" else logging.INFO
        if not self._webhook:
            log.log(level, "%s: %s", title, " | ".join(lines))
            return True
        outcome: list[str] = []
        # In a thread of its own, since a socket's time-out begins anew with each byte that drips in.
        thread = threading.Thread(target=_post, args=(self._webhook, body(channel, title, lines), outcome), daemon=True)
        thread.start()
        thread.join(TIMEOUT_S)
        failure = outcome[0] if outcome else f"no answer within {TIMEOUT_S:g} s"
        if failure:
            log.error("Slack was not told (%s): %s: %s", failure, title, " | ".join(lines))
        return not failure

    @contextlib.contextmanager
    def _turn(self, key: str, within_s: float) -> Iterator[_Turn]:
        """Whoever holds the key's file may tell; a second one who comes meanwhile need not."""
        if not key:
            yield _Turn(None, due=True)
            return
        with contextlib.ExitStack() as stack:
            try:
                self._told.mkdir(parents=True, exist_ok=True)
                path = self._told / hashlib.sha256(key.encode()).hexdigest()[:32]
                file = stack.enter_context(path.open("a+"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield _Turn(None, due=False)
                return
            except OSError as error:  # a full or read-only disk: rather twice than never
                log.warning("what was told cannot be remembered (%s)", type(error).__name__)
                yield _Turn(None, due=True)
                return
            yield _Turn(file, due=not _recent(file, within_s))
            _forget(self._told)


class _Turn:
    def __init__(self, file: IO[str] | None, *, due: bool) -> None:
        self._file = file
        self.due = due

    def told(self, sent: bool) -> bool:
        """Remembers when it was, if it was."""
        if sent and self._file is not None:
            at = clock.now().timestamp()
            self._file.seek(0)
            self._file.truncate()
            self._file.write(str(at))
            self._file.flush()
            os.utime(self._file.fileno(), (at, at))  # _forget asks the same clock
        return sent


def body(channel: Channel, title: str, lines: Sequence[str]) -> dict[str, Any]:
    """The message as Slack takes it; a very long one is cut, saying so."""
    heading = f"{_MARKS[channel]} *{_escaped(title)}*"
    text = "\n".join([heading, *(f"• {_escaped(line)}" for line in lines)])
    if len(text) > _MOST_TEXT:
        text = text[:_MOST_TEXT] + " … (cut; all of it is in the audit trail)"
    section = {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    return {"text": f"{_MARKS[channel]} {_escaped(title)}"[:_MOST_TEXT], "blocks": [section]}


def _escaped(text: str) -> str:
    """Slack's three control characters: a file's name must not become a link or call a whole channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: object, **more: object) -> None:
        """Nowhere: the message is for the address that was set."""


def _post(url: str, message: dict[str, Any], outcome: list[str]) -> None:
    """Appends why it failed, or nothing ("") when it arrived. No reason repeats the address."""
    try:
        if urlsplit(url).scheme not in ("http", "https"):
            outcome.append("ORIMONO_SLACK_WEBHOOK is not an http address")
            return
        data = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
        request = urllib.request.Request(url, data, {"Content-Type": "application/json; charset=utf-8"})  # noqa: S310
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S) as answer:
            outcome.append("" if answer.status == 200 else f"status {answer.status}")
    except urllib.error.HTTPError as error:
        with error:
            outcome.append(f"status {error.code}")
    except (OSError, ValueError, http.client.HTTPException) as error:
        outcome.append(type(error).__name__)


def _recent(file: IO[str], within_s: float) -> bool:
    """A time that lies ahead is from a clock that jumped, and counts for nothing."""
    file.seek(0)
    try:
        ago = clock.now().timestamp() - float(file.read() or "nan")
    except ValueError:
        return False
    return 0 <= ago < within_s


def _forget(folder: Path) -> None:
    """Removes what was told long ago."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if clock.now().timestamp() - path.stat().st_mtime > _FORGOTTEN_S:
                path.unlink()
