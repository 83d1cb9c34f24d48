"""Judge a relation file: everything wrong at once, each with its line (R-A3, R-A8).

Pure: what the database knows comes in as `Facts`. Whole columns are compared at once; only what is found wrong
becomes text. Order of the checks: whose code it is, its level, doubles, parents, counts, dates, batches, issue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from yaosu.codes.issue import IssueKey
from yaosu.production.relation import batches, tree
from yaosu.production.relation.findings import Findings
from yaosu.production.relation.model import RelationFile
from yaosu.registry import acting
from yaosu.registry.model import Product
from yaosu.registry.resolver import Registry

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """A batch that already exists."""

    id: int
    maker: int
    """Organisation that activated it first."""
    produced_on: date
    expires_on: date


@dataclass(frozen=True, slots=True)
class Facts:
    """What must be known beside the file itself."""

    org_id: int
    """Who activates."""
    today: date
    """In China's zone."""
    batches: Mapping[tuple[int, str], BatchFacts] = field(default_factory=dict)
    """Existing batches by product and batch number."""
    issued: Mapping[str, tuple[IssueKey, Sequence[tuple[int, int]]]] = field(default_factory=dict)
    """Prefixes for which codes were issued here: key, and sorted ranges (first number, count)."""


@dataclass(slots=True)
class Judged:
    """The judgement, with the columns that activation needs when there are no errors."""

    file: RelationFile
    errors: Findings
    notes: Findings
    drug: Ints
    """Product of each code; 0 where it is unknown."""
    level: npt.NDArray[np.int8]
    """Package level by the registry; 0 where it is unknown."""
    up: Ints
    """Index of the parent; −1 outermost, −2 not in the file."""
    qty: Ints
    """Smallest packages in each, counted in the file."""
    order: Ints
    """Indices in the order of the keys."""
    part_drug: list[int]
    """The product of each part; 0 when it has none or several."""
    products: dict[int, Product]

    @property
    def ok(self) -> bool:
        """Whether the file may be activated."""
        return not self.errors


def acts_for(registry: Registry, product: Product, org_id: int) -> bool:
    """Whether an organisation is MAH or maker of a product, or 境内责任人 of its overseas MAH (R-A7)."""
    return product.owned_by(org_id) or acting.acts_for(registry, org_id, product.mah_id)


Tell = Callable[[str, npt.NDArray[Any], Callable[[int], dict[str, object]]], None]


def teller(file: RelationFile, out: Findings) -> Tell:
    """A function that reports a code for many indices: texts only for those that are kept."""

    def tell(code: str, indices: npt.NDArray[Any], params: Callable[[int], dict[str, object]]) -> None:
        room = out.room(code)
        for i in indices[:room].tolist():
            out.add(code, file.where(i), code=file.text(i), **params(i))
        out.count_only(code, len(indices) - min(room, len(indices)))

    return tell


def _nothing(_: int) -> dict[str, object]:
    return {}


def validate(file: RelationFile, registry: Registry, facts: Facts, *, foreign: bool = False) -> Judged:
    """The judgement of a file. `errors` include what could not be read. `foreign`: its codes live in another trace
    system, and only such (R-A4)."""
    errors, notes = Findings(), Findings()
    errors.extend(file.problems)
    notes.extend(file.notes)
    for unit in file.logistics if foreign else ():
        errors.add("relation_code_sscc", unit.where, code=unit.label)
    tell = teller(file, errors)
    drug, level, products = _whose(file, registry, facts, tell, foreign)
    _levels(file, drug, level, products, tell)
    links = tree.link(file)
    tree.check(file, drug, level, products, links, errors, tell)
    part_drug = batches.check(file, drug, products, facts, errors, notes, foreign=foreign)
    _issued(file, facts, tell)
    qty = tree.quantities(level, links.up)
    return Judged(file, errors, notes, drug, level, links.up, qty, links.order, part_drug, products)


def _whose(
    file: RelationFile, registry: Registry, facts: Facts, tell: Tell, foreign: bool
) -> tuple[Ints, npt.NDArray[np.int8], dict[int, Product]]:
    """Product and level of every code by its prefix, and whether the caller may activate it (R-A1, R-A4)."""
    space = file.space
    numbers = space.prefix_numbers(file.key)
    drugs = np.zeros(len(space.prefixes) + 1, dtype=np.int32)
    levels = np.zeros(len(space.prefixes) + 1, dtype=np.int8)
    products: dict[int, Product] = {}
    used = np.unique(numbers).tolist()
    for number in used:
        prefix = space.prefixes[number]
        found = registry.resolve_prefix(prefix)
        if found.kind == "elsewhere" and not foreign:
            name = found.system.name if found.system is not None else "—"
            params: dict[str, object] = {"prefix": prefix, "system": name, "url": found.query_url or "—"}
            _tell_prefix(numbers, number, "relation_code_elsewhere", params, tell)
            continue
        product = registry.product(found.drug_id) if found.drug_id is not None else None
        ours = found.kind == "known" and foreign
        if found.kind == "unknown" or ours or product is None or found.level is None:
            _tell_prefix(numbers, number, "relation_code_unfiled", {"prefix": prefix}, tell)
            continue
        drugs[number], levels[number] = product.id, found.level
        products[product.id] = product
        if not acts_for(registry, product, facts.org_id):
            params = {"product": product.generic_name, "prefix": prefix}
            _tell_prefix(numbers, number, "relation_not_yours", params, tell)
        elif not product.active:
            params = {"product": product.generic_name, "prefix": prefix}
            _tell_prefix(numbers, number, "relation_product_stopped", params, tell)
    return drugs[numbers], levels[numbers], products


def _tell_prefix(numbers: Ints, number: int, code: str, params: dict[str, object], tell: Tell) -> None:
    tell(code, np.flatnonzero(numbers == number), lambda _: params)


def _levels(
    file: RelationFile, drug: Ints, level: npt.NDArray[np.int8], products: dict[int, Product], tell: Tell
) -> None:
    """`packLayer` must be the level that the prefix was registered for (level prefixes differ)."""
    wrong = np.flatnonzero((file.layer != level) & (level > 0) & (file.layer > 0))

    def params(i: int) -> dict[str, object]:
        registered = products[int(drug[i])].level(int(level[i]))
        return {
            "given": int(file.layer[i]),
            "expected": int(level[i]),
            "name": registered.name if registered is not None else "—",
        }

    tell("relation_level_differs", wrong, params)


def _issued(file: RelationFile, facts: Facts, tell: Tell) -> None:
    """Under a prefix for which codes are issued here, only issued codes exist (D6, R-X8)."""
    if not facts.issued:
        return
    from yaosu.production.issued import not_issued

    numbers = file.space.prefix_numbers(file.key)
    for prefix, (key, ranges) in facts.issued.items():
        if prefix not in file.space.prefixes:
            continue
        at = np.flatnonzero(numbers == file.space.prefixes.index(prefix))
        if len(at):
            wrong = at[not_issued(file, at, prefix, key, ranges)]
            tell("code_not_issued", wrong, _nothing)
