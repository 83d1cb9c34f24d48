"""Starts what sends deliveries and counts unread messages, once per server process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from yaosu.edge.background import running
from yaosu.edge.state import AppState, state
from yaosu.notify.outbox import Outbox
from yaosu.notify.unread import Unread
from yaosu.notify.webhooks import Sender
from yaosu.registry.resolver import Registry
from yaosu.settings import master_secret


@asynccontextmanager
async def start(app: AppState) -> AsyncIterator[None]:
    """Put `outbox` and `unread` into `app.parts` for the life of the server."""
    registry: Registry = app.parts["registry"]
    chosen = app.settings
    sender = Sender(app.pool, master_secret(chosen.data), chosen.webhook_hosts, chosen.public_url)
    box = Outbox(app.pool, lambda: registry.lists, {"webhook": sender.target()})
    unread = Unread()
    app.parts["outbox"] = box
    app.parts["unread"] = unread
    async with running({"outbox": box.run(), "unread": unread.run(app.pool)}):
        yield


def unread_of(request: Request) -> Unread:
    """The server's counts of unread messages."""
    found: Unread = state(request).parts["unread"]
    return found
