"""SQL of the exceptions room. A case is seen by its parties, and by regulators of their regions (D10)."""

from __future__ import annotations

from typing import Any

from asyncpg import Record

from yaosu.access.reach import LAST, NEAR, ORGS, asked, first_pages, newest
from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection
from yaosu.exceptions.model import Opening, Piece

_CASE = """c.id, c.case_no, c.kind, c.buyer, c.seller, c.opened_by, c.check_id, c.receipt_bill, c.notice_bill,
    c.drug_ids, c.qty, c.note, c.state, c.resolution, c.opened_at, c.answer_due, c.resolve_due, c.answered_at, c.level,
    c.done, c.next_at, c.closed_at"""

# One case.
CASE = f"""
SELECT {_CASE}, r.bill_no AS receipt_no, n.bill_no AS notice_no FROM exception_case c
LEFT JOIN bill r ON r.id = c.receipt_bill LEFT JOIN bill n ON n.id = c.notice_bill
WHERE c.id = $1
    AND EXISTS (SELECT 1 FROM exception_party p WHERE p.case_id = c.id AND /*visible:parties p.org*/)"""  # noqa: S608 - constant columns

# Cases newest first: $1 buyer, $2 seller, $3 cursor, $4 overdue, $5 kind, $6 size of the page.
# asked of each case in turn, not of all parties at once: OFFSET keeps the server from making a join of it
_SEEN = (
    "EXISTS (SELECT 1 FROM exception_party p WHERE p.case_id = c.id AND /*visible:parties p.org*/ OFFSET 0)"
)
_LATE = "(c.resolve_due < now() OR (c.answered_at IS NULL AND c.answer_due < now()))"
_CASES_ALL = f"""c.id < coalesce($3::bigint, {LAST}) AND ($1::int IS NULL OR c.buyer = $1)
    AND ($2::int IS NULL OR c.seller = $2) AND (NOT $4::bool OR (c.state = 'open' AND {_LATE}))
    AND ($5::text IS NULL OR c.kind = $5)"""
# ungated: numbers of bills beside a case, in queries that mark the case
_NUMBERS = "LEFT JOIN bill r ON r.id = c.receipt_bill LEFT JOIN bill n ON n.id = c.notice_bill"
_STATES = {"open": "c.state = 'open'", "closed": "c.state <> 'open'", None: "TRUE"}


def _cases(source: str, state: str) -> str:
    return f"""
SELECT {_CASE}, r.bill_no AS receipt_no, n.bill_no AS notice_no FROM {source} {_NUMBERS}
WHERE {_SEEN} AND {_CASES_ALL} AND {state} ORDER BY c.id DESC LIMIT $6"""  # noqa: S608 - constants


# Over all cases, or all open ones, in order.
CASES = {name: _cases("exception_case c", state) for name, state in _STATES.items()}
# Among the newest only; of open ones there are few, and they have their own index.
CASES_NEAR = {
    name: _cases(
        f"(SELECT * FROM exception_case c WHERE c.id < coalesce($3::bigint, {LAST}) AND {state} "  # noqa: S608
        f"ORDER BY c.id DESC LIMIT {NEAR}) c",
        state,
    )
    for name, state in _STATES.items()
}
# By the organisations that take part.
CASES_REACHED = {
    name: _cases(
        "("
        + newest(
            "exception_party p JOIN exception_case c ON c.id = p.case_id",
            "p.case_id",
            [(ORGS, "p.org = u.org")],
            f"{_CASES_ALL.replace('c.id <', 'p.case_id <')} AND {state}",
            "$6",
        )
        + ") k JOIN exception_case c ON c.id = k.id",
        state,
    )
    for name, state in _STATES.items()
}
# Of one receipt check.
CASES_OF_ONE_CHECK = f"""
SELECT {_CASE}, r.bill_no AS receipt_no, n.bill_no AS notice_no FROM exception_case c {_NUMBERS}
WHERE {_SEEN} AND {_CASES_ALL} AND c.check_id = $7 AND ($8::text IS NULL OR (c.state = 'open') = ($8 = 'open'))
ORDER BY c.id DESC LIMIT $6"""  # noqa: S608 - constants

