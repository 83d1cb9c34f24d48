"""What the dates allow of goods without trace codes (无码库): purchase, sale, clearing (R-A6, R-B3, R-C8, R-D1).

All is data: list `deadline` says from which day what is blocked for whom in which region, list `exemption` which
goods never need a code. An entry of `deadline` whose code begins with `uncoded_` concerns the uncoded account; its
columns `blocks` (own bill types 21, 23) and `counted` (`bought`: the day of the purchase invoice decides, so that
historical stock may still be registered; `moved`: the day of the bill decides) make it refuse something.
Pure: reads the registry in memory only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from yaosu.errors import Finding
from yaosu.registry.model import Item

if TYPE_CHECKING:
    from yaosu.registry.lists import CodeLists
    from yaosu.registry.resolver import Registry

PURCHASE = 21
"""Own bill type 无码入库."""
SALE = 23
"""Own bill type 无码销售/结算."""

_GROUP = "uncoded_"
_REFUSED = {PURCHASE: "uncoded_purchase_blocked", SALE: "uncoded_settlement_blocked"}


@dataclass(frozen=True, slots=True)
class Deadline:
    """A date of the uncoded account, for one kind of organisation in one region."""

    code: str
    title: str
    """In the language asked for."""
    date: date
    days_left: int
    """Days from today to the date; 0 on the day itself, below nothing after it."""
    source: str

    @property
    def passed(self) -> bool:
        """Whether the date is reached."""
        return self.days_left <= 0


def exempt(lists: CodeLists, flags: frozenset[str], scope: str, region: str, on: date) -> Item | None:
    """The entry of list `exemption` that frees goods with `flags` from `coding` or `settlement` scans, or None."""
    for item in lists.get("exemption", on, region):
        if item.attrs.get("scope") == scope and item.attrs.get("flag") in flags:
            return item
    return None


def never_coded(registry: Registry, drug_id: int, region: str, on: date) -> bool:
    """Whether the product carries no trace code by nature (中药饮片 …): no date of the uncoded account binds it."""
    return exempt(registry.lists, _flags(registry, drug_id), "coding", region, on) is not None


def refusal(
    registry: Registry,
    *,
    bill_type: int,
    owner_region: str,
    owner_type: int,
    drug_id: int,
    on: date,
    purchased_on: date | None = None,
) -> Finding | None:
    """Why an uncoded movement of that product may not be recorded, or None when it may.

    `on` is the business day of the bill, `purchased_on` the day of the purchase invoice (header `invoice_date`);
    without it `on` stands for it. `bill_type` 21 is refused as `uncoded_purchase_blocked`, 23 as
    `uncoded_settlement_blocked`, each with date and source; other types never (goods may always be supplemented,
    returned and lost). An invoice later than the bill is `uncoded_invoice_later`. Never-coded products (R-A6) are
    not restricted; for 23 neither are those settled without a scan.
    """
    bought = purchased_on or on
    if bought > on:
        return Finding("uncoded_invoice_later", {"purchased_on": bought.isoformat(), "on": on.isoformat()})
    found = _REFUSED.get(bill_type)
    if found is None:
        return None
    flags = _flags(registry, drug_id)
    if exempt(registry.lists, flags, "coding", owner_region, on) is not None:
        return None
    if bill_type == SALE and exempt(registry.lists, flags, "settlement", owner_region, on) is not None:
        return None
    for item, day in dates_of(registry.lists, owner_region, owner_type, on):
        blocks = item.attrs.get("blocks")
        if not isinstance(blocks, list) or str(bill_type) not in {str(b) for b in blocks}:
            continue
        wanted = item.attrs.get("flags") or []
        if wanted and not (isinstance(wanted, list) and flags.intersection(wanted)):
            continue
        counted = bought if item.attrs.get("counted") == "bought" else on
        if counted >= day:
            product = registry.product(drug_id)
            return Finding(
                found,
                {
                    "date": day.isoformat(),
                    "source": item.source,
                    "rule": item.zh,
                    "rule_en": item.en,
                    "product": product.generic_name if product is not None else str(drug_id),
                    "purchased_on": bought.isoformat(),
                },
                "quantities",
            )
    return None


def countdown(
    registry: Registry, region: str, org_type: int, today: date, lang: str = "zh"
) -> list[Deadline]:
    """The dates of the uncoded account for that kind of organisation in that region, earliest first."""
    made = [
        Deadline(item.code, item.zh if lang == "zh" else item.en, day, (day - today).days, item.source)
        for item, day in dates_of(registry.lists, region, org_type, today)
    ]
    return sorted(made, key=lambda d: (d.date, d.code))


def clear_by(registry: Registry, region: str, org_type: int, today: date) -> Deadline | None:
    """The day by which historical uncoded stock is to be cleared there, or None where no such day is set."""
    return next((d for d in countdown(registry, region, org_type, today) if d.code == CLEARED), None)


CLEARED = "uncoded_stock_cleared"
"""Entry of list `deadline`: last day for clearing historical stock; what is left later is overdue (R-D1)."""


def _flags(registry: Registry, drug_id: int) -> frozenset[str]:
    product = registry.product(drug_id)
    return product.flags if product is not None else frozenset()


def dates_of(lists: CodeLists, region: str, org_type: int, on: date) -> Iterator[tuple[Item, date]]:
    """The entries of list `deadline` that concern the uncoded account there, with their dates."""
    for item in lists.get("deadline", on, region):
        if not item.code.startswith(_GROUP):
            continue
        actors = item.attrs.get("actors") or []
        if isinstance(actors, list) and actors and str(org_type) not in {str(a) for a in actors}:
            continue
        day = item.attrs.get("date")
        if isinstance(day, str):
            # the operator's own items come from JSON
            day = date.fromisoformat(day)
        if isinstance(day, date):
            yield item, day
