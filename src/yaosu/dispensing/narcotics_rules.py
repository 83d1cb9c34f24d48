"""Rules of narcotics as data: which products, how many confirm, how much a prescription may hold (D11, R-C4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, Decimal
from typing import Any

from yaosu.errors import Finding
from yaosu.registry.lists import CodeLists
from yaosu.registry.model import Item, Product

FLAGS = ("narcotic", "psych1", "psych2")
"""List `product_flag`: the products this part of the room keeps books of, the strictest first."""


@dataclass(frozen=True, slots=True)
class Dose:
    """How a prescription is to be taken: preparation units at a time, times a day, days."""

    units: Decimal
    times_per_day: int
    days: int

    @property
    def total(self) -> int:
        """Preparation units in all, in whole ones: half an ampoule a time is an ampoule each time it is opened."""
        once = self.units.to_integral_value(ROUND_CEILING)
        return int(once) * self.times_per_day * self.days


def kind_of(product: Product) -> str:
    """narcotic, psych1 or psych2; empty for a product that is none of them."""
    return next((flag for flag in FLAGS if flag in product.flags), "")


def _words(item: Item, name: str) -> tuple[str, ...]:
    value: Any = item.attrs.get(name) or ()
    return tuple(str(v) for v in value)


def form_of(lists: CodeLists, product: Product) -> Item:
    """The group of its dosage form (list `narcotic_form`)."""
    for item in lists.get("narcotic_form"):
        if any(word in product.dosage_form for word in _words(item, "words")):
            return item
    raise LookupError("the list narcotic_form ends with a group for everything else")


def comes_back(lists: CodeLists, product: Product) -> str:
    """What must be returned after use (空安瓿, 废贴); empty for nothing."""
    if kind_of(product) not in _flags_of_step(lists, "ampoule_return"):
        return ""
    return str(form_of(lists, product).attrs.get("comes_back") or "")


def _flags_of_step(lists: CodeLists, step: str) -> tuple[str, ...]:
    item = lists.item("narcotic_step", step)
    return _words(item, "flags") if item is not None else ()


def confirmations(lists: CodeLists, step: str, products: Iterable[Product], day: date, region: str) -> int:
    """How many other people confirm the step with these products (list `narcotic_step`)."""
    item = lists.item("narcotic_step", step, day, region)
    if item is None:
        return 0
    asked = set(_words(item, "flags"))
    count = int(str(item.attrs.get("confirmations") or 0))
    return count if any(p.flags & asked for p in products) else 0


def limit_of(lists: CodeLists, product: Product, case: str, day: date, region: str) -> Item | None:
    """The limit of one prescription of the product in this case (list `narcotic_limit`), or None."""
    form = form_of(lists, product).code
    for item in lists.get("narcotic_limit", day, region):
        flags, forms, cases, names = (_words(item, n) for n in ("flags", "forms", "cases", "names"))
        if (
            product.flags & set(flags)
            and (not forms or form in forms)
            and (not cases or case in cases)
            and (not names or any(name in product.generic_name for name in names))
        ):
            return item
    return None


def dose_findings(limit: Item | None, dose: Dose, reason: str) -> list[Finding]:
    """What a prescription has too much of, by its limit. An extendable limit gives way to a reason."""
    if limit is None:
        return []
    doses = limit.attrs.get("doses")
    params: dict[str, object] = {"rule": limit.zh, "rule_en": limit.en, "source": limit.source}
    if limit.attrs.get("extend") and reason:
        return []
    found = []
    days = int(str(limit.attrs["days"]))
    if dose.days > days:
        found.append(Finding("rx_days_beyond", {**params, "days": dose.days, "limit": days}, "days"))
    if doses is not None and dose.times_per_day * dose.days > int(str(doses)):
        given = dose.times_per_day * dose.days
        found.append(
            Finding("rx_doses_beyond", {**params, "doses": given, "limit": int(str(doses))}, "times_per_day")
        )
    return found


@dataclass(frozen=True, slots=True)
class Box:
    """A scanned box and the preparation units that are left in it."""

    code: str
    left: int
    opened: bool


def allocate(units: int, boxes: Sequence[Box]) -> dict[str, int] | None:
    """How many preparation units leave each box, in the order of scanning; None when they hold too few or a box is
    not needed. Opened boxes are named with their part even when it is all that is left (R-C9)."""
    given: dict[str, int] = {}
    left = units
    for box in boxes:
        take = min(left, box.left)
        if take <= 0:
            return None
        given[box.code] = take
        left -= take
    return given if left == 0 else None
