"""SQL of the ledger's reading half. Everything a caller sees passes a mark of visibility (D10)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from yaosu.access.reach import asked
from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection
from yaosu.ledger.model import Discrepancy, LevelLine, StockLine

# Stock now, from balances alone; 0 rows are accounts that once held something. Organisation after organisation
# ({orgs}), so that a page reads the accounts of those that stand on it and no others.
_STOCK = """
SELECT o.id AS org, x.drug_id, x.batch_id, x.batch_no, x.expires_on, x.status, x.qty
FROM (SELECT g.id FROM org g WHERE g.id >= $5 AND ($1::int IS NULL OR g.id = $1) AND {orgs} ORDER BY g.id) o
CROSS JOIN LATERAL (
    SELECT x.drug_id, x.batch_id, b.batch_no, b.expires_on, x.status, x.qty
    FROM balance x JOIN batch b ON b.drug_id = x.drug_id AND b.id = x.batch_id
    WHERE x.org = o.id AND /*visible:holder x.org x.drug_id*/ AND x.qty > 0 AND x.status NOT IN ('P', 'W')
        AND ($2::int IS NULL OR x.drug_id = $2) AND ($3::text IS NULL OR b.batch_no = $3)
        AND x.status = ANY($4::text[]) AND (x.org, x.drug_id, x.batch_id, x.status) > ($5, $6, $7, $8) OFFSET 0) x
ORDER BY o.id, x.drug_id, x.batch_id, x.status LIMIT $9"""
# By the kind of sight.
STOCK = {
    "own": _STOCK.format(orgs="(g.id = ANY(/*orgs*/) OR g.id = ANY(/*lenders*/))"),
    "regulator": _STOCK.format(orgs="g.id = ANY(/*orgs*/)"),
    "operator": _STOCK.format(orgs="TRUE"),
    "public": _STOCK.format(orgs="FALSE"),
}

# The first bill that can matter to a moment: nothing earlier was recorded after it. A block-range index finds it.
# An hour's margin covers devices whose clock is ahead of ours (happened_at up to ten minutes in the future).
FIRST_BILL_AFTER = """
SELECT coalesce(min(b.id), 9223372036854775807) FROM bill b
WHERE b.recorded_at > $1::timestamptz - interval '1 hour'"""

# One organisation's accounts at a moment: balances minus everything posted after it.
STOCK_AT = """
WITH later AS (
    SELECT e.drug_id, e.batch_id, e.to_status AS status, e.qty, e.bill_id FROM entry e
    WHERE e.to_org = $1 AND e.to_org <> e.from_org AND e.bill_id >= $5
    UNION ALL
    SELECT e.drug_id, e.batch_id, e.from_status, -e.qty, e.bill_id FROM entry e
    WHERE e.from_org = $1 AND e.bill_id >= $5
    UNION ALL
    SELECT e.drug_id, e.batch_id, e.to_status, e.qty, e.bill_id FROM entry e
    WHERE e.from_org = $1 AND e.to_org = $1 AND e.bill_id >= $5
), back AS (
    SELECT l.drug_id, l.batch_id, l.status, -sum(l.qty)::bigint AS qty
    FROM later l JOIN bill b ON b.id = l.bill_id
    WHERE CASE WHEN $6 THEN b.happened_at ELSE b.recorded_at END > $4
    GROUP BY 1, 2, 3
)
SELECT $1::int AS org, s.drug_id, s.batch_id, b.batch_no, b.expires_on, s.status, sum(s.qty)::bigint AS qty
FROM (SELECT x.drug_id, x.batch_id, x.status, x.qty FROM balance x
        WHERE x.org = $1 AND /*visible:holder x.org x.drug_id*/
    UNION ALL SELECT k.drug_id, k.batch_id, k.status, k.qty FROM back k) s
JOIN batch b ON b.drug_id = s.drug_id AND b.id = s.batch_id
WHERE s.status NOT IN ('P', 'W') AND s.status = ANY($7::text[]) AND ($2::int IS NULL OR s.drug_id = $2)
    AND ($3::text IS NULL OR b.batch_no = $3)
