"""SQL of packing. Writing happens only inside `packing`, on units locked by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from yaosu.db.engine import Connection

# The shared side of the lock that a stop takes: no packing commits without having seen a stop placed before it.
SHARE_STOPS = "SELECT pg_advisory_xact_lock_shared(7295461002)"

# the same order as every bill: lowest level first, then product and code, so that nobody waits in a circle
LOCK_UNITS = """
SELECT u.drug_id, u.code, u.batch_id, u.level, u.parent, u.status, u.holder, u.qty, u.last_bill
FROM unnest($1::int[], $2::text[]) AS a(drug_id, code)
JOIN unit u ON u.drug_id = a.drug_id AND u.code = a.code
ORDER BY u.level, u.drug_id, u.code FOR NO KEY UPDATE OF u"""

# what is directly inside packages
LOCK_CHILDREN = """
SELECT u.drug_id, u.code, u.batch_id, u.level, u.parent, u.status, u.holder, u.qty, u.last_bill
FROM unit u WHERE u.drug_id = $1 AND u.parent = ANY ($2::text[])
ORDER BY u.level, u.drug_id, u.code FOR NO KEY UPDATE OF u"""

COUNT_CHILDREN = "SELECT count(*) FROM unit WHERE drug_id = $1 AND parent = $2"

# always in the same order, so that nobody waits in a circle
CONTAINER = """
SELECT code, packed_by, drug_ids FROM logistics_container WHERE code = ANY ($1::text[])
ORDER BY code FOR UPDATE"""

# A label comes into use before anything is in it, so that another bill that fills it waits.
USE_CONTAINER = """
INSERT INTO logistics_container (code, packed_by, drug_ids) VALUES ($1, $2, '{}') ON CONFLICT (code) DO NOTHING"""

# How many containers deep containers are, themselves counted.
# ungated: packages the bill has locked; only the depth comes out
DEPTH_INSIDE = """
WITH RECURSIVE down AS (
    SELECT a.drug_id, a.code COLLATE "C" AS asked, a.code COLLATE "C" AS code, 1 AS depth
    FROM unnest($1::int[], $2::text[]) AS a(drug_id, code)
    UNION ALL
    SELECT u.drug_id, d.asked, u.code, d.depth + 1
    FROM down d JOIN unit u ON u.drug_id = d.drug_id AND u.parent = d.code AND u.level = $3
)
SELECT asked AS code, max(depth) AS depth FROM down GROUP BY asked"""

PUT_CONTAINER = """
INSERT INTO logistics_container (code, packed_by, drug_ids) VALUES ($1, $2, $3)
ON CONFLICT (code) DO UPDATE SET packed_by = excluded.packed_by, drug_ids = excluded.drug_ids"""

DROP_CONTAINER = "DELETE FROM logistics_container WHERE code = $1"

CONTAINER_BATCHES = """
SELECT c.drug_id, c.code, c.batch_id, c.qty
FROM unnest($1::int[], $2::text[]) AS a(drug_id, code)
JOIN container_batch c ON c.drug_id = a.drug_id AND c.code = a.code"""

# ungated: packages the bill has locked; only whether their batch is the caller's own comes out
MAKERS = "SELECT drug_id, id, maker FROM batch WHERE drug_id = ANY ($1::int[]) AND id = ANY ($2::int[])"

DROP_CONTAINER_BATCHES = "DELETE FROM container_batch WHERE drug_id = $1 AND code = $2"

PUT_CONTAINER_BATCH = "INSERT INTO container_batch (drug_id, code, batch_id, qty) VALUES ($1, $2, $3, $4)"

WRITE = """
UPDATE unit u SET last_bill = v.last_bill, parent = v.parent, status = v.status, holder = v.holder,
    qty = CASE WHEN u.level = 1 AND v.qty = 1 THEN NULL ELSE v.qty END, batch_id = v.batch_id,
    since = CASE WHEN v.status IS NULL THEN NULL WHEN v.moved OR u.since IS NULL THEN $9 ELSE u.since END
FROM unnest($1::int[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::int[], $7::int[], $8::int[], $10::bool[])
    AS v(drug_id, code, last_bill, parent, status, holder, qty, batch_id, moved)
WHERE u.drug_id = v.drug_id AND u.code = v.code"""

INSERT_UNIT = """
INSERT INTO unit (last_bill, drug_id, batch_id, level, code, parent, status, holder, qty, since)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"""

DELETE_UNIT = "DELETE FROM unit WHERE drug_id = $1 AND code = $2"

REPARENT = "UPDATE unit SET parent = $3 WHERE drug_id = $1 AND parent = $2"

INSERT_REPLACED = """
INSERT INTO unit_replaced (drug_id, old_code, new_code, bill_id, reason) VALUES ($1, $2, $3, $4, $5)"""

REPLACED_BY = "SELECT new_code, bill_id FROM unit_replaced WHERE drug_id = $1 AND old_code = $2"

INSERT_LINES = """
INSERT INTO bill_line (bill_id, prev_bill, drug_id, batch_id, qty, pre_holder, pre, post, code, left_parent)
SELECT $1, prev_bill, drug_id, batch_id, qty, pre_holder, pre, post, code, left_parent
FROM unnest($2::bigint[], $3::int[], $4::int[], $5::int[], $6::int[], $7::text[], $8::text[], $9::text[], $10::text[])
    AS v(prev_bill, drug_id, batch_id, qty, pre_holder, pre, post, code, left_parent)"""

# the bill of a number, to answer a repetition
# ungated: the caller's own bill, by owner
BILL = "SELECT id, content_hash, recorded_at, lines, qty FROM bill WHERE owner = $1 AND bill_no = $2"

INSERT_SUBMISSION = "INSERT INTO submission (parts, body) VALUES (1, $1) RETURNING id"


@dataclass(slots=True)
class Package:
    """A unit as locked. `qty` counts smallest packages in it now."""

    drug_id: int
    code: str
    batch_id: int
    level: int
    parent: str | None
    status: str | None
    holder: int | None
    qty: int
    last_bill: int
    changed: bool = False
    moved: bool = False
    """Whether this bill is an event of its own, not only a change of what is around or inside it."""

    @property
    def key(self) -> tuple[int, str]:
        """Primary key."""
        return (self.drug_id, self.code)


def _package(row: Any) -> Package:
    return Package(
        row["drug_id"],
        row["code"],
        row["batch_id"],
        row["level"],
        row["parent"],
        row["status"],
        row["holder"],
        1 if row["qty"] is None else row["qty"],
        row["last_bill"],
    )


async def lock(conn: Connection, keys: Sequence[tuple[int, str]]) -> list[Package]:
    """The stored packages of these keys, locked."""
    if not keys:
        return []
    return [_package(r) for r in await conn.fetch(LOCK_UNITS, [k[0] for k in keys], [k[1] for k in keys])]


async def children(conn: Connection, drug_id: int, codes: Sequence[str]) -> list[Package]:
    """What is directly inside, locked."""
    return [_package(r) for r in await conn.fetch(LOCK_CHILDREN, drug_id, list(codes))]


async def write(conn: Connection, packages: Sequence[Package], at: datetime) -> None:
    """Write changed packages back."""
    if packages:
        await conn.execute(
            WRITE,
            [p.drug_id for p in packages],
            [p.code for p in packages],
            [p.last_bill for p in packages],
            [p.parent for p in packages],
            [p.status for p in packages],
            [p.holder for p in packages],
            [p.qty for p in packages],
            [p.batch_id for p in packages],
            at,
            [p.moved for p in packages],
        )
