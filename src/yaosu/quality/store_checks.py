"""SQL of plans, periodic checks and their findings. Rows are one organisation's internal records: mark `org`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from asyncpg import Record

from yaosu.access.visibility import Sight
from yaosu.db.engine import Connection

PLAN = "SELECT org, every, account_id, active, next_at, updated_at FROM quality_plan WHERE org = $1"
SET_PLAN = """
INSERT INTO quality_plan (org, every, account_id, active, next_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (org) DO UPDATE SET every = $2, account_id = $3, active = $4, next_at = $5, updated_at = now()"""
# Taken one by one, so that two workers never check the same organisation; the next time is set before the work.
DUE = """
SELECT org, every, account_id FROM quality_plan WHERE active AND next_at <= $1
ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED"""
ADVANCE = "UPDATE quality_plan SET next_at = $2 WHERE org = $1"

ADD_CHECK = """
INSERT INTO quality_check (org, origin, account_id, since, figures, found) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id"""
CHECKS = """
SELECT c.id, c.org, c.origin, c.account_id, c.made_at, c.figures, c.found, a.name FROM quality_check c
LEFT JOIN account a ON a.id = c.account_id
WHERE /*visible:org c.org*/ AND ($1::int IS NULL OR c.org = $1) AND c.id < $2 ORDER BY c.id DESC LIMIT $3"""
CHECK = """
SELECT c.id, c.org, c.origin, c.account_id, c.made_at, c.since, c.figures, c.found, a.name FROM quality_check c
LEFT JOIN account a ON a.id = c.account_id WHERE /*visible:org c.org*/ AND c.id = $1"""

OPEN = "SELECT id, rule, state, owner FROM quality_finding WHERE org = $1 AND state <> 'closed' FOR UPDATE"
ADD_FINDING = """
INSERT INTO quality_finding (org, rule, area, params, evidence, first_check, last_check, owner, due_at)
VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8) RETURNING id"""
AGAIN = """
UPDATE quality_finding SET params = $2, evidence = $3, last_check = $4, state = 'open',
    due_at = CASE WHEN state = 'answered' THEN $5 ELSE due_at END WHERE id = $1"""
GONE = "UPDATE quality_finding SET state = 'closed', closed_at = now(), last_check = $2 WHERE id = $1"
EVENT = "INSERT INTO quality_finding_event (finding_id, account_id, kind, text) VALUES ($1, $2, $3, $4)"
FINDINGS = """
SELECT f.id, f.org, f.rule, f.area, f.params, f.evidence, f.owner, f.due_at, f.state, f.answer, f.answered_at,
    f.closed_at, a.name AS owner_name, k.made_at AS found_at FROM quality_finding f
JOIN quality_check k ON k.id = f.first_check LEFT JOIN account a ON a.id = f.owner
WHERE /*visible:org f.org*/ AND ($1::int IS NULL OR f.org = $1) AND f.state = ANY($2::text[]) AND f.id < $3
ORDER BY f.id DESC LIMIT $4"""
# Tasks that wait: all open ones, those past their day, those of one account ($2), and tables that wait to be filed.
WAITING = """
SELECT count(*) FILTER (WHERE f.state = 'open') AS open,
    count(*) FILTER (WHERE f.state = 'open' AND f.due_at < now()) AS overdue,
    count(*) FILTER (WHERE f.state = 'open' AND f.owner = $2) AS own,
    count(*) FILTER (WHERE f.state = 'answered') AS answered,
    (SELECT count(*) FROM quality_selfcheck s
        WHERE s.org = $1 AND s.state = 'signed' AND /*visible:org s.org*/) AS to_file
FROM quality_finding f WHERE f.org = $1 AND f.state <> 'closed' AND /*visible:org f.org*/"""
FINDING = """
SELECT f.id, f.org, f.rule, f.area, f.params, f.evidence, f.first_check, f.last_check, f.owner, f.due_at, f.state,
    f.answer, f.answered_at, f.closed_at, a.name AS owner_name, k.made_at AS found_at FROM quality_finding f
JOIN quality_check k ON k.id = f.first_check LEFT JOIN account a ON a.id = f.owner
WHERE /*visible:org f.org*/ AND f.id = $1"""
LOCK_FINDING = "SELECT id, state, owner FROM quality_finding WHERE id = $1 AND org = $2 FOR UPDATE"
EVENTS = """
SELECT e.at, e.kind, e.text, a.name FROM quality_finding_event e LEFT JOIN account a ON a.id = e.account_id
WHERE e.finding_id = $1 ORDER BY e.id"""
ANSWER = """
UPDATE quality_finding SET state = 'answered', answer = $2, answered_by = $3, answered_at = now() WHERE id = $1"""
CLOSE = "UPDATE quality_finding SET state = 'closed', closed_at = now() WHERE id = $1"
ASSIGN = "UPDATE quality_finding SET owner = $2, due_at = coalesce($3, due_at) WHERE id = $1"
OVERDUE = """
SELECT f.id, f.org, f.rule, f.due_at FROM quality_finding f WHERE f.state = 'open' AND f.due_at < $1
    AND NOT EXISTS (SELECT 1 FROM quality_finding_event e WHERE e.finding_id = f.id AND e.kind = 'overdue'
        AND e.at >= f.due_at)
ORDER BY f.due_at LIMIT 500 FOR UPDATE OF f SKIP LOCKED"""

ACCOUNTS = """
SELECT id, name, role FROM account WHERE org_id = $1 AND active ORDER BY name, id"""


async def run(conn: Connection, query: str, *args: object) -> None:
    """One of the writing statements above."""
    await conn.execute(query, *args)


async def value(conn: Connection, query: str, *args: object) -> int:
    """The number of the row that was written."""
    found: int = await conn.fetchval(query, *args)
    return found


async def row(conn: Connection, query: str, *args: object) -> Record | None:
    """One row of the writing side."""
    return await conn.fetchrow(query, *args)


async def rows(conn: Connection, query: str, *args: object) -> list[Record]:
    """Rows of the writing side, or of one's own organisation."""
    return await conn.fetch(query, *args)


async def checks(conn: Connection, sight: Sight, org: int | None, before: int, limit: int) -> list[Record]:
    """Periodic checks, newest first."""
    sql, args = sight.apply(CHECKS, org, before, limit)
    return await conn.fetch(sql, *args)


async def check(conn: Connection, sight: Sight, number: int) -> Record | None:
    """One periodic check."""
    sql, args = sight.apply(CHECK, number)
    return await conn.fetchrow(sql, *args)


async def findings(
    conn: Connection, sight: Sight, org: int | None, states: Sequence[str], before: int, limit: int
) -> list[Record]:
    """Findings, newest first."""
    sql, args = sight.apply(FINDINGS, org, list(states), before, limit)
    return await conn.fetch(sql, *args)


async def waiting(conn: Connection, sight: Sight, org: int, account_id: int | None) -> dict[str, int]:
    """Counts of an organisation's quality tasks: `open`, `overdue`, `own`, `answered`; `to_file`: signed tables."""
    sql, args = sight.apply(WAITING, org, account_id)
    row = await conn.fetchrow(sql, *args)
    assert row is not None
    return dict(row)


async def finding(conn: Connection, sight: Sight, number: int) -> Record | None:
    """One finding."""
    sql, args = sight.apply(FINDING, number)
    return await conn.fetchrow(sql, *args)


async def due(conn: Connection, now: datetime) -> Record | None:
    """The organisation whose check is longest due, locked."""
    return await conn.fetchrow(DUE, now)
