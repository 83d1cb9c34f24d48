"""SQL of the circulation room's reads. Whatever a caller sees goes through `access.visibility` (D10)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from asyncpg import Record

from yaosu.access.reach import asked, first_pages
from yaosu.access.visibility import Sight, traced_read
from yaosu.circulation import store_lists as lists
from yaosu.circulation.store_lists import BILL
from yaosu.circulation.store_lists import CHECK as CHECK_COLUMNS
from yaosu.db.engine import Connection

# The shipment that a receipt names by the seller's bill number; newest first when a number was used twice.
NOTICE_BY_NUMBER = """
SELECT n.bill_id FROM notice n JOIN bill b ON b.id = n.bill_id
WHERE n.to_org = $1 AND b.bill_no = $2 AND ($3::int IS NULL OR n.from_org = $3) AND n.state <> 'cancelled'
ORDER BY n.bill_id DESC LIMIT 2"""

# One bill, whole head.
BILL_HEAD = f"SELECT {BILL} FROM bill b WHERE b.id = $1 AND /*visible:bill b*/"  # noqa: S608 - constant columns

# All revisions of one number, in order of recording.
REVISIONS = f"""
SELECT {BILL} FROM bill b WHERE b.owner = $1 AND b.bill_no = $2 AND /*visible:bill b*/ ORDER BY b.id"""  # noqa: S608

# Whether the codes of a bill may be seen (a grant may open a bill without them, R-B10), and its products.
BILL_CODED = "SELECT b.drug_ids FROM bill b WHERE b.id = $1 AND /*visible:coded b*/"

# Codes of one bill, by page, with those it left as the revision before it had them. The bill was read through
# BILL_CODED before.
BILL_LINES = """
SELECT l.code, l.drug_id, l.batch_id, l.qty, l.pre, l.post, l.left_parent, t.batch_no, t.expires_on
FROM (
    SELECT code, drug_id, batch_id, qty, pre, post, left_parent FROM bill_line
    WHERE bill_id = $1 AND drug_id = ANY($2::int[]) AND ($3::text IS NULL OR code > $3)
    UNION ALL
    SELECT i.code, i.drug_id, i.batch_id, i.qty, i.pre, i.post, i.left_parent
    FROM bill_kept k JOIN bill_line i ON i.drug_id = k.drug_id AND i.bill_id = k.from_bill AND i.code = k.code
    WHERE k.bill_id = $1 AND ($3::text IS NULL OR k.code > $3)
) l LEFT JOIN batch t ON t.drug_id = l.drug_id AND t.id = l.batch_id
ORDER BY l.code LIMIT $4"""

# Goods without codes on a bill: what it moved between accounts.
# ungated: the bill was read through BILL_HEAD before
BILL_QUANTITIES = """
SELECT e.drug_id, e.batch_id, t.batch_no, t.expires_on, e.qty, e.from_status, e.to_status
FROM entry e JOIN batch t ON t.drug_id = e.drug_id AND t.id = e.batch_id
WHERE e.bill_id = $1 AND e.drug_id = ANY($2::int[]) AND (e.from_status IN ('U', 'W') OR e.to_status IN ('U', 'W'))
ORDER BY e.drug_id, t.batch_no"""

# Preparation units that a bill took from opened boxes or brought back (拆零). The bill was read through BILL_CODED.
# ungated: rows of a bill whose head the same traced read saw through its mark
BILL_PARTS = """
SELECT drug_id, code, kind, qty FROM split_entry WHERE bill_id = $1 AND kind <> 'open' ORDER BY code, kind LIMIT $2"""

# Codes that a correction left as an earlier revision has them. The bill was read through BILL_CODED.
# ungated: rows of a bill whose head the same traced read saw through its mark
BILL_KEPT = "SELECT code, from_bill FROM bill_kept WHERE bill_id = $1 ORDER BY code LIMIT $2"

# What was said of codes of one bill.
BILL_NOTES = """
SELECT n, evidence_bill, severity, quarantined, code, raw, verdict, params FROM bill_note
WHERE bill_id = $1 AND n > $2 ORDER BY n LIMIT $3"""

# The submission as received, byte for byte (D8).
BILL_BODY = "SELECT s.body, b.part FROM bill b JOIN submission s ON s.id = b.submission_id WHERE b.id = $1"

# One notice by the shipping bill.
NOTICE = """
SELECT n.to_org, n.from_org, n.bill_id, n.state, n.shipped_at, n.expected, n.received, n.quarantined, n.refused,
    n.closed_at, b.bill_no, b.type, b.header, b.drug_ids