# A case under lock, for a change of it. The caller read it through its mark before, or is the clock.
LOCK = f"SELECT {_CASE} FROM exception_case c WHERE c.id = $1 FOR UPDATE"  # noqa: S608 - constant columns

PARTIES = "SELECT org, role, since FROM exception_party WHERE case_id = $1 ORDER BY since, role"

ITEMS = """
SELECT i.n, i.drug_id, i.batch_id, i.batch_no, i.code, i.qty, i.verdict, i.quarantine_id FROM exception_item i
WHERE i.case_id = $1 ORDER BY i.n LIMIT $2"""

ENTRIES = """
SELECT e.id, e.at, e.org, e.account_id, e.what, e.text, e.params FROM exception_entry e
WHERE e.case_id = $1 ORDER BY e.id LIMIT 2000"""

PROPOSALS = """
SELECT p.id, p.org, p.kind, p.text, p.bill_id, p.amount, p.credit_no, p.state, p.made_at, p.answered_at
FROM exception_proposal p WHERE p.case_id = $1 ORDER BY p.id"""

PHOTOS = """
SELECT f.id, f.org, f.at, f.title, f.media, f.width, f.height, octet_length(f.body) AS size FROM exception_photo f
WHERE f.case_id = $1 ORDER BY f.id"""

PHOTO = "SELECT media, title, body FROM exception_photo WHERE case_id = $1 AND id = $2"

SUSPENSIONS = """
SELECT s.id, s.stop_id, s.org, s.reason, s.placed_at, s.lifted_at, s.lift_reason FROM exception_suspension s
WHERE s.case_id = $1 ORDER BY s.id"""

# Goods of a receipt that lie in quarantine, with the batch where the unit is known.
# ungated: goods of a receipt whose check or case the caller read through its mark
QUARANTINE_OF_RECEIPT = """
SELECT q.id, q.drug_id, u.batch_id, q.code, q.raw, q.qty, q.verdict, q.moved, q.held_by FROM quarantine q
LEFT JOIN unit u ON u.drug_id = q.drug_id AND u.code = q.code
WHERE q.bill_id = $1 AND q.org = $2 AND q.closed_at IS NULL ORDER BY q.id"""

# Chosen goods in quarantine and the receipt they came with.
QUARANTINE_CHOSEN = """
SELECT q.id, q.org, q.drug_id, u.batch_id, q.code, q.raw, q.qty, q.verdict, q.moved, q.held_by, q.closed_at, q.bill_id,
    b.from_org, b.notice_bill, b.type,
    (SELECT max(k.id) FROM receipt_check k WHERE k.receipt_bill = q.bill_id) AS check_id
FROM quarantine q JOIN bill b ON b.id = q.bill_id LEFT JOIN unit u ON u.drug_id = q.drug_id AND u.code = q.code
WHERE q.id = ANY($1::bigint[]) AND /*visible:org q.org*/ ORDER BY q.id"""

# What became of the goods of a case.
# ungated: quarantine entries of a case that the caller read through its mark
GOODS_OF_CASE = """
SELECT q.id, q.org, q.drug_id, q.code, q.raw, q.qty, q.moved, q.verdict, q.closed_at, q.closed_bill, q.disposition,
    q.held_by, b.bill_no AS closed_no, b.type AS closed_type
FROM quarantine q LEFT JOIN bill b ON b.id = q.closed_bill
WHERE q.id IN (SELECT i.quarantine_id FROM exception_item i WHERE i.case_id = $1)
ORDER BY q.closed_at IS NOT NULL, q.id LIMIT $2"""

