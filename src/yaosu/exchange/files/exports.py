"""Bills and package relations out of the system, in the forms that others read (R-I1, R-X10)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from asyncpg import Record

from yaosu.access.visibility import note_reads, visible
from yaosu.circulation import store_read as circulation
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.exchange.files import store_export as store
from yaosu.exchange.files import writers
from yaosu.exchange.files.formats.cells import CHINA
from yaosu.exchange.files.writers import OutBill, OutLine, Package
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

DAYS_MAX = 92
BILLS_MAX = 20_000
LINES_MAX = 200_000
PACKAGES_MAX = 200_000
TREE_PAGE = 200
CONTAINER = 90
"""Level of logistics containers, which a relation file cannot name."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to export: bills that happened from `since` until before `until`, of these types or all."""

    since: datetime
    until: datetime
    format: str
    types: tuple[int, ...] = ()
    bill_no: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """An exported file."""

    name: str
    media: str
    data: bytes
    bills: int
    lines: int


async def bills(conn: Connection, registry: Registry, subject: Subject, wanted: Wanted) -> Made:
    """Bills of the organisation, its places and stores.

    Refused: `file_export_format`, `file_export_period`, `file_export_large`, `file_no_lines`.
    """
    subject.require("bill.read")
    form = writers.FORMS.get(wanted.format)
    if form is None:
        raise YaosuError("file_export_format", {"format": wanted.format[:20]})
    if not timedelta(0) < wanted.until - wanted.since <= timedelta(days=DAYS_MAX):
        raise YaosuError("file_export_period", {"days": DAYS_MAX})
    org = subject.org
    owners = [org, *(p.id for p in registry.places_of(org)), *registry.stores(org)]
    sight = visible(subject)
    heads = await store.bills(
        conn, sight, owners, wanted.since, wanted.until, wanted.types, wanted.bill_no, BILLS_MAX + 1
    )
    if len(heads) > BILLS_MAX or sum(h["lines"] for h in heads) > LINES_MAX:
        raise YaosuError("file_export_large", {"limit": LINES_MAX})
    if not heads:
        raise YaosuError("file_no_lines")
    await note_reads(
        conn, [(subject, f"bill {h['id']} export", h["owner"]) for h in heads if h["owner"] != org]
    )
    codes, quantities = await store.lines(conn, sight, heads)
    made = _bills(registry, org, heads, codes, quantities)
    data = await asyncio.to_thread(form.write, made)
    name = f"yaosu-{wanted.since:%Y%m%d}-{wanted.until:%Y%m%d}.{form.ending}"
    return Made(name, form.media, data, len(made), sum(len(b.lines) for b in made))


def _bills(
    registry: Registry,
    org: int,
    heads: Sequence[Record],
    codes: Sequence[Record],
    quantities: Sequence[Record],
) -> list[OutBill]:
    lines: dict[int, list[OutLine]] = defaultdict(list)
    for row in codes:
        product = registry.product(row["drug_id"])
        lines[row["bill_id"]].append(
            OutLine(
                code=row["code"],
                product=product.generic_name if product is not None else "",
                product_code=product.levels[0].identifier if product is not None else "",
                batch_no=row["batch_no"] or "",
                produced_on=row["produced_on"],
                expires_on=row["expires_on"],
                parts=row["parts"] or 0,
            )
        )
    for row in quantities:
        product = registry.product(row["drug_id"])
        lines[row["bill_id"]].append(
            OutLine(
                code="",
                product=product.generic_name if product is not None else "",
                product_code=product.levels[0].identifier if product is not None else "",
                batch_no=row["batch_no"],
                produced_on=row["produced_on"],
                expires_on=row["expires_on"],
                qty=row["qty"],
            )
        )

    def called(org_id: int | None) -> str:
        card = registry.org(org_id) if org_id else None
        return (card.uscc or card.name) if card is not None else ""

    def named(org_id: int | None) -> str:
        card = registry.org(org_id) if org_id else None
        return card.name if card is not None else ""

    return [
        OutBill(
            number=h["bill_no"],
            type=h["type"],
            at=h["happened_at"],
            sender=called(h["from_org"]),
            receiver=called(h["to_org"]),
            supplier=named(h["from_org"] or h["owner"]),
            principal=called(h["principal"]),
            carrier=called(h["carrier"]),
            direct=called(h["direct_org"]),
            owner=called(h["owner"]) if h["owner"] != org else "",
            notice=h["notice_no"] or "",
            header={str(k): str(v) for k, v in (h["header"] or {}).items()},
            lines=lines[h["id"]],
        )
        for h in heads
        if lines[h["id"]]
    ]


async def relation(conn: Connection, registry: Registry, subject: Subject, bill_id: int) -> Made:
    """关联关系 XML of the packages on a shipping bill and all inside them, for its sender and its receiver (R-B1).

    Refused: `not_found` (also for bills that ship nothing), `file_export_product`, `file_export_large`.
    """
    subject.require("bill.read")
    sight = visible(subject)
    found = await circulation.notice(conn, sight, bill_id)
    if found is None:
        raise YaosuError("not_found", {"what": "发货单据 / shipping bill"})
    head, batch_lines = found
    await note_reads(conn, [(subject, f"bill {bill_id} packages", head["from_org"])])
    rows: list[Any] = []
    after: str | None = None
    while True:
        page = await circulation.notice_tree(conn, sight, bill_id, after, TREE_PAGE) or []
        outer = [r["code"] for r in page if r["parent"] is None]
        rows.extend(page)
        if len(rows) > PACKAGES_MAX:
            raise YaosuError("file_export_large", {"limit": PACKAGES_MAX})
        if len(outer) < TREE_PAGE:
            break
        after = max(outer)
    if not rows:
        raise YaosuError("file_no_lines")
    facts = {(b["drug_id"], b["batch_id"]): b for b in batch_lines}
    packages = []
    for row in rows:
        if row["level"] >= CONTAINER:
            continue
        product, batch = registry.product(row["drug_id"]), facts.get((row["drug_id"], row["batch_id"]))
        level = (
            next((lv for lv in product.levels if lv.level == row["level"]), None)
            if product is not None
            else None
        )
        if product is None or batch is None or level is None:
            raise YaosuError("file_export_product", {"what": row["code"]})
        packages.append(
            Package(
                row["code"],
                row["parent"] or "",
                row["level"],
                row["qty"] >= level.units_per,
                product,
                dict(batch),
            )
        )
    data = await asyncio.to_thread(writers.relation, packages)
    stamp = head["shipped_at"].astimezone(CHINA)
    return Made(f"Relation_{bill_id}_{stamp:%Y%m%d%H%M%S}.xml", "application/xml", data, 1, len(packages))
