"""The 专帐: what uncoded stock there is, with age, proof and what is left; proofs; 专区 (R-C8, R-D1)."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from asyncpg import Record

from yaosu.access import audit
from yaosu.access.visibility import record_read, visible
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.people import free_text
from yaosu.registry.resolver import Registry
from yaosu.registry.uncoded_rules import Deadline, clear_by, countdown, never_coded
from yaosu.subject import Subject
from yaosu.uncoded import files, store, store_requests
from yaosu.uncoded.allocation import allocate
from yaosu.uncoded.model import IN, Draw, Entered, Lot

CHINA = ZoneInfo("Asia/Shanghai")
COUNTS_SHOWN = 50
ZONE_MAX = 60
SOON_DAYS = 90
"""A clearing day this near is shown on the overview; as far ahead as the first reminder of list `deadline`."""


def today() -> date:
    """The calendar day in China, by which dates count."""
    return datetime.now(UTC).astimezone(CHINA).date()


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lots are wanted."""

    drug_id: int | None = None
    batch_no: str = ""
    text: str = ""
    """Part of a product's name, a batch number, an invoice number or a zone."""
    open: bool = True
    """Only lots with goods left."""


def not_found(subject: Subject, zh: str, en: str) -> YaosuError:
    """Not there, or not theirs to see: the same answer."""
    return YaosuError("not_found", {"what": zh if subject.lang == "zh" else en})


def org_of(subject: Subject, org: int | None) -> int:
    """The organisation whose account is asked for; the subject's own when none is named."""
    return org if org is not None else subject.org


async def book(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    org: int | None = None,
    drug: int | None = None,
    batch: int | None = None,
) -> list[Lot]:
    """Every lot of an organisation's uncoded account, the oldest purchase first, those used up included.

    Of another organisation only what the subject may see of it (D10), and the read is recorded.
    """
    subject.require("stock.read")
    owner = org_of(subject, org)
    await record_read(conn, subject, "uncoded stock", owner)
    return build(registry, owner, *await store.book(conn, visible(subject), owner, drug, batch))


