"""Base data as they go to other systems (协同平台, regulators): firms, products with their ladder, code rules.

Parties are named by 统一社会信用代码, or `kind:number` where they have none; our own numbers mean nothing outside. No
names, telephones or addresses of persons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from yaosu.db.engine import Connection
from yaosu.exchange import store_basedata as store
from yaosu.registry import service
from yaosu.registry.model import Filing, OrgCard, Product
from yaosu.registry.resolver import Registry
from yaosu.subject import SYSTEM

PAGE = 200


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of base data. `ours` is the number of the organisation, filing or product."""

    kind: str
    """firm, rule or product."""
    key: str
    ours: int
    body: Mapping[str, Any]
    firm: str
    """The firm it belongs to."""


class Parties:
    """Our organisations under the numbers others know them by."""

    def __init__(
        self,
        registry: Registry,
        other_ids: Mapping[int, str],
        foreign: set[int],
        sandbox: frozenset[int] | set[int] = frozenset(),
    ) -> None:
        self.registry = registry
        self.other_ids = other_ids
        self.foreign = foreign
        self.sandbox = sandbox

    @classmethod
    async def load(cls, conn: Connection, registry: Registry) -> Parties:
        """As of now."""
        others = (await store.other_ids(conn), await store.foreign(conn), await store.sandbox(conn))
        return cls(registry, *others)

    def key(self, org_id: int | None) -> str:
        """The organisation's number outside; a place inside one stands for the organisation. '' for none."""
        card = self.registry.org(org_id) if org_id is not None else None
        if card is not None and card.place and card.parent_id is not None:
            card = self.registry.org(card.parent_id)
        if card is None:
            return ""
        return card.uscc or self.other_ids.get(card.id, "")

    def name(self, org_id: int | None) -> str:
        """The organisation's name, '' for none."""
        card = self.registry.org(org_id) if org_id is not None else None
        return card.name if card is not None else ""


def firm_body(parties: Parties, card: OrgCard, customer: bool) -> dict[str, Any]:
    """企业基本信息."""
    body = {
        "usc_id": parties.key(card.id),
        "name": card.name,
        "short_name": card.short_name,
        "type": card.type,
        "sub_type": card.sub_type,
        "region": card.region,
        "parent": parties.key(card.parent_id),
        "domestic_agent": parties.key(card.domestic_agent_id),
        "status": card.status,
        "customer": customer,
    }
    return {k: v for k, v in body.items() if v not in (None, "")}


def _day(value: date | None) -> str:
    return value.isoformat() if value is not None else ""


def product_body(parties: Parties, product: Product) -> dict[str, Any]:
    """药品基本信息与包装级别 (standards §5.2)."""
    body: dict[str, Any] = {
        name: getattr(product, name)
        for name in (
            "generic_name", "english_name", "trade_name", "dosage_form", "strength", "package_size", "prep_unit",
            "prep_units_per", "shelf_life", "shelf_life_unit", "expiry_rule", "approval_no", "import_cert_no",
            "import_permit_no", "registration_class", "prescription", "essential", "physic_type", "status",
        )
    }  # fmt: skip
    body |= {
        "approval_expires": _day(product.approval_expires),
        "import_cert_expires": _day(product.import_cert_expires),
        "import_permit_expires": _day(product.import_permit_expires),
        "flags": sorted(product.flags),
        "mah": parties.key(product.mah_id),
        "manufacturer": parties.key(product.manufacturer_id),
        "packer": parties.key(product.packer_id),
        "agent": parties.key(product.agent_id),
        "ratio": product.ratio,
        "levels": [
            {
                "level": v.level,
                "name": v.name,
                "contains": v.contains,
                "scheme": v.scheme,
                "identifier": v.identifier,
            }
            for v in product.levels
        ],
        "links": [
            {"kind": kind, "value": value, **({"level": level} if level is not None else {})}
            for kind, value, level in sorted(product.links, key=lambda x: (x[0], x[1], x[2] or 0))
        ],
    }
    return {k: v for k, v in body.items() if v not in (None, "")}


def rule_body(parties: Parties, filing: Filing) -> dict[str, Any]:
    """编码规则与药品标识码 (standards §6.4)."""
    body = {
        "rule_no": str(filing.id),
        "usc_id": parties.key(filing.org_id),
        "scheme": filing.scheme,
        "rule_text": filing.rule_text,
        "pattern": filing.pattern,
        "pattern_upper": filing.pattern_upper if filing.pattern else None,
        "issuer": filing.issuer,
        "samples": list(filing.samples),
        "prefixes": list(filing.prefixes) if not filing.issuer else [],
        "query_url": filing.query_url,
        "filed_on": filing.filed_on.isoformat(),
        "status": filing.status,
    }
    return {k: v for k, v in body.items() if v not in (None, "", [])}


async def filings(conn: Connection, system_id: int) -> list[Filing]:
    """Every filing for one trace system."""
    found: list[Filing] = []
    after = 0
    while True:
        page = await service.list_filings(conn, SYSTEM, after, PAGE)
        found += [f for f in page if f.system_id == system_id]
        if len(page) < PAGE:
            return found
        after = page[-1].id


def firms(parties: Parties) -> Iterator[Item]:
    """Every organisation that works here: no places, no authorities, nobody of other systems or sandboxes."""
    for card in sorted(parties.registry.orgs(), key=lambda c: (c.parent_id is not None, c.id)):
        key = parties.key(card.id)
        if card.place or not key or card.id in parties.foreign | parties.sandbox or card.type == 110:
            continue
        yield Item("firm", key, card.id, firm_body(parties, card, True), key)


async def everything(conn: Connection, registry: Registry) -> list[Item]:
    """All base data of our own system, in an order in which each piece can be filed: firms, rules, products."""
    parties = await Parties.load(conn, registry)
    own = next((s.id for s in registry.systems if s.own), 0)
    found = list(firms(parties))
    known = {item.key for item in found}
    rules = [f for f in await filings(conn, own) if f.org_id not in parties.sandbox]
    products = [
        p for p in registry.products().values() if _is_ours(registry, p) and p.mah_id not in parties.sandbox
    ]
    # a holder abroad or one that works elsewhere may still have its codes traced here
    for org_id in sorted(
        {f.org_id for f in rules} | {o for p in products for o in (p.mah_id, p.manufacturer_id)}
    ):
        card, key = registry.org(org_id), parties.key(org_id)
        if card is not None and key and key not in known:
            known.add(key)
            customer = org_id not in parties.foreign
            found.append(Item("firm", key, org_id, firm_body(parties, card, customer), key))
    found += [Item("rule", str(f.id), f.id, rule_body(parties, f), parties.key(f.org_id)) for f in rules]
    found += [
        Item("product", p.levels[0].identifier, p.id, product_body(parties, p), parties.key(p.mah_id))
        for p in sorted(products, key=lambda p: p.id)
    ]
    return found


def _is_ours(registry: Registry, product: Product) -> bool:
    return bool(product.levels) and registry.resolve_prefix(product.levels[0].identifier).kind == "known"