GROUP BY s.drug_id, s.batch_id, b.batch_no, b.expires_on, s.status
HAVING sum(s.qty) <> 0 ORDER BY s.drug_id, s.batch_id, s.status"""

# Outermost packages of one account by level, without an index on holder (docs/decisions/0016-stock-by-level.md):
# goods stand where some bill put them, so the bills that posted to the account, and its owner's own packing and
# replacing, lead to the lines, the lines to the units, a packing's content to its container. What still stands there
# counts. Work grows with what the account ever received of that batch, not with the batch.
LEVELS = """
WITH bills AS (
    SELECT e.bill_id FROM entry e
    WHERE e.to_org = $1 AND e.to_org <> e.from_org AND e.drug_id = $2 AND e.batch_id = $3
    UNION
    SELECT e.bill_id FROM entry e WHERE e.from_org = $1 AND e.drug_id = $2 AND e.batch_id = $3
    UNION
    SELECT b.id FROM bill b WHERE b.owner = $1 AND b.type IN (2, 3, 4) AND $2 = ANY(b.drug_ids)
), moved AS (
    SELECT l.code FROM bills JOIN bill_line l ON l.drug_id = $2 AND l.bill_id = bills.bill_id
), candidates AS (
    SELECT m.code FROM moved m
    UNION
    SELECT u.parent FROM moved m JOIN unit u ON u.drug_id = $2 AND u.code = m.code WHERE u.parent IS NOT NULL
)
SELECT u.level, count(*)::bigint AS packages, sum(coalesce(u.qty, 1))::bigint AS qty
FROM candidates c JOIN unit u ON u.drug_id = $2 AND u.code = c.code
WHERE u.batch_id = $3 AND u.parent IS NULL AND u.status = $4 AND u.holder = $1 AND coalesce(u.qty, 1) > 0
GROUP BY 1 ORDER BY 1"""

# What stands in the account by packages of several batches, which LEVELS does not count.
MIXED = """
SELECT coalesce(sum(c.qty), 0)::bigint FROM container_batch c JOIN unit u ON u.drug_id = c.drug_id AND u.code = c.code
WHERE c.drug_id = $2 AND c.batch_id = $3 AND u.parent IS NULL AND u.status = $4 AND u.holder = $1"""

# One organisation's entries by batch and bill type before, in and after a period, seen from what is on hand.
STATEMENT = """
WITH mine AS (
    SELECT e.drug_id, e.batch_id, e.bill_id,
        CASE WHEN e.to_org = $1 AND e.to_status = ANY($5::text[]) THEN e.qty ELSE 0 END
        - CASE WHEN e.from_org = $1 AND e.from_status = ANY($5::text[]) THEN e.qty ELSE 0 END AS change
    FROM entry e WHERE e.from_org = $1
    UNION ALL
    SELECT e.drug_id, e.batch_id, e.bill_id, CASE WHEN e.to_status = ANY($5::text[]) THEN e.qty ELSE 0 END
    FROM entry e WHERE e.to_org = $1 AND e.to_org <> e.from_org
), dated AS (
    SELECT m.drug_id, m.batch_id, m.change, b.type, b.flags & 8 <> 0 AS reversal, b.recorded_at,
        CASE WHEN $4 THEN b.happened_at ELSE b.recorded_at END AS at
    FROM mine m JOIN bill b ON b.id = m.bill_id
    WHERE m.change <> 0 AND ($6::int IS NULL OR m.drug_id = $6)
)
SELECT d.drug_id, d.batch_id, t.batch_no, CASE WHEN d.at <= $2 THEN 0 WHEN d.at <= $3 THEN 1 ELSE 2 END AS period,
    d.type, d.reversal, d.change > 0 AS inward, sum(d.change)::bigint AS change,
    coalesce(sum(d.change) FILTER (WHERE d.recorded_at > $3), 0)::bigint AS late
FROM dated d JOIN batch t ON t.drug_id = d.drug_id AND t.id = d.batch_id
GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2"""

ON_HAND_NOW = """
SELECT x.drug_id, x.batch_id, t.batch_no, sum(x.qty)::bigint AS qty
FROM balance x JOIN batch t ON t.drug_id = x.drug_id AND t.id = x.batch_id
WHERE x.org = $1 AND x.status = ANY($2::text[]) AND ($3::int IS NULL OR x.drug_id = $3)
    AND /*visible:holder x.org x.drug_id*/
