"""SQL of the balance check: books against entries, entries against lines, lines against units, and stock counts."""

from __future__ import annotations

from collections.abc import Sequence

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection

Key = tuple[int, str]

# ungated: sums of one organisation's own accounts and entries ($1); callers check whose books they may see.
ENTRIES_OFF = """
SELECT s.drug_id, s.batch_id, t.batch_no, s.status, sum(s.b)::bigint AS l, sum(s.e)::bigint AS r FROM (
    SELECT x.drug_id, x.batch_id, x.status, x.qty AS b, 0::bigint AS e FROM balance x WHERE x.org = $1
    UNION ALL SELECT e.drug_id, e.batch_id, e.to_status, 0, e.qty FROM entry e
        WHERE e.to_org = $1 AND e.to_org <> e.from_org
    UNION ALL SELECT e.drug_id, e.batch_id, e.to_status, 0, e.qty FROM entry e
        WHERE e.from_org = $1 AND e.to_org = $1
    UNION ALL SELECT e.drug_id, e.batch_id, e.from_status, 0, -e.qty FROM entry e WHERE e.from_org = $1) s
JOIN batch t ON t.drug_id = s.drug_id AND t.id = s.batch_id
GROUP BY 1, 2, 3, 4 HAVING sum(s.b) <> sum(s.e) ORDER BY 1, 2"""

# ungated: shelf accounts of one organisation ($1) that its latest bills touched.
MOVED = """
SELECT x.drug_id, x.batch_id, t.batch_no, x.status, x.qty FROM balance x
JOIN batch t ON t.drug_id = x.drug_id AND t.id = x.batch_id
JOIN (SELECT r.drug_id, r.batch_id, max(r.bill_id) AS latest FROM (
    (SELECT e.drug_id, e.batch_id, e.bill_id FROM entry e WHERE e.to_org = $1 AND e.to_org <> e.from_org
        ORDER BY e.bill_id DESC LIMIT 5000)
    UNION ALL (SELECT e.drug_id, e.batch_id, e.bill_id FROM entry e WHERE e.from_org = $1
        ORDER BY e.bill_id DESC LIMIT 5000)) r GROUP BY 1, 2) m
    ON m.drug_id = x.drug_id AND m.batch_id = x.batch_id
WHERE x.org = $1 AND x.status IN ('I', 'Q') ORDER BY m.latest DESC LIMIT $2"""

# ungated: bills of one account of the organisation ($1) whose lines and entries say different things.
BILLS_OFF = """
SELECT b.id, b.bill_no, b.type, b.happened_at, e.qty AS entries, coalesce(l.qty, 0) AS lines FROM (
    SELECT e.bill_id, sum(e.qty)::bigint AS qty FROM entry e
    WHERE e.drug_id = $2 AND e.batch_id = $3 AND (e.from_org = $1 OR e.to_org = $1) GROUP BY 1) e
JOIN bill b ON b.id = e.bill_id
JOIN LATERAL (SELECT sum(n.qty)::bigint AS qty, count(*) FILTER (WHERE n.batch_id = 0) AS mixed FROM bill_line n
    WHERE n.drug_id = $2 AND n.bill_id = e.bill_id AND n.batch_id IN ($3, 0)) l ON l.qty IS NOT NULL
WHERE b.type >= 100 AND l.mixed = 0 AND l.qty <> e.qty ORDER BY b.id LIMIT 50"""

# ungated: packages of one account of the organisation ($1) whose last line says another status than the package.
UNITS_OFF = """
WITH bills AS (
    SELECT e.bill_id FROM entry e WHERE e.to_org = $1 AND e.to_org <> e.from_org AND e.drug_id = $2 AND e.batch_id = $3
    UNION SELECT e.bill_id FROM entry e WHERE e.from_org = $1 AND e.drug_id = $2 AND e.batch_id = $3
), last AS (
    SELECT DISTINCT ON (l.code) l.code, l.bill_id, l.post, l.qty FROM bills
    JOIN bill_line l ON l.drug_id = $2 AND l.bill_id = bills.bill_id ORDER BY l.code, l.bill_id DESC
)
SELECT last.code, last.bill_id AS id, b.bill_no, last.post, u.status, last.qty FROM last
JOIN unit u ON u.drug_id = $2 AND u.code = last.code JOIN bill b ON b.id = last.bill_id
WHERE u.parent IS NULL AND u.last_bill = last.bill_id AND u.status IS DISTINCT FROM last.post
ORDER BY last.code LIMIT 50"""

