"""Planned checks that are due, and findings past their deadline (R-E2)."""

from __future__ import annotations

from datetime import UTC, datetime

from yaosu.db.engine import Connection
from yaosu.quality import checks
from yaosu.registry.resolver import load_registry
from yaosu.settings import Settings

PER_MINUTE = 10
"""Planned checks of one minute: the others wait for the next, so that the clock is never long at it."""

WAITING = """
SELECT EXISTS (SELECT 1 FROM quality_plan WHERE active AND next_at <= $1)
    OR EXISTS (SELECT 1 FROM quality_finding WHERE state = 'open' AND due_at < $1)"""


async def tick(conn: Connection, settings: Settings) -> None:
    """What is due now; a look at two indexes when nothing is."""
    now = datetime.now(UTC)
    if not await conn.fetchval(WAITING, now):
        return
    registry = await load_registry(conn)
    await checks.run_due(conn, registry, now, PER_MINUTE)
    await checks.tell_overdue(conn, registry, now)
