"""Accompaniment while somebody plays, and sketches of small melodies at once."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, WebSocket

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse, calls
from serving.api.playing import Session
from serving.views import live as views
from serving.wire.live import LiveProtocol, Sketch, SketchWish

router = APIRouter(tags=["live"])


@router.websocket("/live")
async def live(socket: WebSocket) -> None:
    """A session; GET of the same address tells how it goes."""
    await Session(socket, socket.app.state.house).run()


@router.get(
    "/live",
    operation_id="get_live_protocol",
    summary="How a live session goes",
    response_model=LiveProtocol,
)
async def get_live_protocol(caller: Annotated[Caller, calls("live")]) -> LiveProtocol:
    """The WebSocket of the same address accompanies one player: notes go in as JSON messages while they are played,
    ``advance`` once a beat, and what to play in the next beat comes out. The key comes with Authorization, as the
    subprotocol ``bearer.KEY`` beside ``orimono.live.v1``, or as ``token`` of the first message."""
    return views.protocol()


@router.post(
    "/sketches",
    operation_id="sketch",
    summary="Arrange a small melody at once",
    response_model=Sketch,
)
def sketch(wish: SketchWish, caller: Annotated[Caller, calls("live")], house: InHouse) -> Sketch:
    """As ``orimono harmonize`` does it, within seconds and without keeping anything. Make a job of larger melodies, and
    of those whose arrangements are to be kept."""
    return views.sketch(house, caller, wish)
