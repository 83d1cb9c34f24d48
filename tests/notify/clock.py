"""Time passes for the outbox, whether a server works on it meanwhile or not."""

from __future__ import annotations

from yaosu.db.engine import Connection

# What a living sender holds just now it writes itself.
_DUE = """
UPDATE delivery SET next_at = now() WHERE id IN (
    SELECT id FROM delivery WHERE settled_at IS NULL AND (next_at < 'infinity' OR $1) AND NOT claimed
    ORDER BY id FOR UPDATE SKIP LOCKED)"""
# What a dead one held is free as soon as the database has noticed.
_LEASES = """
UPDATE delivery SET next_at = now() WHERE id IN (
    SELECT id FROM delivery WHERE settled_at IS NULL AND (next_at < 'infinity' OR $1) ORDER BY id FOR UPDATE)"""
_OPEN = """
UPDATE delivery_gate SET next_call = now(),
    shut_till = CASE WHEN shut_till = 'infinity' THEN shut_till ELSE '-infinity' END
WHERE (target, target_id) IN (
    SELECT target, target_id FROM delivery_gate ORDER BY target, target_id FOR UPDATE SKIP LOCKED)"""


async def pauses_end(conn: Connection, *, at_rest: bool = False, leases: bool = False) -> None:
    """Every pause between two tries is over.

    `at_rest`: also what waits for a person. `leases`: also the claims of a sender that is dead; a living one would send
    what it is sending just now a second time beside itself.
    """
    await conn.execute(_LEASES if leases else _DUE, at_rest)


async def gates_open(conn: Connection) -> None:
    """Every address may be called again, those that are held excepted."""
    await conn.execute(_OPEN)