FROM notice n JOIN bill b ON b.id = n.bill_id WHERE n.bill_id = $1 AND /*visible:parties n.from_org n.to_org*/"""

# A notice's products and batches. The notice was read through NOTICE before.
NOTICE_LINES = """
SELECT l.drug_id, l.batch_id, l.expected, l.received, l.quarantined, l.refused, t.batch_no, t.expires_on, t.produced_on
FROM notice_line l JOIN batch t ON t.drug_id = l.drug_id AND t.id = l.batch_id
WHERE l.bill_id = $1 ORDER BY l.drug_id, t.batch_no"""

# Packages announced: the shipped packages and, below them, what is still inside (the full hierarchy, R-B1).
NOTICE_TREE = """
WITH RECURSIVE shipped AS (
    SELECT l.drug_id, l.code FROM bill_line l
    WHERE l.bill_id = $1 AND l.drug_id = ANY($2::int[]) AND l.post = 'O' AND ($3::text IS NULL OR l.code > $3)
    ORDER BY l.code LIMIT $4
), tree AS (
    SELECT u.drug_id, u.code, NULL::text COLLATE "C" AS parent, u.level, u.batch_id,
        coalesce(u.qty, 1) AS qty, u.status, 0 AS depth
    FROM shipped s JOIN unit u ON u.drug_id = s.drug_id AND u.code = s.code
    UNION ALL
    SELECT u.drug_id, u.code, u.parent, u.level, u.batch_id, coalesce(u.qty, 1), NULL, t.depth + 1
    FROM tree t JOIN unit u ON u.drug_id = t.drug_id AND u.parent = t.code
) SELECT drug_id, code, parent, level, batch_id, qty, status FROM tree ORDER BY depth, code"""

# One receipt check with its details, for buyer and seller.
CHECK = f"""
SELECT {CHECK_COLUMNS}, c.details, b.bill_no AS receipt_no, s.bill_no AS notice_no
FROM receipt_check c JOIN bill b ON b.id = c.receipt_bill LEFT JOIN bill s ON s.id = c.notice_bill
WHERE c.id = $1 AND /*visible:parties c.buyer c.seller*/"""  # noqa: S608 - constant columns

# The seller answers once.
ANSWER_CHECK = """
UPDATE receipt_check SET state = 'answered', answer_kind = $3, answer = $4, answered_by = $5, answered_at = now()
WHERE id = $1 AND seller = $2 AND state = 'open' RETURNING id, state, answer_kind, answer"""

# Goods in hand that never entered the books leave quarantine by a note of what became of them.
DISMISS = """
UPDATE quarantine SET closed_at = now(), disposition = $3 WHERE id = $1 AND org = $2 AND NOT moved AND closed_at IS NULL
RETURNING id, code"""

# Today's work at a glance, for one organisation.
DUTIES = """
SELECT (SELECT count(*) FROM notice WHERE to_org = $1 AND state IN ('open', 'part')) AS notices_open,
    (SELECT count(*) FROM quarantine WHERE org = $1 AND closed_at IS NULL) AS quarantined,
    (SELECT count(*) FROM receipt_check WHERE seller = $1 AND state = 'open' AND outcome <> 'matched')
        AS checks_open,
    (SELECT count(*) FROM bill WHERE owner = $1 AND id > (SELECT coalesce(max(id), 0) - 20000 FROM bill)
        AND recorded_at >= date_trunc('day', now(), 'Asia/Shanghai')) AS bills_today"""


@traced_read("bill")
async def bill(conn: Connection, sight: Sight, bill_id: int) -> Record | None:
    """One bill's head, as far as it may be seen."""
    sql, args = sight.apply(BILL_HEAD, bill_id)
    return await conn.fetchrow(sql, *args)