GROUP BY 1, 2, 3 ORDER BY 1, 2"""

# Whether the reader may see an organisation's books as a whole: its own, its stores', its region's.
MAY_SEE_BOOKS = "SELECT coalesce((SELECT /*visible:org o.id*/ FROM org o WHERE o.id = $1), false)"

# One batch added up by account and by unit.
BATCH_ACCOUNTS = """
SELECT x.status, sum(x.qty)::bigint AS qty FROM balance x WHERE x.drug_id = $1 AND x.batch_id = $2 GROUP BY 1"""
BATCH_UNITS = """
SELECT s.status, sum(s.qty)::bigint AS qty FROM (
    SELECT u.status, coalesce(u.qty, 1) AS qty FROM unit u
    WHERE u.drug_id = $1 AND u.batch_id = $2 AND u.parent IS NULL
    UNION ALL
    SELECT u.status, c.qty FROM container_batch c JOIN unit u ON u.drug_id = c.drug_id AND u.code = c.code
    WHERE c.drug_id = $1 AND c.batch_id = $2 AND u.parent IS NULL) s GROUP BY 1"""
BATCHES_OF = """
SELECT id, batch_no FROM batch WHERE drug_id = $1 AND ($2::text IS NULL OR batch_no = $2) ORDER BY id"""

# Accounts of a batch must add up to nothing, the contra account P included.
UNBALANCED = """
SELECT 'unbalanced' AS kind, x.drug_id, x.batch_id, NULL::int AS org, '' AS status, sum(x.qty)::bigint AS l,
    0::bigint AS r
FROM balance x WHERE ($1::int IS NULL OR x.drug_id = $1) GROUP BY 2, 3 HAVING sum(x.qty) <> 0 LIMIT $2"""

# Every balance must be the sum of its entries.
ENTRIES_OFF = """
SELECT 'entries' AS kind, s.drug_id, s.batch_id, s.org, s.status, sum(s.b)::bigint AS l, sum(s.e)::bigint AS r
FROM (
    SELECT x.drug_id, x.batch_id, x.org, x.status, x.qty AS b, 0::bigint AS e FROM balance x
    UNION ALL SELECT e.drug_id, e.batch_id, e.to_org, e.to_status, 0, e.qty FROM entry e
    UNION ALL SELECT e.drug_id, e.batch_id, e.from_org, e.from_status, 0, -e.qty FROM entry e) s
WHERE ($1::int IS NULL OR s.drug_id = $1)
GROUP BY 2, 3, 4, 5 HAVING sum(s.b) <> sum(s.e) LIMIT $2"""

# Every account must hold what the units in it hold; P is the contra account, U, T and W are goods without codes.
UNITS_OFF = """
SELECT 'units' AS kind, s.drug_id, s.batch_id, s.org, s.status, sum(s.b)::bigint AS l, sum(s.u)::bigint AS r
FROM (
    SELECT x.drug_id, x.batch_id, x.org, x.status, x.qty AS b, 0::bigint AS u FROM balance x
        WHERE x.status NOT IN ('P', 'U', 'T', 'W')
    UNION ALL SELECT u.drug_id, u.batch_id, u.holder, u.status, 0, coalesce(u.qty, 1) FROM unit u
        WHERE u.parent IS NULL AND u.batch_id <> 0
    UNION ALL SELECT u.drug_id, c.batch_id, u.holder, u.status, 0, c.qty FROM container_batch c
        JOIN unit u ON u.drug_id = c.drug_id AND u.code = c.code WHERE u.parent IS NULL AND u.batch_id = 0) s
