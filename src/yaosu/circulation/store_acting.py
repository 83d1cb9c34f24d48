"""SQL of acting for others: the principal's view, headquarters' stores, direct shipments."""

from __future__ import annotations

from collections.abc import Sequence

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection

NAMES = "SELECT id, name FROM org WHERE id = ANY ($1::int[])"

# Stock of several accounts by status; what was sold or sent away is not stock.
STOCK = """
SELECT x.org, x.status, sum(x.qty)::bigint AS qty FROM balance x
WHERE x.org = ANY ($1::int[]) AND x.status IN ('A', 'I', 'Q', 'O', 'N', 'D') AND x.qty > 0
    AND /*visible:holder x.org x.drug_id*/
GROUP BY 1, 2"""

# Bills of our goods that somebody else submitted, newest first.
AGENTS_BILLS = """
SELECT b.id, b.bill_no, b.type, b.status, b.owner, b.submitter, b.from_org, b.to_org, b.qty, b.refused, b.happened_at,
    b.recorded_at
FROM bill b
WHERE b.owner = ANY ($1::int[]) AND b.submitter <> ALL ($1::int[]) AND /*visible:bill b*/
    AND ($2::int IS NULL OR b.submitter = $2) AND ($3::int IS NULL OR b.owner = $3)
    AND ($4::bigint IS NULL OR b.id < $4)
ORDER BY b.id DESC LIMIT $5"""

LAST_MOVES = """
SELECT b.owner, max(b.recorded_at) AS at FROM bill b
WHERE b.owner = ANY ($1::int[]) AND b.submitter <> ALL ($1::int[]) AND /*visible:bill b*/ GROUP BY b.owner"""

OPEN_NOTICES = """
SELECT n.to_org, count(*)::int AS open FROM notice n
WHERE n.to_org = ANY ($1::int[]) AND n.state IN ('open', 'part') AND /*visible:parties n.from_org n.to_org*/
GROUP BY n.to_org"""

# Direct shipments with what became of them: the receiver's notice and its latest check. Looked for among the bills that
# name anybody beside the trade (0036), which are few.
DIRECT = """
SELECT b.id, b.bill_no, b.type, b.owner, b.to_org, b.direct_org, b.qty, b.happened_at, n.state, n.received,
    (SELECT c.outcome FROM receipt_check c WHERE c.notice_bill = b.id ORDER BY c.id DESC LIMIT 1) AS outcome
FROM bill_beside a JOIN bill b ON b.id = a.bill_id AND b.direct_org = a.org
LEFT JOIN notice n ON n.to_org = b.to_org AND n.bill_id = b.id
WHERE b.type = ANY ($1::int[]) AND b.status = 'A' AND b.revision > 0
    AND /*visible:bill b*/ AND a.bill_id < coalesce($2::bigint, 9223372036854775807)
ORDER BY a.bill_id DESC LIMIT $3"""


@traced_read("stock of warehouses")
async def stock_of(conn: Connection, sight: Sight, orgs: Sequence[int]) -> list[Record]:
    """(org, status, quantity) of these accounts."""
    sql, args = sight.apply(STOCK, list(orgs))
    return await conn.fetch(sql, *args)


@traced_read("bills by agents")
async def agents_bills(
    conn: Connection,
    sight: Sight,
    ours: Sequence[int],
    agent: int | None,
    place: int | None,
    before: int | None,
    limit: int,
) -> list[Record]:
    """Bills of our goods submitted by somebody else."""
    sql, args = sight.apply(AGENTS_BILLS, list(ours), agent, place, before, limit)
    return await conn.fetch(sql, *args)


@traced_read("last moves by agents")
async def last_moves(conn: Connection, sight: Sight, ours: Sequence[int]) -> list[Record]:
    """When somebody else last moved goods of each account."""
    sql, args = sight.apply(LAST_MOVES, list(ours))
    return await conn.fetch(sql, *args)


@traced_read("open notices of stores")
async def open_notices(conn: Connection, sight: Sight, orgs: Sequence[int]) -> list[Record]:
    """How many deliveries wait at each store."""
    sql, args = sight.apply(OPEN_NOTICES, list(orgs))
    return await conn.fetch(sql, *args)


@traced_read("direct shipments")
async def direct_bills(
    conn: Connection, sight: Sight, types: Sequence[int], before: int | None, limit: int
) -> list[Record]:
    """Direct shipments and returns, newest first."""
    sql, args = sight.apply(DIRECT, list(types), before, limit)
    return await conn.fetch(sql, *args)
