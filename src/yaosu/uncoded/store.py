"""SQL of the uncoded room. What others may see passes a mark of visibility (D10); quantities are the ledger's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection

# Goods in and out of an organisation's uncoded account by bill, product and batch: the net of all revisions, so that
# voids and corrections are in it.
MOVES = """
SELECT x.drug_id, x.batch_id, b.bill_no, max(b.type) AS type, sum(x.qty)::bigint AS qty,
    max(b.happened_at) FILTER (WHERE b.revision > 0) AS at, max(b.id) FILTER (WHERE b.revision > 0) AS bill_id,
    max(b.header ->> 'invoice_date') FILTER (WHERE b.status = 'A') AS invoice_date,
    max(b.header ->> 'invoice_no') FILTER (WHERE b.status = 'A') AS invoice_no,
    max(b.header ->> 'supplier') FILTER (WHERE b.status = 'A') AS supplier_name,
    max(b.from_org) FILTER (WHERE b.status = 'A') AS supplier
FROM (
    SELECT e.drug_id, e.batch_id, e.bill_id, e.qty FROM entry e WHERE e.to_org = $1 AND e.to_status = 'U'
        AND ($2::int IS NULL OR e.drug_id = $2) AND ($3::int IS NULL OR e.batch_id = $3)
    UNION ALL
    SELECT e.drug_id, e.batch_id, e.bill_id, -e.qty FROM entry e WHERE e.from_org = $1 AND e.from_status = 'U'
        AND ($2::int IS NULL OR e.drug_id = $2) AND ($3::int IS NULL OR e.batch_id = $3)
) x JOIN bill b ON b.id = x.bill_id AND b.owner = $1
WHERE /*visible:org b.owner*/
GROUP BY x.drug_id, x.batch_id, b.bill_no HAVING sum(x.qty) <> 0 ORDER BY max(b.id)"""

# What stands behind the lots of an organisation.
LOTS = """
SELECT l.id, l.drug_id, l.batch_id, l.bill_no, l.zone, l.supplier, l.supplier_name, l.invoice_no, l.invoice_date,
    l.proof_id, p.name AS proof_name
