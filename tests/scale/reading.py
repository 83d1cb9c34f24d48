"""What a read reads: rows and index entries that the server touched, whatever the machine's pace."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from yaosu.db.engine import Connection

# Counted by the server for the transaction under way: rows of tables, entries of indexes.
_TOUCHED = """
SELECT coalesce(sum(pg_stat_get_xact_tuples_returned(c.oid) + pg_stat_get_xact_tuples_fetched(c.oid)), 0)::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('public', 'people') AND c.relkind IN ('r', 'i')"""
GENERIC, CUSTOM = "force_generic_plan", "force_custom_plan"
"""A prepared statement is planned for its parameters at first and for any parameters later: both must be bounded."""


async def rows_read(conn: Connection, read: Callable[[], Awaitable[Any]]) -> int:
    """The most that `read` touches under either kind of plan; inside a transaction."""
    found = []
    for mode in (CUSTOM, GENERIC):
        await conn.execute(f"SET LOCAL plan_cache_mode = {mode}")
        before = await conn.fetchval(_TOUCHED)
        await read()
        found.append(await conn.fetchval(_TOUCHED) - before)
    await conn.execute("SET LOCAL plan_cache_mode = auto")
    return int(max(found))
