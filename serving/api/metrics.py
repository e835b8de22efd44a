"""The route that Prometheus reads. What it is told is figures.py's, which is loaded when somebody asks: its library
takes long, and the start has no time for it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse, calls

router = APIRouter(tags=["status"])
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/metrics", include_in_schema=False)
async def get_metrics(house: InHouse, caller: Annotated[Caller, calls("operate")]) -> Response:
    from serving.api.figures import Figures

    return Response(house.one(Figures).text(), media_type=MEDIA_TYPE)
