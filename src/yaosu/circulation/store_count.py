"""SQL of stock counts: what stands on an organisation's own account, package by package, and counts on record."""

from __future__ import annotations

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection

# Outermost packages in stock. There is no index by holder (it would cost every movement): goods stand where a bill put
# them, so the bills that posted to the accounts lead to lines, and lines to packages that still stand there.
# ungated: bound to the counting organisation's own account ($1)
IN_STOCK = """
WITH accounts AS (
    SELECT b.drug_id, b.batch_id FROM balance b
    WHERE b.org = $1 AND b.status = 'I' AND b.qty > 0 AND ($2::int IS NULL OR b.drug_id = $2)
        AND ($3::int IS NULL OR b.batch_id = $3)
), bills AS (
    SELECT a.drug_id, e.bill_id FROM accounts a JOIN entry e ON e.drug_id = a.drug_id AND e.batch_id = a.batch_id
    WHERE e.to_org = $1 AND e.to_org <> e.from_org
    UNION
    SELECT a.drug_id, e.bill_id FROM accounts a JOIN entry e ON e.drug_id = a.drug_id AND e.batch_id = a.batch_id
    WHERE e.from_org = $1
    UNION
    SELECT a.drug_id, b.id FROM bill b JOIN accounts a ON a.drug_id = ANY(b.drug_ids)
    WHERE b.owner = $1 AND b.type IN (2, 3, 4)
), moved AS (
    SELECT DISTINCT l.drug_id, l.code FROM bills JOIN bill_line l ON l.drug_id = bills.drug_id
        AND l.bill_id = bills.bill_id
), candidates AS (
    SELECT m.drug_id, m.code FROM moved m
    UNION
    SELECT u.drug_id, u.parent FROM moved m JOIN unit u ON u.drug_id = m.drug_id AND u.code = m.code
    WHERE u.parent IS NOT NULL
)
SELECT u.drug_id, u.code, u.batch_id, u.level, coalesce(u.qty, 1) AS qty
FROM candidates c JOIN unit u ON u.drug_id = c.drug_id AND u.code = c.code
WHERE u.parent IS NULL AND u.holder = $1 AND u.status = 'I' AND coalesce(u.qty, 1) > 0
    AND ($3::int IS NULL OR u.batch_id = $3 OR (u.batch_id = 0 AND EXISTS (
        SELECT 1 FROM container_batch k
        WHERE k.drug_id = u.drug_id AND k.code = u.code AND k.batch_id = $3 AND k.qty > 0)))
ORDER BY u.drug_id, u.batch_id, u.level DESC, u.code LIMIT $4"""

# What is directly inside packages of the own stock.
# ungated: content of packages on the counting organisation's own account, found through IN_STOCK
INSIDE = """
SELECT u.drug_id, u.code, u.parent, u.batch_id, u.level, coalesce(u.qty, 1) AS qty
FROM unnest($1::int[], $2::text[]) AS k(drug_id, code) JOIN unit u ON u.drug_id = k.drug_id AND u.parent = k.code
WHERE coalesce(u.qty, 1) > 0 ORDER BY u.drug_id, u.code"""

# ungated: what is printed on every box
BATCH_NUMBERS = (
    "SELECT t.id, t.batch_no FROM batch t WHERE t.drug_id = ANY($1::int[]) AND t.id = ANY($2::int[])"
)

# ungated: what is printed on every box
BATCH_BY_NO = "SELECT t.id FROM batch t WHERE t.drug_id = $1 AND t.batch_no = $2"

INSERT = """
INSERT INTO stock_count (org, count_no, drug_id, batch_id, codes, account_id, reason)
VALUES ($1, $2, $3, $4, $5, $6, '') ON CONFLICT (org, count_no) DO NOTHING RETURNING id"""

_COUNT = """c.id, c.org, c.count_no, c.drug_id, c.batch_id, c.codes, c.made_at, c.confirmed_at, c.reason, c.state,
    c.short_bill, c.over_bill, c.matched, c.short, c.over"""

# How many counts carry numbers of a series.
TAKEN = "SELECT count(*) FROM stock_count WHERE org = $1 AND count_no LIKE $2"

BY_NO = f"SELECT {_COUNT} FROM stock_count c WHERE c.org = $1 AND c.count_no = $2"  # noqa: S608 - constant columns

# One count, for its organisation and its regulator.
COUNT = f"SELECT {_COUNT} FROM stock_count c WHERE c.id = $1 AND /*visible:org c.org*/"  # noqa: S608

# Counts newest first.
COUNTS = """
SELECT c.id, c.org, c.count_no, c.drug_id, c.batch_id, cardinality(c.codes) AS scans, c.made_at, c.confirmed_at,
    c.state, c.short_bill, c.over_bill, c.matched, c.short, c.over
FROM stock_count c WHERE /*visible:org c.org*/ AND ($1::bigint IS NULL OR c.id < $1) ORDER BY c.id DESC LIMIT $2"""

# Taken for posting, once; the moment stays, so that a repeat posts the same bills.
CONFIRM = """
UPDATE stock_count SET state = 'posting', confirmed_at = coalesce(confirmed_at, now()), reason = $3
WHERE id = $1 AND org = $2 AND state IN ('open', 'posting') RETURNING confirmed_at"""

# The bills a count posted.
# ungated: bound to the counting organisation's own bills ($1)
BILLS_OF = """
SELECT b.id, b.bill_no, b.qty FROM bill b WHERE b.owner = $1 AND b.bill_no = ANY($2::text[]) AND b.revision > 0
ORDER BY b.revision"""

POSTED = """
UPDATE stock_count SET state = 'posted', short_bill = $2, over_bill = $3, matched = $4, short = $5, over = $6
WHERE id = $1"""

DROP = "UPDATE stock_count SET state = 'dropped' WHERE id = $1 AND org = $2 AND state = 'open' RETURNING id"

REOPEN = "UPDATE stock_count SET state = 'open' WHERE id = $1 AND state = 'posting'"


@traced_read("stock count")
async def count(conn: Connection, sight: Sight, count_id: int) -> Record | None:
    """One count."""
    sql, args = sight.apply(COUNT, count_id)
    return await conn.fetchrow(sql, *args)


@traced_read("stock counts")
async def counts(conn: Connection, sight: Sight, before: int | None, limit: int) -> list[Record]:
    """Counts newest first."""
    sql, args = sight.apply(COUNTS, before, limit)
    return await conn.fetch(sql, *args)
