"""SQL of the periodic check: each query answers one rule for one organisation, with the records that show it."""

from __future__ import annotations

from datetime import datetime

from asyncpg import Record

from yaosu.db.engine import Connection

SHOWN = 10
"""Records that a finding links to."""

# Package levels of own products in use whose identifier stands in no filed code rule (R-A1).
UNFILED = """
SELECT p.id, p.generic_name, l.level, l.name FROM product p JOIN package_level l ON l.drug_id = p.id
LEFT JOIN code_prefix c ON c.prefix = l.identifier
WHERE p.status = 1 AND (p.mah_id = $1 OR p.manufacturer_id = $1) AND c.prefix IS NULL
ORDER BY p.id, l.level"""

# ungated: totals of the organisation's own account of goods without codes ($1).
UNCODED = """
SELECT x.drug_id AS id, sum(x.qty)::bigint AS qty FROM balance x WHERE x.org = $1 AND x.status = 'U' AND x.qty > 0
GROUP BY 1 ORDER BY 2 DESC"""

# Smallest packages: issued by requests older than a moment, against what the contra account has given out. By product,
# because serials are a permutation: which request a code came from is computed, not stored (D6).
# ungated: products of the organisation's own code requests ($1).
IDLE = """
SELECT i.drug_id AS id, i.issued, coalesce(-a.qty, 0)::bigint AS activated, i.oldest FROM (
    SELECT r.drug_id, sum(g.count)::bigint AS issued, min(r.id) AS oldest FROM code_request r
    JOIN code_range g ON g.request_id = r.id AND g.level = 1
    WHERE r.org = $1 AND r.made_at < $2 GROUP BY 1) i
LEFT JOIN (SELECT x.drug_id, sum(x.qty)::bigint AS qty FROM balance x
    WHERE x.org = $1 AND x.status = 'P' GROUP BY 1) a ON a.drug_id = i.drug_id
WHERE i.issued > coalesce(-a.qty, 0) ORDER BY 2 DESC"""

# Uploads that were checked or tried and of which no activation is done.
PENDING_FILES = """
SELECT (array_agg(j.id ORDER BY j.created_at DESC))[1]::text AS id, max(j.input ->> 'name') AS name,
    min(j.created_at) AS at
FROM job j WHERE j.org = $1 AND j.kind = ANY($2::text[]) AND j.created_at > $3::timestamptz - interval '180 days'
GROUP BY j.input ->> 'upload'
HAVING min(j.created_at) < $3 AND NOT bool_or(j.kind = $4 AND j.state = 'done') ORDER BY 3"""

# ungated: notes of the organisation's own bills ($1).
REFUSED = """
SELECT b.id, b.bill_no, count(*)::int AS codes FROM bill b JOIN bill_note n ON n.bill_id = b.id
WHERE b.owner = $1 AND b.recorded_at >= $2 AND n.verdict = 'not_activated' AND n.severity = 'R'
GROUP BY 1, 2 ORDER BY 1 DESC"""

# ungated: the organisation's own bills ($1); flag 1 is late, 2 out of order (circulation.model.Flag).
LATE = """
SELECT count(*)::int AS bills, count(*) FILTER (WHERE b.flags & 1 <> 0)::int AS late FROM bill b
WHERE b.owner = $1 AND b.recorded_at >= $2 AND b.flags & 8 = 0"""
# ungated: the organisation's own bills ($1) with a flag
FLAGGED = """
SELECT b.id, b.bill_no, b.happened_at, b.recorded_at FROM bill b
WHERE b.owner = $1 AND b.recorded_at >= $2 AND b.flags & $3::int <> 0 AND b.flags & 8 = 0 AND b.status = 'A'
ORDER BY b.recorded_at - b.happened_at DESC"""

# ungated: notices addressed to the organisation ($1).
NOTICES = """
SELECT n.bill_id AS id, b.bill_no, n.shipped_at AS at,
    (n.expected - n.received - n.quarantined - n.refused)::bigint AS qty
FROM notice n JOIN bill b ON b.owner = n.from_org AND b.id = n.bill_id
WHERE n.to_org = $1 AND n.state IN ('open', 'part') AND n.shipped_at < $2 ORDER BY n.shipped_at"""

