"""The file that a signed link leads to, opened. How it goes over the wire is serving/api/delivery.py's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from pipelines import results
from pipelines.errors import BadInput, NotFound
from serving.api.house import House
from serving.views.links import Links

ORIGINAL = "original:"  # purpose of a link to one; the number is its access request's


@dataclass(frozen=True, slots=True)
class LinkedFile:
    """``keep``: a person's original, for them to save; it is to lie nowhere on the way."""

    opened: BinaryIO
    name: str
    media_type: str
    keep: bool


def open_link(house: House, token: str, path: str, *, look: bool = False) -> LinkedFile:
    """To be closed. NotAllowed for a forged link or one for another file, Expired after its time, NotFound when the
    file has gone. Every reading of an original is in the audit trail before it is handed out; ``look``: only its size
    is told."""
    link = house.one(Links).signer.read(token, path)
    name = path.rpartition("/")[2]
    if link.place == "results":
        file = results.opened_of(house.settings, house.objects, link.key, path)
        return LinkedFile(file, name, results.media_type_of(name), keep=False)
    original = link.purpose.startswith(ORIGINAL)
    if original and not look:
        from pipelines.governance import access

        access.read(house.studio, int(link.purpose.removeprefix(ORIGINAL)), link.who)
    try:
        opened = house.studio.objects.opened(link.key)  # no copy of a person's file is to lie here
    except (BadInput, FileNotFoundError) as error:
        raise NotFound(name, "is gone", "ask for the list it was on") from error
    return LinkedFile(opened, name, results.media_type_of(name), keep=original)
