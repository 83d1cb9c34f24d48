"""SQL of pools of pre-scanned boxes (预扫码池)."""

from __future__ import annotations

from collections.abc import Sequence

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection
from yaosu.dispensing.split_store import UNTIL

INSERT_POOL = """
INSERT INTO pool (org, kind, name, bill_type, opens, made_by) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (org, name) WHERE closed_at IS NULL DO NOTHING RETURNING id"""

# Free units of a box: what is left of it (all of it while closed) without what is promised.
_FREE = "greatest(coalesce(p.unit_left, x.total) - x.reserved, 0)"

# Pools with what is in them, open ones first.
POOLS = f"""
SELECT l.*, (SELECT count(*) FROM pool_box x WHERE x.pool_id = l.id AND x.left_at IS NULL) AS boxes,
    (SELECT count(*) FROM pool_box x WHERE x.pool_id = l.id AND x.left_at IS NULL AND x.blocked <> '') AS blocked,
    (SELECT count(*) FROM pool_level v WHERE v.pool_id = l.id AND v.refill_below > (
        SELECT coalesce(sum({_FREE}), 0) FROM pool_box x
            JOIN batch t ON t.drug_id = x.drug_id AND t.id = x.batch_id
            LEFT JOIN split_pack p ON p.drug_id = x.drug_id AND p.code = x.code
        WHERE x.pool_id = l.id AND x.drug_id = v.drug_id AND x.left_at IS NULL AND x.blocked = ''
            AND {UNTIL} > now())) AS low
FROM pool l WHERE /*visible:org l.org*/ AND ($1::bool OR l.closed_at IS NULL)
ORDER BY l.closed_at IS NOT NULL, l.id DESC LIMIT 200"""  # noqa: S608 - constants

# Open pools in which a product is below its level for refilling, or a box may not be dispensed.
LOW = f"""
SELECT count(*) FILTER (WHERE EXISTS (SELECT 1 FROM pool_level v WHERE v.pool_id = l.id AND v.refill_below > (
        SELECT coalesce(sum({_FREE}), 0) FROM pool_box x
            JOIN batch t ON t.drug_id = x.drug_id AND t.id = x.batch_id
            LEFT JOIN split_pack p ON p.drug_id = x.drug_id AND p.code = x.code
        WHERE x.pool_id = l.id AND x.drug_id = v.drug_id AND x.left_at IS NULL AND x.blocked = ''
            AND {UNTIL} > now()))) AS low,
    count(*) FILTER (WHERE EXISTS (SELECT 1 FROM pool_box x
        WHERE x.pool_id = l.id AND x.left_at IS NULL AND x.blocked <> '')) AS blocked
FROM pool l WHERE l.closed_at IS NULL AND /*visible:org l.org*/"""  # noqa: S608 - constants

POOL = "SELECT l.* FROM pool l WHERE l.id = $1 AND /*visible:org l.org*/"

# The boxes of a pool, in the order in which draws take them.
BOXES = f"""
SELECT x.id, x.drug_id, x.code, x.batch_id, x.total, x.reserved, x.loaded_at, x.blocked, t.batch_no, t.expires_on,
    p.unit_left IS NOT NULL AS opened, coalesce(p.unit_left, x.total) AS unit_left, {_FREE} AS free, {UNTIL} AS until
FROM pool_box x JOIN batch t ON t.drug_id = x.drug_id AND t.id = x.batch_id
    LEFT JOIN split_pack p ON p.drug_id = x.drug_id AND p.code = x.code
    JOIN pool l ON l.id = x.pool_id
WHERE x.pool_id = $1 AND x.left_at IS NULL AND /*visible:org l.org*/
ORDER BY x.drug_id, {UNTIL}, p.unit_left IS NULL, x.code LIMIT $2"""  # noqa: S608 - constants

