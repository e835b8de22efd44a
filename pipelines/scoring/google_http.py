"""gspread's HTTP client with an address, quotas, time limits and errors of ours. Loads gspread: import it late.

One try a request, and no error that would say what was in it. When to try again, and what must be looked at before,
is for the callers.
"""

from __future__ import annotations

import threading
from typing import Any

import gspread
import requests
from google.auth import exceptions as google
from gspread.urls import SPREADSHEETS_API_V4_BASE_URL

from pipelines.errors import BadInput
from pipelines.scoring.google_auth import SETTING, Account
from pipelines.scoring.quota import Bucket
from pipelines.scoring.tries import Busy, Elsewhere

CALLS, PERIOD = 60, 61.0  # a minute and user, of reads and of writes; a second for clocks and networks
TIMEOUT = (10.0, 120.0)  # s to connect and between bytes

_buckets: dict[tuple[str, str, str], Bucket] = {}
_buckets_lock = threading.Lock()


def bucket(url: str, who: str, what: str) -> Bucket:
    """One a user and process: a quota holds for all the sheets that it works on."""
    with _buckets_lock:
        return _buckets.setdefault((url, who, what), Bucket(CALLS, PERIOD))


class SheetsClient(gspread.HTTPClient):
    """Of one account and one sheet. Used from several threads, which take turns."""

    def __init__(self, account: Account, url: str, name: str, stop: threading.Event) -> None:
        super().__init__(account.credentials)
        self.account, self.name = account, name
        self.stop = stop
        self.url = f"{url}/v4/spreadsheets"
        self.reads, self.writes = (bucket(url, account.id, what) for what in ("reads", "writes"))
        self._turn = threading.Lock()

    def request(self, method: str, endpoint: str, *args: Any, **kwargs: Any) -> requests.Response:
        """Raises Busy, Elsewhere, BadInput, or Stopped with ``stop``."""
        quota = self.reads if method == "get" else self.writes
        quota.take(self.stop)
        endpoint = self.url + endpoint.removeprefix(SPREADSHEETS_API_V4_BASE_URL)
        kwargs["timeout"] = TIMEOUT
        try:
            with self._turn:
                response = self.session.request(method, endpoint, *args, **kwargs)
                response.close()
            if response.ok:
                response.json()  # a cut body is a failure of this request, not of who reads it
                return response
        except google.RefreshError as error:
            if error.retryable:
                raise Busy("Google's sign-in does not answer") from None
            raise BadInput(SETTING, f"is not accepted by Google ({_line(error.args)})", "make a new key") from None
        except (requests.RequestException, google.TransportError) as error:
            raise Busy(f"the connection to it failed ({type(error).__name__})") from None
        raise self._failure(response, quota)

    def close(self) -> None:
        self.session.close()

    def _failure(self, response: requests.Response, quota: Bucket) -> Exception:
        status, kind, message, reasons = response.status_code, *_error(response)
        if status == 429 or "RATE_LIMIT_EXCEEDED" in reasons:
            wait = _seconds(response.headers.get("Retry-After"))
            quota.shut(wait or 1.0)
            return Busy("its quota is used up", wait)
        if status in (408, 409) or status >= 500:
            return Busy(f"it answered {status}", _seconds(response.headers.get("Retry-After")))
        if status == 401:
            return BadInput(SETTING, "is not accepted by Google", "make a new key, or sign in again")
        if status == 403 and "SERVICE_DISABLED" in reasons:
            return BadInput(SETTING, "belongs to a project without the Google Sheets API", "enable it in the project")
        if status == 403:
            return BadInput(self.name, "may not be read and edited by us", f"share it, as editor, with {self._who}")
        if status == 404:
            return BadInput(self.name, "is not there", f"check its address, and share it with {self._who}")
        if status == 400 and ("Unable to parse range" in message or "exceeds grid limits" in message):
            return Elsewhere(message)
        return BadInput(self.name, f"was refused by Google ({status} {kind}: {_line(message)})", "see what it says")

    @property
    def _who(self) -> str:
        return self.account.who


def _error(response: requests.Response) -> tuple[str, str, str]:
    """(status word, message, reasons) of an error's body, which may be anything."""
    try:
        error = response.json()["error"]
        details = error.get("details") or []
        reasons = " ".join(str(detail.get("reason", "")) for detail in details if isinstance(detail, dict))
        return str(error.get("status", "")), str(error.get("message", "")), reasons
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", "", ""


def _seconds(text: str | None) -> float | None:
    try:
        return min(max(float(text or ""), 0.1), 120.0)
    except ValueError:
        return None


def _line(what: object) -> str:
    """The first line of what somebody says, short."""
    first = what[0] if isinstance(what, tuple) and what else what
    return (str(first).strip().splitlines() or [""])[0][:200]