# Outermost packages on the shelf, found as ledger.store.LEVELS finds them: by the bills that brought them.
# ungated: packages in the organisation's own hands ($1).
SHELF = """
WITH bills AS (
    SELECT e.bill_id, e.drug_id FROM entry e WHERE e.to_org = $1 AND e.to_org <> e.from_org
        AND ($2::int IS NULL OR e.drug_id = $2) AND ($3::int IS NULL OR e.batch_id = $3)
    UNION SELECT e.bill_id, e.drug_id FROM entry e WHERE e.from_org = $1
        AND ($2::int IS NULL OR e.drug_id = $2) AND ($3::int IS NULL OR e.batch_id = $3)
    UNION SELECT b.id, d.drug_id FROM bill b CROSS JOIN LATERAL unnest(b.drug_ids) AS d (drug_id)
        WHERE b.owner = $1 AND b.type IN (2, 3, 4) AND ($2::int IS NULL OR d.drug_id = $2)
), moved AS (
    SELECT l.drug_id, l.code FROM bills JOIN bill_line l ON l.drug_id = bills.drug_id AND l.bill_id = bills.bill_id
), candidates AS (
    SELECT m.drug_id, m.code FROM moved m
    UNION SELECT u.drug_id, u.parent FROM moved m JOIN unit u ON u.drug_id = m.drug_id AND u.code = m.code
        WHERE u.parent IS NOT NULL
)
SELECT u.drug_id, u.code, u.batch_id, coalesce(u.qty, 1) AS qty, u.last_bill FROM candidates c
JOIN unit u ON u.drug_id = c.drug_id AND u.code = c.code
WHERE u.parent IS NULL AND u.holder = $1 AND u.status IN ('I', 'Q') AND coalesce(u.qty, 1) > 0
    AND ($3::int IS NULL OR u.batch_id = $3)
ORDER BY u.drug_id, u.code LIMIT $4"""

# ungated: what is inside packages in the organisation's own hands.
INSIDE = """
WITH RECURSIVE down AS (
    SELECT u.drug_id, u.code, u.parent, u.batch_id, coalesce(u.qty, 1) AS qty, u.last_bill, 1 AS depth
    FROM unnest($1::int[], $2::text[]) AS a (drug_id, code)
    JOIN unit u ON u.drug_id = a.drug_id AND u.parent = a.code
    UNION ALL
    SELECT u.drug_id, u.code, u.parent, u.batch_id, coalesce(u.qty, 1), u.last_bill, d.depth + 1
    FROM down d JOIN unit u ON u.drug_id = d.drug_id AND u.parent = d.code WHERE d.depth < 12
)
SELECT drug_id, code, parent, batch_id, qty, last_bill FROM down LIMIT $3"""

# ungated: the organisation's own shelf accounts ($1).
BOOKED = """
SELECT x.drug_id, x.batch_id, t.batch_no, sum(x.qty)::bigint AS qty FROM balance x
JOIN batch t ON t.drug_id = x.drug_id AND t.id = x.batch_id
WHERE x.org = $1 AND x.status IN ('I', 'Q') AND x.qty > 0 AND ($2::int IS NULL OR x.drug_id = $2)
    AND ($3::text IS NULL OR t.batch_no = $3)
GROUP BY 1, 2, 3 ORDER BY 1, 2"""
# ungated: numbers printed on every box.
BATCH_NUMBERS = (
    "SELECT drug_id, id, batch_no FROM batch WHERE drug_id = ANY($1::int[]) AND id = ANY($2::int[])"
)
# ungated: numbers printed on every box.
BATCH_OF = "SELECT id FROM batch WHERE drug_id = $1 AND batch_no = $2"