# What a product's level in a pool is: free units of boxes that may be dispensed now, and the level for refilling.
LEVELS = f"""
SELECT d.drug_id, count(x.id) AS boxes, coalesce(sum({_FREE}) FILTER (WHERE {UNTIL} > now()), 0)::bigint AS units,
    max(v.refill_below) AS refill_below
FROM (SELECT drug_id FROM pool_box WHERE pool_id = $1 AND left_at IS NULL
        UNION SELECT drug_id FROM pool_level WHERE pool_id = $1) d
    JOIN pool l ON l.id = $1
    LEFT JOIN pool_box x ON x.pool_id = $1 AND x.drug_id = d.drug_id AND x.left_at IS NULL AND x.blocked = ''
    LEFT JOIN batch t ON t.drug_id = x.drug_id AND t.id = x.batch_id
    LEFT JOIN split_pack p ON p.drug_id = x.drug_id AND p.code = x.code
    LEFT JOIN pool_level v ON v.pool_id = $1 AND v.drug_id = d.drug_id
WHERE /*visible:org l.org*/ AND ($2::int[] IS NULL OR d.drug_id = ANY($2)) GROUP BY d.drug_id ORDER BY d.drug_id"""  # noqa: S608

# The latest acts on a pool.
ORDERS = """
SELECT o.*, (SELECT count(*) FROM split_share s WHERE s.order_id = o.id) AS shares,
    (SELECT coalesce(sum(s.units), 0) FROM split_share s WHERE s.order_id = o.id) AS units
FROM split_order o WHERE o.pool_id = $1 AND o.state = 'done' AND /*visible:org o.org*/
    AND ($2::bigint IS NULL OR o.id < $2) ORDER BY o.id DESC LIMIT $3"""

# -- write path: one pool at a time, its row locked ------------------------------------------------------------------

# ungated: write path: the pool was read through POOL by the same caller
LOCK = "SELECT * FROM pool WHERE id = $1 FOR UPDATE"

# The next boxes of some products in the order of drawing, at most so many of each.
# ungated: write path: boxes of a pool that the caller was let in to
CANDIDATES = f"""
SELECT x.drug_id, x.code, x.total, p.unit_left IS NOT NULL OR x.reserved > 0 AS opened, {_FREE} AS free,
    {UNTIL} AS until
FROM unnest($2::int[]) AS d (drug_id) CROSS JOIN LATERAL (
        SELECT * FROM pool_box b WHERE b.pool_id = $1 AND b.drug_id = d.drug_id AND b.left_at IS NULL
            AND b.blocked = '' AND b.until > $3 ORDER BY b.until, b.closed, b.id LIMIT $4) x
    JOIN batch t ON t.drug_id = x.drug_id AND t.id = x.batch_id
    LEFT JOIN split_pack p ON p.drug_id = x.drug_id AND p.code = x.code"""  # noqa: S608 - constants

# Products of a pool that are watched for refilling.
WATCHED = "SELECT drug_id FROM pool_level WHERE pool_id = $1 AND drug_id = ANY($2::int[])"

RESERVE = """
UPDATE pool_box x SET reserved = x.reserved + s.units
FROM unnest($1::int[], $2::text[], $3::int[]) AS s (drug_id, code, units)
WHERE x.drug_id = s.drug_id AND x.code = s.code AND x.left_at IS NULL"""

# Whether units of the pool are promised to orders other than this one.
# ungated: write path: a yes or no about the caller's own pool
PROMISED = """
SELECT EXISTS (SELECT 1 FROM split_order o WHERE o.pool_id = $1 AND o.state = 'planned' AND o.id <> $2
    AND o.made_at > now() - interval '30 seconds')"""

# Opened boxes whose parts came back go into the pool again, unless they are in one.
# ungated: write path: boxes of the caller's own order
PUT_BACK = f"""
INSERT INTO pool_box (pool_id, drug_id, batch_id, total, loaded_by, code, closed, until)
SELECT DISTINCT o.pool_id, p.drug_id, p.batch_id, p.total, o.account_id, p.code, false, {UNTIL}
FROM split_order o JOIN split_share s ON s.order_id = o.id
    JOIN split_pack p ON p.drug_id = s.drug_id AND p.code = s.code
    JOIN batch t ON t.drug_id = p.drug_id AND t.id = p.batch_id
WHERE o.id = $1 AND o.kind = 'return' AND p.unit_left > 0
ON CONFLICT (drug_id, code) WHERE left_at IS NULL DO NOTHING"""  # noqa: S608 - constants

