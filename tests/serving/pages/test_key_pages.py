"""Keys in a browser: made, shown once, revoked."""

from __future__ import annotations

import httpx

from tests.serving.api.conftest import Running
from tests.serving.pages.accessible import findings
from tests.serving.pages.conftest import Visits

NASTY = '"><script>document.title="taken"</script>{{7*7}}'


def _me(server: Running, key: str) -> httpx.Response:
    return httpx.get(f"{server.url}/v1/me", headers={"Authorization": f"Bearer {key}"}, timeout=30)


def test_a_key_is_made_works_is_never_shown_again_and_is_revoked(server: Running, visitor: Visits) -> None:
    page = visitor("administrator", "Adam").go("/keys")
    assert findings(page) == []
    form = page.get_by_role("form", name="Make a key")
    form.get_by_label("What for").fill(NASTY)
    form.get_by_label("Owner").fill("Ben {{7*7}}")
    form.get_by_label("Role").select_option("editor")
    form.get_by_label("Works for").select_option("7")
    form.get_by_label("jobs:read").check()
    form.get_by_label("infer").check()
    form.get_by_role("button", name="Make it").click()
    page.get_by_role("heading", name="A new key").wait_for()
    assert findings(page) == []
    assert NASTY in page.inner_text("main") and "Ben {{7*7}}" in page.inner_text("main")
    key = page.locator(".secret").inner_text()
    answer = _me(server, key)
    assert answer.status_code == 200
    assert (answer.json()["name"], answer.json()["role"]) == ("Ben {{7*7}}", "editor")
    assert answer.json()["scopes"] == ["jobs:read", "infer"]

    page.get_by_role("link", name="I have copied it").click()
    page.wait_for_url("**/keys")
    assert key not in page.content() and key.split("_", 2)[2] not in page.content()
    prefix = key.split("_")[1]
    page.get_by_role("link", name=f"Revoke… {prefix}").click()
    page.get_by_role("heading", name=f"Revoke key {prefix}?").wait_for()
    assert findings(page) == []
    assert _me(server, key).status_code == 200
    page.get_by_role("button", name="Revoke it").click()
    page.wait_for_url("**/keys")
    assert f"Key {prefix} of Ben {{{{7*7}}}} is revoked" in page.get_by_role("status").inner_text()
    assert _me(server, key).status_code == 401
    assert page.get_by_role("link", name=f"Revoke… {prefix}").count() == 0


def test_an_editor_makes_keys_of_their_own_and_no_more(server: Running, visitor: Visits) -> None:
    ada = visitor("editor", "Ada")
    page = ada.go("/keys")
    form = page.get_by_role("form", name="Make a key")
    assert form.get_by_label("Owner").count() == 0
    assert form.get_by_label("Role").locator("option").all_inner_texts() == ["viewer", "editor"]
    # As though there were more to choose.
    page.evaluate("document.querySelector('#field-role').add(new Option('administrator'))")
    form.get_by_label("What for").fill("more")
    form.get_by_label("Role").select_option("administrator")
    ada.expected |= {403}
    form.get_by_role("button", name="Make it").click()
    page.get_by_role("heading", name="Not yours to do").wait_for()
    assert "is no administrator and may not make such a key" in page.inner_text("main")


def test_revoking_ones_own_key_signs_one_out(server: Running, visitor: Visits) -> None:
    page = visitor("editor", "Ada").go("/keys")
    page.get_by_role("link", name="Revoke").click()
    assert "you are signed out with it" in page.inner_text("main")
    page.get_by_role("button", name="Revoke it").click()
    page.wait_for_url("**/sign-in**")


def test_anothers_key_is_as_if_it_were_none(server: Running, visitor: Visits) -> None:
    prefix = server.key("editor", "Ben").split("_")[1]
    ada = visitor("editor", "Ada")
    assert prefix not in ada.go("/keys").content()
    ada.expected.add(404)
    page = ada.go(f"/keys/{prefix}/revoke")
    assert f"key {prefix}: does not exist" in page.inner_text("main")
