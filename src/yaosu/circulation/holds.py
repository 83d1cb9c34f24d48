"""Goods in dispute stay in quarantine until their case closes (R-B4)."""

from __future__ import annotations

from collections.abc import Sequence

from yaosu.circulation import store_notice as store
from yaosu.db.engine import Connection


async def hold(
    conn: Connection, org: int, quarantine_ids: Sequence[int], exception_id: int, number: str = ""
) -> list[int]:
    """Keep open quarantine entries of `org` where they are for a case; the entries now held by it.

    `number` is the case's number as a refusal names it. Entries that are closed, of another organisation or held
    by another case are left alone and not among the answer.
    """
    rows = await conn.fetch(store.HOLD, org, list(quarantine_ids), exception_id, number or str(exception_id))
    return [r["id"] for r in rows]


async def release(conn: Connection, exception_id: int) -> list[int]:
    """Let go of everything the case held; the entries."""
    return [r["id"] for r in await conn.fetch(store.LET_GO, exception_id)]
