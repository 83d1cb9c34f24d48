"""Opening the uncoded account: goods of a purchase invoice enter by quantity, with their proof (R-C8, R-D1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from yaosu.access import audit
from yaosu.circulation import service as circulation
from yaosu.circulation.model import Movement, Quantity
from yaosu.circulation.pages_common import next_number
from yaosu.db.engine import Connection, Pool
from yaosu.errors import Finding, YaosuError
from yaosu.people import free_text
from yaosu.registry.resolver import Registry
from yaosu.registry.uncoded_rules import refusal
from yaosu.subject import Subject
from yaosu.uncoded import store
from yaosu.uncoded.model import IN, ITEMS_MAX, Item, Opening
from yaosu.uncoded.service import CHINA, zone_of

if TYPE_CHECKING:
    from yaosu.circulation.committer import Committer

INVOICE_MAX = 64
QTY_MAX = 10_000_000
NUMBER_PREFIX = "WR"


@dataclass(frozen=True, slots=True)
class Doors:
    """What a movement needs: the pool, the committer, the registry."""

    pool: Pool
    committer: Committer
    registry: Registry


@dataclass(frozen=True, slots=True)
class Opened:
    """What was entered: the bill and the numbers of the lots."""

    bill_no: str
    bill_id: int
    lot_ids: tuple[int, ...]
    qty: int


def header_of(one: Opening) -> dict[str, object]:
    """The header of the 无码入库: the proof's date decides what the dates allow."""
    header: dict[str, object] = {
        "invoice_no": one.invoice_no,
        "invoice_date": one.invoice_date.isoformat(),
        "zone": one.zone,
        "proof_id": one.proof_id,
    }
    if one.supplier_name:
        header["supplier"] = one.supplier_name
    return header


def findings(
    registry: Registry, org: int, one: Opening, known: Mapping[tuple[int, str], Any]
) -> list[Finding]:
    """Everything that is wrong with an opening, before anything is written. `known`: batches on record."""
    found: list[Finding] = []
    if not one.invoice_no.strip() or len(one.invoice_no) > INVOICE_MAX or not one.invoice_no.isprintable():
        found.append(Finding("uncoded_invoice_no", {"max": INVOICE_MAX}, "invoice_no"))
    if one.supplier is None and not one.supplier_name.strip():
        found.append(Finding("uncoded_supplier_missing", {}, "supplier"))
    if not one.items or len(one.items) > ITEMS_MAX:
        found.append(Finding("uncoded_items", {"count": len(one.items), "max": ITEMS_MAX}, "items"))
    card = registry.org(org)
    on = (one.happened_at or datetime.now(UTC)).astimezone(CHINA).date()
    seen: set[tuple[int, str]] = set()
    for n, item in enumerate(one.items):
        where = f"items.{n}"
        if registry.product(item.drug_id) is None:
            found.append(Finding("uncoded_product_unknown", {"value": item.drug_id}, f"{where}.drug_id"))
            continue
        found += [replace(f, where=f"{where}.{f.where}") for f in _item_findings(item, known)]
        if (item.drug_id, item.batch_no) in seen:
            found.append(Finding("uncoded_item_twice", {"batch_no": item.batch_no}, f"{where}.batch_no"))
        seen.add((item.drug_id, item.batch_no))
        if card is not None:
            refused = refusal(
                registry,
                bill_type=IN,
                owner_region=card.region,
                owner_type=card.type,
                drug_id=item.drug_id,
                on=on,
                purchased_on=one.invoice_date,
            )
            if refused is not None:
                found.append(replace(refused, where=f"{where}.invoice_date"))
    return found


def _item_findings(item: Item, known: Mapping[tuple[int, str], Any]) -> list[Finding]:
    found: list[Finding] = []
    if not 1 <= item.qty <= QTY_MAX:
        found.append(Finding("uncoded_qty", {"value": item.qty, "max": QTY_MAX}, "qty"))
    if not item.batch_no.strip() or len(item.batch_no) > 64:
        found.append(Finding("uncoded_batch_missing", {}, "batch_no"))
        return found
    found += free_text.findings({"batch_no": item.batch_no, "zone": item.zone})
    facts = known.get((item.drug_id, item.batch_no))
    if facts is None and (item.produced_on is None or item.expires_on is None):
        found.append(Finding("uncoded_batch_dates", {"batch_no": item.batch_no}, "expires_on"))
    if item.produced_on and item.expires_on and item.produced_on >= item.expires_on:
        params = {"begin": item.produced_on.isoformat(), "end": item.expires_on.isoformat()}
        found.append(Finding("dates_reversed", params, "expires_on"))
    if facts is not None:
        for name in ("produced_on", "expires_on"):
            given = getattr(item, name)
            if given is not None and given != facts[name]:
                params = {"batch_no": item.batch_no, "given": given.isoformat()}
                params["known"] = facts[name].isoformat()
                found.append(Finding("uncoded_batch_differs", params, name))
    return found


async def known_batches(conn: Connection, items: tuple[Item, ...]) -> dict[tuple[int, str], Any]:
    """Batches that are on record, of the products and numbers in `items`."""
    found: dict[tuple[int, str], Any] = {}
    for key in {(i.drug_id, i.batch_no) for i in items}:
        row = await conn.fetchrow(store.BATCH_BY_NO, *key)
        if row is not None:
            found[key] = row
    return found


