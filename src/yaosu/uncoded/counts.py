"""专项核验: the goods of a lot counted by two people; a shortage is explained and posted as a loss (R-D1)."""

from __future__ import annotations

from asyncpg import Record

from yaosu.access import audit
from yaosu.access.visibility import visible
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.people import free_text
from yaosu.subject import Subject
from yaosu.uncoded import ends, service, store
from yaosu.uncoded.intake import Doors

NAME_MAX = 50
TEXT_MAX = 500
LISTED = 200


async def verify(
    doors: Doors,
    subject: Subject,
    lot_id: int,
    counted: int,
    counter: str,
    checker: str,
    explanation: str = "",
) -> tuple[int, str]:
    """Record what two people counted; the number of the verification and of the loss bill, if one was posted.

    A difference must be explained. A shortage is posted at once (25). A surplus is recorded but not booked: goods
    without a purchase cannot enter; they need an entry with a proof of their own.
    Refused: `uncoded_invalid`, `not_found`, and what posting the loss is refused for.
    """
    subject.require("bill.write")
    first, second, text = counter.strip(), checker.strip(), explanation.strip()
    found: list[Finding] = []
    for name, value in (("counter", first), ("checker", second)):
        if not value or len(value) > NAME_MAX or not value.isprintable():
            found.append(Finding("uncoded_counter", {}, name))
    if not found and first == second:
        found.append(Finding("uncoded_two_people", {}, "checker"))
    if counted < 0 or counted > 2**31 - 1:
        found.append(Finding("uncoded_qty", {"value": counted, "max": 2**31 - 1}, "counted"))
    if len(text) > TEXT_MAX or not text.isprintable():
        found.append(Finding("uncoded_reason_text", {"max": TEXT_MAX}, "explanation"))
    found += free_text.findings({"counter": first, "checker": second, "explanation": text})
    async with doors.pool.acquire() as conn, conn.transaction():
        lot = await service.lot(conn, doors.registry, subject, lot_id)
    if lot.org != subject.org:
        raise service.not_found(subject, "无码库存批次", "Lot of uncoded stock")
    if counted != lot.left and not text:
        found.append(Finding("uncoded_difference", {"booked": lot.left, "counted": counted}, "explanation"))
    if found:
        raise YaosuError("uncoded_invalid", {"count": len(found)}, found)
    bill_no = ""
    if counted < lot.left:
        posted = await ends.lose(doors, subject, lot_id, lot.left - counted, text)
        bill_no = posted.bill_no
    async with doors.pool.acquire() as conn, conn.transaction():
        made: int = await conn.fetchval(
            store.PUT_COUNT,
            lot.org,
            lot_id,
            lot.left,
            counted,
            first,
            second,
            text,
            bill_no,
            subject.account_id,
        )
        details = {"lot": lot_id, "booked": lot.left, "counted": counted, "bill_no": bill_no}
        await audit.record(conn, subject, "uncoded.verify", ("uncoded_count", made), details)
    return made, bill_no


async def listed(
    conn: Connection, subject: Subject, org: int | None = None, lot: int | None = None
) -> list[Record]:
    """Verifications of a lot, or of all, newest first."""
    subject.require("stock.read")
    return await store.counts(conn, visible(subject), service.org_of(subject, org), lot, LISTED)