@traced_read("bills")
async def bills(
    conn: Connection,
    sight: Sight,
    *,
    before: int | None = None,
    types: Sequence[int] | None = None,
    owner: int | None = None,
    bill_no: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    partner: int | None = None,
    limit: int = 50,
    lately: bool = False,
) -> list[Record]:
    """Bills newest first. `lately`: only among the newest bills of `owner`, for what a page shows beside its work."""
    kinds = list(types) if types else None
    given = (before, kinds, bill_no, since, until, partner, limit)

    async def found(text: str, *more: int | None) -> list[Record]:
        sql, args = sight.apply(asked(text, (*given, *more)), *given, *more)
        return await conn.fetch(sql, *args)

    if bill_no is not None:
        return await found(lists.BILLS_NUMBERED, owner)
    if owner is not None:
        return await found(lists.BILLS_LATELY if lately else lists.BILLS_OF_OWNER, owner)
    if partner is not None and sight.kind == "own" and await _has_less(conn, sight, partner):
        return await found(lists.BILLS_OF_PARTNER)
    return await first_pages(
        sight,
        limit,
        near=lambda: found(lists.BILLS_NEAR),
        reached=lambda: found(lists.BILLS_REACHED if sight.kind == "own" else lists.BILLS_OF_REGION),
        whole=lambda: found(lists.BILLS),
        busy=True,
    )


async def _has_less(conn: Connection, sight: Sight, partner: int) -> bool:
    """Whether fewer bills are the partner's than the reader's own, as far as a count of some thousand tells."""
    own, theirs = await conn.fetchrow(lists.SIZES, sight.org_id, partner) or (0, 0)
    return bool(theirs < own)


@traced_read("bill revisions")
async def revisions(conn: Connection, sight: Sight, owner: int, bill_no: str) -> list[Record]:
    """All revisions of a number."""
    sql, args = sight.apply(REVISIONS, owner, bill_no)
    return await conn.fetch(sql, *args)


@traced_read("bill lines")
async def bill_lines(
    conn: Connection, sight: Sight, bill_id: int, after: str | None, limit: int
) -> list[Record] | None:
    """Codes of a bill, by page; None when they may not be seen."""
    sql, args = sight.apply(BILL_CODED, bill_id)
    drug_ids = await conn.fetchval(sql, *args)
    if drug_ids is None:
        return None
    return await conn.fetch(BILL_LINES, bill_id, drug_ids, after, limit)


@traced_read("bill quantities")
async def bill_quantities(conn: Connection, sight: Sight, bill_id: int) -> list[Record] | None:
    """Goods without codes on a bill; None when the bill may not be seen."""
    head = await bill(conn, sight, bill_id)
    if head is None:
        return None
    return await conn.fetch(BILL_QUANTITIES, bill_id, head["drug_ids"])


@traced_read("bill parts")
async def bill_parts(
    conn: Connection, sight: Sight, bill_id: int, limit: int
) -> tuple[list[Record], list[Record]] | None:
    """Parts of boxes that a bill moved, and the codes a correction left alone; None when codes may not be seen."""
    sql, args = sight.apply(BILL_CODED, bill_id)
    if await conn.fetchval(sql, *args) is None:
        return None
    return await conn.fetch(BILL_PARTS, bill_id, limit), await conn.fetch(BILL_KEPT, bill_id, limit)


@traced_read("bill notes")
async def bill_notes(
    conn: Connection, sight: Sight, bill_id: int, after: int, limit: int
) -> list[Record] | None:
    """Refused and remarkable codes of a bill; its owner and submitter see them, partners do not."""
    head = await bill(conn, sight, bill_id)
    if head is None:
        return None
    if sight.kind == "own" and sight.org_id not in (head["owner"], head["submitter"]):
        return []
    return await conn.fetch(BILL_NOTES, bill_id, after, limit)


