"""Goods in dispute stay in quarantine until their case closes, and after it where it settled without them (R-B4)."""

from __future__ import annotations

from collections.abc import Sequence

from yaosu.circulation import store_holds
from yaosu.circulation import store_notice as store
from yaosu.db.engine import Connection


async def hold(
    conn: Connection, org: int, quarantine_ids: Sequence[int], exception_id: int, number: str = ""
) -> list[int]:
    """Keep open quarantine entries of `org` where they are for a case; the entries now held by it.

    `number` is the case's number as a refusal names it. Entries that are closed, of another organisation or held
    by another case are left alone and not among the answer.
    """
    await conn.execute(store_holds.LOCK, list(quarantine_ids))
    rows = await conn.fetch(store.HOLD, org, list(quarantine_ids), exception_id, number or str(exception_id))
    return [r["id"] for r in rows]


async def release(conn: Connection, exception_id: int, *, saleable: bool | None = None) -> list[int]:
    """Let go of everything the case held; the entries.

    `saleable`: whether the goods may be released from quarantine by what was settled (None: nothing was). What one
    case decides stands until a later one decides about the same goods.
    """
    await conn.execute(store_holds.LOCK_HELD, exception_id)
    if saleable is not None:
        await conn.execute(store_holds.UNDECIDE if saleable else store_holds.DECIDE, exception_id)
    return [r["id"] for r in await conn.fetch(store.LET_GO, exception_id)]
