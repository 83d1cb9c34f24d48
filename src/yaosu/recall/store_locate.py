"""SQL that finds recalled goods: every holder at the moment of publication, and what became of them since.

From balances, open notices and, for single codes, the outermost packages: never by reading a batch's units, so ten
million boxes take as long as ten thousand (R-X7, D4).
"""

from __future__ import annotations

from collections.abc import Sequence

from asyncpg import Record

from yaosu.db.engine import Connection
from yaosu.trace.model import DEPTH_MAX

BILL_MARK = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM bill_id_seq"

_IN_RANGE = (
    "(cardinality($4::text[]) = 0 OR EXISTS (SELECT 1 FROM unnest($4::text[]) p WHERE starts_with({c}, p)))"
)

# Accounts of whole batches; contra accounts are no goods. Shipped goods stand with their notices, below.
# ungated: publication by the product's firm or an office; the snapshot leaves through recall_task's own rules
HELD = f"""
INSERT INTO recall_holding (drug_id, order_id, org, batch_id, status, qty, single)
SELECT b.drug_id, $2, b.org, b.batch_id, b.status, b.qty, false
FROM balance b JOIN org o ON o.id = b.org
WHERE b.drug_id = $1 AND b.batch_id = ANY($3::int[]) AND b.qty > 0 AND b.status NOT IN ('P', 'W', 'O')
    AND {_IN_RANGE.format(c="o.region::text")}"""  # noqa: S608 -- only constants are put in

# Goods between two organisations, by the notices they travel on; what left without a receiver's notice keeps 0.
# ungated: publication by the product's firm or an office; the snapshot leaves through recall_task's own rules
TRAVELLING = f"""
WITH open AS (
    SELECT n.from_org, n.to_org, l.batch_id, sum(l.expected - l.received - l.quarantined - l.refused)::bigint AS qty
    FROM notice_line l
    JOIN bill b ON b.id = l.bill_id
    JOIN notice n ON n.from_org = b.owner AND n.bill_id = b.id
    WHERE l.drug_id = $1 AND l.batch_id = ANY($3::int[]) AND l.received + l.quarantined + l.refused < l.expected
        AND n.state IN ('open', 'part')
    GROUP BY 1, 2, 3
), rest AS (
    SELECT x.org, x.batch_id, x.qty - coalesce(sum(o.qty), 0) AS qty
    FROM balance x LEFT JOIN open o ON o.from_org = x.org AND o.batch_id = x.batch_id
    WHERE x.drug_id = $1 AND x.batch_id = ANY($3::int[]) AND x.status = 'O' AND x.qty > 0
    GROUP BY x.org, x.batch_id, x.qty
)
INSERT INTO recall_holding (drug_id, order_id, org, dest, batch_id, status, qty, single)
SELECT $1, $2, v.org, v.dest, v.batch_id, 'O', v.qty, false
FROM (SELECT from_org AS org, to_org AS dest, batch_id, qty FROM open
    UNION ALL SELECT org, 0, batch_id, qty::bigint FROM rest WHERE qty > 0) v
JOIN org o ON o.id = v.org LEFT JOIN org d ON d.id = v.dest
WHERE {_IN_RANGE.format(c="o.region::text")} OR {_IN_RANGE.format(c="d.region::text")}"""  # noqa: S608

