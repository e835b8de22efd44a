"""Puts the API together: routes, pages, failures, what surrounds every request. Nothing heavy is imported here."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import AsyncIterator

from fastapi import APIRouter, FastAPI

from pipelines.settings import Settings
from serving.api import description, documentation, predictors, problems
from serving.api.house import House
from serving.pages import failures
from serving.pages.router import router as pages

ROUTES = (
    *("uploads", "jobs", "results", "edits", "masters", "arrangements", "scoring"),
    *("recommendations", "inference", "live"),
    *("consents", "withdrawals", "originals", "audit"),
    *("models", "flags", "status", "keys", "files"),
)


def create_app(settings: Settings, house: House | None = None) -> FastAPI:
    """The application over ``settings``; it closes the house that it made."""
    house = house or House(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        predictors.warm(house)
        yield
        house.close()

    app = FastAPI(
        title="Orimono",
        version="1",
        summary="A studio's uploads become features, models and finished work.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        lifespan=lifespan,
    )
    app.state.house = house
    problems.install(app)
    api = APIRouter(prefix="/v1", responses=problems.DOCUMENTED)
    for name in ROUTES:
        api.include_router(importlib.import_module(f"serving.api.routes.{name}").router)
    app.include_router(api)
    app.include_router(documentation.router)
    app.include_router(pages)
    failures.install(app)
    description.install(app)
    return app
