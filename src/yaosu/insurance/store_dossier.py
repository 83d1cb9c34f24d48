"""SQL of the dossier: what an organisation's own records and those that name it say of one code (R-X11, D10)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection

# Bills of the code's history with their papers; who pressed the button only where the bill is the reader's own.
BILLS = """
SELECT b.id, b.bill_no, b.type, b.status, b.revision, b.owner, b.submitter, b.from_org, b.to_org, b.happened_at,
    b.recorded_at, b.qty, b.header, encode(b.leaf, 'hex') AS leaf,
    CASE WHEN b.owner = ANY($2::int[]) THEN coalesce(a.name, CASE WHEN b.account_id IS NULL THEN '接口' END) END
        AS operator
FROM bill b LEFT JOIN account a ON a.id = b.account_id
WHERE b.id = ANY($1::bigint[]) AND /*visible:coded b*/ ORDER BY b.happened_at, b.id"""

# Receipt checks of these bills, as buyer or seller.
CHECKS = """
SELECT c.id, c.receipt_bill, c.notice_bill, c.buyer, c.seller, c.made_at, c.outcome, c.counts, c.state, c.answer
FROM receipt_check c
WHERE c.receipt_bill = ANY($1::bigint[]) AND /*visible:parties c.buyer c.seller*/ ORDER BY c.id"""

# The opened box, and what was taken out of it by whom of the reader's own ($3).
SPLIT = """
SELECT p.total, p.unit_left, p.unit_out, p.unit_lost, p.opened_at, p.use_before FROM split_pack p
WHERE p.drug_id = $1 AND p.code = $2 AND p.org = ANY($3::int[])"""
# ungated: entries of a box that the organisation itself opened ($3), by its own bills
PARTS = """
SELECT e.kind, e.qty, b.bill_no, b.happened_at FROM split_entry e JOIN bill b ON b.id = e.bill_id
JOIN split_pack p ON p.drug_id = e.drug_id AND p.code = e.code AND p.org = ANY($3::int[])
WHERE e.drug_id = $1 AND e.code = $2 AND b.owner = ANY($3::int[]) ORDER BY e.bill_id"""

# What went out about these bills to other systems, for the organisation whose deliveries they are.
DELIVERIES = """
SELECT d.id, d.bill_id, d.target, d.kind, d.state, d.attempts, d.created_at, d.settled_at, d.answer_status, d.answer,
    d.remote FROM delivery d
WHERE d.bill_id = ANY($1::bigint[]) AND d.org = ANY($2::int[]) AND d.target <> 'webhook' ORDER BY d.id"""
ATTEMPTS = """
SELECT t.delivery_id, t.n, t.at, t.what, t.state, t.status, t.answer FROM delivery_attempt t
WHERE t.delivery_id = ANY($1::bigint[]) ORDER BY t.delivery_id, t.n"""


@traced_read("insurance.bills")
async def bills(conn: Connection, sight: Sight, ids: Iterable[int], family: Sequence[int]) -> list[Record]:
    """Bills of a history that the reader may see."""
    sql, args = sight.apply(BILLS, sorted(ids), list(family))
    return list(await conn.fetch(sql, *args))


@traced_read("insurance.checks")
async def checks(conn: Connection, sight: Sight, ids: Iterable[int]) -> list[Record]:
    """Receipt checks of these receipts that the reader is a party of."""
    sql, args = sight.apply(CHECKS, sorted(ids))
    return list(await conn.fetch(sql, *args))
