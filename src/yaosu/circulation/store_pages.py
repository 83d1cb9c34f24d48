"""SQL that only the pages of the circulation room need."""

from __future__ import annotations

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection

RECENT_BILLS = 500
"""How many of its latest bills tell whom an organisation trades with."""

# Whom an organisation traded with lately, the latest first: the first suggestions of a picker.
PARTNERS = f"""
SELECT p.org, max(p.id) AS last_bill FROM (
    SELECT unnest(ARRAY[r.from_org, r.to_org]) AS org, r.id FROM (
        SELECT b.id, b.from_org, b.to_org FROM bill b WHERE b.owner = $1 AND /*visible:bill b*/
        ORDER BY b.id DESC LIMIT {RECENT_BILLS}) r) p
WHERE p.org IS NOT NULL AND p.org <> $1 GROUP BY p.org ORDER BY last_bill DESC LIMIT 40"""  # noqa: S608 - constant

# The highest number of a day's series; the index on (owner, bill_no, revision) answers it in one step.
# ungated: bound to the subject's own organisation ($1)
LAST_NUMBER = """
SELECT max(b.bill_no) FROM bill b
WHERE b.owner = $1 AND b.bill_no >= $2 AND b.bill_no < $3 AND length(b.bill_no) = $4"""

# Principals that let an organisation submit for them now (R-B8).
PRINCIPALS = """
SELECT DISTINCT principal FROM delegation WHERE agent = $1 AND accepted_at IS NOT NULL AND revoked_at IS NULL
    AND valid_from <= now()
    AND (valid_until IS NULL OR valid_until > now()) ORDER BY principal LIMIT 200"""

# The receipt checks that a bill made.
CHECKS_OF_BILL = """
SELECT c.id, c.outcome, c.state, c.counts, c.notice_bill FROM receipt_check c
WHERE c.receipt_bill = $1 AND /*visible:parties c.buyer c.seller*/ ORDER BY c.id"""

# What earlier receipts found against a notice.
CHECKS_OF_NOTICE = """
SELECT c.id, c.outcome, c.made_at, c.receipt_bill, b.bill_no FROM receipt_check c JOIN bill b ON b.id = c.receipt_bill
WHERE c.notice_bill = $1 AND /*visible:parties c.buyer c.seller*/ ORDER BY c.id"""

# Whether a bill says more than a list of codes can: parts of boxes, or goods without codes.
# ungated: whether a bill that the same page read through its mark has such goods
HAS_PARTS = """
SELECT EXISTS (SELECT 1 FROM split_entry s WHERE s.bill_id = $1 AND s.kind <> 'open')
    OR EXISTS (SELECT 1 FROM entry e WHERE e.bill_id = $1 AND e.drug_id = ANY($2::int[])
        AND (e.from_status IN ('U', 'W') OR e.to_status IN ('U', 'W'))
        AND NOT EXISTS (SELECT 1 FROM bill_line l WHERE l.bill_id = $1))"""

# How much a bill moves of opened boxes.
# ungated: of a bill that the same page read through its mark
PARTS_OF = """
SELECT s.code, sum(s.qty)::int AS units FROM split_entry s WHERE s.bill_id = $1 AND s.kind <> 'open'
GROUP BY s.code ORDER BY s.code"""

# Goods without codes that a bill moves, with the dates of their batches.
# ungated: of a bill that the same page read through its mark
QUANTITIES_OF = """
SELECT e.drug_id, t.batch_no, e.qty, t.produced_on, t.expires_on FROM entry e
JOIN batch t ON t.drug_id = e.drug_id AND t.id = e.batch_id
WHERE e.bill_id = $1 AND e.drug_id = ANY($2::int[]) AND 'U' IN (e.from_status, e.to_status)
    AND NOT EXISTS (SELECT 1 FROM bill_line l WHERE l.bill_id = $1)
ORDER BY e.drug_id, t.batch_no"""

