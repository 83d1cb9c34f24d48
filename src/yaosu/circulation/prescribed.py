"""Corrected dispensings of narcotics: the prescription they count against, the ampoules that come back (R-C4).

A corrected dispensing is of the same prescription. It hands out no more than was prescribed, and no less than what has
come back of it in empty ampoules or used patches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from yaosu.circulation import store_prescribed as store
from yaosu.circulation.model import Prepared
from yaosu.db.engine import Connection
from yaosu.rules.judge import Verdict
from yaosu.rules.world import World

Refusal = tuple[str, dict[str, object]]


@dataclass(slots=True)
class Follows:
    """What the new revision of a dispensing leaves in the prescriptions' books."""

    rows: list[Mapping[str, Any]] = field(default_factory=list)
    used_up: int = 0
    """The prescription of which nothing is left; 0 for none."""


async def examine(
    conn: Connection, world: World, one: Prepared, before: int, verdicts: Sequence[Verdict]
) -> tuple[Follows, Refusal | None]:
    """What the correction of bill `before` hands out of its prescription, and why it must not be."""
    found = Follows()
    old = await conn.fetch(store.HANDED_OUT, before)
    if not old:
        return found, None
    first = old[0]
    per = await conn.fetchval(store.PER_PACKAGE, first["drug_id"])
    given: dict[int, int] = {}
    for verdict in verdicts:
        if not verdict.accepted:
            continue
        if verdict.scan.drug_id != first["drug_id"]:
            if verdict.scan.drug_id in one.sale_rules:
                product = one.sale_rules[verdict.scan.drug_id].product
                return found, ("rx_other_product", {"product": product, "number": first["number"]})
            continue
        for batch_id, units in _units(world, one, verdict, per):
            given[batch_id] = given.get(batch_id, 0) + units
    total = sum(given.values())
    others = await conn.fetchval(store.OTHERS, first["prescription_id"], before)
    left = first["prescribed"] - others
    if total > left:
        params = {"units": total, "left": max(left, 0), "number": first["number"]}
        return found, ("rx_more_than_prescribed", params)
    returned = {r["batch_id"]: r["returned"] for r in old}
    for r in old:
        if r["returned"] > given.get(r["batch_id"], 0):
            params = {"batch": r["batch_no"], "qty": r["returned"], "units": given.get(r["batch_id"], 0)}
            return found, ("ampoules_came_back", params)
    comes_back = any(r["due"] for r in old)
    for batch_id, units in sorted(given.items()):
        row = {"batch_id": batch_id, "units": units, "due": units if comes_back else 0}
        found.rows.append({**dict(first), **row, "returned": returned.get(batch_id, 0)})
    found.used_up = first["prescription_id"] if total == left else 0
    return found, None


def _units(world: World, one: Prepared, verdict: Verdict, per: int) -> list[tuple[int, int]]:
    """(batch, preparation units) that a code hands out: the parts named, what an opened box still holds, or all."""
    if verdict.code == "kept":
        return [(verdict.batch_id, verdict.qty * per)]
    found = []
    for unit in verdict.units:
        split = world.split_of(unit)
        held = split.left if split is not None else unit.qty * per
        found.append((unit.batch_id, one.order.parts.get(verdict.scan.code, held)))
    return found


async def record(conn: Connection, one: Prepared, bill_id: int, follows: Follows) -> None:
    """Enter what the new revision hands out; what came back of the old one's ampoules counts on."""
    movement = one.movement
    for r in follows.rows:
        await conn.execute(
            store.FOLLOW, r["drug_id"], bill_id, r["batch_id"], movement.owner, r["act_id"], r["prescription_id"],
            r["units"], r["due"], r["returned"], movement.happened_at,
        )  # fmt: skip
    if follows.used_up:
        await conn.execute(store.CLOSE, follows.used_up)


async def take_back(conn: Connection, before: int) -> None:
    """A dispensing is taken back: its prescription can be dispensed again."""
    await conn.execute(store.REOPEN, before)
