"""The package tree of a file: doubles, parents, cycles, counts against the ladder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from yaosu.production.relation.findings import Findings
from yaosu.production.relation.keys import BAD_PARENT, NO_PARENT
from yaosu.production.relation.model import FLAG_FULL, FLAG_NONE, RelationFile
from yaosu.registry.model import Product

if TYPE_CHECKING:
    from yaosu.production.relation.validate import Tell

Ints = npt.NDArray[np.int32]
Levels = npt.NDArray[np.int8]

SUSPECTS_MAX = 100_000

OUTERMOST, MISSING, UNREADABLE = -1, -2, -3


@dataclass(slots=True)
class Links:
    """`order`: indices sorted by key (stable). `up`: index of the parent or one of the constants above.
    `first`: False for the second and later lines of a code."""

    order: Ints
    up: Ints
    first: npt.NDArray[np.bool_]
    heads: Ints
    """Of each doubled line, the index of the code's first line."""
    twins: Ints
    """The doubled lines themselves."""


def link(file: RelationFile) -> Links:
    """Find every code's parent within the file. A doubled code counts once, at its first line."""
    n = len(file)
    order = np.argsort(file.key, kind="stable").astype(np.int32)
    ordered = file.key[order]
    first = np.ones(n, dtype=np.bool_)
    heads = twins = np.zeros(0, dtype=np.int32)
    repeated = np.flatnonzero(ordered[1:] == ordered[:-1]) + 1 if n else np.zeros(0, dtype=np.int64)
    if len(repeated):
        first[order[repeated]] = False
        group = np.arange(n, dtype=np.int32)
        group[repeated] = 0
        heads, twins = order[np.maximum.accumulate(group)[repeated]], order[repeated]
    up = np.full(n, OUTERMOST, dtype=np.int32)
    # in blocks: the look-ups of ten million parents would otherwise hold three more columns
    for a in range(0, n, 1 << 20):
        block = file.parent[a : a + (1 << 20)]
        at = np.minimum(np.searchsorted(ordered, block), max(n - 1, 0))
        hit = ordered[at] == block
        out = np.where(hit, order[at], MISSING).astype(np.int32)
        out[block == np.uint64(NO_PARENT)] = OUTERMOST
        out[block == np.uint64(BAD_PARENT)] = UNREADABLE
        up[a : a + len(block)] = out
    return Links(order, up, first, heads, twins)


def _part_of(file: RelationFile) -> Ints:
    out = np.zeros(len(file), dtype=np.int32)
    for number, part in enumerate(file.parts):
        out[part.start : part.end] = number
    return out


def _cycles(up: Ints) -> npt.NDArray[np.bool_]:
    """Which codes lie on a cycle of parents."""
    on = np.zeros(len(up), dtype=np.bool_)
    jump = up.copy()
    # no legal tree is deeper than nine levels; whoever has not arrived after sixteen steps is under a cycle
    for _ in range(4):
        inside = jump >= 0
        if not inside.any():
            return on
        step = jump.copy()
        step[inside] = jump[jump[inside]]
        jump = step
    under = np.flatnonzero(jump >= 0)
    if len(under) > SUSPECTS_MAX:
        # no real capture looks like this; telling cycles from what hangs below them would take long
        on[under] = True
        return on
    suspects = under.tolist()
    state: dict[int, int] = {}
    for start in suspects:
        path = []
        node = start
        while node >= 0 and node not in state:
            state[node] = start
            path.append(node)
            node = int(up[node])
        if node >= 0 and state.get(node) == start and node in path:
            on[path[path.index(node) :]] = True
    return on


