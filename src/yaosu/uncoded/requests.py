"""补码: a holder asks its supplier for the codes of historical stock; the supplier answers (R-D1, R-B3).

asked → in_place (codes are put on the goods where they are) or replaced (coded goods are sent in exchange), both with
the number of the supplier's shipping bill → done when the codes are scanned in; or declined; or withdrawn.
"""

from __future__ import annotations

from typing import Literal

from asyncpg import Record

from yaosu.access import audit
from yaosu.access.visibility import visible
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.notify.service import tell
from yaosu.people import free_text
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject
from yaosu.uncoded import service, store_requests
from yaosu.uncoded.model import Lot

TEXT_MAX = 500
Answer = Literal["in_place", "replaced", "declined"]


async def ask(
    conn: Connection, registry: Registry, subject: Subject, lot_id: int, qty: int, reason: str = ""
) -> int:
    """Ask the supplier of a lot for codes of `qty` packages; the number of the request. The supplier is told.

    Refused: `uncoded_supplier_elsewhere` (the supplier is not registered here), `uncoded_not_enough` (more than is
    left and not yet asked for), `uncoded_exempt`, `uncoded_invalid`, `not_found`.
    """
    subject.require("bill.write")
    lot = await service.lot(conn, registry, subject, lot_id)
    if lot.org != subject.org:
        raise service.not_found(subject, "无码库存批次", "Lot of uncoded stock")
    if lot.exempt:
        raise YaosuError("uncoded_exempt")
    supplier = registry.org(lot.supplier) if lot.supplier is not None else None
    if supplier is None or not supplier.active:
        raise YaosuError("uncoded_supplier_elsewhere", {"name": lot.supplier_name or "—"})
    text = _text(reason, "reason")
    left = lot.left - await conn.fetchval(store_requests.OPEN_QTY, lot_id)
    if qty < 1 or qty > left:
        raise YaosuError("uncoded_not_enough", {"left": max(left, 0), "asked": qty})
    made: int = await conn.fetchval(
        store_requests.ASK, lot.org, lot.supplier, lot_id, qty, text, subject.account_id
    )
    await audit.record(conn, subject, "uncoded.ask", ("uncoded_request", made), {"lot": lot_id, "qty": qty})
    await tell(
        conn,
        supplier.id,
        "notice_uncoded_codes_asked",
        _params(registry, lot, qty),
        f"/uncoded/requests/{made}",
        f"request {made}",
    )
    return made


async def answer(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    request_id: int,
    kind: Answer,
    text: str = "",
    ship_bill_no: str = "",
) -> None:
    """The supplier's answer; may be given again until it is done. The holder is told.

    `in_place` and `replaced` name the shipping bill by which the codes become the holder's to receive.
    Refused: `not_found`, `uncoded_request_closed`, `uncoded_invalid`.
    """
    subject.require("bill.write")
    row = await one(conn, subject, request_id)
    if row["supplier"] != subject.org:
        raise service.not_found(subject, "补码申请", "Request for codes")
    said, number = _text(text, "answer"), _text(ship_bill_no, "ship_bill_no")
    if kind == "declined" and not said:
        raise _invalid(Finding("uncoded_reason_text", {"max": TEXT_MAX}, "answer"))
    if kind != "declined" and not number:
        raise _invalid(Finding("uncoded_ship_bill", {}, "ship_bill_no"))
    done = await conn.fetchval(
        store_requests.ANSWER, request_id, subject.org, kind, said, number, subject.account_id
    )
    if done is None:
        raise YaosuError("uncoded_request_closed")
    await audit.record(conn, subject, "uncoded.answer", ("uncoded_request", request_id), {"kind": kind})
    product = registry.product(row["drug_id"])
    params = {
        "product": product.generic_name if product is not None else row["drug_id"],
        "batch_no": row["batch_no"],
        "qty": row["qty"],
        "org": subject.name if registry.org(subject.org) is None else _name(registry, subject.org),
    }
    notice = "notice_uncoded_codes_declined" if kind == "declined" else "notice_uncoded_codes_coming"
    link = f"/uncoded/requests/{request_id}"
    await tell(conn, row["org"], notice, params, link, f"request {request_id} {kind} {number}")


async def withdraw(conn: Connection, subject: Subject, request_id: int) -> None:
    """Take an open request back. Refused: `not_found`, `uncoded_request_closed`."""
    subject.require("bill.write")
    row = await one(conn, subject, request_id)
    if row["org"] != subject.org:
        raise service.not_found(subject, "补码申请", "Request for codes")
    if await conn.fetchval(store_requests.WITHDRAW, request_id, subject.org) is None:
        raise YaosuError("uncoded_request_closed")
    await audit.record(conn, subject, "uncoded.withdraw", ("uncoded_request", request_id))


async def one(conn: Connection, subject: Subject, request_id: int) -> Record:
    """A request the subject made or was asked; refused (`not_found`)."""
    subject.require("stock.read")
    row = await store_requests.request(conn, visible(subject), request_id)
    if row is None:
        raise service.not_found(subject, "补码申请", "Request for codes")
    return row


async def listed(
    conn: Connection,
    subject: Subject,
    side: Literal["made", "asked"],
    *,
    lot: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Record]:
    """Requests the organisation made, or was asked as the supplier, newest first."""
    subject.require("stock.read")
    own = subject.org
    return await store_requests.requests(
        conn,
        visible(subject),
        org=own if side == "made" else None,
        supplier=own if side == "asked" else None,
        lot=lot,
        before=before,
        limit=limit,
    )


def _name(registry: Registry, org: int) -> str:
    card = registry.org(org)
    return card.name if card is not None else str(org)


def _params(registry: Registry, lot: Lot, qty: int) -> dict[str, object]:
    product = registry.product(lot.drug_id)
    return {
        "product": product.generic_name if product is not None else lot.drug_id,
        "batch_no": lot.batch_no,
        "qty": qty,
        "org": _name(registry, lot.org),
    }


def _text(text: str, where: str) -> str:
    found = text.strip()
    if len(found) > TEXT_MAX or not found.isprintable():
        raise _invalid(Finding("uncoded_reason_text", {"max": TEXT_MAX}, where))
    free_text.refuse(**{where: found})
    return found


def _invalid(finding: Finding) -> YaosuError:
    return YaosuError("uncoded_invalid", {"count": 1}, [finding])
