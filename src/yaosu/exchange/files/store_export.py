"""SQL of exports. Bills leave through the marks of `access.visibility` (D10), their lines only after them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection

# Bills in force of an organisation and its places, in the order they happened.
BILLS = """
SELECT b.id, b.owner, b.type, b.bill_no, b.from_org, b.to_org, b.principal, b.carrier, b.direct_org, b.happened_at,
    b.header, b.drug_ids, b.lines, n.bill_no AS notice_no
FROM bill b LEFT JOIN bill n ON n.id = b.notice_bill
WHERE /*visible:coded b*/ AND b.owner = ANY($1::int[]) AND b.status = 'A' AND b.lines + b.qty > 0
    AND b.happened_at >= $2 AND b.happened_at < $3 AND ($4::int[] IS NULL OR b.type = ANY($4))
    AND ($5 = '' OR b.bill_no = $5) AND b.type >= 6
ORDER BY b.happened_at, b.id LIMIT $6"""

# Codes of several bills, with those a correction left as an earlier revision has them.
LINES = """
SELECT l.bill_id, l.code, l.drug_id, l.qty, t.batch_no, t.produced_on, t.expires_on, s.qty AS parts
FROM (
    SELECT bill_id, code, drug_id, batch_id, qty FROM bill_line
    WHERE bill_id = ANY($1::bigint[]) AND drug_id = ANY($2::int[])
    UNION ALL
    SELECT k.bill_id, i.code, i.drug_id, i.batch_id, i.qty
    FROM bill_kept k JOIN bill_line i ON i.drug_id = k.drug_id AND i.bill_id = k.from_bill AND i.code = k.code
    WHERE k.bill_id = ANY($1::bigint[])
) l JOIN bill b ON b.id = l.bill_id LEFT JOIN batch t ON t.drug_id = l.drug_id AND t.id = l.batch_id
LEFT JOIN split_entry s ON s.drug_id = l.drug_id AND s.code = l.code AND s.bill_id = l.bill_id AND s.kind <> 'open'
WHERE /*visible:coded b*/
ORDER BY l.bill_id, l.code"""

# Goods without codes of several bills.
QUANTITIES = """
SELECT e.bill_id, e.drug_id, t.batch_no, t.produced_on, t.expires_on, e.qty
FROM entry e JOIN bill b ON b.id = e.bill_id JOIN batch t ON t.drug_id = e.drug_id AND t.id = e.batch_id
WHERE /*visible:bill b*/ AND e.bill_id = ANY($1::bigint[]) AND e.drug_id = ANY($2::int[])
    AND (e.from_status IN ('U', 'W') OR e.to_status = 'W')
ORDER BY e.bill_id, e.drug_id, t.batch_no"""


@traced_read("bills for export")
async def bills(
    conn: Connection,
    sight: Sight,
    owners: Sequence[int],
    since: datetime,
    until: datetime,
    types: Sequence[int],
    bill_no: str,
    limit: int,
) -> list[Record]:
    """Bills of a period."""
    kinds = list(types) or None
    sql, args = sight.apply(BILLS, list(owners), since, until, kinds, bill_no, limit)
    return await conn.fetch(sql, *args)


@traced_read("lines for export")
async def lines(
    conn: Connection, sight: Sight, bills_: Sequence[Record]
) -> tuple[list[Record], list[Record]]:
    """Codes and quantities of bills that `bills` gave under the same sight."""
    ids = [b["id"] for b in bills_]
    drugs = sorted({d for b in bills_ for d in b["drug_ids"]})
    sql, args = sight.apply(LINES, ids, drugs)
    codes = await conn.fetch(sql, *args)
    sql, args = sight.apply(QUANTITIES, ids, drugs)
    return codes, await conn.fetch(sql, *args)
