"""The client against the OpenAPI document: one method an operation, with its name, parameters, body and answer."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from pipelines.settings import Settings
from serving.api.app import create_app
from serving.client import Orimono

# Taken by methods that do more than one request: ``upload`` speaks tus, ``fetch`` follows links.
WITHIN_OTHERS = {"create_upload", "get_upload_offset", "send_upload_piece", "read_file"}
MORE_THAN_ONE = {"upload", "fetch", "live", "close"}
DOCUMENT: dict[str, Any] = create_app(Settings()).openapi()


@dataclass(frozen=True)
class Operation:
    id: str
    method: str
    path: str
    parameters: tuple[tuple[str, str], ...]  # (where, name)
    body: str | None  # name of its schema
    answer: str | None  # of the first 2xx

    def __str__(self) -> str:
        return self.id


def operations() -> Iterator[Operation]:
    for path, methods in DOCUMENT["paths"].items():
        for method, said in methods.items():
            body = said.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            good = next(answer for status, answer in said["responses"].items() if status.startswith("2"))
            answer = good.get("content", {}).get("application/json", {}).get("schema")
            yield Operation(
                said["operationId"],
                method.upper(),
                path,
                tuple((p["in"], p["name"]) for p in said.get("parameters", ())),
                _name(body),
                _name(answer),
            )


def _name(schema: dict[str, Any] | None) -> str | None:
    return schema["$ref"].rsplit("/", 1)[-1] if schema and "$ref" in schema else None


OPERATIONS = [one for one in operations() if one.id not in WITHIN_OTHERS]


def test_no_operation_and_no_method_is_without_the_other() -> None:
    methods = {name for name, _ in inspect.getmembers(Orimono, inspect.isfunction) if not name.startswith("_")}
    ids = [one.id for one in operations()]

    assert len(ids) == len(set(ids))
    assert methods - MORE_THAN_ONE == {one.id for one in OPERATIONS}


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_a_method_takes_what_its_operation_takes(operation: Operation) -> None:
    method = getattr(Orimono, operation.id)
    parameters = dict(list(inspect.signature(method).parameters.items())[1:])
    hints = typing.get_type_hints(method)

    positional = [name for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    in_path = re.findall(r"{(\w+)", operation.path)
    assert positional == [*in_path, *(["wish"] if operation.body else [])]
    named = {name for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    headers = {"if-match": "etag"}
    asked = {name for where, name in operation.parameters if where == "query"}
    asked |= {headers[name] for where, name in operation.parameters if where == "header" and name in headers}
    assert named == asked
    if operation.body:
        assert hints["wish"].__name__ == operation.body


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.answer], ids=str)
def test_a_method_gives_what_its_operation_answers(operation: Operation) -> None:
    answer = typing.get_type_hints(getattr(Orimono, operation.id))["return"]

    assert issubclass(answer, BaseModel)
    assert re.sub(r"\W+", "_", answer.__name__) == operation.answer
    schema = DOCUMENT["components"]["schemas"][operation.answer]
    assert set(answer.model_fields) == set(schema["properties"])
