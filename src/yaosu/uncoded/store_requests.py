"""SQL of requests for codes (补码)."""

from __future__ import annotations

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection

# The mark of visibility has names of its own inside; q is free.
# ungated: columns only, LIST and ONE carry the mark
_FIELDS = """
SELECT q.id, q.org, q.supplier, q.lot_id, q.qty, q.reason, q.state, q.answer, q.ship_bill_no, q.done_qty, q.asked_at,
    q.answered_at, q.closed_at, l.drug_id, l.batch_id, l.invoice_no, l.invoice_date, l.bill_no, t.batch_no
FROM uncoded_request q JOIN uncoded_lot l ON l.id = q.lot_id
JOIN batch t ON t.drug_id = l.drug_id AND t.id = l.batch_id"""

# Requests an organisation made or was asked, newest first.
LIST = (
    _FIELDS
    + """
WHERE ($1::int IS NULL OR q.org = $1) AND ($2::int IS NULL OR q.supplier = $2) AND ($3::int IS NULL OR q.lot_id = $3)
    AND ($4::int IS NULL OR q.id < $4) AND /*visible:parties q.org q.supplier*/ ORDER BY q.id DESC LIMIT $5"""
)
# Requests that a supplier has not answered; and whether there is uncoded stock at all.
WAITING = """
SELECT (SELECT count(*) FROM uncoded_request q WHERE q.supplier = $1 AND q.state = 'asked'
        AND /*visible:parties q.org q.supplier*/) AS asked,
    EXISTS (SELECT 1 FROM balance x
        WHERE x.org = $1 AND x.status = 'U' AND x.qty > 0 AND /*visible:org x.org*/) AS stock"""
ONE = _FIELDS + " WHERE q.id = $1 AND /*visible:parties q.org q.supplier*/"

ASK = """
INSERT INTO uncoded_request (org, supplier, lot_id, qty, reason, asked_by) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id"""
# ungated: bound to a lot the caller has just read through its mark
OPEN_QTY = """
SELECT coalesce(sum(qty - done_qty), 0)::bigint FROM uncoded_request
WHERE lot_id = $1 AND state IN ('asked', 'in_place', 'replaced')"""
ANSWER = """
UPDATE uncoded_request SET state = $3, answer = $4, ship_bill_no = $5, answered_by = $6, answered_at = now(),
    closed_at = CASE WHEN $3 = 'declined' THEN now() END
WHERE id = $1 AND supplier = $2 AND state IN ('asked', 'in_place', 'replaced') RETURNING id"""
WITHDRAW = """
UPDATE uncoded_request SET state = 'withdrawn', closed_at = now()
WHERE id = $1 AND org = $2 AND state IN ('asked', 'in_place', 'replaced') RETURNING id"""

# Codes scanned in count for the oldest open request of the lot.
DONE = """
UPDATE uncoded_request SET done_qty = least(qty, done_qty + $2),
    state = CASE WHEN done_qty + $2 >= qty THEN 'done' ELSE state END,
    closed_at = CASE WHEN done_qty + $2 >= qty THEN now() END
WHERE id = (SELECT min(id) FROM uncoded_request WHERE lot_id = $1 AND state IN ('asked', 'in_place', 'replaced'))
RETURNING id, supplier, state"""


@traced_read("uncoded_requests")
async def requests(
    conn: Connection,
    sight: Sight,
    *,
    org: int | None = None,
    supplier: int | None = None,
    lot: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Record]:
    """Requests for codes, newest first."""
    sql, args = sight.apply(LIST, org, supplier, lot, before, limit)
    return await conn.fetch(sql, *args)


@traced_read("uncoded_waiting")
async def waiting(conn: Connection, sight: Sight, org: int) -> Record:
    """Unanswered requests to `org` (`asked`), and whether it has uncoded `stock`."""
    sql, args = sight.apply(WAITING, org)
    row = await conn.fetchrow(sql, *args)
    assert row is not None
    return row


@traced_read("uncoded_request")
async def request(conn: Connection, sight: Sight, request_id: int) -> Record | None:
    """One request for codes."""
    sql, args = sight.apply(ONE, request_id)
    return await conn.fetchrow(sql, *args)
