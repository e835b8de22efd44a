"""Tells people what was decided and what looks wrong: a Slack webhook, or the log when none is set.

What is worth telling is decided by whoever calls; nothing here ever fails a caller, and the webhook is in no message.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError

from pipelines import clock
from pipelines.errors import OrimonoError
from pipelines.settings import Settings
from pipelines.storage import notices
from pipelines.storage.database import Database

log = logging.getLogger(__name__)

Channel = Literal["decisions", "alarms"]
TIMEOUT_S = 5.0
HOUR_S = 3600.0
_MARKS: dict[str, str] = {"decisions": "🧵", "alarms": "🚨"}
_MOST_TEXT = 2900  # characters; Slack refuses a section of more than 3,000
_FORGOTTEN = timedelta(days=7)


class Notifier:
    """Cheap to make. What was told is remembered in the database, so that no other process or machine repeats it."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._webhook = settings.slack_webhook
        self._database = database

    def send(
        self, channel: Channel, title: str, lines: Sequence[str] = (), key: str = "", within_s: float = HOUR_S
    ) -> bool:
        """Tells it, unless the same ``key`` was told less than ``within_s`` ago; an empty key is always told.

        True when people were told by this call. A failure is in the log, and the same key may be sent again at once.
        Telling takes ``TIMEOUT_S`` at most.
        """
        try:
            if not key:
                return self._tell(channel, title, lines)
            return self._once(channel, title, lines, hashlib.sha256(key.encode()).hexdigest()[:32], within_s)
        except Exception as error:  # noqa: BLE001 - a message never fails the deed it is about; its type holds no URL
            log.error("the notifier failed (%s); it was to say: %s", type(error).__name__, title)
            return False

    def _once(self, channel: Channel, title: str, lines: Sequence[str], key: str, within_s: float) -> bool:
        """Whoever has the key's turn tells it; a second one who comes meanwhile need not."""
        told: bool | None = None
        try:
            with self._database.session() as session:
                now = clock.now()
                if not notices.due(session, key, now, timedelta(seconds=within_s)):
                    return False
                told = self._tell(channel, title, lines)
                if told:
                    notices.note(session, key, now)
                    notices.forget(session, now - _FORGOTTEN)
        except (OrimonoError, SQLAlchemyError) as error:  # the database is away: rather twice than never
            log.warning("what was told cannot be remembered (%s)", type(error).__name__)
        return self._tell(channel, title, lines) if told is None else told

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
