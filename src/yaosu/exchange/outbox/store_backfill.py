"""SQL of back-fills: where each stands, and the next bills of one. No caller sees rows of bills."""

from __future__ import annotations

# The place before the first bill of that time; ids rise with the time of recording, but for what commits late.
# ungated: a number to begin at, no bill
FIRST = """
SELECT least((SELECT min(id) FROM bill WHERE recorded_at >= $1),
    (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM bill_id_seq) + 1) - 1"""
LAST = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM bill_id_seq"

BEGIN = """
INSERT INTO route_backfill (connection_id, since, first, upto, at, started_by) VALUES ($1, $2, $3, $4, $3, $5)
ON CONFLICT (connection_id) DO UPDATE SET since = excluded.since, first = excluded.first, upto = excluded.upto,
    at = excluded.at, looked = 0, state = 'running', started_at = now(), started_by = excluded.started_by,
    ended_at = NULL"""

SET_STATE = """
UPDATE route_backfill SET state = $2 WHERE connection_id = $1 AND state IN ('running', 'paused') RETURNING state"""

_COLUMNS = "connection_id, since, first, upto, at, looked, state, started_at, ended_at"
ONE = f"SELECT {_COLUMNS} FROM route_backfill WHERE connection_id = $1"  # noqa: S608 - constant columns

# Whoever was writing a bill when it began has ended by then, so every number up to `upto` is decided.
RUNNING = """
SELECT b.connection_id FROM route_backfill b JOIN connection c ON c.id = b.connection_id
WHERE b.state = 'running' AND c.state = 'active' AND (b.started_at < now() - interval '15 minutes' OR NOT EXISTS (
    SELECT 1 FROM pg_stat_activity a WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
        AND a.backend_type = 'client backend' AND a.xact_start <= b.started_at))
ORDER BY b.connection_id"""

TAKE = """
SELECT b.since, b.at, b.upto, b.looked, c.org, c.everyone, c.channel FROM route_backfill b
JOIN connection c ON c.id = b.connection_id
WHERE b.connection_id = $1 AND b.state = 'running' AND c.state = 'active' FOR UPDATE OF b SKIP LOCKED"""

# How much is under way through the connection, counted no further than needed.
UNDER_WAY = """
SELECT (SELECT count(*) FROM (SELECT 1 FROM delivery WHERE target = $1 AND target_id = $2 AND settled_at IS NULL
        AND NOT waits AND next_at < 'infinity' LIMIT $3) x)
    + (SELECT count(*) FROM (SELECT 1 FROM delivery WHERE target = $1 AND target_id = $2 AND settled_at IS NULL
        AND lane <> '' AND waits LIMIT $3) y)
    + (SELECT count(*) FROM (SELECT 1 FROM route_due WHERE connection_id = $2 LIMIT $3) z)"""

# What a later revision has overtaken stays away: the other side has the newer one.
# ungated: the router routes to the bill's own organisation ($4), or all but sandboxes ($5) for the operator
_OWED = """
FROM bill b WHERE b.id > $1 AND b.id <= $2 AND b.recorded_at >= $3 AND b.revision > 0
    AND ($5 OR b.owner = ANY ($4::int[]))
    AND NOT ($5 AND EXISTS (SELECT 1 FROM sandbox_org x WHERE x.org = b.owner))
    AND (EXISTS (SELECT 1 FROM route_decision d WHERE d.bill_id = b.id AND d.connection_id = $6)
        OR NOT EXISTS (SELECT 1 FROM bill n JOIN route_decision d ON d.bill_id = n.id AND d.connection_id = $6
            WHERE n.owner = b.owner AND n.bill_no = b.bill_no AND n.revision > b.revision))"""
NEXT = f"SELECT b.id AS bill_id, b.owner {_OWED} ORDER BY b.id LIMIT $7"
COUNT = f"SELECT count(*) FROM (SELECT 1 {_OWED} LIMIT $7) x"  # noqa: S608 - constant text

MOVE = """
UPDATE route_backfill SET at = $2, looked = looked + $3, state = CASE WHEN $4 THEN 'done' ELSE state END,
    ended_at = CASE WHEN $4 THEN now() END WHERE connection_id = $1"""