def build(
    registry: Registry,
    org: int,
    moves: list[Record],
    papers: list[Record],
    named: dict[str, int],
    batches: dict[tuple[int, int], Record],
) -> list[Lot]:
    """Lots from what the ledger and the papers say."""
    day = today()
    card = registry.org(org)
    due = clear_by(registry, card.region, card.type, day) if card is not None else None
    paper_of = {(p["bill_no"], p["drug_id"], p["batch_id"]): p for p in papers}
    groups: dict[tuple[int, int], list[Record]] = {}
    for row in moves:
        groups.setdefault((row["drug_id"], row["batch_id"]), []).append(row)
    lots = []
    for (drug_id, batch_id), rows in groups.items():
        entered, draws = [], []
        for row in rows:
            if row["type"] == IN:
                key = (row["bill_no"], drug_id, batch_id)
                paper = paper_of.get(key)
                # the bill in force says it; papers say it where the bill does not
                bought = store.day_of(row["invoice_date"]) or (paper["invoice_date"] if paper else None)
                lot_id = paper["id"] if paper else None
                entered.append(Entered(key, row["qty"], row["at"], row["bill_id"], bought, lot_id))
            else:
                number = row["bill_no"]
                draws.append(
                    Draw(number, row["type"], -row["qty"], row["at"], row["bill_id"], named.get(number))
                )
        given, _ = allocate(entered, draws)
        free = card is not None and never_coded(registry, drug_id, card.region, day)
        facts = batches[drug_id, batch_id]
        heads = {r["bill_no"]: r for r in rows}
        for one in entered:
            if one.qty <= 0:
                continue
            head, paper = heads[one.key[0]], paper_of.get(one.key)
            out = given[one.key]
            lots.append(
                Lot(
                    id=one.lot_id,
                    org=org,
                    drug_id=drug_id,
                    batch_id=batch_id,
                    batch_no=facts["batch_no"],
                    produced_on=facts["produced_on"],
                    expires_on=facts["expires_on"],
                    bill_no=one.key[0],
                    bill_id=one.bill_id,
                    entered_at=one.at,
                    entered=one.qty,
                    left=one.qty - sum(n for _, n in out),
                    zone=paper["zone"] if paper else "",
                    supplier=head["supplier"] or (paper["supplier"] if paper else None),
                    supplier_name=head["supplier_name"] or (paper["supplier_name"] if paper else ""),
                    invoice_no=head["invoice_no"] or (paper["invoice_no"] if paper else ""),
                    invoice_date=one.bought,
                    proof_id=paper["proof_id"] if paper else None,
                    proof_name=paper["proof_name"] if paper else "",
                    exempt=free,
                    due=due.date if due is not None and not free else None,
                    draws=out,
                )
            )
    return sorted(
        lots, key=lambda lot: (lot.invoice_date or date.max, lot.bill_id, lot.drug_id, lot.batch_id)
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the uncoded account of an organisation waits for."""

    asked: int = 0
    """Requests for codes that it has not answered as a supplier."""
    overdue: int = 0
    """Lots left although their clearing day has passed."""
    due: int = 0
    """Lots whose clearing day is within `SOON_DAYS`."""
    bare: int = 0
    """Lots without a proof on file."""
    days: int = 0
    """Days to the nearest clearing day among `due`."""


async def waiting(conn: Connection, registry: Registry, subject: Subject) -> Waiting:
    """Counts for the overview; reads the account only where there is uncoded stock."""
    subject.require("stock.read")
    row = await store_requests.waiting(conn, visible(subject), subject.org)
    if not row["stock"]:
        return Waiting(asked=row["asked"])
    day = today()
    left = [lot for lot in await book(conn, registry, subject) if lot.left > 0]
    soon = [
        (lot.due - day).days
        for lot in left
        if lot.due is not None and not lot.exempt and 0 <= (lot.due - day).days <= SOON_DAYS
    ]
    return Waiting(
        asked=row["asked"],
        overdue=sum(lot.overdue(day) for lot in left),
        due=len(soon),
        bare=sum(lot.id is None for lot in left),
        days=min(soon, default=0),
    )


def chosen(registry: Registry, lots: list[Lot], wanted: Filter) -> list[Lot]:
    """The lots that a filter asks for."""
    words = wanted.text.casefold().split()

    def fits(lot: Lot) -> bool:
        if wanted.open and lot.left <= 0:
            return False
        if wanted.drug_id is not None and lot.drug_id != wanted.drug_id:
            return False
        if wanted.batch_no and lot.batch_no != wanted.batch_no:
            return False
        if not words:
            return True
        product = registry.product(lot.drug_id)
        name = f"{product.generic_name} {product.trade_name}" if product is not None else ""
        text = (
            f"{name} {lot.batch_no} {lot.invoice_no} {lot.zone} {lot.supplier_name} {lot.bill_no}".casefold()
        )
        return all(word in text for word in words)

    return [lot for lot in lots if fits(lot)]


async def lot(conn: Connection, registry: Registry, subject: Subject, lot_id: int) -> Lot:
    """One lot with what left it; refused (`not_found`)."""
    subject.require("stock.read")
    key = await store.lot_key(conn, visible(subject), lot_id)
    if key is not None:
        for one in await book(conn, registry, subject, key["org"], key["drug_id"], key["batch_id"]):
            if one.id == lot_id:
                return one
    raise not_found(subject, "无码库存批次", "Lot of uncoded stock")


def dates(registry: Registry, subject: Subject, org: int | None = None) -> list[Deadline]:
    """The dates of the uncoded account for an organisation, with the days that are left (R-D1)."""
    card = registry.org(org_of(subject, org))
    if card is None:
        return []
    return countdown(registry, card.region, card.type, today(), subject.lang)


async def keep_proof(conn: Connection, subject: Subject, data: bytes, name: str) -> int:
    """Keep a proof (PDF, JPEG or PNG, at most 5 MB); its number. The same bytes twice are one proof.

    Refused: `uncoded_proof_empty`, `uncoded_proof_large`, `uncoded_proof_kind`.
    """
    subject.require("bill.write")
    media = files.media_of(data)
    digest = await asyncio.to_thread(lambda: hashlib.sha256(data).digest())
    shown = files.shown_name(name, media)
    made = await store.put_proof(conn, subject.org, media, shown, digest, data, subject.account_id)
    await audit.record(conn, subject, "uncoded.proof", ("uncoded_proof", made), {"bytes": len(data)})
    return made


async def proof(conn: Connection, subject: Subject, proof_id: int) -> Record:
    """A proof with its bytes; refused (`not_found`). Reads by others than its organisation are recorded."""
    subject.require("stock.read")
    found = await store.proof(conn, visible(subject), proof_id)
    if found is None:
        raise not_found(subject, "凭证", "Proof")
    await record_read(conn, subject, f"uncoded proof {proof_id}", found["org"])
    return found


async def move(conn: Connection, subject: Subject, lot_id: int, zone: str) -> None:
    """Say where in the 专区 a lot stands now; audited. Refused: `field_invalid`, `not_found`."""
    subject.require("bill.write")
    text = zone_of(zone, "zone")
    if await conn.fetchval(store.MOVE_LOT, lot_id, subject.org, text) is None:
        raise not_found(subject, "无码库存批次", "Lot of uncoded stock")
    await audit.record(conn, subject, "uncoded.zone", ("uncoded_lot", lot_id), {"zone": text})


def zone_of(text: str, where: str) -> str:
    """A place in the 专区, cleaned; refused (`uncoded_invalid`) when empty or too long."""
    found = text.strip()
    if not found or len(found) > ZONE_MAX or not found.isprintable():
        raise YaosuError("uncoded_invalid", {"count": 1}, [Finding("uncoded_zone", {"max": ZONE_MAX}, where)])
    free_text.refuse(**{where: found})
    return found
