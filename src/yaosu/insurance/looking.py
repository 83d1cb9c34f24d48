"""Everything the rules need of the scanned codes, in a handful of statements however many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from asyncpg import Record

from yaosu.codes import NotACode
from yaosu.db.engine import Connection
from yaosu.insurance import store
from yaosu.insurance.model import Institution, Known, Limits, OwnSale, Settled
from yaosu.registry.model import Product
from yaosu.registry.resolver import Registry
from yaosu.trace import verify
from yaosu.trace.model import Found, Key
from yaosu.trace.verify import Asked, BatchMemory, Looked

YIBAO = "yibao"
"""List `link_kind`: 医保药品编码."""


@dataclass(slots=True)
class Seen:
    """One scan with what the database says of it; `rows` are those of the settlement ledger, oldest first."""

    asked: Asked
    code: str
    drug_id: int
    sold_at: datetime
    found: Found | None = None
    rows: list[tuple[Record, Settled]] = field(default_factory=list)

    @property
    def key(self) -> tuple[int, str]:
        """Under which the code stands in the settlement ledger."""
        return (self.drug_id, self.code)


@dataclass(slots=True)
class Goods:
    """All scans of an act, and the facts they share."""

    seen: list[Seen]
    looked: Looked
    family: tuple[int, ...]
    """The institution's organisation and its places; empty where it is not on this platform."""
    late: Mapping[Key, tuple[bool, datetime | None]] = field(default_factory=dict)
    sales: Mapping[Key, tuple[str | None, datetime | None, bool]] = field(default_factory=dict)


def ask(registry: Registry, raws: Sequence[tuple[str, datetime]]) -> list[Seen]:
    """Read and resolve scans, each with the time of its sale; never fails."""
    made = []
    for raw, sold_at in raws:
        asked = verify.ask(registry, raw)
        if asked.code is None:
            made.append(Seen(asked, asked.raw, 0, sold_at))
            continue
        drug_id = asked.resolution.drug_id if asked.resolution is not None else None
        made.append(Seen(asked, asked.code.text, drug_id or 0, sold_at))
    return made


def lockable(seen: Sequence[Seen]) -> list[str]:
    """The codes of an act that can be settled."""
    return [one.code for one in seen if one.asked.code is not None]


def yibao_of(product: Product | None) -> frozenset[str]:
    """医保药品编码 of a product."""
    if product is None:
        return frozenset()
    return frozenset(value for kind, value, _ in product.links if kind == YIBAO)


def billed(registry: Registry, med_list_codg: str) -> list[Product]:
    """Products that carry a 医保药品编码; several where packs of one drug share it."""
    if not med_list_codg:
        return []
    found = (registry.product(drug_id) for drug_id in registry.linked(med_list_codg))
    return [p for p in found if p is not None and med_list_codg in yibao_of(p)]


async def look(
    conn: Connection,
    registry: Registry,
    memory: BatchMemory,
    acts: Sequence[tuple[Institution, list[Seen], Limits]],
) -> list[Goods]:
    """Units, batches, stops, settlements; and of what lies before or far from its latest event, the older story.

    Of any number of acts, each of an institution, at once; their codes differ or they belong to one act.
    """
    scans = [one for _, seen, _ in acts for one in seen]
    looked = await verify.look(conn, [one.asked for one in scans], memory)
    wanted: set[tuple[int, str]] = set()
    for one in scans:
        if one.asked.code is None:
            continue
        # a code whose product was registered later stands under no product
        wanted |= {one.key, (0, one.code)}
        one.found = next((looked.found[k] for k in one.asked.keys if k in looked.found), None)
        if one.found is not None:
            one.drug_id = one.found.unit.drug_id
            # a package settled as a whole settles what is in it
            wanted |= {(row.drug_id, row.code) for row in one.found.path}
    rows = await store.settlements(conn, wanted)
    for one in scans:
        codes = [row.code for row in one.found.path] if one.found is not None else [one.code]
        one.rows = [row for code in codes for row in rows.get(code, ())]
    found = []
    for institution, seen, limits in acts:
        goods = Goods(seen, looked, _family(registry, institution))
        await _older(conn, goods, limits)
        found.append(goods)
    return found


