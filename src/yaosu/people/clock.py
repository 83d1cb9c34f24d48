"""Retention: persons whose term has ended are erased once an hour, those of whom no sale came at once."""

from __future__ import annotations

from datetime import UTC, datetime

import structlog

from yaosu.db.engine import Connection
from yaosu.people import service, store
from yaosu.registry.resolver import load_registry
from yaosu.settings import Settings

log = structlog.get_logger("yaosu.people")


async def tick(conn: Connection, settings: Settings) -> None:
    """Erase what is due. Safe to call twice; two workers take turns."""
    now = datetime.now(UTC)
    await conn.execute(store.LOCK_PERSON, 0)
    erased = await service.erase_unused(conn, now)
    if now.minute == 0:
        erased += await service.erase_due(conn, await load_registry(conn), now)
    if erased:
        log.info("retention_ended", count=erased)