# Batches by number, where they exist.
# ungated: what is printed on every box
BATCH_BY_NO = """
SELECT t.id, t.drug_id, t.batch_no FROM batch t WHERE t.drug_id = ANY($1::int[]) AND t.batch_no = ANY($2)"""

# ungated: batch numbers of goods in a case that the caller read through its mark
BATCH_NUMBERS = (
    "SELECT t.id, t.batch_no FROM batch t WHERE t.drug_id = ANY($1::int[]) AND t.id = ANY($2::int[])"
)

# The latest revision of the bill that announced the goods.
# ungated: buyer and seller are parties of every revision of that bill
LATER_REVISION = """
SELECT b.id, b.revision, b.bill_no, b.status FROM bill b JOIN bill n ON n.owner = b.owner AND n.bill_no = b.bill_no
WHERE n.id = $1 AND b.revision > n.revision AND b.id > n.id AND b.recorded_at >= $2 ORDER BY b.revision DESC LIMIT 1"""

# A bill of the seller to the buyer, by number; later than the bill in question ($4), where there is one.
# ungated: bound to a bill between the two parties of the case ($1, $2)
BILL_BETWEEN = """
SELECT b.id, b.type, b.status, b.revision FROM bill b WHERE b.owner = $1 AND b.to_org = $2 AND b.bill_no = $3
AND b.status = 'A' AND b.revision > 0 AND ($4::bigint IS NULL OR b.id > $4) ORDER BY b.revision DESC LIMIT 1"""

# ungated: numbers of bills that a case names, for its parties
BILL_NUMBERS = "SELECT b.id, b.bill_no, b.type, b.revision FROM bill b WHERE b.id = ANY($1::bigint[])"

# How many of these codes are activated by now, and not refused otherwise.
# ungated: a count over codes of a case that the caller read through its mark
KNOWN_UNITS = """
SELECT count(*) FROM unit u JOIN exception_item i ON i.drug_id = u.drug_id AND i.code = u.code WHERE i.case_id = $1"""

NEXT_ID = "SELECT nextval(pg_get_serial_sequence('exception_case', 'id'))"

INSERT = """
INSERT INTO exception_case (id, case_no, kind, buyer, seller, opened_by, account_id, check_id, receipt_bill,
    notice_bill, drug_ids, qty, note, answer_due, resolve_due, next_at, opened_at)
OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
ON CONFLICT (check_id, kind) WHERE check_id IS NOT NULL AND state = 'open' DO NOTHING RETURNING id"""

OPEN_OF_CHECK = "SELECT id FROM exception_case WHERE check_id = $1 AND kind = $2 AND state = 'open'"

JOIN = """
INSERT INTO exception_party (case_id, org, role) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING org"""

INSERT_ITEMS = """
INSERT INTO exception_item (case_id, n, drug_id, batch_id, batch_no, code, qty, verdict, quarantine_id)
SELECT $1, n, drug_id, batch_id, batch_no, code, qty, verdict, quarantine_id
FROM unnest($2::int[], $3::int[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::bigint[]) WITH ORDINALITY
    AS v(drug_id, batch_id, batch_no, code, qty, verdict, quarantine_id, n)"""

ENTER = """
INSERT INTO exception_entry (case_id, org, account_id, what, text, params)
VALUES ($1, $2, $3, $4, $5, $6) RETURNING id"""

ANSWERED = (
    "UPDATE exception_case SET answered_at = now() WHERE id = $1 AND answered_at IS NULL AND opened_by <> $2"
)

CLOSE = """
UPDATE exception_case SET state = $2, resolution = $3, closed_at = now(), next_at = NULL
WHERE id = $1 AND state = 'open' RETURNING id"""

# A receipt check as far as its cases go.
# ungated: a check that a case of one of its parties came from
CHECK_OF_CASE = """
SELECT k.id, k.receipt_bill, k.notice_bill, k.buyer, k.details FROM receipt_check k WHERE k.id = $1"""