async def check(conn: Connection, registry: Registry, subject: Subject, one: Opening) -> list[Finding]:
    """What `open_account` would refuse, as findings, without writing anything."""
    found = findings(registry, subject.org, one, await known_batches(conn, one.items))
    if not await conn.fetchval(store.PROOF_IS_OURS, one.proof_id, subject.org):
        found.insert(0, Finding("uncoded_proof_missing", {}, "proof_id"))
    supplier = _supplier_name(registry, one)
    for n, item in enumerate(one.items):
        key = (subject.org, one.invoice_no, supplier, item.drug_id, item.batch_no, one.bill_no)
        used = await conn.fetchval(store.INVOICE_USED, *key)
        if used is not None:
            params = {"invoice_no": one.invoice_no, "batch_no": item.batch_no, "bill_no": used}
            found.append(Finding("uncoded_invoice_used", params, f"items.{n}.batch_no"))
    return found


async def open_account(doors: Doors, subject: Subject, one: Opening, body: bytes = b"") -> Opened:
    """Enter goods of one purchase invoice into the uncoded account as one bill (type 21) with their proof.

    Refused as a whole: `uncoded_invalid` with every finding (among them `uncoded_purchase_blocked` with date and
    source: the invoice's date decides), and what the write path refuses. Safe to repeat under the same bill number.
    """
    subject.require("uncoded.open")
    one = replace(one, zone=zone_of(one.zone, "zone"), invoice_no=one.invoice_no.strip())
    one = replace(
        one,
        items=tuple(replace(i, batch_no=i.batch_no.strip(), zone=i.zone.strip()) for i in one.items),
        supplier_name=_supplier_name(doors.registry, one),
    )
    org = subject.org
    async with doors.pool.acquire() as conn:
        found = await check(conn, doors.registry, subject, one)
        if found:
            raise YaosuError("uncoded_invalid", {"count": len(found)}, found)
        bill_no = one.bill_no.strip() or await next_number(conn, org, NUMBER_PREFIX)
        before = await conn.fetchval(store.FIRST_AT, org, bill_no)
    movement = Movement(
        type=IN,
        bill_no=bill_no,
        owner=org,
        happened_at=one.happened_at or before or datetime.now(UTC),
        codes=(),
        from_org=one.supplier,
        header=header_of(one),
        quantities=[Quantity(i.drug_id, i.batch_no, i.qty, i.produced_on, i.expires_on) for i in one.items],
        body=body or _body(one, bill_no),
    )
    result = await circulation.submit(doors.pool, doors.committer, doors.registry, subject, movement)
    async with doors.pool.acquire() as conn, conn.transaction():
        lots = await _put_lots(conn, subject, one, bill_no)
    return Opened(bill_no, result.bill_id, tuple(lots), sum(i.qty for i in one.items))


async def attach(
    conn: Connection, registry: Registry, subject: Subject, bill_no: str, one: Opening
) -> list[int]:
    """Put papers behind goods that entered without (a bill sent straight to the movement door), or right ones in the
    place of wrong ones; numbers of the lots.

    `one.items` names products and batches; quantities stay the ledger's. Refused: `uncoded_invalid`, `not_found`.
    """
    subject.require("uncoded.open")
    one = replace(one, zone=zone_of(one.zone, "zone"), supplier_name=_supplier_name(registry, one))
    if not one.supplier_name:
        raise YaosuError(
            "uncoded_invalid", {"count": 1}, [Finding("uncoded_supplier_missing", {}, "supplier")]
        )
    if not await conn.fetchval(store.PROOF_IS_OURS, one.proof_id, subject.org):
        raise YaosuError("uncoded_invalid", {"count": 1}, [Finding("uncoded_proof_missing", {}, "proof_id")])
    lots = await _put_lots(conn, subject, one, bill_no, anew=True)
    if not lots:
        zh = subject.lang == "zh"
        raise YaosuError("not_found", {"what": "无码入库单" if zh else "Uncoded receipt"})
    return lots


async def _put_lots(
    conn: Connection, subject: Subject, one: Opening, bill_no: str, *, anew: bool = False
) -> list[int]:
    zones = {(i.drug_id, i.batch_no): i.zone for i in one.items if i.zone}
    entered = await conn.fetch(store.ENTERED, subject.org, bill_no)
    told = next((day for r in entered if (day := store.day_of(r["invoice_date"]))), None)
    if told is not None and told != one.invoice_date:
        # the dates were judged by what the bill says; papers cannot make a purchase older afterwards
        params = {"given": one.invoice_date.isoformat(), "known": told.isoformat()}
        found = Finding("uncoded_invoice_differs", params, "invoice_date")
        raise YaosuError("uncoded_invalid", {"count": 1}, [found])
    rows = [
        (
            subject.org,
            r["drug_id"],
            r["batch_id"],
            bill_no,
            zones.get((r["drug_id"], r["batch_no"]), one.zone),
            one.supplier,
            one.supplier_name,
            one.invoice_no,
            one.invoice_date,
            one.proof_id,
            subject.account_id,
        )
        for r in entered
    ]
    before = [dict(r) for r in await conn.fetch(store.PAPERS_OF, subject.org, bill_no)] if anew else []
    made = await store.put_lots(conn, rows, anew=anew)
    if made:
        details: dict[str, object] = {"bill_no": bill_no, "lots": len(made), "proof": one.proof_id}
        if before:
            details["before"] = [{**r, "invoice_date": r["invoice_date"].isoformat()} for r in before]
        await audit.record(conn, subject, "uncoded.open", ("bill", bill_no), details)
    return made


def _supplier_name(registry: Registry, one: Opening) -> str:
    card = registry.org(one.supplier) if one.supplier is not None else None
    return card.name if card is not None else one.supplier_name.strip()


def _body(one: Opening, bill_no: str) -> bytes:
    items = [
        {
            "drug_id": i.drug_id,
            "batch_no": i.batch_no,
            "qty": i.qty,
            "produced_on": i.produced_on,
            "expires_on": i.expires_on,
        }
        for i in one.items
    ]
    return orjson.dumps({"type": IN, "bill_no": bill_no, "header": header_of(one), "quantities": items})
