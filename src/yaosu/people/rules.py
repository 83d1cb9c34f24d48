"""Which sales demand what: list `sale_rule` over product, region, type of organisation and day (R-C2, R-C4, D11).

Asked for every sale on the platform, so products without a listed flag cost one set operation; the products that
count together are gathered once per change of the registry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from weakref import WeakKeyDictionary

from yaosu.people.model import SaleRule
from yaosu.registry.model import Item, Product
from yaosu.registry.resolver import Registry

__all__ = ["SaleRule", "kept_years", "products_under", "sale_rules", "shortest_years", "texts"]

LIST = "sale_rule"


@dataclass(frozen=True, slots=True)
class _Known:
    """What is worth remembering of one state of the registry."""

    generation: int
    flags: frozenset[str]
    """Flags that any rule of any region and time names."""
    listed: tuple[Product, ...]
    """Products that carry one of them."""


_known: WeakKeyDictionary[Registry, _Known] = WeakKeyDictionary()


def _state(registry: Registry) -> _Known:
    found = _known.get(registry)
    if found is None or found.generation != registry.generation:
        flags = frozenset(f for i in registry.lists.whole(LIST).items for f in texts(i, "flags"))
        listed = tuple(p for p in registry.products().values() if p.flags & flags)
        found = _known[registry] = _Known(registry.generation, flags, listed)
    return found


def texts(item: Item, name: str) -> list[str]:
    """A list-valued column of an item as texts; empty when it is not there."""
    value = item.attrs.get(name)
    return [str(v) for v in value] if isinstance(value, (list, tuple)) else []


def _numbers(item: Item, name: str) -> frozenset[int]:
    return frozenset(int(v) for v in texts(item, name))


def _number(item: Item, name: str) -> int | None:
    value = item.attrs.get(name)
    return int(str(value)) if value is not None else None


def _covers(item: Item, product: Product) -> bool:
    """Whether the rule is about this product, wherever it is sold."""
    kinds = texts(item, "prescription")
    return bool(product.flags & frozenset(texts(item, "flags"))) and (
        not kinds or product.prescription in kinds
    )


def sale_rules(
    registry: Registry, drug_ids: Iterable[int], region: str, org_type: str | int, day: date
) -> dict[int, SaleRule]:
    """The rule of each product that has one, for an organisation of this type in this region on this day.

    Products that nothing is demanded of are left out: for most sales the answer is empty.
    """
    known = _state(registry)
    found: dict[int, SaleRule] = {}
    for drug_id in drug_ids:
        product = registry.product(drug_id)
        if product is None or not product.flags & known.flags:
            continue
        items = [
            item
            for item in registry.lists.get(LIST, day, region)
            if str(org_type) in texts(item, "org_types") and _covers(item, product)
        ]
        if items:
            found[drug_id] = reduce(_both, (_rule(item, product, known.listed) for item in items))
    return found


def _rule(item: Item, product: Product, listed: Sequence[Product]) -> SaleRule:
    return SaleRule(
        codes=(item.code,),
        bill_types=_numbers(item, "bill_types") | _numbers(item, "forbidden"),
        needs=frozenset(texts(item, "needs")),
        per_sale=_number(item, "per_sale"),
        per_person=_number(item, "per_person"),
        period_days=_number(item, "period_days") or 0,
        forbidden=_numbers(item, "forbidden"),
        adult=bool(item.attrs.get("adult")),
        register=bool(item.attrs.get("register")),
        counted=frozenset(p.id for p in listed if _covers(item, p)),
        product=product.generic_name,
        name_zh=item.zh,
        name_en=item.en,
        source=item.source,
    )


def _both(one: SaleRule, other: SaleRule) -> SaleRule:
    """Two rules of one product as one: everything either demands, the smaller limits, the longer period.

    That somebody may come as an agent must hold under both.
    """
    needs = one.needs | other.needs
    if "agent_allowed" not in one.needs & other.needs:
        needs -= {"agent_allowed"}
    return SaleRule(
        codes=one.codes + other.codes,
        bill_types=one.bill_types | other.bill_types,
        needs=needs,
        per_sale=_least(one.per_sale, other.per_sale),
        per_person=_least(one.per_person, other.per_person),
        period_days=max(one.period_days, other.period_days),
        forbidden=one.forbidden | other.forbidden,
        adult=one.adult or other.adult,
        register=one.register or other.register,
        counted=one.counted | other.counted,
        product=one.product,
        name_zh=f"{one.name_zh}；{other.name_zh}",
        name_en=f"{one.name_en}; {other.name_en}",
        source=f"{one.source}；{other.source}",
    )


def _least(one: int | None, other: int | None) -> int | None:
    given = [n for n in (one, other) if n is not None]
    return min(given) if given else None


def products_under(registry: Registry, codes: Iterable[str]) -> frozenset[int]:
    """Products that fall under any of these rules, whatever region and time."""
    wanted = frozenset(codes)
    items = [i for i in registry.lists.whole(LIST).items if i.code in wanted]
    return frozenset(p.id for p in _state(registry).listed if any(_covers(i, p) for i in items))


def kept_years(registry: Registry, product: Product | None) -> tuple[int, int]:
    """How long a purchase keeps its person: years after the batch's expiry, years after the sale (list `retention`).

    The longest of all rules of the product; of a product without one, the term of the real-name register.
    """
    lists = registry.lists
    names = {"real_name"}
    if product is not None:
        covering = [i for i in lists.whole(LIST).items if _covers(i, product)]
        names = {str(i.attrs.get("retention") or "real_name") for i in covering} or names
    terms = [lists.item("retention", name) for name in names]
    years: list[Mapping[str, object]] = [t.attrs for t in terms if t is not None]
    if not years:
        # a term the operator ended without a successor: nothing is due until there is one
        return 100, 100
    return (
        max(int(str(y.get("years_after_expiry", 0))) for y in years),
        max(int(str(y.get("years_after_record", 0))) for y in years),
    )


def shortest_years(registry: Registry) -> int:
    """No person is due before this many years after the last purchase."""
    lists = registry.lists
    names = {"real_name"} | {str(i.attrs.get("retention") or "real_name") for i in lists.whole(LIST).items}
    found = [lists.item("retention", name) for name in names]
    return min((int(str(t.attrs.get("years_after_record", 0))) for t in found if t is not None), default=100)
