"""Checks per batch: product, ratio, dates against shelf life, and what is on record under the batch number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from yaosu.production.relation.dates import expiry_dates
from yaosu.production.relation.findings import Findings
from yaosu.production.relation.model import BatchPart, RelationFile
from yaosu.registry.model import Product

if TYPE_CHECKING:
    from yaosu.production.relation.validate import Facts


def check(
    file: RelationFile,
    drug: npt.NDArray[np.int32],
    products: dict[int, Product],
    facts: Facts,
    errors: Findings,
    notes: Findings,
    *,
    foreign: bool = False,
) -> list[int]:
    """Report what is wrong with the parts; the product of each. With `foreign` a shelf life that does not fit is a
    note: the label is as the home system says, and not ours to correct."""
    out = []
    seen: dict[tuple[int, str], BatchPart] = {}
    for part in file.parts:
        found = [int(d) for d in np.unique(drug[part.start : part.end]) if d]
        where = f"{file.place} {part.line}"
        if part.end == part.start:
            notes.add("relation_note_empty_batch", where, batch=part.batch_no)
        if len(found) > 1:
            names = "、".join(products[d].generic_name for d in found[:5])
            errors.add("relation_mixed_products", where, batch=part.batch_no, products=names)
        out.append(found[0] if len(found) == 1 else 0)
        if part.made_on is None or part.expires_on is None:
            continue
        if part.made_on > facts.today:
            errors.add("relation_made_in_future", where, batch=part.batch_no, made=part.made_on)
        if part.expires_on <= part.made_on:
            errors.add(
                "relation_expires_before_made",
                where,
                batch=part.batch_no,
                made=part.made_on,
                expires=part.expires_on,
            )
        elif part.expires_on < facts.today:
            notes.add("relation_note_expired", where, batch=part.batch_no, expires=part.expires_on)
        for drug_id in found:
            product = products[drug_id]
            _ratio(part, product, where, errors)
            if part.expires_on > part.made_on:
                _expiry(part, product, where, notes if foreign else errors, notes)
            _record(part, drug_id, facts, seen, where, errors)
    return out


def _ratio(part: BatchPart, product: Product, where: str, errors: Findings) -> None:
    """`cascade` is the registered ratio; another one means the line was set up for another packaging.

    A line that packs cases and no pallets may state the ladder up to its own top.
    """
    given = part.head.cascade.replace("：", ":").replace(" ", "")
    if given and given not in _ratios(product):
        errors.add("relation_cascade_differs", where, given=given[:40], registered=product.ratio)


def _ratios(product: Product) -> set[str]:
    """The ratio of the whole ladder and of each part of it that starts at the smallest package."""
    found = set()
    for top in range(1, len(product.levels) + 1):
        part = product.levels[:top]
        found.add(":".join(str(part[-1].units_per // level.units_per) for level in reversed(part)))
    return found


def _expiry(part: BatchPart, product: Product, where: str, errors: Findings, notes: Findings) -> None:
    """The expiry date must follow from shelf life by one of the four rules, best by the registered one."""
    assert part.made_on is not None and part.expires_on is not None
    if product.shelf_life < 1:
        return
    dates = expiry_dates(part.made_on, product.shelf_life, product.shelf_life_unit)
    fitting = [rule for rule, day in dates.items() if day == part.expires_on]
    if not fitting:
        errors.add(
            "expiry_mismatch",
            where,
            batch=part.batch_no,
            made=part.made_on,
            expires=part.expires_on,
            expected="、".join(str(d) for d in sorted(set(dates.values()))) or "—",
        )
    elif product.expiry_rule and product.expiry_rule in dates and product.expiry_rule not in fitting:
        notes.add(
            "expiry_rule_note",
            where,
            batch=part.batch_no,
            expires=part.expires_on,
            expected=dates[product.expiry_rule],
        )


def _record(
    part: BatchPart,
    drug_id: int,
    facts: Facts,
    seen: dict[tuple[int, str], BatchPart],
    where: str,
    errors: Findings,
) -> None:
    """One batch number of a product has one pair of dates, in the file and on record."""
    key = (drug_id, part.batch_no)
    other = seen.setdefault(key, part)
    if (other.made_on, other.expires_on) != (part.made_on, part.expires_on):
        errors.add("relation_batch_twice", where, batch=part.batch_no, other=other.line)
    known = facts.batches.get(key)
    if known is None:
        return
    if (known.produced_on, known.expires_on) != (part.made_on, part.expires_on):
        errors.add(
            "relation_batch_differs",
            where,
            batch=part.batch_no,
            made=known.produced_on,
            expires=known.expires_on,
        )
    if known.maker != facts.org_id:
        errors.add("relation_batch_of_other", where, batch=part.batch_no)
