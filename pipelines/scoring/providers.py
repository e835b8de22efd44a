"""Who scores a sheet, from a name and the settings. Each provider's own module is loaded only when it is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.errors import BadInput
from pipelines.settings import Settings
from pipelines.texts import sayable

if TYPE_CHECKING:
    from pipelines.scoring.provider import Provider
    from pipelines.scoring.rubric import Rubric
    from pipelines.scoring.wire import Endpoint

NAMES = ("openai", "gemini", "local")
MAX_MODEL = 200  # characters


def opened(
    settings: Settings,
    rubric: Rubric,
    name: str | None = None,
    model: str | None = None,
    base_url: str | None = None,
    concurrency: int | None = None,
    labelled: Sequence[tuple[str, tuple[int | None, ...]]] = (),
) -> Provider:
    """The provider ``name``, not entered yet; nobody is asked anything. None is the settings', but openai when there
    is a ``base_url``. ``model`` None is the settings', when the provider is the settings', else the provider's usual.

    ``concurrency``: requests in flight, at most. ``labelled``: texts with people's scores, for the local scorer.
    Raises BadInput for an unknown name, a key that is missing or would travel unencrypted, an address that is none.
    """
    name = name or ("openai" if base_url else settings.score_provider)
    if name not in NAMES:
        raise BadInput(f"provider {name[:40]!r}", "is not known", f"choose one of {', '.join(NAMES)}")
    if concurrency is not None and concurrency < 1:
        raise BadInput("concurrency", f"is {concurrency}", "give a number from 1 on")
    model = model or (settings.score_model if name == settings.score_provider else "")
    if len(model) > MAX_MODEL or not sayable(model):
        raise BadInput("model", "is not a name in one line", "give the name that its provider lists")
    if name == "local":
        if base_url:
            raise BadInput("provider local", "has no address", "leave out the address, or choose openai or gemini")
        from pipelines.scoring.local import LocalScorer

        return LocalScorer(rubric, labelled)
    timeout = settings.number("score_timeout_seconds")
    if name == "gemini":
        from pipelines.scoring import gemini

        where = gemini_endpoint(settings, base_url)
        return gemini.Gemini(where, rubric, model or gemini.MODEL, timeout=timeout, most=concurrency)
    from pipelines.scoring import openai_chat

    where = openai_endpoint(settings, base_url)
    return openai_chat.OpenAIChat(where, rubric, model or openai_chat.MODEL, timeout=timeout, most=concurrency)


def openai_endpoint(settings: Settings, base_url: str | None = None) -> Endpoint:
    """Raises BadInput. Only OpenAI's own address needs a key."""
    base = (base_url or settings.openai_base_url).rstrip("/").removesuffix("/chat/completions")
    return _endpoint(settings.openai_api_key, base, "openai")


def gemini_endpoint(settings: Settings, base_url: str | None = None) -> Endpoint:
    """Raises BadInput. Only Google's own address needs a key."""
    return _endpoint(settings.gemini_api_key, base_url or settings.gemini_base_url, "gemini")


def _endpoint(key: str, base: str, kind: str) -> Endpoint:
    from pipelines.scoring.wire import Endpoint, place

    usual: str = getattr(Settings(), f"{kind}_base_url")
    try:
        own = place(base).removesuffix("/v1beta") == place(usual)
    except ValueError:
        own = False  # no address: Endpoint.of says so
    return Endpoint.of(
        base,
        key,
        key_setting=f"ORIMONO_{kind.upper()}_API_KEY",
        base_setting=f"ORIMONO_{kind.upper()}_BASE_URL",
        needs_key=own,
    )