# Products an organisation has in stock, for the choice of what to count.
# ungated: products on the asking organisation's own account ($1)
PRODUCTS_IN_STOCK = (
    "SELECT DISTINCT b.drug_id FROM balance b WHERE b.org = $1 AND b.status = 'I' AND b.qty > 0"
)

# Exception cases opened from a receipt check.
CASES_OF_CHECK = """
SELECT c.id, c.case_no, c.kind, c.state, c.qty FROM exception_case c WHERE c.check_id = $1
    AND EXISTS (SELECT 1 FROM exception_party p WHERE p.case_id = c.id AND /*visible:parties p.org*/) ORDER BY c.id"""

# Which goods in quarantine wait for a case to close, or were kept out of stock by one that did.
HELD_FOR = """
SELECT q.id, c.id AS case_id, c.case_no, q.held_by IS NULL AS decided
FROM quarantine q JOIN exception_case c ON c.id = coalesce(q.held_by, q.decided_by)
WHERE q.id = ANY($1::bigint[]) AND /*visible:org q.org*/"""

# Batch numbers for the lines of a check.
# ungated: a batch's number on a receipt check that the same page saw through its mark
BATCH_NUMBERS = (
    "SELECT t.id, t.batch_no FROM batch t WHERE t.id = ANY($1::int[]) AND t.drug_id = ANY($2::int[])"
)

# Who submitted a bill, for its owner's organisation.
ACCOUNT_NAME = "SELECT name FROM account WHERE id = $1"

# Chosen entries of the quarantine.
QUARANTINE_CHOSEN = """
SELECT q.id, q.org, q.drug_id, q.code, q.raw, q.qty, q.moved, q.verdict, q.bill_id, q.closed_at FROM quarantine q
WHERE q.id = ANY($1::bigint[]) AND q.org = $2 AND /*visible:org q.org*/ ORDER BY q.id"""


@traced_read("partners")
async def partners(conn: Connection, sight: Sight, owner: int) -> list[int]:
    """Organisations that `owner` traded with lately, the latest first."""
    sql, args = sight.apply(PARTNERS, owner)
    return [row["org"] for row in await conn.fetch(sql, *args)]


@traced_read("receipt checks of a bill")
async def checks_of_bill(conn: Connection, sight: Sight, bill_id: int) -> list[Record]:
    """The receipt checks a receipt made, one per notice."""
    sql, args = sight.apply(CHECKS_OF_BILL, bill_id)
    return await conn.fetch(sql, *args)


@traced_read("chosen quarantine entries")
async def quarantine_chosen(conn: Connection, sight: Sight, org: int, ids: list[int]) -> list[Record]:
    """Those of `ids` that are the organisation's."""
    sql, args = sight.apply(QUARANTINE_CHOSEN, ids, org)
    return await conn.fetch(sql, *args)


@traced_read("exception cases of a receipt check")
async def cases_of_check(conn: Connection, sight: Sight, check_id: int) -> list[Record]:
    """The cases opened from a receipt check, as far as the reader is a party."""
    sql, args = sight.apply(CASES_OF_CHECK, check_id)
    return await conn.fetch(sql, *args)


@traced_read("goods held for a case")
async def held_for(conn: Connection, sight: Sight, ids: list[int]) -> dict[int, Record]:
    """The case each of these quarantine entries waits for, or (`decided`) was kept out of stock by."""
    sql, args = sight.apply(HELD_FOR, ids)
    return {row["id"]: row for row in await conn.fetch(sql, *args)}


@traced_read("receipt checks of a notice")
async def checks_of_notice(conn: Connection, sight: Sight, bill_id: int) -> list[Record]:
    """The receipt checks made against a notice so far."""
    sql, args = sight.apply(CHECKS_OF_NOTICE, bill_id)
    return await conn.fetch(sql, *args)


async def batch_numbers(conn: Connection, batch_ids: list[int], drug_ids: list[int]) -> dict[int, str]:
    """Batch numbers by id."""
    rows = await conn.fetch(BATCH_NUMBERS, batch_ids, drug_ids)
    return {row["id"]: row["batch_no"] for row in rows}
