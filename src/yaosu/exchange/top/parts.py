"""Starts the gateway once per server process: its methods, keys and aliases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from yaosu.edge.state import AppState, state
from yaosu.exchange.top.aliases import Aliases
from yaosu.exchange.top.keys import Keys, Sealing
from yaosu.exchange.top.protocol import load_methods
from yaosu.settings import master_secret


@asynccontextmanager
async def start(app: AppState) -> AsyncIterator[None]:
    """Put `top.aliases`, `top.keys` and `top.sealing` into `app.parts`."""
    load_methods()
    master = master_secret(app.settings.data)
    sealing = Sealing(master)
    app.parts["top.aliases"] = Aliases(master)
    app.parts["top.sealing"] = sealing
    app.parts["top.keys"] = Keys(sealing)
    yield


def keys_of(request: Request) -> Keys:
    """The server's keys."""
    found: Keys = state(request).parts["top.keys"]
    return found


def sealing_of(request: Request) -> Sealing:
    """The server's sealing of secrets."""
    found: Sealing = state(request).parts["top.sealing"]
    return found


def aliases_of(request: Request) -> Aliases:
    """The server's aliases."""
    found: Aliases = state(request).parts["top.aliases"]
    return found
