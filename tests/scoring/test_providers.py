from __future__ import annotations

import sys
from dataclasses import replace
from subprocess import run

import pytest

from pipelines.errors import BadInput
from pipelines.scoring.openai_chat import OpenAIChat
from pipelines.scoring.providers import gemini_endpoint, openai_endpoint, opened
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.wire import is_loopback
from pipelines.settings import Settings

RUBRIC = Rubric.of(["joy"])
KEY = "sk-0123456789"


@pytest.mark.parametrize("name", ["openai", "gemini"])
def test_the_providers_own_address_needs_a_key(name):
    with pytest.raises(BadInput, match=f"ORIMONO_{name.upper()}_API_KEY: is not set"):
        opened(Settings(), RUBRIC, name)
    with pytest.raises(BadInput, match="is not set"):
        opened(Settings(), RUBRIC, name, base_url=getattr(Settings(), f"{name}_base_url") + "/")


def test_another_address_needs_none():
    assert openai_endpoint(Settings(), "http://10.0.0.7:8000/v1/").base == "http://10.0.0.7:8000/v1"
    assert openai_endpoint(Settings(), "http://10.0.0.7/v1/chat/completions").base == "http://10.0.0.7/v1"
    assert isinstance(opened(Settings(), RUBRIC, base_url="http://10.0.0.7/v1"), OpenAIChat)


def test_whose_answers_they_are():
    """Answers are kept under this name: not given again for another's model that happens to be called alike."""
    settings = Settings(openai_api_key=KEY, gemini_api_key=KEY)

    def name(kind: str, base: str | None = None) -> str:
        return opened(settings, RUBRIC, kind, "m", base).name

    assert (name("openai"), name("gemini")) == ("openai", "gemini")
    assert name("openai", "https://API.openai.com:443/v1/chat/completions") == "openai"
    assert name("gemini", "https://generativelanguage.googleapis.com/v1beta/") == "gemini"
    assert name("openai", "https://LLM.example/a/v1/") == "openai@llm.example:443/a/v1"
    assert name("gemini", "http://[::1]:8000/") == "gemini@[::1]:8000"
    others = ["http://127.0.0.1:8000/v1", "http://127.0.0.1:8001/v1", "http://127.0.0.1:8000/v2", "https://llm/v1"]
    keys = {RUBRIC.key("a day", name("openai", base), "m", "p") for base in (None, *others)}
    assert len(keys) == 5


@pytest.mark.parametrize("host", ["10.0.0.7", "llm.example", "localhost.example", "127.0.0.1.example", "[fe80::1]"])
def test_a_key_never_travels_unencrypted(host):
    for endpoint, settings in (
        (openai_endpoint, Settings(openai_api_key=KEY)),
        (gemini_endpoint, Settings(gemini_api_key=KEY)),
    ):
        with pytest.raises(BadInput, match="would send a key unencrypted") as caught:
            endpoint(settings, f"http://{host}/v1")
        assert KEY not in str(caught.value)
        name = caught.value.what.removeprefix("ORIMONO_").removesuffix("_BASE_URL")
        assert f"unset ORIMONO_{name}_API_KEY and {name}_API_KEY" in str(caught.value)
        assert endpoint(settings, f"https://{host}/v1").key == KEY


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_but_on_loopback(host):
    assert is_loopback(host)
    address = f"[{host}]" if ":" in host else host
    assert openai_endpoint(Settings(openai_api_key=KEY), f"http://{address}:80/v1").key == KEY


def test_a_key_is_in_no_representation():
    endpoint = openai_endpoint(Settings(openai_api_key=KEY))
    assert KEY not in repr(endpoint)
    assert KEY not in repr(opened(Settings(openai_api_key=KEY), RUBRIC, "openai"))


@pytest.mark.parametrize(
    "address",
    ["", "llm", "ftp://llm/v1", "http://", "https://llm/v1?x=1", "https://llm/v1#x", "https://l lm/", "https://llm:x/",
     "https://me:secret@llm/v1", "https://llm/\nv1", "https://[::1/"],
)  # fmt: skip
def test_what_is_no_address(address):
    with pytest.raises(BadInput) as caught:
        openai_endpoint(Settings(openai_base_url=address))
    assert caught.value.what == "ORIMONO_OPENAI_BASE_URL"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-a\nb", "sk a", "sk-é", "sk-\0"])
def test_what_is_no_key(key):
    with pytest.raises(BadInput, match="no key has") as caught:
        openai_endpoint(Settings(openai_api_key=key))
    assert key not in str(caught.value)


def test_space_around_a_key_is_cut():
    assert openai_endpoint(Settings(openai_api_key=f" {KEY}\n")).key == KEY


def test_unknown_names_and_limits_of_nothing():
    with pytest.raises(BadInput, match="choose one of openai, gemini, local"):
        opened(Settings(), RUBRIC, "claude")
    with pytest.raises(BadInput, match="concurrency"):
        opened(Settings(), RUBRIC, "local", concurrency=0)
    with pytest.raises(BadInput, match="model"):
        opened(Settings(), RUBRIC, "openai", "a\nb", "http://localhost/v1")
    with pytest.raises(BadInput, match="has no address"):
        opened(Settings(), RUBRIC, "local", base_url="http://localhost/v1")


def test_a_model_of_the_settings_is_the_settings_providers():
    settings = Settings(openai_api_key=KEY, gemini_api_key=KEY, score_provider="gemini", score_model="mine")
    assert opened(settings, RUBRIC).model == "mine"
    assert opened(settings, RUBRIC, "openai").model != "mine"
    assert opened(settings, RUBRIC, "openai", "theirs", concurrency=3).most == 3
    base = "http://127.0.0.1:1/v1"
    assert opened(settings, RUBRIC, "gemini", base_url=base).model == "mine"
    assert opened(settings, RUBRIC, base_url=base).model != "mine"  # an address alone is openai's
    assert opened(settings, RUBRIC, "openai", base_url=base).model != "mine"
    settings = replace(settings, score_provider="openai")
    assert opened(settings, RUBRIC, base_url=base).model == opened(settings, RUBRIC).model == "mine"
    assert opened(settings, RUBRIC, "gemini").model != "mine"
    settings = replace(settings, score_provider="local")
    assert "mine" not in (opened(settings, RUBRIC).model, opened(settings, RUBRIC, base_url=base).model)


def test_nothing_heavy_is_loaded_before_it_is_wanted():
    names = ["aiohttp", "pandas", "numpy", "sqlalchemy", "pydantic"]
    code = f"import sys, pipelines.scoring.{{}}; sys.exit(','.join(set({names}) & set(sys.modules)))"
    for module in ("providers", "openai_chat", "gemini", "validation"):
        assert run([sys.executable, "-c", code.format(module)], capture_output=True, text=True).stderr.strip() == ""
