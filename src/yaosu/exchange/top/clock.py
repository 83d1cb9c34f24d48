"""Once a minute: signed requests that are too old to be repeated are forgotten."""

from __future__ import annotations

from yaosu.db.engine import Connection
from yaosu.exchange.top import store
from yaosu.settings import Settings


async def tick(conn: Connection, settings: Settings) -> None:
    """Idempotent."""
    await conn.execute(store.FORGET_REPEATS)