# Boxes that left the pool by a draw which was voided since: nobody took them out, so they are in it still. Draws of the
# last days; a box that went another way afterwards, or is in a pool, is left alone.
# ungated: write path: boxes of the pool whose row the caller has locked
BACK_FROM_VOIDED = f"""
INSERT INTO pool_box (pool_id, drug_id, batch_id, total, loaded_by, code, closed, until)
SELECT x.pool_id, x.drug_id, x.batch_id, x.total, x.loaded_by, x.code, p.code IS NULL, {UNTIL}
FROM (
    SELECT DISTINCT s.drug_id, s.code FROM split_order o
    JOIN bill b ON b.owner = o.org AND b.bill_no = o.number AND b.status = 'V' AND b.revision > 0
    JOIN split_share s ON s.order_id = o.id
    WHERE o.pool_id = $1 AND o.kind = 'dispense' AND o.state = 'done' AND o.finished_at > now() - interval '7 days'
        AND s.drug_id = ANY($2::int[])
) v
CROSS JOIN LATERAL (
    SELECT * FROM pool_box b WHERE b.drug_id = v.drug_id AND b.code = v.code ORDER BY b.id DESC LIMIT 1) x
JOIN unit u ON u.drug_id = v.drug_id AND u.code = v.code AND u.status IN ('I', 'D')
JOIN pool l ON l.id = $1 AND l.org = u.holder
JOIN batch t ON t.drug_id = x.drug_id AND t.id = x.batch_id
LEFT JOIN split_pack p ON p.drug_id = x.drug_id AND p.code = x.code
WHERE x.pool_id = $1 AND x.left_why = 'drawn'
ON CONFLICT (drug_id, code) WHERE left_at IS NULL DO NOTHING"""  # noqa: S608 - constants

# Give back what an order had promised itself.
RELEASE = """
UPDATE pool_box x SET reserved = x.reserved - s.units
FROM (SELECT drug_id, code, sum(units)::int AS units FROM split_share WHERE order_id = $1 GROUP BY 1, 2) s
WHERE x.pool_id = $2 AND x.drug_id = s.drug_id AND x.code = s.code AND x.left_at IS NULL
    AND EXISTS (SELECT 1 FROM split_order o WHERE o.id = $1 AND o.kind = 'dispense')"""

# After its bill: boxes it opened are open, boxes it used up leave the pool.
# ungated: write path: boxes of the order's own pool
SETTLE = """
UPDATE pool_box x SET closed = x.closed AND p.code IS NULL, until = least(x.until, p.use_before),
    left_at = CASE WHEN f.gone AND x.reserved = 0 THEN now() END,
    left_why = CASE WHEN f.gone AND x.reserved = 0 THEN 'drawn' ELSE '' END
FROM (SELECT drug_id, code, bool_or(whole) AS whole FROM split_share WHERE order_id = $1 GROUP BY 1, 2) s
    LEFT JOIN split_pack p ON p.drug_id = s.drug_id AND p.code = s.code
    CROSS JOIN LATERAL (SELECT s.whole OR p.unit_left = 0) AS f (gone)
WHERE x.pool_id = $2 AND x.drug_id = s.drug_id AND x.code = s.code AND x.left_at IS NULL"""

# Boxes the write path refused are left out of draws until somebody looks.
BLOCK = """
UPDATE pool_box SET blocked = $4
WHERE pool_id = $1 AND drug_id = $2 AND code = $3 AND left_at IS NULL"""

UNBLOCK = "UPDATE pool_box SET blocked = '' WHERE pool_id = $1 AND left_at IS NULL AND blocked <> ''"

# Level-1 boxes of scanned packages, themselves included, with their batches.
# ungated: write path: scanned packages that `circulation.service.check` found in the caller's own stock
INSIDE = """
WITH RECURSIVE down AS (
    SELECT u.drug_id, u.code, u.code AS top, u.level, u.batch_id FROM unit u
    WHERE (u.drug_id, u.code) IN (SELECT * FROM unnest($1::int[], $2::text[]))
    UNION ALL
    SELECT c.drug_id, c.code, d.top, c.level, c.batch_id FROM down d
        JOIN unit c ON c.drug_id = d.drug_id AND c.parent = d.code WHERE d.level > 1)
SELECT drug_id, code, top, batch_id FROM down WHERE level = 1"""

