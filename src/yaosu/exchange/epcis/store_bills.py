"""SQL of bills told as events. Heads pass `access.visibility`; rows below them belong to heads that were seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection

_BILL = """b.id, b.owner, b.submitter, b.type, b.revision, b.flags, b.status, b.mode, b.from_org, b.to_org, b.principal,
    b.carrier, b.direct_org, b.happened_at, b.recorded_at, b.replaces, b.notice_bill, b.bill_no, b.header, b.drug_ids,
    b.leaf"""

# Bills that no captured event made, in order of their ids.
BILLS = f"""
SELECT {_BILL} FROM bill b
WHERE /*visible:coded b*/ AND ($1::bigint IS NULL OR b.id > $1)
    AND ($2::timestamptz IS NULL OR b.recorded_at >= $2) AND ($3::timestamptz IS NULL OR b.recorded_at < $3)
    AND ($4::timestamptz IS NULL OR b.happened_at >= $4) AND ($5::timestamptz IS NULL OR b.happened_at < $5)
    AND ($6::int[] IS NULL OR b.type = ANY($6)) AND ($7::bigint[] IS NULL OR b.id = ANY($7))
    AND ($8::int[] IS NULL OR b.drug_ids && $8)
    AND NOT EXISTS (SELECT 1 FROM epcis_act a WHERE a.bill_id = b.id)
ORDER BY b.id LIMIT $9"""  # noqa: S608 - constant columns

# Where bills recorded from a time on begin, by the index of times: what is new is found without reading the old.
# ungated: the least id only; the bills are read through BILLS
FIRST_SINCE = "SELECT min(n.id) FROM (SELECT b.id FROM bill b WHERE b.recorded_at >= $1 OFFSET 0) AS n"

# One bill by id, whatever made it: for ids of events that are ours.
BILL = f"SELECT {_BILL} FROM bill b WHERE b.id = $1 AND /*visible:coded b*/"  # noqa: S608 - constant columns

# ungated: bills that bills seen before took back, whose owner is the same
REPLACED = f"SELECT {_BILL} FROM bill b WHERE b.id = ANY($1::bigint[])"  # noqa: S608 - constant columns

# ungated: reversals and next revisions of bills seen before, of the same owner
SUCCESSORS = """
SELECT b.id, b.replaces, b.flags, b.type, b.leaf, b.bill_no, b.revision
FROM unnest($1::int[], $2::text[]) AS a(owner, bill_no)
JOIN bill b ON b.owner = a.owner AND b.bill_no = a.bill_no WHERE b.replaces IS NOT NULL"""

# ungated: ids only; the bills are read through BILLS
REVERSALS_OF = """
SELECT r.id FROM bill b JOIN bill r ON r.owner = b.owner AND r.bill_no = b.bill_no AND r.replaces = b.id
WHERE b.id = ANY($1::bigint[]) OR b.id IN (
    SELECT a.bill_id FROM epcis_event e JOIN epcis_act a ON a.event = e.id WHERE e.event_id = ANY($2::text[]))"""

# ungated: captured events behind bills seen before: who sees a bill sees the event that made it
CAPTURED = """
SELECT a.bill_id, e.event_id, e.body, e.prefixes FROM epcis_act a JOIN epcis_event e ON e.id = a.event
WHERE a.bill_id = ANY($1::bigint[]) AND NOT e.declared"""

# ungated: codes of bills seen before, with those that a correction left as the revision before it had them
LINES = """
SELECT l.bill_id, l.code, l.drug_id, l.batch_id, l.left_parent, l.pre, l.post, l.qty FROM bill_line l
WHERE l.bill_id = ANY($1::bigint[]) AND l.drug_id = ANY($2::int[])
UNION ALL
SELECT k.bill_id, k.code, k.drug_id, 0, '', '', '', 1 FROM bill_kept k WHERE k.bill_id = ANY($1::bigint[])
ORDER BY 1, 2"""

# ungated: batches of lines of bills seen before
BATCHES = """
SELECT t.drug_id, t.id, t.batch_no, t.produced_on, t.expires_on FROM unnest($1::int[], $2::int[]) AS a(drug_id, id)
JOIN batch t ON t.drug_id = a.drug_id AND t.id = a.id"""

# ungated: goods without codes on bills seen before
QUANTITIES = """
SELECT e.bill_id, e.drug_id, e.batch_id, t.batch_no, t.produced_on, t.expires_on, sum(e.qty)::bigint AS qty
FROM entry e JOIN batch t ON t.drug_id = e.drug_id AND t.id = e.batch_id
WHERE e.bill_id = ANY($1::bigint[]) AND e.drug_id = ANY($2::int[])
    AND (e.from_status IN ('U', 'W') OR e.to_status IN ('U', 'W'))
GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 4"""

# ungated: preparation units of bills seen before
PARTS = """
SELECT bill_id, code, qty FROM split_entry WHERE bill_id = ANY($1::bigint[]) AND kind <> 'open' AND qty > 0
ORDER BY bill_id, code"""

# ungated: numbers of the notices that receipts seen before name, which came to their owner
NOTICES = "SELECT b.id, b.bill_no, b.owner FROM bill b WHERE b.id = ANY($1::bigint[])"

# ungated: where the relation files of activations seen before are
FILES = "SELECT bill_id, submission_id, codes FROM relation_file WHERE bill_id = ANY($1::bigint[])"

# Which bills have to do with codes: along each unit's own life, back to the bill that activated it.
# ungated: ids only; the bills are read through BILLS
BILLS_OF_CODES = """
WITH RECURSIVE asked AS (
    SELECT * FROM unnest($1::int[], $2::text[]) AS a(drug_id, code)
), chain AS (
    SELECT u.drug_id, u.code, u.last_bill AS bill_id, 0 AS step
    FROM asked a JOIN unit u ON u.drug_id = a.drug_id AND u.code = a.code
    UNION ALL
    SELECT c.drug_id, c.code, l.prev_bill, c.step + 1
    FROM chain c JOIN bill_line l ON l.drug_id = c.drug_id AND l.bill_id = c.bill_id AND l.code = c.code
    WHERE l.prev_bill <> 0 AND c.step < 500
)
SELECT bill_id FROM chain
UNION SELECT u.last_bill FROM asked a JOIN unit u ON u.drug_id = a.drug_id AND u.parent = a.code
UNION SELECT l.bill_id FROM asked a JOIN bill_line l ON l.drug_id = a.drug_id AND l.code = a.code
    AND l.code >= '(00)' AND l.code < '(00*' WHERE a.code >= '(00)' AND a.code < '(00*'
UNION SELECT b.id FROM bill b WHERE b.type = 2 AND b.header ->> 'container' = ANY($3::text[])
UNION SELECT l.bill_id FROM asked a JOIN bill_line l ON l.drug_id = a.drug_id AND l.left_parent = a.code
    WHERE l.left_parent <> ''
UNION SELECT k.bill_id FROM asked a JOIN bill_kept k ON k.drug_id = a.drug_id AND k.code = a.code
UNION SELECT r.bill_id FROM asked a JOIN unit_replaced r ON r.drug_id = a.drug_id AND a.code IN (r.old_code, r.new_code)
LIMIT 20000"""

# Products that ever were in a logistics container.
# ungated: product numbers of a container somebody names; the bills are read through BILLS
CONTAINER_DRUGS = """
SELECT DISTINCT d FROM logistics_container c, unnest(c.drug_ids) AS d WHERE c.code = ANY($1::text[])
UNION SELECT DISTINCT d FROM bill b, unnest(b.drug_ids) AS d
WHERE b.type = 2 AND b.header ->> 'container' = ANY($1::text[])"""


# Codes on the newest bills, for resource discovery.
RECENT_CODES = """
WITH h AS (SELECT b.id, b.drug_ids FROM bill b WHERE /*visible:coded b*/ ORDER BY b.id DESC LIMIT 500)
SELECT DISTINCT l.code FROM h JOIN bill_line l ON l.bill_id = h.id AND l.drug_id = ANY(h.drug_ids)
WHERE l.code > $1 ORDER BY 1 LIMIT $2"""


@traced_read("epcis recent codes")
async def recent_codes(conn: Connection, sight: Sight, after: str, limit: int) -> list[str]:
    """Codes on the newest bills that may be seen, in order."""
    sql, args = sight.apply(RECENT_CODES, after, limit)
    return [r["code"] for r in await conn.fetch(sql, *args)]


@traced_read("epcis bills")
async def bills(conn: Connection, sight: Sight, values: Sequence[Any]) -> list[Record]:
    """Heads of bills that no captured event made; `values` are $1…$9 of BILLS."""
    sql, args = sight.apply(BILLS, *values)
    return await conn.fetch(sql, *args)


@traced_read("epcis bill")
async def bill(conn: Connection, sight: Sight, bill_id: int) -> Record | None:
    """One head by id."""
    sql, args = sight.apply(BILL, bill_id)
    return await conn.fetchrow(sql, *args)
