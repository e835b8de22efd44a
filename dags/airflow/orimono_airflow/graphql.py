"""Questions to Dagster over GraphQL, and how one can fail. Standard library only.

What is asked for is runs.py's.
"""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Answer: TypeAlias = dict[str, Any]

TIMEOUT = 60.0  # s; a sensor that is asked to look has as long
MOST_BYTES = 64 << 20
MOST_TOLD = 64 << 10  # bytes of an answer that is an error


class DagsterError(Exception):
    """What Dagster did not do, in one sentence."""


class Away(DagsterError):
    """Transient: Dagster, or its code location, does not answer at this moment."""


class Refused(DagsterError):
    """Permanent: Dagster answered, and will answer the same again."""


@dataclass(frozen=True, slots=True)
class Dagster:
    """``url``: where its webserver is asked; ``public_url``: where people reach it."""

    url: str
    public_url: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Dagster:
        """By the product's own settings ORIMONO_DAGSTER_URL and ORIMONO_DAGSTER_INTERNAL_URL."""
        public = environ.get("ORIMONO_DAGSTER_URL") or "http://127.0.0.1:3000"
        url = environ.get("ORIMONO_DAGSTER_INTERNAL_URL") or public
        for name in (public, url):
            if not name.startswith(("http://", "https://")):
                raise Refused(f"{name!r} is no address of Dagster; set ORIMONO_DAGSTER_URL to http://host:port")
        return cls(url.rstrip("/"), public.rstrip("/"))

    def link(self, run_id: str) -> str:
        return f"{self.public_url}/runs/{run_id}"

    def ask(self, query: str, **variables: Any) -> Answer:
        """The answer's data. Raises Away, and Refused for a question that Dagster does not understand."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}/graphql", body, headers)  # noqa: S310 - checked above
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
                read = answer.read(MOST_BYTES + 1)
            if len(read) > MOST_BYTES:
                raise Refused(f"Dagster at {self.url}: the answer has more than {MOST_BYTES >> 20} MB")
            found = json.loads(read)
        except urllib.error.HTTPError as error:
            with error:
                said = f"Dagster at {self.url}: HTTP {error.code} {_said(error.read(MOST_TOLD)) or error.reason}"
            raise (Away if error.code >= 500 or error.code == 429 else Refused)(said) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Away(f"Dagster at {self.url} does not answer: {error}") from error
        if found.get("errors"):
            raise Refused(f"Dagster at {self.url}: {found['errors'][0].get('message')}")
        data: Answer = found["data"]
        return data


def _said(body: bytes) -> str:
    """What is wrong with a question, where the answer says so."""
    try:
        return str(json.loads(body)["errors"][0]["message"])
    except (ValueError, LookupError, TypeError):
        return ""


def unwrapped(answer: Answer, wanted: str, otherwise: type[DagsterError] = Refused) -> Answer:
    """One of GraphQL's unions, if it is of the wanted type; else raises ``otherwise`` with what it says."""
    if answer["__typename"] == wanted:
        return answer
    errors = "; ".join(error["message"] for error in answer.get("errors", ()))
    raise otherwise(f"Dagster: {answer.get('message') or errors or answer['__typename']}")