BILLS = """
SELECT b.id, b.bill_no, b.type, b.happened_at FROM bill b WHERE /*visible:bill b*/ AND b.id = ANY($1::bigint[])"""

# Refused scans of these codes in the organisation's own bills: the box was in hand, and the bill did not take it.
# ungated: notes of the organisation's own bills ($1).
REFUSED_SCANS = """
SELECT DISTINCT ON (n.code) n.code, n.verdict, b.id, b.bill_no, b.type FROM bill b
JOIN bill_note n ON n.bill_id = b.id
WHERE b.owner = $1 AND b.recorded_at > now() - interval '180 days' AND n.severity = 'R' AND NOT n.quarantined
    AND n.code = ANY($2::text[])
ORDER BY n.code, b.id DESC"""
# ungated: notes of the organisation's own bills ($1), by product and batch.
REFUSED_OF_BATCH = """
SELECT n.code, n.verdict, b.id, b.bill_no, b.type, coalesce(u.qty, 1) AS qty FROM bill b
JOIN bill_note n ON n.bill_id = b.id JOIN unit u ON u.drug_id = $2 AND u.code = n.code AND u.batch_id = $3
WHERE b.owner = $1 AND b.recorded_at > now() - interval '180 days' AND n.severity = 'R' AND NOT n.quarantined
    AND n.verdict NOT IN ('already_sold', 'already_shipped')
ORDER BY b.id DESC LIMIT 50"""
# ungated: notices addressed to the organisation ($1).
COMING = """
SELECT l.bill_id AS id, (l.expected - l.received - l.quarantined - l.refused)::bigint AS qty FROM notice_line l
JOIN notice n ON n.bill_id = l.bill_id AND n.to_org = $1
WHERE l.drug_id = $2 AND l.batch_id = $3 AND l.received + l.quarantined + l.refused < l.expected
    AND n.state IN ('open', 'part') ORDER BY l.bill_id LIMIT 20"""

ADD_COUNT = """
INSERT INTO quality_count (org, account_id, mode, drug_id, batch_no, booked, counted, differing, unexplained, result)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id"""
COUNT = """
SELECT c.id, c.org, c.account_id, c.made_at, c.mode, c.drug_id, c.batch_no, c.booked, c.counted, c.differing,
    c.unexplained, c.result, a.name FROM quality_count c LEFT JOIN account a ON a.id = c.account_id
WHERE /*visible:org c.org*/ AND c.id = $1"""
COUNTS = """
SELECT c.id, c.org, c.made_at, c.mode, c.drug_id, c.batch_no, c.booked, c.counted, c.differing, c.unexplained, a.name
FROM quality_count c LEFT JOIN account a ON a.id = c.account_id
WHERE /*visible:org c.org*/ AND c.id < $1 AND ($2::int IS NULL OR c.org = $2) ORDER BY c.id DESC LIMIT $3"""


async def rows(conn: Connection, query: str, *args: object) -> list[Record]:
    """One of the queries above that are bound to the organisation asked about."""
    return await conn.fetch(query, *args)


async def inside(conn: Connection, keys: Sequence[Key], limit: int) -> list[Record]:
    """Everything inside these packages."""
    return await conn.fetch(INSIDE, [k[0] for k in keys], [k[1] for k in keys], limit)


@traced_read("quality.bills")
async def bills(conn: Connection, sight: Sight, ids: Sequence[int]) -> dict[int, Record]:
    """Bills by id as far as the reader may see them."""
    sql, args = sight.apply(BILLS, list(ids))
    return {row["id"]: row for row in await conn.fetch(sql, *args)}


@traced_read("quality.count")
async def count(conn: Connection, sight: Sight, number: int) -> Record | None:
    """One stock count."""
    sql, args = sight.apply(COUNT, number)
    return await conn.fetchrow(sql, *args)


@traced_read("quality.counts")
async def counts(conn: Connection, sight: Sight, before: int, org: int | None, limit: int) -> list[Record]:
    """Stock counts, newest first."""
    sql, args = sight.apply(COUNTS, before, org, limit)
    return await conn.fetch(sql, *args)
