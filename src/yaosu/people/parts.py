"""The server's keeper of personal data: `app.parts["keeper"]`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from yaosu.edge.state import AppState, state
from yaosu.people.keeper import Keeper
from yaosu.settings import Settings, master_secret


def keeper_for(settings: Settings) -> Keeper:
    """The keeper of this installation."""
    return Keeper(master_secret(settings.data))


@asynccontextmanager
async def start(app: AppState) -> AsyncIterator[None]:
    """Put `keeper` into `app.parts` for the life of the server."""
    app.parts["keeper"] = keeper_for(app.settings)
    yield


def keeper_of(request: Request) -> Keeper:
    """The server's keeper."""
    found: Keeper = state(request).parts["keeper"]
    return found