@traced_read("bill body")
async def bill_body(conn: Connection, sight: Sight, bill_id: int) -> tuple[bytes, int] | None:
    """The packed submission and the part of it; only for owner and submitter."""
    head = await bill(conn, sight, bill_id)
    if head is None or (sight.kind == "own" and sight.org_id not in (head["owner"], head["submitter"])):
        return None
    row = await conn.fetchrow(BILL_BODY, bill_id)
    return (row["body"], row["part"]) if row else None


@traced_read("notices")
async def notices(
    conn: Connection,
    sight: Sight,
    *,
    to_org: int | None = None,
    from_org: int | None = None,
    states: Sequence[str] | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Record]:
    """Notices newest first."""
    given = (before, list(states) if states else None, to_org, from_org, limit)
    side = "to" if to_org is not None else "from" if from_org is not None else ""
    open_only = bool(states) and set(states or ()) <= {"open", "part"}

    async def found(text: str) -> list[Record]:
        sql, args = sight.apply(asked(text, given), *given)
        return await conn.fetch(sql, *args)

    async def reached() -> list[Record]:
        return await found(lists.NOTICES_REACHED[side, open_only])

    if side:
        return await reached()
    return await first_pages(
        sight, limit, lambda: found(lists.NOTICES_NEAR), reached, lambda: found(lists.NOTICES)
    )


@traced_read("notice")
async def notice(conn: Connection, sight: Sight, bill_id: int) -> tuple[Record, list[Record]] | None:
    """One notice and its lines."""
    sql, args = sight.apply(NOTICE, bill_id)
    head = await conn.fetchrow(sql, *args)
    if head is None:
        return None
    return head, await conn.fetch(NOTICE_LINES, bill_id)


@traced_read("notice packages")
async def notice_tree(
    conn: Connection, sight: Sight, bill_id: int, after: str | None, limit: int
) -> list[Record] | None:
    """The announced packages with everything inside, `limit` outermost packages a page."""
    found = await notice(conn, sight, bill_id)
    if found is None:
        return None
    return await conn.fetch(NOTICE_TREE, bill_id, found[0]["drug_ids"], after, limit)


@traced_read("receipt checks")
async def checks(
    conn: Connection,
    sight: Sight,
    *,
    seller: int | None = None,
    buyer: int | None = None,
    outcomes: Sequence[str] | None = None,
    state: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Record]:
    """Receipt checks newest first."""
    given = (before, list(outcomes) if outcomes else None, state, seller, buyer, limit)
    side = "seller" if seller is not None else "buyer" if buyer is not None else ""
    # a check that matched is closed at once
    odd_only = (bool(outcomes) and "matched" not in (outcomes or ())) or state in ("open", "answered")

    async def found(text: str) -> list[Record]:
        sql, args = sight.apply(asked(text, given), *given)
        return await conn.fetch(sql, *args)

    async def reached() -> list[Record]:
        return await found(lists.CHECKS_REACHED[side, odd_only])

    if side:
        return await reached()
    return await first_pages(
        sight, limit, lambda: found(lists.CHECKS_NEAR), reached, lambda: found(lists.CHECKS)
    )


@traced_read("receipt check")
async def check(conn: Connection, sight: Sight, check_id: int) -> Record | None:
    """One receipt check with details."""
    sql, args = sight.apply(CHECK, check_id)
    return await conn.fetchrow(sql, *args)


@traced_read("quarantine")
async def quarantine(
    conn: Connection, sight: Sight, org: int | None, is_open: bool | None, before: int | None, limit: int
) -> list[Record]:
    """What is or was in quarantine."""
    whole = sight.kind == "operator" or (sight.kind == "regulator" and not sight.region_prefix)
    ways = lists.QUARANTINE if whole else lists.QUARANTINE_REACHED
    sql, args = sight.apply((ways if org is None else lists.QUARANTINE_OF_ORG)[is_open], org, before, limit)
    return await conn.fetch(sql, *args)


@traced_read("duties")
async def duties(conn: Connection, sight: Sight) -> dict[str, Any]:
    """Counts of what waits for the subject's own organisation."""
    row = await conn.fetchrow(DUTIES, sight.org_id)
    return dict(row) if row else {}
