"""SQL of base data on their way out: what the registry in memory does not hold."""

from __future__ import annotations

from yaosu.db.engine import Connection

OTHER_IDS = "SELECT id, other_id_kind, other_id FROM org WHERE uscc IS NULL AND other_id IS NOT NULL"

FOREIGN = "SELECT org FROM foreign_org"


SANDBOX = "SELECT org FROM sandbox_org"


async def other_ids(conn: Connection) -> dict[int, str]:
    """`kind:number` of organisations without a 统一社会信用代码, by id."""
    return {r["id"]: f"{r['other_id_kind']}:{r['other_id']}" for r in await conn.fetch(OTHER_IDS)}


async def foreign(conn: Connection) -> set[int]:
    """Organisations that work in another trace system."""
    return {r["org"] for r in await conn.fetch(FOREIGN)}


async def sandbox(conn: Connection) -> set[int]:
    """Organisations that only try something out: nobody outside hears of them."""
    return {r["org"] for r in await conn.fetch(SANDBOX)}
