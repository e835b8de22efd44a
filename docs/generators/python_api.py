"""The Python API, from signatures and docstrings: the client, the recommender for anybody's data, errors."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from docs.generators import markdown as md

ABOUT = """\
What other programs may import. All else may change from one release to the next. Types are checked (`py.typed`
code under strict mypy); errors are those of `pipelines.errors` and, in the client, of `serving.client`."""


def page() -> str:
    from pipelines import errors, recommending
    from serving import client

    raised = [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, Exception)]
    raised.sort(key=lambda error: inspect.getsourcelines(error)[1])
    refused = [value for _, value in inspect.getmembers(client, inspect.isclass) if issubclass(value, Exception)]
    return md.page(
        "Python",
        ABOUT,
        "## The client",
        "`from serving.client import Orimono`",
        md.told(client.Orimono),
        *(_function(getattr(client.Orimono, name)) for name in sorted(_operations(client.Orimono))),
        "### What it raises",
        md.table(("error", "means"), ((md.code(e.__name__), md.cell(md.told(e))) for e in refused)),
        "## The recommender, over anybody's data",
        "`from pipelines import recommending`",
        _function(recommending.fit),
        "## Errors",
        "`from pipelines.errors import BadInput`",
        md.table(("error", "means"), ((md.code(e.__name__), md.cell(md.told(e))) for e in raised)),
    )


def _operations(client: type[Any]) -> list[str]:
    return [name for name, _ in inspect.getmembers(client, inspect.isfunction) if not name.startswith("_")]


def _function(function: Callable[..., Any]) -> str:
    signature = str(inspect.signature(function)).replace("'", "")
    name = function.__name__
    return f"### {name} {{ #{name} }}\n\n```text\n{_wrapped(name + signature)}\n```\n\n{md.told(function)}"


def _wrapped(signature: str) -> str:
    if len(signature) <= 100:
        return signature
    head, _, rest = signature.partition("(")
    inside, _, answer = rest.rpartition(")")
    parts, depth = [""], 0
    for sign in inside:
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return head + "(\n" + "".join(f"    {part.strip()},\n" for part in parts) + ")" + answer
