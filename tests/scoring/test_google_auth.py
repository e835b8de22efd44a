"""Credentials files that people have, and what is said of those that will not do: never what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import BadInput
from pipelines.scoring import google_address, google_auth
from pipelines.settings import Settings
from tests.scoring.sheets_server import EMAIL, keys

SECRET = "keep-me-to-yourself"


def account(tmp_path: Path, held: Any) -> google_auth.Account:
    path = tmp_path / "key.json"
    path.write_text(held if isinstance(held, str) else json.dumps(held))
    return google_auth.account(Settings(home=str(tmp_path), google_credentials=str(path)))


def service(**changes: Any) -> dict[str, Any]:
    made = {"type": "service_account", "client_email": EMAIL, "private_key": keys()[0], "token_uri": "https://t.test/"}
    return {**made, **changes}


USER = {"type": "authorized_user", "refresh_token": SECRET, "client_id": "me", "client_secret": SECRET}


def test_a_service_account_and_a_user_are_accounts_that_show_no_secret(tmp_path: Path) -> None:
    found = account(tmp_path, service())
    assert found.who == EMAIL
    assert "PRIVATE" not in repr(found)
    user = account(tmp_path, {key: value for key, value in USER.items() if key != "type"})  # as gspread stores it
    assert user.id == "me"
    assert SECRET not in repr(user)


@pytest.mark.parametrize(
    ("held", "match"),
    [
        ("not JSON " + SECRET, "is not a JSON file"),
        ([SECRET], "is not a JSON object"),
        ({"installed": {"client_secret": SECRET}}, "the secret of a program"),
        ({"type": "external_account", "secret": SECRET}, "neither a service account's"),
        ({**USER, "client_secret": None}, "lacks refresh_token"),
        ({**USER, "token_uri": "http://elsewhere.test/token"}, "over http to another machine"),
        ({**USER, "token_uri": "ftp://elsewhere.test/token"}, "does not name an http"),
    ],
)
def test_a_file_that_will_not_do_names_the_setting_and_no_secret(tmp_path: Path, held: Any, match: str) -> None:
    with pytest.raises(BadInput, match=match) as error:
        account(tmp_path, held)
    assert "ORIMONO_GOOGLE_CREDENTIALS" in str(error.value)
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("changes", [{"private_key": "nonsense"}, {"client_email": None}, {"private_key": None}])
def test_a_broken_key_is_told_without_its_words(tmp_path: Path, changes: dict[str, Any]) -> None:
    held = {key: value for key, value in service(**changes).items() if value is not None}
    with pytest.raises(BadInput, match="not a whole service account's file") as error:
        account(tmp_path, held)
    assert "nonsense" not in str(error.value)


def test_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not set"):
        google_auth.account(Settings(home=str(tmp_path)))
    with pytest.raises(BadInput, match="cannot be read"):
        google_auth.account(Settings(home=str(tmp_path), google_credentials=str(tmp_path / "none.json")))


@pytest.mark.parametrize(
    ("place", "key", "gid"),
    [
        ("https://docs.google.com/spreadsheets/d/1aB_-9/edit?gid=12#gid=34", "1aB_-9", 34),
        ("https://docs.google.com/spreadsheets/d/1aB_-9/edit?gid=12", "1aB_-9", 12),
        ("https://docs.google.com/spreadsheets/u/1/d/1aB_-9/edit?usp=sharing", "1aB_-9", None),
        ("https://docs.google.com/spreadsheets/d/1aB_-9", "1aB_-9", None),
    ],
)
def test_addresses_as_browsers_show_them(place: str, key: str, gid: int | None) -> None:
    assert google_address.names_google(place)
    assert google_address.address(place) == google_address.Address(key, gid)


@pytest.mark.parametrize("held", ["[]", "{}", "not JSON", '{"doc_id": "a b"}', '{"url": "https://example.com/x"}'])
def test_a_file_that_is_not_googles_is_told(tmp_path: Path, held: str) -> None:
    path = tmp_path / "x.gsheet"
    path.write_text(held)
    assert google_address.names_google(str(path))
    with pytest.raises(BadInput):
        google_address.address(str(path))


def test_other_files_are_not_googles() -> None:
    assert not google_address.names_google("sheets/docs.google.com.csv")
    assert not google_address.names_google("https://example.com/spreadsheets/d/x/edit")
