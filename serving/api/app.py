"""Puts the API together: routes, pages, failures, what surrounds every request. Nothing heavy is imported here."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import AsyncIterator

from fastapi import FastAPI

from pipelines.settings import Settings
from serving.api import description, documentation, health, metrics, predictors, problems
from serving.api.handing_over import HandingOver
from serving.api.house import House
from serving.api.surroundings import Surroundings
from serving.api.watching import Watching
from serving.pages import failures
from serving.pages.router import router as pages

ROUTES = (  # tried in this order for every request: what is asked most comes first
    *("inference", "recommendations", "live"),
    *("uploads", "submissions", "jobs", "results", "edits", "masters", "arrangements", "scoring"),
    *("consents", "withdrawals", "originals", "audit"),
    *("models", "flags", "status", "keys", "files"),
)

WARM_AFTER_SECONDS = 1.0


def create_app(settings: Settings, house: House | None = None) -> FastAPI:
    """The application over ``settings``; it closes the house that it made."""
    house = house or House(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        house.one(Watching).start()
        house.one(HandingOver).start()
        # What loads models takes the interpreter for a second or two, which the first answers would wait for.
        warming = threading.Timer(WARM_AFTER_SECONDS, predictors.warm, (house,))
        warming.daemon = True
        warming.start()
        yield
        warming.cancel()
        warming.join()
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
    app.add_middleware(Surroundings, house=house)
    problems.install(app)
    for name in ROUTES:  # each by itself: a router within a router is searched twice
        router = importlib.import_module(f"serving.api.routes.{name}").router
        app.include_router(router, prefix="/v1", responses=problems.DOCUMENTED)
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.include_router(documentation.router)
    app.include_router(pages)
    failures.install(app)
    description.install(app)
    return app
