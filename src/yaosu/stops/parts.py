"""The process's memory of the stops in force, in `app.parts["stops"]`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from yaosu.edge.state import AppState, state
from yaosu.stops.service import Memory


@asynccontextmanager
async def start(app: AppState) -> AsyncIterator[None]:
    """Put the memory where the rooms above find it."""
    app.parts["stops"] = Memory()
    yield


def stops_of(request: Request) -> Memory:
    """The server's memory of stops; call `fresh` before looking."""
    found: Memory = state(request).parts["stops"]
    return found
