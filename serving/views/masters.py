"""Masters and alignments of a job, from what lies in its results folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pipelines import results as folder
from pipelines.errors import NotFound
from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.views import results
from serving.wire.base import Page
from serving.wire.masters import Alignment, Master
from serving.wire.results import Result

_ENDING = ".master.json"
_MOST_BYTES = 1 << 20
_PICTURES = ("before-after", "waveform", "alignment")


def list_masters(house: House, caller: Caller, job: str) -> Page[Master]:
    """By piece; none while there is none. NotFound for a job that is not theirs."""
    return Page(items=tuple(_master(job, *one) for one in _pieces(house, caller, job)))


def list_alignments(house: House, caller: Caller, job: str) -> Page[Alignment]:
    """Of the pieces that were made of stems."""
    found = []
    for piece, facts, files in _pieces(house, caller, job):
        said = facts.get("alignment")
        if said is not None:
            alignment = Alignment(
                job=job,
                piece=piece,
                lag_ms=round(1000 * said["lag_s"], 3),
                drift_ppm=said["drift_ppm"],
                confidence=said["confidence"] or 0.0,
                confidence_by=said["confidence_by"],
                verdict=said["verdict"],
                reasons=tuple(said["reasons"]),
                picture=files.get(f"{piece}.alignment.png"),
            )
            found.append(alignment)
    return Page(items=tuple(found))


def _pieces(house: House, caller: Caller, job: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Result]]]:
    with house.session() as session:
        results.may_read(session, caller, job)
    files = {one.path: one for one in results.files_of(house, caller, job)}
    for path in files:
        if path.endswith(_ENDING) and "/" not in path:
            try:
                with folder.opened_of(house.settings, house.objects, job, path) as file:
                    facts = json.loads(file.read(_MOST_BYTES))
            except (NotFound, ValueError):  # it went since, or a person wrote over it
                continue
            if not isinstance(facts, dict) or "preset" not in facts:
                continue
            yield path.removesuffix(_ENDING), facts, files


def _master(job: str, piece: str, facts: dict[str, Any], files: dict[str, Result]) -> Master:
    pictures = (files.get(f"{piece}.{name}.png") for name in _PICTURES)
    chosen = facts["preset"]
    return Master(
        job=job,
        piece=piece,
        preset=chosen["name"],
        chosen_by=chosen["chosen_by"],
        confidence=chosen["confidence"],
        reason=chosen["reason"],
        facts=facts,
        master=files.get(f"{piece}.master.wav"),
        preview=files.get(f"{piece}.preview.m4a"),
        peaks=files.get(f"{piece}.peaks.json"),
        pictures=tuple(picture for picture in pictures if picture is not None),
    )