# Innermost packages of the single codes with the state of the outermost package around each. Goods of batches that
# are recalled as a whole are counted there.
# ungated: publication by the product's firm or an office; the snapshot leaves through recall_task's own rules
SINGLE = f"""
WITH RECURSIVE inside AS (
    SELECT u.drug_id, u.code, u.batch_id, u.qty, u.level FROM recall_code r
    JOIN unit u ON u.drug_id = r.drug_id AND u.code = r.code WHERE r.drug_id = $1 AND r.order_id = $2
    UNION
    SELECT u.drug_id, u.code, u.batch_id, u.qty, u.level
    FROM inside i JOIN unit u ON u.drug_id = i.drug_id AND u.parent = i.code
), leaf AS (
    SELECT i.code, i.batch_id, coalesce(i.qty, 1) AS qty FROM inside i
    WHERE coalesce(i.qty, 1) > 0 AND NOT (i.batch_id = ANY($3::int[]))
        AND NOT EXISTS (SELECT 1 FROM unit c WHERE c.drug_id = $1 AND c.parent = i.code)
    LIMIT $5
), up AS (
    SELECT f.code AS leaf, f.batch_id, f.qty, 0 AS depth, u.parent, u.status, u.holder, u.dest
    FROM leaf f JOIN unit u ON u.drug_id = $1 AND u.code = f.code
    UNION ALL
    SELECT up.leaf, up.batch_id, up.qty, up.depth + 1, u.parent, u.status, u.holder, u.dest
    FROM up JOIN unit u ON u.drug_id = $1 AND u.code = up.parent WHERE up.depth < {DEPTH_MAX}
)
INSERT INTO recall_unit (drug_id, order_id, code, batch_id, qty, org, dest, status)
SELECT $1, $2, up.leaf, up.batch_id, up.qty, up.holder, CASE WHEN up.status = 'O' THEN coalesce(up.dest, 0) ELSE 0 END,
    up.status
FROM up JOIN org o ON o.id = up.holder LEFT JOIN org d ON d.id = up.dest
WHERE up.parent IS NULL AND ({_IN_RANGE.format(c="o.region::text")}
    OR (up.status = 'O' AND {_IN_RANGE.format(c="d.region::text")}))"""  # noqa: S608 -- only constants are put in

SINGLE_HELD = """
INSERT INTO recall_holding (drug_id, order_id, org, dest, batch_id, status, qty, single)
SELECT drug_id, order_id, org, dest, batch_id, status, sum(qty), true FROM recall_unit
WHERE drug_id = $1 AND order_id = $2 GROUP BY 1, 2, 3, 4, 5, 6"""

# One task for everybody who holds, sends, expects or has sold some of it.
TASKS = """
INSERT INTO recall_task (order_id, drug_id, org, on_hand, coming, sent, sold)
SELECT $2, $1, v.org, sum(v.on_hand), sum(v.coming), sum(v.sent), sum(v.sold)
FROM (
    SELECT h.org, CASE WHEN h.status = ANY($3::text[]) THEN h.qty ELSE 0 END AS on_hand, 0 AS coming,
        CASE WHEN h.status = 'O' THEN h.qty ELSE 0 END AS sent,
        CASE WHEN h.status = ANY($4::text[]) THEN h.qty ELSE 0 END AS sold
    FROM recall_holding h WHERE h.drug_id = $1 AND h.order_id = $2
    UNION ALL
    SELECT h.dest, 0, h.qty, 0, 0 FROM recall_holding h
    WHERE h.drug_id = $1 AND h.order_id = $2 AND h.status = 'O' AND h.dest > 0
) v
GROUP BY v.org HAVING sum(v.on_hand) + sum(v.coming) + sum(v.sent) + sum(v.sold) > 0
ORDER BY v.org RETURNING org"""

# What the snapshot says, by account.
SNAPSHOT = """
SELECT org, dest, batch_id, status, single, qty FROM recall_holding WHERE drug_id = $1 AND order_id = $2"""

# Accounts of the batches now.
# ungated: progress of an order the reader runs or holds goods of; shown by holder under recall_task's rules
NOW = """
SELECT b.org, b.status, sum(b.qty)::bigint AS qty FROM balance b
WHERE b.drug_id = $1 AND b.batch_id = ANY($2::int[]) AND b.qty > 0 AND b.status NOT IN ('P', 'W')
    AND ($3::int IS NULL OR b.org = $3::int)
GROUP BY 1, 2"""

# What travels now, by receiver.
# ungated: progress of an order the reader runs or holds goods of; shown by holder under recall_task's rules
COMING = """
SELECT n.to_org, sum(l.expected - l.received - l.quarantined - l.refused)::bigint AS qty
FROM notice_line l JOIN bill b ON b.id = l.bill_id JOIN notice n ON n.from_org = b.owner AND n.bill_id = b.id
WHERE l.drug_id = $1 AND l.batch_id = ANY($2::int[]) AND l.received + l.quarantined + l.refused < l.expected
    AND n.state IN ('open', 'part') AND ($3::int IS NULL OR n.to_org = $3::int)
GROUP BY 1"""