def check(
    file: RelationFile,
    drug: Ints,
    level: Levels,
    products: dict[int, Product],
    links: Links,
    errors: Findings,
    tell: Tell,
) -> None:
    """Report everything wrong with the tree."""
    up = links.up
    _doubles(file, links, errors)
    counted = links.first

    def parent_of(i: int) -> dict[str, object]:
        return {"parent": _parent_text(file, i)}

    tell("relation_parent_missing", np.flatnonzero((up == MISSING) & counted), parent_of)
    cyclic = _cycles(up)
    tell("relation_cycle", np.flatnonzero(cyclic), parent_of)
    inside = np.flatnonzero((up >= 0) & counted & ~cyclic)
    above = up[inside]
    known = (level[inside] > 0) & (level[above] > 0)
    other = known & (drug[inside] != drug[above])

    def names(i: int) -> dict[str, object]:
        upper, lower = products[int(drug[up[i]])], products[int(drug[i])]
        return {**parent_of(i), "product": lower.generic_name, "parent_product": upper.generic_name}

    tell("relation_parent_other_product", inside[other], names)
    part = _part_of(file)
    apart = ~other & (part[inside] != part[above]) & _other_batch(file, part[inside], part[above])
    tell("relation_parent_other_batch", inside[apart], parent_of)
    wrong = known & ~other & (level[above] != level[inside] + 1)

    def levels(i: int) -> dict[str, object]:
        return {**parent_of(i), "level": int(level[i]), "parent_level": int(level[up[i]])}

    tell("relation_parent_level", inside[wrong], levels)
    # packages whose own line is already wrong say nothing about what they should hold
    unsound = cyclic | ~counted
    unsound[inside[wrong | other]] = True
    held = np.bincount(above, minlength=len(file)).astype(np.int64)
    disturbed = np.zeros(len(file), dtype=np.bool_)
    disturbed[above[wrong | other]] = True
    disturbed[up[np.flatnonzero(cyclic & (up >= 0))]] = True
    # whichever of two lines is the true one, both parents' counts mean nothing
    either = up[np.concatenate((links.heads, links.twins))]
    disturbed[either[either >= 0]] = True
    _counts(file, drug, level, products, held, ~unsound & ~disturbed, tell)


def _doubles(file: RelationFile, links: Links, errors: Findings) -> None:
    same = file.parent[links.heads] == file.parent[links.twins]
    for code, which in (("relation_duplicate", same), ("relation_two_parents", ~same)):
        at = np.flatnonzero(which)
        room = min(errors.room(code), len(at))
        for head, twin in zip(links.heads[at[:room]].tolist(), links.twins[at[:room]].tolist(), strict=True):
            params: dict[str, object] = {"other": file.where(head)}
            if code == "relation_two_parents":
                params |= {"parent": _parent_text(file, twin), "other_parent": _parent_text(file, head)}
            errors.add(code, file.where(twin), code=file.text(twin), **params)
        errors.count_only(code, len(at) - room)


def _counts(
    file: RelationFile,
    drug: Ints,
    level: Levels,
    products: dict[int, Product],
    held: npt.NDArray[np.int64],
    sound: npt.NDArray[np.bool_],
    tell: Tell,
) -> None:
    for product in products.values():
        for step in product.levels[1:]:
            packs = np.flatnonzero((drug == product.id) & (level == step.level) & sound)
            count = held[packs]

            def params(
                _: int, *, full: int = step.contains, name: str = step.name, has: Any = held
            ) -> dict[str, object]:
                return {"count": int(has[_]), "full": full, "name": name}

            tell("relation_pack_empty", packs[count == 0], params)
            tell("relation_overfull", packs[count > step.contains], params)
            flags = file.flag[packs]
            short = (count > 0) & (count < step.contains) & ((flags == FLAG_FULL) | (flags == FLAG_NONE))
            tell("relation_underfull", packs[short], params)


def _other_batch(file: RelationFile, a: Ints, b: Ints) -> npt.NDArray[np.bool_]:
    """Whether two parts are different batches (one batch may be spread over several elements)."""
    names: dict[str, int] = {}
    number = np.array([names.setdefault(p.batch_no, len(names)) for p in file.parts], dtype=np.int32)
    out: npt.NDArray[np.bool_] = number[a] != number[b]
    return out


def _parent_text(file: RelationFile, i: int) -> str:
    key = int(file.parent[i])
    if key == NO_PARENT:
        return "—"
    return "?" if key == BAD_PARENT else file.space.text(key)


def quantities(level: Levels, up: Ints) -> Ints:
    """Smallest packages in each package, counted from the smallest upward."""
    qty = (level == 1).astype(np.int64)
    for upper in range(2, 10):
        lower = np.flatnonzero((level == upper - 1) & (up >= 0))
        if len(lower):
            qty += np.bincount(up[lower], weights=qty[lower], minlength=len(qty)).astype(np.int64)
    out: Ints = qty.astype(np.int32)
    return out
