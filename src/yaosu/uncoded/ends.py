"""How goods leave the uncoded account: supplemented with codes, returned, sold or settled, lost (R-C8, R-D1).

Each end takes from one lot, under a promise written beforehand (`uncoded_draw`), and goes through the one write path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from yaosu.access.visibility import visible
from yaosu.circulation import service as circulation
from yaosu.circulation.model import Movement, MovementResult, Quantity
from yaosu.circulation.pages_common import next_number
from yaosu.codes import NotACode, parse
from yaosu.errors import Finding, YaosuError
from yaosu.notify.service import tell
from yaosu.registry.resolver import Registry
from yaosu.registry.uncoded_rules import exempt, refusal
from yaosu.subject import Subject
from yaosu.uncoded import service, store, store_requests
from yaosu.uncoded.intake import Doors
from yaosu.uncoded.model import LOSS, RETURN, SALE, SUPPLEMENT, Lot

NUMBER_PREFIX = {RETURN: "WT", SALE: "WS", SUPPLEMENT: "WB", LOSS: "WH"}
TEXT_MAX = 500


@dataclass(frozen=True, slots=True)
class End:
    """Goods of one lot that leave. `qty` in smallest packages; `codes` for type 24 only."""

    type: int
    qty: int
    header: Mapping[str, object]
    bill_no: str = ""
    to_org: int | None = None
    from_org: int | None = None
    notice: str = ""
    codes: Sequence[str] = ()
    happened_at: datetime | None = None
    body: bytes = b""


def sale_reasons(registry: Registry, lot: Lot, lang: str = "zh") -> list[tuple[str, str]]:
    """Why goods of a lot may be sold or settled without a scan: historical stock, or an exemption (R-A6, R-C8)."""
    day = service.today()
    card, product = registry.org(lot.org), registry.product(lot.drug_id)
    region = card.region if card is not None else ""
    found = [
        (i.code, i.zh if lang == "zh" else i.en)
        for i in registry.lists.get("uncoded_sale_reason", day, region)
    ]
    flags = product.flags if product is not None else frozenset()
    for scope in ("coding", "settlement"):
        item = exempt(registry.lists, flags, scope, region, day)
        if item is not None:
            found.append((item.code, item.zh if lang == "zh" else item.en))
    return found


async def give_back(
    doors: Doors, subject: Subject, lot_id: int, qty: int, reason_text: str, *, bill_no: str = ""
) -> MovementResult:
    """无码退货 (22): goods of a lot go back to its supplier, who is told.

    Refused: `uncoded_invalid`, `uncoded_not_enough`, `not_found`.
    """
    lot = await _lot(doors, subject, lot_id)
    header = _text_header(lot, "reason_text", reason_text)
    header["supplier"] = lot.supplier_name
    end = End(RETURN, qty, header, bill_no, to_org=lot.supplier)
    result = await _leave(doors, subject, lot, end)
    if lot.supplier is not None:
        await _tell(
            doors,
            lot.supplier,
            "notice_uncoded_returned",
            _params(doors.registry, lot, qty),
            f"/bills/{result.bill_id}",
            f"bill {result.bill_id}",
        )
    return result


async def sell(
    doors: Doors,
    subject: Subject,
    lot_id: int,
    qty: int,
    receipt_no: str,
    reason: str,
    *,
    bill_no: str = "",
    note: str = "",
) -> MovementResult:
    """无码销售/结算 (23), with the number of the settlement or receipt and the reason for going without a scan.

    Refused: `uncoded_settlement_blocked` with date and source (R-C8, R-D1), `uncoded_invalid`,
    `uncoded_not_enough`, `not_found`.
    """
    lot = await _lot(doors, subject, lot_id)
    header = _text_header(lot, "receipt_no", receipt_no)
    if reason not in dict(sale_reasons(doors.registry, lot)):
        raise YaosuError("uncoded_invalid", {"count": 1}, [Finding("uncoded_sale_reason", {}, "reason")])
    header["reason"] = reason
    if note.strip():
        header["reason_text"] = note.strip()[:TEXT_MAX]
    blocked = blocked_sale(doors.registry, lot)
    if blocked is not None:
        raise YaosuError(blocked.code, blocked.params, [blocked])
    return await _leave(doors, subject, lot, End(SALE, qty, header, bill_no))


def blocked_sale(registry: Registry, lot: Lot) -> Finding | None:
    """Why goods of a lot may not be sold or settled today, or None."""
    card = registry.org(lot.org)
    if card is None:
        return None
    return refusal(
        registry,
        bill_type=SALE,
        owner_region=card.region,
        owner_type=card.type,
        drug_id=lot.drug_id,
        on=service.today(),
        purchased_on=lot.invoice_date,
    )


async def lose(
    doors: Doors, subject: Subject, lot_id: int, qty: int, reason_text: str, *, bill_no: str = ""
) -> MovementResult:
    """无码损耗 (25), with the reason. Refused: `uncoded_invalid`, `uncoded_not_enough`, `not_found`."""
    lot = await _lot(doors, subject, lot_id)
    header = _text_header(lot, "reason_text", reason_text)
    return await _leave(doors, subject, lot, End(LOSS, qty, header, bill_no))


async def supplement(
    doors: Doors,
    subject: Subject,
    lot_id: int,
    codes: Sequence[str],
    *,
    notice: str = "",
    bill_no: str = "",
    body: bytes = b"",
) -> MovementResult:
    """补码入库 (24): codes that the supplier announced are scanned in; n boxes leave the account as n units (R-D1).

    `notice` is the supplier's shipping bill. Only codes of the lot's product are taken, and no more than the lot has.
    Codes of another batch go to quarantine. The oldest open request of the lot is counted down, and its supplier told
    when it is done. Refused: `uncoded_invalid`, `uncoded_not_enough`, `not_found`, and the write path's.
    """
    lot = await _lot(doors, subject, lot_id)
    qty = _packages(doors.registry, lot, codes)
    header = _header(lot)
    sender = lot.supplier
    async with doors.pool.acquire() as conn:
        asked = await store_requests.requests(conn, visible(subject), org=lot.org, lot=lot.id, limit=20)
    if not notice:
        # the oldest answered request, else the one done last, so that a repeat names the same bill
        waiting = [r["ship_bill_no"] for r in asked if r["state"] in ("in_place", "replaced")]
        done = [r["ship_bill_no"] for r in asked if r["state"] == "done"]
        notice = waiting[-1] if waiting else done[0] if done else ""
    end = End(SUPPLEMENT, qty, header, bill_no, from_org=sender, notice=notice, codes=list(codes), body=body)
    result = await _leave(doors, subject, lot, end)
    if result.bill_id and not result.replayed:
        async with doors.pool.acquire() as conn, conn.transaction():
            row = await conn.fetchrow(store_requests.DONE, lot.id, result.qty)
            if row is not None and row["state"] == "done":
                params = _params(doors.registry, lot, result.qty)
                link = f"/uncoded/requests/{row['id']}"
                await tell(
                    conn, row["supplier"], "notice_uncoded_codes_done", params, link, f"request {row['id']}"
                )
    return result


def _packages(registry: Registry, lot: Lot, codes: Sequence[str]) -> int:
    """Smallest packages that readable codes stand for when full; refused when one is of another product."""
    total = 0
    found: list[Finding] = []
    for n, raw in enumerate(codes):
        code = parse(raw, registry.customs)
        if isinstance(code, NotACode):
            continue
        known = registry.resolve(code)
        if known.drug_id != lot.drug_id or known.level is None:
            params = {"code": code.text, "product": _product(registry, lot)}
            found.append(Finding("uncoded_other_product", params, f"codes.{n}"))
            continue
        product = registry.product(lot.drug_id)
        level = product.level(known.level) if product is not None else None
        total += level.units_per if level is not None else 1
    if found:
        raise YaosuError("uncoded_invalid", {"count": len(found)}, found)
    return max(total, 1)


async def _lot(doors: Doors, subject: Subject, lot_id: int) -> Lot:
    subject.require("bill.write")
    async with doors.pool.acquire() as conn, conn.transaction():
        return await service.lot(conn, doors.registry, subject, lot_id)


def _header(lot: Lot) -> dict[str, object]:
    header: dict[str, object] = {"invoice_no": lot.invoice_no}
    if lot.invoice_date is not None:
        header["invoice_date"] = lot.invoice_date.isoformat()
    return header


def _text_header(lot: Lot, name: str, text: str) -> dict[str, object]:
    value = text.strip()
    if not value or len(value) > TEXT_MAX or not value.isprintable():
        raise YaosuError(
            "uncoded_invalid", {"count": 1}, [Finding(f"uncoded_{name}", {"max": TEXT_MAX}, name)]
        )
    return {**_header(lot), name: value}


async def _leave(doors: Doors, subject: Subject, lot: Lot, end: End) -> MovementResult:
    """Promise the goods, submit the bill, and take the promise back when it was refused."""
    assert lot.id is not None
    if end.qty < 1:
        found = Finding("uncoded_qty", {"value": end.qty, "max": lot.left}, "qty")
        raise YaosuError("uncoded_invalid", {"count": 1}, [found])
    async with doors.pool.acquire() as conn, conn.transaction():
        number = end.bill_no.strip() or await next_number(conn, lot.org, NUMBER_PREFIX[end.type])
        # nobody else counts or takes from this lot until the promise stands
        await conn.fetchval(store.LOCK_LOT, lot.id)
        before = await conn.fetchrow(store.DRAW_OF, lot.org, number)
        used = await conn.fetchval(store.FIRST_AT, lot.org, number)
        if used and (before is None or before["lot_id"] != lot.id):
            raise YaosuError("uncoded_number_used", {"bill_no": number})
        if not used:
            # promises first: a bill that commits between the two reads is then seen by at least one of them
            pending = {r["bill_no"]: r["qty"] for r in await conn.fetch(store.PENDING, lot.id, number)}
            now = await service.lot(conn, doors.registry, subject, lot.id)
            booked = {draw.bill_no for draw, _ in now.draws}
            left = now.left - sum(qty for bill_no, qty in pending.items() if bill_no not in booked)
            if end.qty > left:
                raise YaosuError("uncoded_not_enough", {"left": max(left, 0), "asked": end.qty})
            await conn.execute(store.PUT_DRAW, lot.org, number, lot.id, end.qty)
    by_quantity = end.type != SUPPLEMENT
    movement = Movement(
        type=end.type,
        bill_no=number,
        owner=lot.org,
        happened_at=end.happened_at or used or datetime.now(UTC),
        codes=() if by_quantity else list(end.codes),
        from_org=end.from_org,
        to_org=end.to_org,
        notice=end.notice,
        expected=() if by_quantity else [(lot.drug_id, lot.batch_no)],
        header=dict(end.header),
        quantities=[Quantity(lot.drug_id, lot.batch_no, end.qty)] if by_quantity else (),
        body=end.body or _body(lot, end, number),
    )
    kept = False
    try:
        result = await circulation.submit(doors.pool, doors.committer, doors.registry, subject, movement)
        kept = bool(result.bill_id)
    finally:
        if not kept:
            async with doors.pool.acquire() as conn:
                await conn.execute(store.DROP_DRAW, lot.org, number)
    return result


async def _tell(doors: Doors, org: int, kind: str, params: Mapping[str, object], link: str, ref: str) -> None:
    async with doors.pool.acquire() as conn, conn.transaction():
        await tell(conn, org, kind, params, link, ref)


def _product(registry: Registry, lot: Lot) -> str:
    product = registry.product(lot.drug_id)
    return product.generic_name if product is not None else str(lot.drug_id)


def _params(registry: Registry, lot: Lot, qty: int) -> dict[str, object]:
    """What notices say of goods: product, batch, quantity, who holds them."""
    card = registry.org(lot.org)
    return {
        "product": _product(registry, lot),
        "batch_no": lot.batch_no,
        "qty": qty,
        "org": card.name if card is not None else str(lot.org),
    }


def _body(lot: Lot, end: End, number: str) -> bytes:
    return orjson.dumps(
        {
            "type": end.type,
            "bill_no": number,
            "lot": lot.id,
            "drug_id": lot.drug_id,
            "batch_no": lot.batch_no,
            "qty": end.qty,
            "to_org": end.to_org,
            "header": dict(end.header),
            "codes": list(end.codes),
        }
    )