def _family(registry: Registry, institution: Institution) -> tuple[int, ...]:
    if institution.org is None:
        return ()
    return tuple(card.id for card in registry.family_of(institution.org)) or (institution.org,)


async def _older(conn: Connection, goods: Goods, limits: Limits) -> None:
    """The older story of units whose latest event lies after the sale, or is an own sale far from it."""
    late: dict[Key, tuple[int, str, int]] = {}
    sales: dict[Key, tuple[int, str, int]] = {}
    for one in goods.seen:
        if one.found is None:
            continue
        unit, root = one.found.unit, one.found.root
        key = (unit.drug_id, unit.code)
        if root.since is not None and one.sold_at < root.since:
            late[key] = (unit.drug_id, unit.code, unit.last_bill)
        if root.status == "S" and root.holder in goods.family and root.since is not None:
            apart = abs((one.sold_at - root.since).total_seconds())
            if apart > limits.same_act_s:
                sales[key] = (unit.drug_id, unit.code, root.last_bill)
    if late:
        goods.late = dict(zip(late, await store.late(conn, list(late.values()), goods.family), strict=True))
    if sales:
        goods.sales = dict(
            zip(sales, await store.own_sales(conn, list(sales.values()), goods.family), strict=True)
        )


def known(registry: Registry, goods: Goods, one: Seen, counted: Sequence[Settled]) -> Known:
    """One scan as the rules see it; `counted` are the settlements of other acts."""
    asked = one.asked
    if asked.refusal is not None or asked.code is None:
        refusal = asked.refusal or NotACode("code_unknown", {"length": "0"})
        kind = "retail_barcode" if "retail" in refusal.code else "not_a_code"
        return Known(kind, one.code, refusal=(refusal.code, refusal.params))  # type: ignore[arg-type]
    resolution = asked.resolution
    product = registry.product(one.drug_id)
    name = " ".join(filter(None, (product.generic_name, product.strength))) if product else ""
    yibao = yibao_of(product)
    if one.found is None:
        if resolution is not None and resolution.kind == "elsewhere":
            system = resolution.system.name if resolution.system is not None else "—"
            return Known(
                "elsewhere", one.code, one.drug_id, system=system, system_url=resolution.query_url,
                product=name, yibao=yibao, per_pack=product.prep_units_per if product else 1, settled=counted,
            )  # fmt: skip
        kind = "unknown" if resolution is None or resolution.kind == "unknown" else "not_activated"
        return Known(kind, one.code, one.drug_id, product=name, settled=counted)  # type: ignore[arg-type]
    return _unit(goods, one, one.found, product, name, counted)


def _unit(
    goods: Goods, one: Seen, found: Found, product: Product | None, name: str, counted: Sequence[Settled]
) -> Known:
    unit, root = found.unit, found.root
    key = (unit.drug_id, unit.code)
    family = goods.family
    facts = goods.looked.batches.get(unit.batch_id)
    had, first_at = goods.late.get(key, (False, None))
    bill_no, _, opened = goods.sales.get(key, (None, None, False))
    sold_here = root.status == "S" and root.holder in family
    sale = None
    if sold_here and root.since is not None:
        sale = OwnSale(root.last_bill, bill_no or "", root.since)
    stops = goods.looked.stops.get(key, ())
    return Known(
        "unit",
        one.code,
        unit.drug_id,
        product=name,
        yibao=yibao_of(product),
        per_pack=product.prep_units_per if product is not None else 1,
        packs=unit.qty,
        level=unit.level,
        status=root.status or "",
        batch_no=facts.batch_no if facts is not None else "",
        expires_on=facts.expires_on if facts is not None else None,
        activated_at=first_at,
        stops=[(s.kind, s.number, s.title, s.placed_at) for s in stops],
        held=had or (root.holder in family and root.status != "O"),
        coming=root.status == "O" and root.dest in family,
        stock_known=bool(family),
        own_sale=sale,
        opened=opened or root.status == "D",
        settled=counted,
    )