WHERE ($1::int IS NULL OR s.drug_id = $1)
GROUP BY 2, 3, 4, 5 HAVING sum(s.b) <> sum(s.u) LIMIT $2"""

Cursor = tuple[int, int, int, str]
START: Cursor = (0, 0, 0, "")


def _line(row: Sequence[object]) -> StockLine:
    org, drug_id, batch_id, batch_no, expires_on, status, qty = row
    return StockLine(org, drug_id, batch_id, batch_no, str(expires_on), status, qty)  # type: ignore[arg-type]


@traced_read("ledger.stock")
async def stock(
    conn: Connection,
    sight: Sight,
    org: int | None,
    drug_id: int | None,
    batch_no: str | None,
    statuses: Sequence[str],
    after: Cursor,
    limit: int,
) -> list[StockLine]:
    """Accounts the reader may see, in key order after `after`."""
    given = (org, drug_id, batch_no, list(statuses), *after, limit)
    sql, args = sight.apply(asked(STOCK[sight.kind], given), *given)
    return [_line(tuple(row.values())) for row in await conn.fetch(sql, *args)]


@traced_read("ledger.stock_at")
async def stock_at(
    conn: Connection,
    sight: Sight,
    org: int,
    drug_id: int | None,
    batch_no: str | None,
    statuses: Sequence[str],
    at: datetime,
    happened: bool,
) -> list[StockLine]:
    """One organisation's accounts at a moment. The caller has seen to it that the reader may see them."""
    first = await conn.fetchval(FIRST_BILL_AFTER, at)
    sql, args = sight.apply(STOCK_AT, org, drug_id, batch_no, at, first, happened, list(statuses))
    return [_line(tuple(row.values())) for row in await conn.fetch(sql, *args)]


@traced_read("ledger.may_see_books")
async def may_see_books(conn: Connection, sight: Sight, org: int) -> bool:
    """Whether the reader may see all accounts of `org`."""
    sql, args = sight.apply(MAY_SEE_BOOKS, org)
    return bool(await conn.fetchval(sql, *args))


async def levels(
    conn: Connection, org: int, drug_id: int, batch_id: int, status: str
) -> tuple[list[LevelLine], int]:
    """Outermost packages of an account by level, and smallest packages in containers of several batches."""
    rows = await conn.fetch(LEVELS, org, drug_id, batch_id, status)
    mixed = await conn.fetchval(MIXED, org, drug_id, batch_id, status)
    return [LevelLine(*row.values()) for row in rows], int(mixed)


async def statement_rows(
    conn: Connection,
    org: int,
    start: datetime,
    end: datetime,
    happened: bool,
    hand: Sequence[str],
    drug: int | None,
) -> list[tuple[int, int, str, int, int, bool, bool, int, int]]:
    """(product, batch, number, period 0 1 2, bill type, reversal, inward, change, late) of an organisation."""
    rows = await conn.fetch(STATEMENT, org, start, end, happened, list(hand), drug)
    return [tuple(row.values()) for row in rows]


@traced_read("ledger.on_hand_now")
async def on_hand_now(
    conn: Connection, sight: Sight, org: int, hand: Sequence[str], drug: int | None
) -> list[tuple[int, int, str, int]]:
    """(product, batch, number, smallest packages) on hand now, from balances."""
    sql, args = sight.apply(ON_HAND_NOW, org, list(hand), drug)
    return [tuple(row.values()) for row in await conn.fetch(sql, *args)]


async def batches_of(conn: Connection, drug_id: int, batch_no: str | None) -> list[tuple[int, str]]:
    """Batches of a product."""
    return [tuple(row.values()) for row in await conn.fetch(BATCHES_OF, drug_id, batch_no)]


async def batch_accounts(conn: Connection, drug_id: int, batch_id: int) -> dict[str, int]:
    """Balances of a batch by status, P included."""
    return {r["status"]: r["qty"] for r in await conn.fetch(BATCH_ACCOUNTS, drug_id, batch_id)}


async def batch_units(conn: Connection, drug_id: int, batch_id: int) -> dict[str, int]:
    """Smallest packages of a batch by status, from the units."""
    return {r["status"]: r["qty"] for r in await conn.fetch(BATCH_UNITS, drug_id, batch_id)}


async def discrepancies(conn: Connection, drug_id: int | None, limit: int) -> list[Discrepancy]:
    """Everything the ledger says twice and differently, at most `limit` of each kind."""
    found: list[Discrepancy] = []
    for query in (UNBALANCED, ENTRIES_OFF, UNITS_OFF):
        found += [Discrepancy(*row.values()) for row in await conn.fetch(query, drug_id, limit)]
    return found
