"""Starts the exchange with other systems once per server process: every counterpart brings its channel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec

from yaosu.edge.state import AppState
from yaosu.exchange.outbox.model import Channel

COUNTERPARTS = ("top", "yibao", "epcis", "xietong", "jianguan", "files")


def channels(app: AppState) -> dict[str, Channel]:
    """The channels of all counterparts that send something, by name: their `channel.channel(app)`."""
    found = {}
    for name in COUNTERPARTS:
        full = f"yaosu.exchange.{name}.channel"
        if find_spec(full) is not None:
            one: Channel = import_module(full).channel(app)
            found[one.name] = one
    return found


@asynccontextmanager
async def start(app: AppState) -> AsyncIterator[None]:
    """Put the channels where the outbox finds them; its own `parts` starts what sends."""
    app.parts["channels"] = channels(app)
    yield
