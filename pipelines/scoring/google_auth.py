"""Who asks Google: the credentials file of a service account or an authorized user, read and made safe to use.

Tokens are fetched and renewed by google-auth; requests are google_http.py's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipelines.errors import BadInput

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

    from pipelines.settings import Settings

SETTING = "ORIMONO_GOOGLE_CREDENTIALS"
SCOPES = ("https://www.googleapis.com/auth/spreadsheets",)  # sheets and nothing else of the account's
TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 (an address)
REMEDY = "give the JSON key of a service account, or of a user who has signed in (authorized_user)"
MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Account:
    """``who``: the address to share a sheet with, for messages; ``id``: tells accounts apart, for their quotas."""

    credentials: Credentials = field(repr=False)
    who: str
    id: str


def account(settings: Settings) -> Account:
    """The account of ``settings.google_credentials``. Raises BadInput that names the setting, never what is in it."""
    if not settings.google_credentials:
        raise BadInput(SETTING, "is not set, and a Google Sheet needs an account that may edit it", REMEDY)
    info = _read(Path(settings.google_credentials).expanduser())
    kind = info.get("type") or ("authorized_user" if "refresh_token" in info else "")
    if kind == "service_account":
        return _service_account(info)
    if kind == "authorized_user":
        return _authorized_user(info)
    if "installed" in info or "web" in info:
        raise BadInput(SETTING, "is the secret of a program, not of an account", REMEDY)
    raise BadInput(SETTING, "is neither a service account's file nor an authorized user's", REMEDY)


def safe(url: str, setting: str) -> str:
    """``url`` without a trailing slash. Raises BadInput where a token would travel in the open."""
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise BadInput(setting, "would send a secret over http to another machine", "use https")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(setting, "does not name an http(s) address", "set it to one or leave it out")
    return url.rstrip("/")


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(MAX_BYTES))
    except OSError as error:
        raise BadInput(SETTING, f"cannot be read ({error.strerror})", "give the path of a file you may read") from None
    except ValueError:
        raise BadInput(SETTING, "is not a JSON file", REMEDY) from None
    if not isinstance(found, dict):
        raise BadInput(SETTING, "is not a JSON object", REMEDY)
    return found


def _service_account(info: dict[str, Any]) -> Account:
    from google.oauth2 import service_account

    class Service(service_account.Credentials):  # type: ignore[no-untyped-call, misc, unused-ignore]
        """One that asks nobody but the token's issuer: google-auth would also take the token to a third host to hear
        where it may be used, in a thread of its own, which Sheets has no use for."""

        def _is_regional_endpoint(self, url: str) -> bool:
            return True

    safe(str(info.get("token_uri", "")), f"{SETTING}'s token_uri")
    try:
        made: Credentials = Service.from_service_account_info(info, scopes=SCOPES)  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, AttributeError):  # the text of its errors may hold parts of the key
        raise BadInput(SETTING, "is not a whole service account's file", "download the key again") from None
    who = str(info["client_email"])
    return Account(made, who, who)


def _authorized_user(info: dict[str, Any]) -> Account:
    from google.oauth2.credentials import Credentials

    parts = {name: info.get(name) for name in ("refresh_token", "client_id", "client_secret")}
    if not all(isinstance(part, str) and part for part in parts.values()):
        raise BadInput(SETTING, "lacks refresh_token, client_id or client_secret", "sign in again")
    # Not by from_authorized_user_info, which overrides the file's token_uri; no scopes: those that were granted hold.
    url = safe(str(info.get("token_uri") or TOKEN_URL), f"{SETTING}'s token_uri")
    project = info.get("quota_project_id")
    made = Credentials(None, token_uri=url, quota_project_id=project, **parts)  # type: ignore[no-untyped-call]
    return Account(made, str(info.get("account") or "the signed-in user"), str(parts["client_id"]))
