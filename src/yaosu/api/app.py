"""Assembles the server: every room's API under /api/v1, every room's pages, one lifespan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from yaosu import __version__
from yaosu.api import health, openapi, reference
from yaosu.api.signpost import Signpost
from yaosu.db.engine import open_pool
from yaosu.edge import problem
from yaosu.edge.pages import WEB
from yaosu.edge.state import AppState
from yaosu.settings import Settings

ROOMS = (
    "access",
    "registry",
    "notify",
    "grants",
    "people",
    "stops",
    "production",
    "ledger",
    "circulation",
    "trace",
    "exceptions",
    "dispensing",
    "uncoded",
    "recall",
    "quality",
    "capture",
    "insurance",
    "sandbox",
    "exchange",
    "exchange.outbox",
    "exchange.top",
    "exchange.yibao",
    "exchange.epcis",
    "exchange.xietong",
    "exchange.jianguan",
    "exchange.files",
    "console",
)


def _modules(name: str) -> list[Any]:
    found = []
    for room in ROOMS:
        full = f"yaosu.{room}.{name}"
        if find_spec(full) is not None:
            found.append(import_module(full))
    return found


def _asked_often(module: Any) -> bool:
    """Routes are tried one after the other: verifying before all but submitting (docs/benchmarks.md)."""
    return bool(module.__name__ == "yaosu.trace.api")


def create_app(settings: Settings, address: str) -> FastAPI:
    """The server on an already migrated database at `address`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            pool = await open_pool(address)
            stack.push_async_callback(pool.close)
            app.state.yaosu = AppState(settings=settings, address=address, pool=pool)
            # a room may have a `parts` module whose `start(state)` is an async context manager
            for module in _modules("parts"):
                await stack.enter_async_context(module.start(app.state.yaosu))
            yield

    app = FastAPI(
        title="药溯 Yaosu",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        # such a redirect would repeat the caller's Host header, and a POST would be sent twice
        redirect_slashes=False,
        description="Drug traceability platform: one scan, every duty.",
    )
    problem.install(app)
    # straight into the application: every nesting of routers is matched anew for each request
    modules = sorted(_modules("api"), key=_asked_often, reverse=True)
    for router in [*(m.first for m in modules if hasattr(m, "first")), *(m.router for m in modules)]:
        app.include_router(router, prefix="/api/v1")
    app.include_router(health.router, prefix="/api/v1")
    openapi.install(app)
    app.include_router(reference.router, include_in_schema=False)
    for module in (*_modules("pages"), *_modules("help_pages"), *_modules("stories")):
        app.include_router(module.router, include_in_schema=False)
    (WEB / "static").mkdir(exist_ok=True)
    app.mount("/static", StaticFiles(directory=WEB / "static"), name="static")
    app.router.routes.insert(0, Signpost(tuple(app.router.routes)))
    if find_spec("yaosu.access.middleware") is not None:
        import_module("yaosu.access.middleware").install(app)
    return app
