"""SQL of the trace room, signed-in reads. What names organisations or bills is decided by `Sight` (D10).

Product, batch and status of a code are for whoever holds the box (R-B2: a buyer verifies what it is offered);
who has it, where it goes and by which bill passes the gate column by column: `seen` is a mark of visibility.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection
from yaosu.trace.model import (
    DEPTH_MAX,
    BatchFacts,
    BillHead,
    Found,
    Holding,
    Key,
    LineRow,
    Node,
    OnTheWay,
    Tale,
    UnitRow,
)

_UNIT = (
    "u.drug_id, u.code, u.batch_id, u.level, u.parent, u.status, u.holder, u.dest, coalesce(u.qty, 1) AS qty, "
    "u.since, u.last_bill"
)
_UNIT_OF = _UNIT.replace("u.", "up.").replace("coalesce(up.qty, 1) AS qty", "up.qty")

# Each asked code and every package around it, in one reading, so that state and path belong together. One
# statement whatever the number of codes and levels. Holders leave this room only through `KNOWN_HOLDERS`.
CLIMB = f"""
WITH RECURSIVE up AS (
    SELECT a.n, 0 AS depth, {_UNIT}
    FROM unnest($1::int[], $2::text[]) WITH ORDINALITY AS a(drug_id, code, n)
    JOIN unit u ON u.drug_id = a.drug_id AND u.code = a.code
    UNION ALL
    SELECT up.n, up.depth + 1, {_UNIT}
    FROM up JOIN unit u ON u.drug_id = up.drug_id AND u.code = up.parent
    WHERE up.depth < {DEPTH_MAX}
)
SELECT up.n, up.depth, {_UNIT_OF}, q.count, q.first_at
FROM up LEFT JOIN public_query_count q ON up.depth = 0 AND q.drug_id = up.drug_id AND q.code = up.code
ORDER BY up.n, up.depth"""  # noqa: S608 -- only constants are put in

# Whether the reader may know who holds a unit: the holding itself, or the bill that brought it there.
KNOWN_HOLDERS = """
SELECT a.n, coalesce(/*visible:coded_holder a.holder a.drug_id*/, false)
    OR coalesce(/*visible:coded b*/, false) AS seen
FROM unnest($1::int[], $2::int[], $3::bigint[]) WITH ORDINALITY AS a(drug_id, holder, bill_id, n)
LEFT JOIN bill b ON b.id = a.bill_id"""

# A batch is no secret: it is printed on the box.
BATCHES = """
SELECT id, drug_id, batch_no, produced_on, expires_on FROM batch
WHERE drug_id = ANY($1::int[]) AND id = ANY($2::int[])"""
BATCH_BY_NO = """
SELECT id, drug_id, batch_no, produced_on, expires_on FROM batch WHERE drug_id = $1 AND batch_no = $2"""

# Products inside a logistics container, whose code says nothing about products.
CONTAINERS = "SELECT code, drug_ids FROM logistics_container WHERE code = ANY($1::text[])"

CONTAINER_BATCHES = """
SELECT drug_id, code, batch_id, qty FROM container_batch
WHERE drug_id = ANY($1::int[]) AND code = ANY($2::text[]) AND qty > 0 ORDER BY drug_id, code, batch_id"""

# The own events of several units of one product: each step of a chain is one look-up of the primary key.
CHAINS = """
WITH RECURSIVE chain AS (
    SELECT u.code, 0 AS step, l.bill_id, l.prev_bill, l.pre, l.post, l.pre_holder, l.qty, l.left_parent
    FROM unit u JOIN bill_line l ON l.drug_id = u.drug_id AND l.bill_id = u.last_bill AND l.code = u.code
    WHERE u.drug_id = $1 AND u.code = ANY($2::text[])
    UNION ALL
    SELECT c.code, c.step + 1, l.bill_id, l.prev_bill, l.pre, l.post, l.pre_holder, l.qty, l.left_parent
    FROM chain c JOIN bill_line l ON l.drug_id = $1 AND l.bill_id = c.prev_bill AND l.code = c.code
    WHERE c.step < $3
)
SELECT * FROM chain ORDER BY code, step"""
# A logistics container ceases to exist when it is empty and its label may be used again: what happened to it is found
# by its code (partial index bill_line_container), not from the unit.
CONTAINER_LINES = """
SELECT l.code, l.bill_id, l.prev_bill, l.pre, l.post, l.pre_holder, l.qty, l.left_parent
FROM bill_line l
WHERE l.drug_id = $1 AND l.code = ANY($2::text[]) AND l.code >= '(00)' AND l.code < '(00*'
ORDER BY l.code, l.bill_id DESC LIMIT $3"""
# Codes that took another's place.
REPLACED = (
    "SELECT new_code, old_code, bill_id FROM unit_replaced WHERE drug_id = $1 AND new_code = ANY($2::text[])"
)
UNITS_OF = "SELECT code, parent, last_bill FROM unit WHERE drug_id = $1 AND code = ANY($2::text[])"

# The bills of a history; numbers and parties leave the store only where `seen`.
BILLS = """
SELECT b.id, b.type, b.status, b.flags, b.revision, b.bill_no, b.owner, b.from_org, b.to_org, b.happened_at,
    b.recorded_at, b.header, b.replaces, coalesce(/*visible:coded b*/, false) AS seen