CASES_OF_CHECK = "SELECT kind, state FROM exception_case WHERE check_id = $1"

# The receipt check is done with once every mismatch of it was settled.
CLOSE_CHECK = "UPDATE receipt_check SET state = 'closed' WHERE id = $1"

PROPOSE = """
INSERT INTO exception_proposal (case_id, org, kind, text, bill_id, amount, credit_no)
VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id"""

PROPOSAL = """
SELECT id, org, kind, text, bill_id, amount, credit_no, state FROM exception_proposal
WHERE case_id = $1 AND id = $2 FOR UPDATE"""

OPEN_PROPOSAL = (
    "SELECT id, org, kind, bill_id FROM exception_proposal WHERE case_id = $1 AND state = 'open' FOR UPDATE"
)

SET_PROPOSAL = "UPDATE exception_proposal SET state = $2, answered_at = now() WHERE id = $1"

# A case that ends leaves no proposal waiting.
END_PROPOSALS = """
UPDATE exception_proposal SET state = 'taken_back', answered_at = now() WHERE case_id = $1 AND state = 'open'"""

LINK_PROPOSAL = "UPDATE exception_proposal SET bill_id = $2 WHERE id = $1"

PHOTO_COUNT = "SELECT count(*) FROM exception_photo WHERE case_id = $1"

INSERT_PHOTO = """
INSERT INTO exception_photo (case_id, org, account_id, title, media, width, height, sha256, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id"""

SUSPEND = """
INSERT INTO exception_suspension (case_id, stop_id, org, reason) VALUES ($1, $2, $3, $4) RETURNING id"""

SUSPENDED = (
    "SELECT id, stop_id FROM exception_suspension WHERE case_id = $1 AND org = $2 AND lifted_at IS NULL"
)

LIFT = "UPDATE exception_suspension SET lifted_at = now(), lift_reason = $2 WHERE id = $1"

# Whether a correction is already on the case's record.
HAS_CORRECTION = """
SELECT EXISTS (SELECT 1 FROM exception_entry WHERE case_id = $1 AND what = 'correction' AND params->>'bill' = $2)"""

# Open cases whose announced bill has a later revision that is not on their record yet: for the clock.
# ungated: the clock's own work list, numbers only
CORRECTED = """
SELECT c.id FROM exception_case c JOIN bill n ON n.id = c.notice_bill
JOIN bill b ON b.owner = n.owner AND b.bill_no = n.bill_no AND b.revision > n.revision AND b.id > n.id
    AND b.recorded_at >= c.opened_at
WHERE c.state = 'open' AND NOT EXISTS (SELECT 1 FROM exception_entry e WHERE e.case_id = c.id AND e.what = 'correction'
    AND e.params->>'bill' = b.id::text) ORDER BY c.id LIMIT 200"""

DUE = """
SELECT id FROM exception_case WHERE state = 'open' AND next_at <= now() ORDER BY next_at LIMIT 200
FOR UPDATE SKIP LOCKED"""

TICKED = "UPDATE exception_case SET done = $2, next_at = $3, level = greatest(level, $4) WHERE id = $1"

# Drug regulators whose region covers a firm's: the closest ones. Health and insurance authorities (1102, 1103) have no
# part in goods that do not match (SD25 (一)3).
REGULATORS = """
SELECT o.id, o.region FROM org o WHERE o.type = 110 AND o.status = 1
    AND coalesce(o.sub_type, 1101) = 1101 AND o.region::text IN ($1::text,
    left($1::text, 4) || '00', left($1::text, 2) || '0000') ORDER BY o.region DESC, o.id"""

ACCOUNTS = "SELECT id, name FROM account WHERE id = ANY($1::int[])"

