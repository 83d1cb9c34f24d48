"""SQL of the feed: which bills have no number yet, and what was numbered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncpg import Record

from yaosu.db.engine import Connection

# A feed carries every bill of a region, so only connections that the operator made for the whole platform are feeds.
LINKS = """
SELECT id, since, region, state FROM connection WHERE channel = 'jianguan' AND everyone AND state <> 'ended'
ORDER BY id"""
LINK_BY_SOURCE = """
SELECT id FROM connection
WHERE channel = 'jianguan' AND everyone AND state <> 'ended' AND account->>'source_id' = $1
ORDER BY id LIMIT 1"""
ENSURE = "INSERT INTO jianguan_feed (connection) VALUES ($1) ON CONFLICT DO NOTHING"
# Numbers are given by one transaction at a time.
LOCK = "SELECT seq, low, marks FROM jianguan_feed WHERE connection = $1 FOR UPDATE"
FEED = "SELECT connection, seq, low, acked, sent_at, next_at, fails, said FROM jianguan_feed WHERE connection = $1"

# Up to which bill id numbers were handed out, and the oldest transaction that may still commit one of them.
HORIZON = """
SELECT (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM bill_id_seq) AS last, clock_timestamp() AS at,
    (SELECT min(xact_start) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL) AS oldest"""

# Accepted bills that have no number yet. Only those above `low` need be looked at.
# ungated: the operator's duty to deliver full-chain data of a region to its regulator (R-H1, R-F1)
FRESH = """
SELECT b.id FROM bill b JOIN org o ON o.id = b.owner
WHERE b.id > $2 AND b.revision > 0 AND b.recorded_at >= $3 AND o.region LIKE $4 || '%'
    AND NOT EXISTS (SELECT 1 FROM jianguan_event e WHERE e.feed = $1 AND e.bill_id = b.id)
    AND NOT EXISTS (SELECT 1 FROM sandbox_org x WHERE x.org = b.owner)
ORDER BY b.id LIMIT $5"""
# Which of some bills build on which others: whatever the ids say, a bill is numbered after what it builds on.
# ungated: order of the feed; names nobody
BUILDS_ON = """
SELECT DISTINCT l.bill_id, l.prev_bill FROM unnest($1::bigint[], $2::int[]) AS a(bill_id, drug_id)
JOIN bill_line l ON l.drug_id = a.drug_id AND l.bill_id = a.bill_id
WHERE l.prev_bill > $3 AND l.prev_bill <> l.bill_id"""
# ungated: order of the feed; only whether a bill has a number yet
STILL_FRESH = """
SELECT b.id FROM bill b JOIN org o ON o.id = b.owner
WHERE b.id = ANY($2::bigint[]) AND b.revision > 0 AND b.recorded_at >= $3 AND o.region LIKE $4 || '%'
    AND NOT EXISTS (SELECT 1 FROM jianguan_event e WHERE e.feed = $1 AND e.bill_id = b.id)
    AND NOT EXISTS (SELECT 1 FROM sandbox_org x WHERE x.org = b.owner)"""
# ungated: order of the feed, inside the software; nothing of it is shown
PRODUCTS_OF = "SELECT id, drug_ids, refused FROM bill WHERE id = ANY($1::bigint[])"
# ungated: packages of an activation, to the regulator (R-A3, R-A5)
INSIDE = """
WITH RECURSIVE tree AS (
    SELECT u.drug_id, u.code, NULL::text COLLATE "C" AS parent, u.level
    FROM unnest($1::int[], $2::text[]) AS a(drug_id, code) JOIN unit u ON u.drug_id = a.drug_id AND u.code = a.code
    UNION ALL
    SELECT u.drug_id, u.code, u.parent, u.level FROM tree t JOIN unit u ON u.drug_id = t.drug_id AND u.parent = t.code
)
SELECT code, parent, level FROM tree WHERE parent IS NOT NULL ORDER BY parent, code"""

PUT = """
INSERT INTO jianguan_event (feed, seq, event_id, kind, org, day, qty, codes, bill_id, part, digest, body)
SELECT $1, * FROM unnest($2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::date[], $7::bigint[], $8::int[],
    $9::bigint[], $10::int[], $11::bytea[], $12::bytea[])"""
SET_FEED = "UPDATE jianguan_feed SET seq = $2, low = $3, marks = $4 WHERE connection = $1"

BASE = "SELECT kind, key, digest, turn FROM jianguan_base WHERE feed = $1"
PUT_BASE = """
INSERT INTO jianguan_base (feed, kind, key, digest, turn) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (feed, kind, key) DO UPDATE SET digest = excluded.digest, turn = excluded.turn"""

AFTER = """
SELECT seq, event_id, digest, body FROM jianguan_event WHERE feed = $1 AND seq > $2 ORDER BY seq LIMIT $3"""
SOME = "SELECT seq, event_id, digest, body FROM jianguan_event WHERE feed = $1 AND seq = ANY($2::bigint[]) ORDER BY seq"

# Where the last event of a bill stands; `sent_at` is the time of the last receipt.
STANDS = """
SELECT e.seq, e.event_id, f.acked, f.fails, f.said, f.sent_at FROM jianguan_event e
JOIN jianguan_feed f ON f.connection = e.feed WHERE e.feed = $1 AND e.bill_id = $2 ORDER BY e.seq DESC LIMIT 1"""

# One process pushes a feed at a time; the lock ends with the session that holds it, so also with a crash.
PUSH_LOCK = "SELECT pg_try_advisory_lock(726245, $1)"
PUSH_FREE = "SELECT pg_advisory_unlock(726245, $1)"
DUE = "SELECT acked, seq, fails FROM jianguan_feed WHERE connection = $1 AND next_at <= now() AND acked < seq"
ACKED = """
UPDATE jianguan_feed SET acked = $2, sent_at = now(), fails = 0, said = $3, next_at = now() WHERE connection = $1"""
FAILED = """
UPDATE jianguan_feed SET fails = fails + 1, said = $2, next_at = now() + make_interval(secs => $3)
WHERE connection = $1"""

SUMS = """
SELECT count(*) AS count, coalesce(sum(qty), 0)::bigint AS qty FROM jianguan_event
WHERE feed = $1 AND seq BETWEEN $2 AND $3"""
RUN = """
SELECT seq, event_id, body FROM jianguan_event WHERE feed = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4"""
DAYS = """
SELECT day, org, count(*) AS count, sum(qty)::bigint AS qty FROM jianguan_event
WHERE feed = $1 AND seq BETWEEN $2 AND $3 GROUP BY day, org ORDER BY day, org"""
ADD_CHECK = """
INSERT INTO jianguan_check (feed, first, last, equal, ours, theirs, days, differing, resent, said)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id"""
CHECKS = """
SELECT id, at, first, last, equal, ours, theirs, days, differing, resent, said FROM jianguan_check
WHERE feed = $1 ORDER BY id DESC LIMIT $2"""
LAST_EQUAL = "SELECT max(last) FROM jianguan_check WHERE feed = $1 AND equal"
CHECK_DUE = """
SELECT NOT EXISTS (SELECT 1 FROM jianguan_check WHERE feed = $1 AND at > now() - make_interval(hours => $2))"""


async def rows(conn: Connection, statement: str, *args: Any) -> Sequence[Record]:
    """The rows a statement of this file finds."""
    return await conn.fetch(statement, *args)
