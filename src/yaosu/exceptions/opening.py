"""Opening of cases: from a receipt check, from goods in quarantine, or for a delivery (R-B3, R-B4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from asyncpg import Record

from yaosu.access import audit
from yaosu.access.visibility import visible
from yaosu.circulation import holds
from yaosu.circulation import store_read as reads
from yaosu.circulation.cache import CHINA
from yaosu.circulation.notices import DETAILS_MAX
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.exceptions import record, store
from yaosu.exceptions.model import PIECES_MAX, Opening, Piece, clock_of, kind_by, kind_item, next_look
from yaosu.registry.acting import acts_for
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import submittable
from yaosu.subject import Subject


async def open_check(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    check_id: int,
    kinds: Iterable[str] = (),
    note: str = "",
) -> list[int]:
    """One case for each kind of mismatch that a receipt check counts, or for those of `kinds`; their numbers.

    By buyer or seller of the delivery. A kind that already has an open case of this check gives that one's number;
    one that was settled is opened anew only when `kinds` names it.
    Refused: `not_found`, `exception_nothing_open` where nothing mismatches, `exception_no_seller`.
    """
    subject.require(record.SCOPE)
    row = await reads.check(conn, visible(subject), check_id)
    if row is None:
        raise YaosuError("not_found", {"what": "核对结果" if subject.lang == "zh" else "Receipt check"})
    if row["seller"] is None:
        raise YaosuError("exception_no_seller")
    found = await _mismatches(conn, registry, row)
    wanted = set(kinds)
    for kind in wanted:
        kind_item(registry.lists, kind)
    settled = {r["kind"] for r in await conn.fetch(store.CASES_OF_CHECK, check_id) if r["state"] != "open"}
    chosen = {
        kind: pieces
        for kind, pieces in found.items()
        if kind in wanted or (not wanted and kind not in settled)
    }
    if not chosen:
        raise YaosuError("exception_nothing_open")
    made = []
    for kind, pieces in chosen.items():
        opening = Opening(
            kind,
            row["buyer"],
            row["seller"],
            pieces[:PIECES_MAX],
            check_id,
            row["receipt_bill"],
            row["notice_bill"],
            note,
        )
        made.append(await _open(conn, registry, subject, opening))
    return made


async def close_check(conn: Connection, registry: Registry, check_id: int) -> None:
    """Close a receipt check of which every mismatch has been settled in a case, or has arrived since."""
    row = await conn.fetchrow(store.CHECK_OF_CASE, check_id)
    cases = await conn.fetch(store.CASES_OF_CHECK, check_id)
    if row is None or any(r["state"] == "open" for r in cases):
        return
    if set(await _mismatches(conn, registry, row)) <= {r["kind"] for r in cases}:
        await conn.execute(store.CLOSE_CHECK, check_id)


async def _mismatches(conn: Connection, registry: Registry, row: Record) -> dict[str, list[Piece]]:
    """What a receipt check calls into question, by kind of case."""
    kind_of = kind_by(registry.lists, "counts")
    details: dict[str, Any] = row["details"] or {}
    goods = {}
    for held in await conn.fetch(store.QUARANTINE_OF_RECEIPT, row["receipt_bill"], row["buyer"]):
        goods[held["code"] or held["raw"]] = held
    found: dict[str, list[Piece]] = {}
    for one in details.get("codes", ()):
        kind = kind_of.get(one["kind"])
        if kind is None:
            continue
        text = one["code"] or one["raw"]
        here = goods.get(text)
        piece = Piece(code=text, verdict=one["verdict"]) if here is None else _piece(here, one["verdict"])
        found.setdefault(kind, []).append(piece)
        goods.pop(text, None)
    if len(details.get("codes", ())) >= DETAILS_MAX:
        # the check lists no more than that; what else the receipt put into quarantine goes by the reason there
        by_reason = kind_by(registry.lists, "verdicts")
        for held in goods.values():
            if (kind := by_reason.get(held["verdict"])) is not None:
                found.setdefault(kind, []).append(_piece(held))
    lines = details.get("lines", ())
    numbers = await _batch_numbers(conn, lines)
    for column in ("short", "refused"):
        kind = kind_of.get(column)
        # what came later in further parts is no longer missing
        now = (
            await _outstanding(conn, row["notice_bill"]) if column == "short" and row["notice_bill"] else None
        )
        for line in lines:
            key = (line["drug_id"], line["batch_id"])
            qty = int(line[column]) if now is None else min(int(line[column]), now.get(key, 0))
            if kind is not None and qty > 0:
                piece = Piece(line["drug_id"], line["batch_id"], numbers.get(line["batch_id"], ""), "", qty)
                found.setdefault(kind, []).append(piece)
    return found


async def _outstanding(conn: Connection, notice_bill: int) -> dict[tuple[int, int], int]:
    rows = await conn.fetch(reads.NOTICE_LINES, notice_bill)
    return {
        (r["drug_id"], r["batch_id"]): r["expected"] - r["received"] - r["quarantined"] - r["refused"]
        for r in rows
    }


async def _batch_numbers(conn: Connection, lines: Iterable[dict[str, Any]]) -> dict[int, str]:
    keys = {(line["drug_id"], line["batch_id"]) for line in lines}
    rows = await conn.fetch(store.BATCH_NUMBERS, sorted({k[0] for k in keys}), sorted({k[1] for k in keys}))
    return {r["id"]: r["batch_no"] for r in rows}


def _piece(held: Record, verdict: str = "") -> Piece:
    return Piece(
        held["drug_id"],
        held["batch_id"] or None,
        "",
        held["code"] or held["raw"],
        held["qty"],
        verdict or held["verdict"],
        held["id"],
    )


async def open_quarantine(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    ids: Sequence[int],
    kind: str = "",
    seller: int | None = None,
    note: str = "",
) -> list[int]:
    """Cases for chosen goods in quarantine, one per delivery and kind; their numbers.

    The kind follows from the reason why they are there, unless given; the seller from the delivery, unless given.
    Refused: `exception_no_goods` when any of them is not in the subject's quarantine, `exception_goods_held` when some
    belong to another open case, `exception_kind_needed`, `exception_no_seller`.
    """
    subject.require(record.SCOPE)
    if kind:
        kind_item(registry.lists, kind)
    rows = [
        r
        for r in await store.chosen(conn, visible(subject), list(ids))
        if acts_for(registry, subject.org, r["org"]) and r["closed_at"] is None
    ]
    missing = sorted(set(ids) - {r["id"] for r in rows})
    if missing:
        # none of them may be left out silently
        findings = [
            Finding("exception_not_in_quarantine", {"id": one}, "quarantine_ids") for one in missing[:200]
        ]
        raise YaosuError("exception_no_goods", {}, findings)
    held = [r for r in rows if r["held_by"] is not None]
    if held:
        findings = [Finding("exception_held_code", {"code": r["code"] or r["raw"]}, r["code"]) for r in held]
        raise YaosuError("exception_goods_held", {"count": len(held)}, findings[:200])
    kind_of = kind_by(registry.lists, "verdicts")
    groups: dict[tuple[int, str], list[Record]] = {}
    for row in rows:
        found = kind or kind_of.get(row["verdict"], "")
        if not found:
            raise YaosuError("exception_kind_needed", {"code": row["code"] or row["raw"]})
        groups.setdefault((row["bill_id"], found), []).append(row)
    made = []
    for (bill_id, found), goods in groups.items():
        first = goods[0]
        receipt = first["type"] in submittable() and submittable()[first["type"]].kind == "receive"
        other = seller or (first["from_org"] if receipt else None)
        _check_seller(registry, other, first["org"])
        assert other is not None
        # another than the sender learns nothing of the sender's bill
        notice = first["notice_bill"] if receipt and other == first["from_org"] else None
        opening = Opening(
            found,
            first["org"],
            other,
            [_piece(r) for r in goods[:PIECES_MAX]],
            receipt_bill=bill_id if receipt else None,
            notice_bill=notice,
            note=note,
        )
        made.append(await _open(conn, registry, subject, opening, first["org"]))
    return made


def _check_seller(registry: Registry, seller: int | None, buyer: int) -> None:
    """Refused (`exception_no_seller`) unless the other side is a firm in use that deals in goods."""
    card = registry.org(seller) if seller is not None else None
    if card is None or not card.active or card.type == OrgType.GOVERNMENT or card.id == buyer:
        raise YaosuError("exception_no_seller")


async def open_report(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    *,
    kind: str,
    pieces: Sequence[Piece],
    bill_id: int | None = None,
    partner: int | None = None,
    note: str = "",
) -> int:
    """A case for goods that no check lists: damaged, uncoded, or a delivery that never came; its number.

    `bill_id` is the shipment or the receipt it is about, by either side of it. Without a bill, `partner` is the
    supplier and the subject the buyer. Refused: `not_found`, `exception_no_seller`, `exception_no_goods`.
    """
    subject.require(record.SCOPE)
    kind_item(registry.lists, kind)
    if not pieces:
        raise YaosuError("exception_no_goods")
    for piece in pieces:
        if piece.drug_id is not None and registry.product(piece.drug_id) is None:
            raise YaosuError("not_found", {"what": "产品" if subject.lang == "zh" else "Product"})
    buyer, seller, receipt, notice = subject.org, partner, None, None
    if bill_id is not None:
        buyer, seller, receipt, notice = await _bill_parties(conn, registry, subject, bill_id)
    _check_seller(registry, seller, buyer)
    assert seller is not None
    named = await _named(conn, pieces)
    opening = Opening(kind, buyer, seller, named[:PIECES_MAX], None, receipt, notice, note)
    return await _open(conn, registry, subject, opening)


async def _bill_parties(
    conn: Connection, registry: Registry, subject: Subject, bill_id: int
) -> tuple[int, int | None, int | None, int | None]:
    """Buyer, seller, receipt and notice of a delivery, given either bill of it."""
    head = await reads.bill(conn, visible(subject), bill_id)
    kind = submittable()[head["type"]].kind if head is not None and head["type"] in submittable() else ""
    if head is None or kind not in ("ship", "receive"):
        raise YaosuError("not_found", {"what": "单据" if subject.lang == "zh" else "Bill"})
    receives = kind == "receive"
    buyer = head["owner"] if receives else head["to_org"]
    seller = head["from_org"] if receives else head["owner"]
    if not record.spoken_for(registry, subject, (o for o in (buyer, seller) if o is not None)):
        raise YaosuError("not_found", {"what": "单据" if subject.lang == "zh" else "Bill"})
    return (
        buyer,
        seller,
        head["id"] if receives else None,
        head["notice_bill"] if receives else head["id"],
    )


async def _named(conn: Connection, pieces: Sequence[Piece]) -> list[Piece]:
    """The same with our numbers of batches that exist."""
    drugs = sorted({p.drug_id for p in pieces if p.drug_id and p.batch_no})
    numbers = sorted({p.batch_no for p in pieces if p.batch_no})
    rows = await conn.fetch(store.BATCH_BY_NO, drugs, numbers) if drugs else []
    ids = {(r["drug_id"], r["batch_no"]): r["id"] for r in rows}
    return [
        Piece(p.drug_id, p.batch_id or ids.get((p.drug_id or 0, p.batch_no)), p.batch_no, p.code, p.qty)
        for p in pieces
    ]


async def _open(
    conn: Connection, registry: Registry, subject: Subject, opening: Opening, opener: int = 0
) -> int:
    """Write the case, hold its goods, tell the other side, and the holder of the licence where the kind says so."""
    ours = record.spoken_for(registry, subject, (opening.buyer, opening.seller))
    if not ours:
        raise YaosuError("forbidden", {"scope": record.SCOPE})
    acting = opener or ours[0]
    now = datetime.now(UTC)
    buyer = registry.org(opening.buyer)
    clock = clock_of(registry.lists, opening.kind, buyer.region if buyer is not None else "", now)
    case_id: int = await conn.fetchval(store.NEXT_ID)
    values: dict[str, Any] = {
        "id": case_id,
        "case_no": f"XC{now.astimezone(CHINA):%Y%m%d}-{case_id:05d}",
        "opened_by": acting,
        "account_id": subject.account_id,
        "answer_due": clock.answer_due,
        "resolve_due": clock.resolve_due,
        "next_at": next_look(clock.stages(), ()),
        "opened_at": now,
    }
    if await store.insert(conn, opening, values, list(opening.pieces)) is None:
        return int(await conn.fetchval(store.OPEN_OF_CHECK, opening.check_id, opening.kind))
    await conn.execute(store.JOIN, case_id, opening.buyer, "buyer")
    await conn.execute(store.JOIN, case_id, opening.seller, "seller")
    entry = await record.enter(
        conn, case_id, acting, subject.account_id, "opened", opening.note, {"qty": opening.qty}
    )
    goods = [p.quarantine_id for p in opening.pieces if p.quarantine_id is not None]
    if goods:
        await holds.hold(conn, opening.buyer, goods, case_id, values["case_no"])
    card = {"id": case_id, "case_no": values["case_no"], "kind": opening.kind, "qty": opening.qty}
    both = (opening.buyer, opening.seller)
    await record.tell(conn, registry, card, both, "notice_exception_opened", entry, acting)
    if record.is_upstream(registry, opening.kind):
        await record.tell_holders(conn, registry, card, opening.drug_ids)
    await audit.record(conn, subject, "exception.open", ("exception", case_id), {"kind": opening.kind})
    return case_id