# Open cases for the overview; of an organisation ($1) those it is a side of, and goods it has stopped over one.
COUNTS = """
SELECT count(*) AS open, count(*) FILTER (WHERE c.answered_at IS NULL AND c.opened_by <> $1) AS to_answer,
    count(*) FILTER (WHERE c.resolve_due < now() OR (c.answered_at IS NULL AND c.answer_due < now())) AS overdue,
    count(*) FILTER (WHERE c.level > 1) AS escalated,
    count(*) FILTER (WHERE EXISTS (SELECT 1 FROM exception_suspension s
        WHERE s.case_id = c.id AND s.org = $1 AND s.lifted_at IS NULL)) AS suspended
FROM exception_case c
WHERE c.state = 'open' AND ($1::int IS NULL OR $1 IN (c.buyer, c.seller))
    AND EXISTS (SELECT 1 FROM exception_party p WHERE p.case_id = c.id AND /*visible:parties p.org*/)"""


@traced_read("exception case")
async def case(conn: Connection, sight: Sight, case_id: int) -> Record | None:
    """One case, for its parties and the regulators of their regions."""
    sql, args = sight.apply(CASE, case_id)
    return await conn.fetchrow(sql, *args)


@traced_read("exception cases")
async def cases(
    conn: Connection,
    sight: Sight,
    *,
    state: str | None = None,
    buyer: int | None = None,
    seller: int | None = None,
    before: int | None = None,
    overdue: bool = False,
    check_id: int | None = None,
    kind: str | None = None,
    limit: int = 50,
) -> list[Record]:
    """Cases newest first."""
    given = (buyer, seller, before, overdue, kind, limit)
    # what is overdue is open
    which = "open" if overdue or state == "open" else "closed" if state else None

    async def found(text: str, *more: object) -> list[Record]:
        sql, args = sight.apply(asked(text, (*given, *more)), *given, *more)
        return await conn.fetch(sql, *args)

    if overdue and state not in (None, "open"):
        return []
    if check_id is not None:
        return await found(CASES_OF_ONE_CHECK, check_id, state)
    return await first_pages(
        sight,
        limit,
        near=lambda: found(CASES_NEAR[which]),
        reached=lambda: found(CASES_REACHED[which]),
        whole=lambda: found(CASES[which]),
    )


@traced_read("exception counts")
async def counts(conn: Connection, sight: Sight, org: int | None) -> dict[str, int]:
    """Open cases: `open`, `to_answer`, `overdue`, `escalated` (told to the regulator), `suspended` (own goods)."""
    sql, args = sight.apply(COUNTS, org)
    row = await conn.fetchrow(sql, *args)
    assert row is not None
    return dict(row)


@traced_read("quarantine for a case")
async def chosen(conn: Connection, sight: Sight, ids: list[int]) -> list[Record]:
    """Those of `ids` in the quarantine that the reader sees."""
    sql, args = sight.apply(QUARANTINE_CHOSEN, ids)
    return await conn.fetch(sql, *args)


async def insert(
    conn: Connection, opening: Opening, values: dict[str, Any], pieces: list[Piece]
) -> int | None:
    """The new case's number; None when the check already has an open one of the kind."""
    made = await conn.fetchval(
        INSERT,
        values["id"],
        values["case_no"],
        opening.kind,
        opening.buyer,
        opening.seller,
        values["opened_by"],
        values["account_id"],
        opening.check_id,
        opening.receipt_bill,
        opening.notice_bill,
        opening.drug_ids,
        opening.qty,
        opening.note,
        values["answer_due"],
        values["resolve_due"],
        values["next_at"],
        values["opened_at"],
    )
    if made is None:
        return None
    await conn.execute(
        INSERT_ITEMS,
        made,
        [p.drug_id for p in pieces],
        [p.batch_id for p in pieces],
        [p.batch_no for p in pieces],
        [p.code for p in pieces],
        [p.qty for p in pieces],
        [p.verdict for p in pieces],
        [p.quarantine_id for p in pieces],
    )
    return int(made)
