"""Forgets the content of deliveries that were settled long ago; their digests and answers stay."""

from __future__ import annotations

from yaosu.db.engine import Connection
from yaosu.notify import store_outbox
from yaosu.notify.pace import DEFAULT, pace_of
from yaosu.registry.resolver import load_registry
from yaosu.settings import Settings


async def tick(conn: Connection, settings: Settings) -> None:
    """A portion for each channel of list `delivery_channel`; the next minute takes the next."""
    lists = (await load_registry(conn)).lists
    named = [item.code for item in lists.get("delivery_channel") if item.code != DEFAULT]
    for name in named:
        await store_outbox.prune(conn, name, pace_of(lists, name).keep_days, named)
    await store_outbox.prune(conn, None, pace_of(lists, DEFAULT).keep_days, named)