FROM bill b WHERE b.id = ANY($1::bigint[])"""

# What is inside a package now, breadth first, children in code order; the caller has been let in by its root.
CONTENTS = f"""
WITH RECURSIVE down AS (
    SELECT u.code, u.parent, u.level, coalesce(u.qty, 1) AS qty, u.batch_id, u.drug_id, 0 AS depth
    FROM unit u WHERE u.drug_id = $1 AND u.code = $2
    UNION ALL
    SELECT u.code, u.parent, u.level, coalesce(u.qty, 1), u.batch_id, u.drug_id, d.depth + 1
    FROM down d JOIN unit u ON u.drug_id = d.drug_id AND u.parent = d.code
    WHERE d.depth < {DEPTH_MAX}
)
SELECT code, parent, level, qty, batch_id, drug_id, depth FROM down LIMIT $3"""  # noqa: S608 -- only constants are put in

# One level of a package, page by page.
CHILDREN = """
SELECT u.code, u.parent, u.level, coalesce(u.qty, 1) AS qty, u.batch_id, u.drug_id, 1 AS depth
FROM unit u WHERE u.drug_id = $1 AND u.parent = $2 AND u.code > $3 ORDER BY u.code LIMIT $4"""

# What was taken out of packages and by which bill (partial index bill_line_left).
LEFT = """
SELECT l.code, l.left_parent, l.bill_id, l.qty, l.batch_id, coalesce(/*visible:coded b*/, false) AS seen
FROM bill_line l JOIN bill b ON b.id = l.bill_id
WHERE l.drug_id = $1 AND l.left_parent = ANY($2::text[]) AND l.left_parent <> ''
ORDER BY l.bill_id, l.code LIMIT $3"""

# Accounts of a batch. Holders the reader may not know are summed up: counts are for the one who made the batch.
HOLDINGS = """
SELECT CASE WHEN s.seen THEN s.org END AS org, s.status, sum(s.qty)::bigint AS qty, count(DISTINCT s.org) AS orgs
FROM (SELECT x.org, x.status, x.qty, coalesce(/*visible:holder x.org x.drug_id*/, false) AS seen
    FROM balance x WHERE x.drug_id = $1 AND x.batch_id = $2 AND x.qty <> 0) s