# Put boxes into a pool; a box that is in one already is left where it is.
# ungated: write path: facts of boxes that were found in the caller's own stock
LOAD = f"""
INSERT INTO pool_box (pool_id, drug_id, batch_id, total, loaded_by, code, closed, until)
SELECT $1, b.drug_id, b.batch_id, b.total, $2, b.code, p.code IS NULL, {UNTIL}
FROM unnest($3::int[], $4::int[], $5::int[], $6::text[]) AS b (drug_id, batch_id, total, code)
    JOIN batch t ON t.drug_id = b.drug_id AND t.id = b.batch_id
    LEFT JOIN split_pack p ON p.drug_id = b.drug_id AND p.code = b.code
ON CONFLICT (drug_id, code) WHERE left_at IS NULL DO NOTHING RETURNING drug_id, code"""  # noqa: S608

# Which boxes are in which pool.
# ungated: write path: pools of the caller's own boxes
WHERE_IN = """
SELECT x.drug_id, x.code, x.pool_id, l.name FROM pool_box x JOIN pool l ON l.id = x.pool_id
WHERE x.left_at IS NULL AND (x.drug_id, x.code) IN (SELECT * FROM unnest($1::int[], $2::text[]))"""

# Take boxes out of a pool; those with promised units stay until the draw is recorded.
TAKE_OUT = """
UPDATE pool_box SET left_at = now(), left_why = $4
WHERE pool_id = $1 AND left_at IS NULL AND reserved = 0
    AND (drug_id, code) IN (SELECT * FROM unnest($2::int[], $3::text[])) RETURNING drug_id, code"""

SET_LEVEL = """
INSERT INTO pool_level (pool_id, drug_id, refill_below) VALUES ($1, $2, $3)
ON CONFLICT (pool_id, drug_id) DO UPDATE SET refill_below = excluded.refill_below"""
DROP_LEVEL = "DELETE FROM pool_level WHERE pool_id = $1 AND drug_id = $2"

CLOSE = "UPDATE pool SET closed_at = now() WHERE id = $1"


@traced_read("pools")
async def pools(conn: Connection, sight: Sight, closed: bool) -> list[Record]:
    """Pools with counts of boxes, blocked boxes and products to refill."""
    sql, args = sight.apply(POOLS, closed)
    return await conn.fetch(sql, *args)


@traced_read("pools to see to")
async def low(conn: Connection, sight: Sight) -> dict[str, int]:
    """Open pools to refill (`low`), and with boxes that may not be dispensed (`blocked`)."""
    sql, args = sight.apply(LOW)
    row = await conn.fetchrow(sql, *args)
    assert row is not None
    return dict(row)


@traced_read("pool")
async def pool(conn: Connection, sight: Sight, pool_id: int) -> Record | None:
    """One pool, None when there is none the reader may see."""
    sql, args = sight.apply(POOL, pool_id)
    return await conn.fetchrow(sql, *args)


@traced_read("pool_boxes")
async def boxes(conn: Connection, sight: Sight, pool_id: int, limit: int) -> list[Record]:
    """Boxes in a pool, in the order of drawing."""
    sql, args = sight.apply(BOXES, pool_id, limit)
    return await conn.fetch(sql, *args)


@traced_read("pool_levels")
async def levels(
    conn: Connection, sight: Sight, pool_id: int, drug_ids: Sequence[int] | None = None
) -> list[Record]:
    """Free units by product and the level for refilling."""
    sql, args = sight.apply(LEVELS, pool_id, list(drug_ids) if drug_ids is not None else None)
    return await conn.fetch(sql, *args)


@traced_read("pool_orders")
async def orders(
    conn: Connection, sight: Sight, pool_id: int, before: int | None, limit: int
) -> list[Record]:
    """The latest draws and returns of a pool."""
    sql, args = sight.apply(ORDERS, pool_id, before, limit)
    return await conn.fetch(sql, *args)
