"""How long an opened package of a product may be used (拆零, R-C9): the code list `opened_life`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from yaosu.registry.lists import CodeLists
from yaosu.registry.model import Product
from yaosu.registry.resolver import Registry


def opened_life(registry: Registry, drug_id: int, region: str = "") -> timedelta | None:
    """How long an opened box may be used; None: until its batch expires (also for an unknown product).

    The shortest of the entries that fit the product, by dosage form, name, package size and flags.
    """
    product = registry.product(drug_id)
    return None if product is None else _life(registry.lists, product, region)


def _life(lists: CodeLists, product: Product, region: str) -> timedelta | None:
    lives = [
        life
        for item in lists.get("opened_life", region=region)
        if _fits(item.attrs, product) and (life := _duration(item.attrs)) is not None
    ]
    return min(lives, default=None)


def _duration(attrs: Mapping[str, object]) -> timedelta | None:
    """The item's `hours` or `days`; None for an item that states neither as a positive number."""
    for unit in ("hours", "days"):
        number = attrs.get(unit)
        if isinstance(number, (int, float)) and not isinstance(number, bool) and number > 0:
            return timedelta(**{unit: number})
    return None


def _fits(attrs: Mapping[str, object], product: Product) -> bool:
    texts = {"forms": product.dosage_form, "names": product.generic_name, "packages": product.package_size}
    for criterion, text in texts.items():
        wanted = attrs.get(criterion)
        if isinstance(wanted, list) and wanted and not any(str(w) in text for w in wanted):
            return False
    flags = attrs.get("flags")
    return not (isinstance(flags, list) and flags) or bool(product.flags & {str(f) for f in flags})