GROUP BY 1, 2 ORDER BY 1 NULLS LAST, 2"""

# A batch's goods between two organisations: lines of notices that are still expected (partial index).
ON_THE_WAY = """
SELECT CASE WHEN s.seen THEN s.from_org END AS from_org, CASE WHEN s.seen THEN s.to_org END AS to_org,
    sum(s.qty)::bigint AS qty, min(CASE WHEN s.seen THEN s.shipped_at END) AS shipped_at
FROM (SELECT n.from_org, n.to_org, l.expected - l.received - l.quarantined - l.refused AS qty, n.shipped_at,
        coalesce(/*visible:parties n.from_org n.to_org*/, false) AS seen
    FROM notice_line l
    JOIN bill b ON b.id = l.bill_id
    JOIN notice n ON n.from_org = b.owner AND n.bill_id = b.id
    WHERE l.drug_id = $1 AND l.batch_id = $2 AND l.received + l.quarantined + l.refused < l.expected
        AND n.state IN ('open', 'part')) s
GROUP BY 1, 2 ORDER BY 1 NULLS LAST, 2"""


async def climb(conn: Connection, keys: Sequence[Key]) -> dict[Key, Found]:
    """Each of `keys` that exists, with the packages around it."""
    paths: dict[int, list[UnitRow]] = {}
    asked: dict[int, tuple[int, object]] = {}
    for row in await conn.fetch(CLIMB, [k[0] for k in keys], [k[1] for k in keys]):
        # values come as n, depth, the columns of UnitRow in their order, count, first_at
        values = tuple(row.values())
        n = values[0]
        if values[1] == 0:
            paths[n] = []
            asked[n] = (values[13] or 0, values[14])
        paths[n].append(UnitRow(*values[2:13]))
    return {
        (path[0].drug_id, path[0].code): Found(tuple(path), asked[n][0], asked[n][1])  # type: ignore[arg-type]
        for n, path in paths.items()
    }


@traced_read("trace.known_holders")
async def known_holders(conn: Connection, sight: Sight, roots: Sequence[UnitRow]) -> list[bool]:
    """For each outermost package whether the reader may know who holds it and where it goes."""
    sql, args = sight.apply(
        KNOWN_HOLDERS, [r.drug_id for r in roots], [r.holder for r in roots], [r.last_bill for r in roots]
    )
    found = [False] * len(roots)
    for row in await conn.fetch(sql, *args):
        found[row["n"] - 1] = row["seen"]
    return found


async def batches(conn: Connection, wanted: Iterable[tuple[int, int]]) -> dict[int, BatchFacts]:
    """Facts of the batches in `wanted`: (product, batch id) pairs."""
    pairs = list(wanted)
    rows = await conn.fetch(BATCHES, [p[0] for p in pairs], [p[1] for p in pairs])
    return {row["id"]: BatchFacts(*row.values()) for row in rows}


async def batch_by_no(conn: Connection, drug_id: int, batch_no: str) -> BatchFacts | None:
    """The batch of a product with that number."""
    row = await conn.fetchrow(BATCH_BY_NO, drug_id, batch_no)
    return BatchFacts(*row.values()) if row is not None else None


async def containers(conn: Connection, codes: Sequence[str]) -> dict[str, list[int]]:
    """Products in each logistics container."""
    return {r["code"]: list(r["drug_ids"]) for r in await conn.fetch(CONTAINERS, list(codes))}


async def container_batches(conn: Connection, keys: Sequence[Key]) -> dict[Key, dict[int, int]]:
    """Smallest packages by batch in containers that hold several."""
    found: dict[Key, dict[int, int]] = {}
    rows = await conn.fetch(CONTAINER_BATCHES, [k[0] for k in keys], [k[1] for k in keys])
    for row in rows:
        found.setdefault((row["drug_id"], row["code"]), {})[row["batch_id"]] = row["qty"]
    return found


async def tales(
    conn: Connection, drug_id: int, codes: Sequence[str], events_max: int, *, this_life: bool = False
) -> dict[str, Tale]:
    """Own events of several units of one product.

    Of a logistics container all lives of its label, since the container may be gone; `this_life` keeps to the
    present one.
    """
    labels = [code for code in codes if code.startswith("(00)") and not this_life]
    chained = [code for code in codes if this_life or not code.startswith("(00)")]
    lines: dict[str, list[LineRow]] = {code: [] for code in labels}
    if chained:
        for row in await conn.fetch(CHAINS, drug_id, chained, events_max):
            values = tuple(row.values())
            lines.setdefault(values[0], []).append(LineRow(*values[2:]))
    if labels:
        for row in await conn.fetch(CONTAINER_LINES, drug_id, labels, events_max):
            values = tuple(row.values())
            lines.setdefault(values[0], []).append(LineRow(*values[1:]))
    was = {
        row["new_code"]: (row["old_code"], row["bill_id"])
        for row in await conn.fetch(REPLACED, drug_id, list(codes))
    }
    now = {row["code"]: row for row in await conn.fetch(UNITS_OF, drug_id, list(codes))}
    found = {}
    for code in now.keys() | lines.keys():
        unit = now.get(code)
        found[code] = Tale(
            code,
            unit["parent"] if unit is not None else None,
            unit["last_bill"] if unit is not None else 0,
            tuple(lines.get(code, ())),
            was.get(code),
        )
    return found


@traced_read("trace.bills")
async def bills(conn: Connection, sight: Sight, ids: Iterable[int]) -> dict[int, BillHead]:
    """Bills of a history; numbers, parties and header blank where the reader may not see them."""
    sql, args = sight.apply(BILLS, sorted(ids))
    found = {}
    for row in await conn.fetch(sql, *args):
        head = BillHead(*row.values())
        if not head.seen:
            head = BillHead(
                head.id, head.type, head.status, head.flags, head.revision, "", 0, None, None,
                head.happened_at, head.recorded_at, None, head.replaces, False,
            )  # fmt: skip
        found[head.id] = head
    return found


async def contents(conn: Connection, key: Key, limit: int) -> list[Node]:
    """The package and everything in it, outermost first; more than `limit` rows are cut off."""
    return [Node(*row.values()) for row in await conn.fetch(CONTENTS, key[0], key[1], limit)]


async def children(conn: Connection, key: Key, after: str, limit: int) -> list[Node]:
    """What is directly inside, in code order, after the code `after`."""
    return [Node(*row.values()) for row in await conn.fetch(CHILDREN, key[0], key[1], after, limit)]


@traced_read("trace.left")
async def left(
    conn: Connection, sight: Sight, drug_id: int, parents: Sequence[str], limit: int
) -> list[tuple[str, str, int | None, int, int]]:
    """(code, package it left, bill or None where it may not be known, smallest packages, batch)."""
    sql, args = sight.apply(LEFT, drug_id, list(parents), limit)
    rows = await conn.fetch(sql, *args)
    return [
        (r["code"], r["left_parent"], r["bill_id"] if r["seen"] else None, r["qty"], r["batch_id"])
        for r in rows
    ]


@traced_read("trace.holdings")
async def holdings(conn: Connection, sight: Sight, drug_id: int, batch_id: int) -> tuple[list[Holding], int]:
    """Accounts of a batch, and how many holders the reader may not know."""
    sql, args = sight.apply(HOLDINGS, drug_id, batch_id)
    found, hidden = [], 0
    for row in await conn.fetch(sql, *args):
        found.append(Holding(row["org"], row["status"], row["qty"]))
        if row["org"] is None:
            hidden = max(hidden, row["orgs"])
    return found, hidden


@traced_read("trace.on_the_way")
async def on_the_way(conn: Connection, sight: Sight, drug_id: int, batch_id: int) -> list[OnTheWay]:
    """Goods of a batch that are travelling."""
    sql, args = sight.apply(ON_THE_WAY, drug_id, batch_id)
    return [OnTheWay(*row.values()) for row in await conn.fetch(sql, *args)]