FROM uncoded_lot l JOIN uncoded_proof p ON p.id = l.proof_id
WHERE l.org = $1 AND ($2::int IS NULL OR l.drug_id = $2) AND ($3::int IS NULL OR l.batch_id = $3)
    AND /*visible:org l.org*/ ORDER BY l.id"""

# Which lots bills name.
DRAWS = """
SELECT d.bill_no, d.lot_id FROM uncoded_draw d JOIN uncoded_lot l ON l.id = d.lot_id
WHERE d.org = $1 AND ($2::int IS NULL OR l.drug_id = $2) AND ($3::int IS NULL OR l.batch_id = $3)
    AND /*visible:org d.org*/"""

# Facts printed on the box.
# ungated: number, production date and expiry of batches that the caller's own account holds
BATCHES = (
    "SELECT drug_id, id, batch_no, produced_on, expires_on FROM batch "
    "WHERE id = ANY($1::int[]) AND drug_id = ANY($2::int[])"
)

# ungated: facts printed on the box, to tell a known batch from a new one
BATCH_BY_NO = (
    "SELECT drug_id, id, batch_no, produced_on, expires_on FROM batch WHERE drug_id = $1 AND batch_no = $2"
)

# One lot by number, for what acts on it.
LOT_KEY = (
    "SELECT l.org, l.drug_id, l.batch_id, l.bill_no FROM uncoded_lot l "
    "WHERE l.id = $1 AND /*visible:org l.org*/"
)

# Nobody else may count or take from a lot meanwhile.
LOCK_LOT = "SELECT id FROM uncoded_lot WHERE id = $1 FOR UPDATE"

# Goods promised to bills that are being written right now; after some minutes nobody waits for them any more.
# ungated: bound to a lot that the caller has read through its mark ($1); tells whether a bill number is taken
PENDING = """
SELECT d.bill_no, d.qty FROM uncoded_draw d
WHERE d.lot_id = $1 AND d.made_at > now() - interval '5 minutes' AND d.bill_no <> $2
    AND NOT EXISTS (SELECT 1 FROM bill b WHERE b.owner = d.org AND b.bill_no = d.bill_no)"""

DRAW_OF = "SELECT lot_id, qty FROM uncoded_draw WHERE org = $1 AND bill_no = $2"
# When the first revision under a bill number happened: a repeat says the same (D8).
# ungated: bound to bills of the lot's own organisation ($1)
FIRST_AT = (
    "SELECT b.happened_at FROM bill b WHERE b.owner = $1 AND b.bill_no = $2 AND b.revision > 0 "
    "ORDER BY b.revision LIMIT 1"
)
PUT_DRAW = """
INSERT INTO uncoded_draw (org, bill_no, lot_id, qty) VALUES ($1, $2, $3, $4)
ON CONFLICT (org, bill_no) DO UPDATE SET lot_id = EXCLUDED.lot_id, qty = EXCLUDED.qty, made_at = now()"""

# A promise whose bill was refused.
# ungated: bound to the lot's own organisation ($1); deletes, returns nothing
DROP_DRAW = """
DELETE FROM uncoded_draw d WHERE d.org = $1 AND d.bill_no = $2
    AND NOT EXISTS (SELECT 1 FROM bill b WHERE b.owner = d.org AND b.bill_no = d.bill_no)"""

# The same picture twice is one proof.
PUT_PROOF = """
INSERT INTO uncoded_proof (org, media, name, sha256, body, made_by) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (org, sha256) DO UPDATE SET name = uncoded_proof.name RETURNING id"""
PROOF = "SELECT p.org, p.media, p.name, p.body FROM uncoded_proof p WHERE p.id = $1 AND /*visible:org p.org*/"
PROOF_IS_OURS = "SELECT EXISTS (SELECT 1 FROM uncoded_proof WHERE id = $1 AND org = $2)"

# Whether another bill in force already entered that product and batch on the same invoice: one paper, one purchase.
# ungated: bound to the subject's own organisation ($1)
INVOICE_USED = """
SELECT b.bill_no FROM uncoded_lot l JOIN batch t ON t.drug_id = l.drug_id AND t.id = l.batch_id
JOIN bill b ON b.owner = l.org AND b.bill_no = l.bill_no AND b.status = 'A'
WHERE l.org = $1 AND l.invoice_no = $2 AND l.supplier_name = $3 AND l.drug_id = $4 AND t.batch_no = $5
    AND l.bill_no <> $6 LIMIT 1"""

# Sent again after a lost answer, it says the same.
PUT_LOT = """
INSERT INTO uncoded_lot (org, drug_id, batch_id, bill_no, zone, supplier, supplier_name, invoice_no, invoice_date,
    proof_id, made_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (org, bill_no, drug_id, batch_id) DO UPDATE SET zone = EXCLUDED.zone RETURNING id"""
# Papers that were wrong are replaced; what they said before is in the audit record.
PUT_PAPERS = """
INSERT INTO uncoded_lot (org, drug_id, batch_id, bill_no, zone, supplier, supplier_name, invoice_no, invoice_date,
    proof_id, made_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (org, bill_no, drug_id, batch_id) DO UPDATE SET zone = EXCLUDED.zone, supplier = EXCLUDED.supplier,
    supplier_name = EXCLUDED.supplier_name, invoice_no = EXCLUDED.invoice_no, invoice_date = EXCLUDED.invoice_date,
    proof_id = EXCLUDED.proof_id, made_by = EXCLUDED.made_by
RETURNING id"""
# ungated: bound to the subject's own organisation ($1)
PAPERS_OF = """
SELECT DISTINCT l.invoice_no, l.invoice_date, l.supplier_name, l.proof_id FROM uncoded_lot l
WHERE l.org = $1 AND l.bill_no = $2"""
MOVE_LOT = "UPDATE uncoded_lot SET zone = $3 WHERE id = $1 AND org = $2 RETURNING id"

# Products and batches of an own bill that entered the account.
# ungated: bound to the subject's own organisation ($1)
ENTERED = """
SELECT DISTINCT e.drug_id, e.batch_id, t.batch_no, b.header ->> 'invoice_date' AS invoice_date FROM bill b
JOIN entry e ON e.bill_id = b.id AND e.to_org = $1 AND e.to_status = 'U'
JOIN batch t ON t.drug_id = e.drug_id AND t.id = e.batch_id
WHERE b.owner = $1 AND b.bill_no = $2 AND b.type = 21 AND b.status = 'A'"""

PUT_COUNT = """
INSERT INTO uncoded_count (org, lot_id, booked, counted, counter, checker, explanation, bill_no, made_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id"""

# Verifications of a lot, or of all lots of an organisation, newest first.
COUNTS = """
SELECT c.id, c.lot_id, c.booked, c.counted, c.counter, c.checker, c.explanation, c.bill_no, c.made_at
FROM uncoded_count c WHERE c.org = $1 AND ($2::int IS NULL OR c.lot_id = $2) AND /*visible:org c.org*/
ORDER BY c.id DESC LIMIT $3"""

# The latest verification of each lot.
LAST_COUNTS = """
SELECT DISTINCT ON (c.lot_id) c.lot_id, c.made_at FROM uncoded_count c WHERE c.org = $1 AND /*visible:org c.org*/
ORDER BY c.lot_id, c.id DESC"""


async def moves(
    conn: Connection, sight: Sight, org: int, drug: int | None = None, batch: int | None = None
) -> list[Record]:
    """See `uncoded_moves`."""
    sql, args = sight.apply(MOVES, org, drug, batch)
    return await conn.fetch(sql, *args)


@traced_read("uncoded_book")
async def book(
    conn: Connection, sight: Sight, org: int, drug: int | None = None, batch: int | None = None
) -> tuple[list[Record], list[Record], dict[str, int], dict[tuple[int, int], Record]]:
    """Moves, papers, named lots by bill number and batch facts of an organisation's uncoded account."""
    found = await moves(conn, sight, org, drug, batch)
    sql, args = sight.apply(LOTS, org, drug, batch)
    lots = await conn.fetch(sql, *args)
    sql, args = sight.apply(DRAWS, org, drug, batch)
    named = {r["bill_no"]: r["lot_id"] for r in await conn.fetch(sql, *args)}
    facts = await conn.fetch(
        BATCHES, list({r["batch_id"] for r in found}), list({r["drug_id"] for r in found})
    )
    return found, lots, named, {(r["drug_id"], r["id"]): r for r in facts}


@traced_read("uncoded_lot")
async def lot_key(conn: Connection, sight: Sight, lot_id: int) -> Record | None:
    """Organisation, product, batch and bill number of a lot."""
    sql, args = sight.apply(LOT_KEY, lot_id)
    return await conn.fetchrow(sql, *args)


@traced_read("uncoded_proof")
async def proof(conn: Connection, sight: Sight, proof_id: int) -> Record | None:
    """A proof with its bytes."""
    sql, args = sight.apply(PROOF, proof_id)
    return await conn.fetchrow(sql, *args)


@traced_read("uncoded_counts")
async def counts(conn: Connection, sight: Sight, org: int, lot: int | None, limit: int) -> list[Record]:
    """Verifications, newest first."""
    sql, args = sight.apply(COUNTS, org, lot, limit)
    return await conn.fetch(sql, *args)


@traced_read("uncoded_last_counts")
async def last_counts(conn: Connection, sight: Sight, org: int) -> dict[int, datetime]:
    """When each lot was verified last."""
    sql, args = sight.apply(LAST_COUNTS, org)
    return {r["lot_id"]: r["made_at"] for r in await conn.fetch(sql, *args)}


async def put_proof(
    conn: Connection, org: int, media: str, name: str, sha256: bytes, body: bytes, account: int | None
) -> int:
    """Keep a proof; its number."""
    found: int = await conn.fetchval(PUT_PROOF, org, media, name, sha256, body, account)
    return found


async def put_lots(conn: Connection, rows: Sequence[Sequence[Any]], *, anew: bool = False) -> list[int]:
    """Put papers behind lots, `anew` in the place of others; their numbers."""
    return [await conn.fetchval(PUT_PAPERS if anew else PUT_LOT, *row) for row in rows]


def day_of(text: str | None) -> date | None:
    """A date of a bill's header; None when it is none."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None