# ungated: notices the organisation sent ($1).
TRANSIT = """
SELECT n.bill_id AS id, b.bill_no, n.shipped_at AS at,
    (n.expected - n.received - n.quarantined - n.refused)::bigint AS qty
FROM notice n JOIN bill b ON b.owner = n.from_org AND b.id = n.bill_id
WHERE n.from_org = $1 AND n.state IN ('open', 'part') AND n.shipped_at < $2 ORDER BY n.shipped_at"""

# ungated: receipt checks in which the organisation is the seller ($1).
ANSWERS = """
SELECT c.id, c.made_at AS at FROM receipt_check c WHERE c.seller = $1 AND c.state = 'open'
    AND c.outcome IN ('mismatch', 'refused') AND c.made_at < $2 ORDER BY c.id"""
# ungated: receipt checks in which the organisation is the buyer ($1)
CHECKS = """
SELECT c.id, c.made_at AS at FROM receipt_check c WHERE c.buyer = $1 AND c.seller IS NOT NULL AND c.state = 'open'
    AND c.outcome IN ('mismatch', 'refused') AND c.made_at < $2 ORDER BY c.id"""

# ungated: the organisation's own quarantine ($1).
QUARANTINE = """
SELECT q.id, q.opened_at AS at, q.code, greatest(q.qty, 1) AS qty FROM quarantine q
WHERE q.org = $1 AND q.closed_at IS NULL AND q.opened_at < $2 ORDER BY q.id"""

# The latest stock count of each scope, as far as something in it stayed unexplained.
COUNTS = """
SELECT id, unexplained AS qty, made_at AS at FROM (
    SELECT DISTINCT ON (c.drug_id, c.batch_no) c.id, c.unexplained, c.made_at FROM quality_count c WHERE c.org = $1
    ORDER BY c.drug_id, c.batch_no, c.id DESC) latest WHERE unexplained > 0 ORDER BY id DESC"""


async def unfiled(conn: Connection, org: int) -> list[Record]:
    """Package levels of own products without a filed rule."""
    return await conn.fetch(UNFILED, org)


async def uncoded(conn: Connection, org: int) -> list[Record]:
    """Products in the uncoded account, with smallest packages."""
    return await conn.fetch(UNCODED, org)


async def idle(conn: Connection, org: int, before: datetime) -> list[Record]:
    """Products with smallest-package codes issued before a moment and not yet activated."""
    return await conn.fetch(IDLE, org, before)


async def pending_files(conn: Connection, org: int, kinds: tuple[str, str], before: datetime) -> list[Record]:
    """Relation files tried before a moment and not activated; `kinds` are checking and activating."""
    return await conn.fetch(PENDING_FILES, org, list(kinds), before, kinds[1])


async def refused(conn: Connection, org: int, since: datetime) -> list[Record]:
    """Own bills with scans of codes nobody has activated."""
    return await conn.fetch(REFUSED, org, since)


async def late(conn: Connection, org: int, since: datetime) -> tuple[int, int, list[Record]]:
    """Own bills since a moment, how many were late, and those, the latest first."""
    row = await conn.fetchrow(LATE, org, since)
    assert row is not None
    rows = await conn.fetch(FLAGGED + " LIMIT 10", org, since, 1)
    return row["bills"], row["late"], rows


async def out_of_order(conn: Connection, org: int, since: datetime) -> list[Record]:
    """Own bills whose time lies before an event already on record."""
    return await conn.fetch(FLAGGED, org, since, 2)


async def waiting(conn: Connection, query: str, org: int, before: datetime) -> list[Record]:
    """Records of one of the waiting queries older than a moment."""
    return await conn.fetch(query, org, before)


async def counts(conn: Connection, org: int) -> list[Record]:
    """Latest stock counts with something unexplained."""
    return await conn.fetch(COUNTS, org)
