"""Sketches over a real server: the arrangement of the command line, at once, and its sentences."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pipelines.composing import arranging, midi_reading, midi_writing
from pipelines.composing.piece import Key, KeyChange, Metre, Note, Part, Piece, Tempo
from pipelines.composing.wishes import Wishes
from serving.api import harmonizers
from serving.api.harmonizers import Harmonizers
from serving.wire import live as wire
from tests.serving.api.conftest import Api, Running

TUNE = [[0, 1, 60], [1, 1, 62], [2, 1, 64], [3, 1, 65], [4, 2, 67], [6, 2, 64], [8, 1, 62], [9, 1, 64], [10, 2, 60]]


def piece(notes: list[list[int]]) -> Piece:
    part = Part("Melody", "melody", tuple(Note(start * 480, length * 480, pitch) for start, length, pitch in notes))
    maps = ((Tempo(0, 600_000),), (Metre(0, 4, 4),), (KeyChange(0, Key(0)),))
    return Piece("the melody", 480, max(note.end for note in part.notes), *maps, (part,))


def sketched(api: Api, **wish: Any) -> dict[str, Any]:
    answer = api().post("/v1/sketches", json={"melody": TUNE} | wish)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = wire.Sketch.model_validate(answer.json()).model_dump()
    return found


@pytest.mark.parametrize("style", ["chorale", "pop"])
def test_it_is_what_the_command_line_makes(style: Any, api: Api) -> None:
    found = sketched(api, style=style, candidates=2, seed=5)
    made = arranging.arrange(piece(TUNE), Wishes(style=style, candidates=2, seed=5, track=1))
    assert [one["rating"] for one in found["candidates"]] == [one.rating for one in made.candidates]
    for told, candidate in zip(found["candidates"], made.candidates, strict=True):
        read = midi_reading.parse(base64.b64decode(told["midi"]), "answer")
        assert [part.notes for part in read.parts] == [part.notes for part in candidate.piece.parts]
        notes = [(n.start / 480, n.duration / 480, n.pitch, n.velocity) for p in candidate.piece.parts for n in p.notes]
        assert [note for part in told["parts"] for note in part["notes"]] == notes
        assert [chord["symbol"] for chord in told["chords"]] == [s.chord.symbol for s in candidate.piece.chords]
    assert (found["key"], found["notes"]) == ("C major", made.notes)


def test_a_file_is_as_good_as_notes(api: Api) -> None:
    text = base64.b64encode(midi_writing.to_bytes(piece(TUNE))).decode()
    assert sketched(api, melody=text)["candidates"] == sketched(api)["candidates"]


def test_wishes_are_heard(api: Api) -> None:
    found = sketched(api, chords="Am | F | C", key="A minor")
    assert found["key"] == "A minor"
    assert found["candidates"][0]["chords"][0]["symbol"] == "Am"


LONG = [[beat, 1, 60] for beat in range(wire.MOST_NOTES + 1)]
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no melody": ({}, "body.melody"),
    "no notes": ({"melody": []}, "body.melody"),
    "too many notes": ({"melody": LONG}, "body.melody"),
    "no pitch": ({"melody": [[0, 1, 200]]}, "body.melody"),
    "no length": ({"melody": [[0, 0, 60]]}, "body.melody"),
    "no end": ({"melody": [[0, 1e9, 60]]}, "body.melody"),
    "no base64": ({"melody": "?"}, "the melody: is not base64"),
    "no MIDI": ({"melody": base64.b64encode(b"RIFF").decode()}, "the melody: "),
    "too long a file": (
        {"melody": base64.b64encode(midi_writing.to_bytes(piece(LONG))).decode()},
        f"has {wire.MOST_NOTES + 1} notes",
    ),
    "no key": ({"melody": TUNE, "key": "H"}, "key 'H': is not a key; give one such as C major"),
    "no chord": ({"melody": TUNE, "chords": "| |"}, "the chords: hold no chord"),
    "no groove": ({"melody": TUNE, "style": "pop", "groove": "none such"}, "none such"),
    "too many": ({"melody": TUNE, "candidates": 5}, "body.candidates"),
    "no style": ({"melody": TUNE, "style": "jazz"}, "body.style"),
}


def test_what_cannot_be_had_is_said_as_the_command_line_says_it(api: Api) -> None:
    client = api()
    for what, (wish, words) in WRONG.items():
        answer = client.post("/v1/sketches", json=wish)
        assert answer.status_code == 422, what
        assert words in answer.json()["detail"], what


def test_the_longest_melody_is_sketched(api: Api) -> None:
    found = sketched(api, melody=LONG[:-1], candidates=4, style="pop")
    assert len(found["candidates"][0]["parts"][0]["notes"]) == wire.MOST_NOTES


def test_who_may_not(api: Api) -> None:
    assert api("viewer").post("/v1/sketches", json={"melody": TUNE}).status_code == 403


def test_few_are_made_at_once_and_the_others_are_told_to_come_back(
    api: Api, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harmonizers, "QUEUE_S", 0.2)
    room = server.house.one(Harmonizers)._room
    for _ in range(harmonizers.AT_ONCE):
        room.acquire()
    try:
        with ThreadPoolExecutor(3) as threads:
            asked = [threads.submit(api().post, "/v1/sketches", json={"melody": TUNE}) for _ in range(3)]
            answers = [one.result() for one in asked]
        assert {(answer.status_code, "retry-after" in answer.headers) for answer in answers} == {(503, True)}
    finally:
        for _ in range(harmonizers.AT_ONCE):
            room.release()
    assert api().post("/v1/sketches", json={"melody": TUNE}).status_code == 200


def test_one_that_takes_too_long_is_left_alone(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harmonizers, "SKETCH_S", 0.001)
    answer = api().post("/v1/sketches", json={"melody": LONG[:-1], "candidates": 4})
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    assert "make a job" in answer.json()["detail"]