# Movements of the batches since the publication, from the ledger: the primary key begins where the mark stands.
# ungated: progress of an order the reader runs or holds goods of; shown by holder under recall_task's rules
MOVED = """
SELECT e.from_org, e.from_status, e.to_org, e.to_status, sum(e.qty)::bigint AS qty FROM entry e
WHERE e.drug_id = $1 AND e.bill_id > $3 AND e.batch_id = ANY($2::int[])
    AND ($4::int IS NULL OR e.from_org = $4::int OR e.to_org = $4::int)
GROUP BY 1, 2, 3, 4"""

# The same for single codes: where each was and where it is.
# ungated: progress of an order the reader runs or holds goods of; shown by holder under recall_task's rules
SINGLE_NOW = f"""
WITH RECURSIVE up AS (
    SELECT r.org AS was, r.dest AS was_to, r.status AS was_status, r.qty, 0 AS depth, u.parent, u.status, u.holder,
        u.dest
    FROM recall_unit r JOIN unit u ON u.drug_id = r.drug_id AND u.code = r.code
    WHERE r.drug_id = $1 AND r.order_id = $2
    UNION ALL
    SELECT up.was, up.was_to, up.was_status, up.qty, up.depth + 1, u.parent, u.status, u.holder, u.dest
    FROM up JOIN unit u ON u.drug_id = $1 AND u.code = up.parent WHERE up.depth < {DEPTH_MAX}
)
SELECT was, was_to, was_status, holder, coalesce(dest, 0) AS dest, status, sum(qty)::bigint AS qty
FROM up WHERE parent IS NULL GROUP BY 1, 2, 3, 4, 5, 6"""  # noqa: S608 -- only constants are put in

# Bills of one holder since the publication that moved recalled goods, with how much.
# ungated: bills of the task's own organisation ($4), for who may work on the task or runs the recall
BILLS = """
SELECT b.id, b.bill_no, b.type, b.to_org, b.from_org, b.status, b.happened_at, v.qty
FROM (SELECT e.bill_id, sum(e.qty)::bigint AS qty FROM entry e
    WHERE e.drug_id = $1 AND e.bill_id > $3 AND e.batch_id = ANY($2::int[]) AND (e.from_org = $4 OR e.to_org = $4)
    GROUP BY 1) v JOIN bill b ON b.id = v.bill_id
WHERE b.owner = $4 ORDER BY b.id DESC LIMIT $5"""

SINGLE_BATCHES = "SELECT DISTINCT batch_id FROM recall_unit WHERE drug_id = $1 AND order_id = $2"

# Recalled innermost packages inside scanned packages.
# ungated: counts recalled packages inside packages that the task's holder scanned
INSIDE_SCANNED = """
WITH RECURSIVE inside AS (
    SELECT u.code AS asked, u.code FROM unit u WHERE u.drug_id = $1 AND u.code = ANY($3::text[])
    UNION ALL
    SELECT i.asked, u.code FROM inside i JOIN unit u ON u.drug_id = $1 AND u.parent = i.code
)
SELECT i.asked, sum(r.qty)::bigint AS qty FROM inside i
JOIN recall_unit r ON r.drug_id = $1 AND r.order_id = $2 AND r.code = i.code GROUP BY 1"""


async def mark(conn: Connection) -> int:
    """The newest bill's number: what is larger was made later."""
    found: int = await conn.fetchval(BILL_MARK)
    return found


async def snapshot(
    conn: Connection,
    order_id: int,
    drug_id: int,
    batch_ids: Sequence[int],
    prefixes: Sequence[str],
    units_max: int,
    *,
    single: bool,
) -> int:
    """Write down who holds what; the number of innermost packages of single codes found."""
    units = 0
    if batch_ids:
        for sql in (HELD, TRAVELLING):
            await conn.execute(sql, drug_id, order_id, list(batch_ids), list(prefixes))
    if single:
        done = await conn.execute(SINGLE, drug_id, order_id, list(batch_ids), list(prefixes), units_max + 1)
        units = int(done.rsplit(" ", 1)[1])
        await conn.execute(SINGLE_HELD, drug_id, order_id)
    return units


async def tasks(
    conn: Connection, order_id: int, drug_id: int, on_hand: Sequence[str], sold: Sequence[str]
) -> list[int]:
    """One task per organisation; the organisations."""
    rows = await conn.fetch(TASKS, drug_id, order_id, list(on_hand), list(sold))
    return [r["org"] for r in rows]


async def rows(conn: Connection, sql: str, *args: object) -> list[Record]:
    """A query of this file for `progress`."""
    return await conn.fetch(sql, *args)
