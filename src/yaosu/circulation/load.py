"""The part of the world a group of bills touches: units and what is around them, batches, stops, opened boxes."""

from __future__ import annotations

from collections.abc import Sequence

from yaosu.circulation import splits
from yaosu.circulation import store_write as store
from yaosu.circulation.assume import Run, assume
from yaosu.circulation.cache import BatchCache
from yaosu.db.engine import Connection
from yaosu.rules.world import LOGISTICS_LEVEL, Unit, World


async def load_world(
    conn: Connection,
    keys: Sequence[tuple[int, str]],
    containers: Sequence[str],
    batches: BatchCache,
    *,
    lock: bool,
    runs: Sequence[Run] = (),
) -> World:
    """The units of `keys` and everything around them, locked lowest level first.

    The codes of each of `runs` (of one product, not among `keys`) are taken to be alike where a few of them are;
    `World.assumed` names them. Whoever changes the world must prove that (`store_write.update_assumed`).
    """
    world = World()
    wanted = dict.fromkeys(keys)
    if runs:
        wanted.update(dict.fromkeys(await assume(conn, world, runs)))
    if containers:
        for row in await conn.fetch(store.CONTAINERS, list(containers)):
            wanted.update(dict.fromkeys((drug_id, row["code"]) for drug_id in row["drug_ids"]))
    missing = list(wanted)
    while missing:
        found = await store.read_units(conn, missing, lock=lock)
        for unit in found:
            world.add(unit)
        if len(found) < len(missing):
            _stand_ins(world, missing)
        missing = list(
            {
                (u.drug_id, u.parent)
                for u in found
                if u.parent is not None and (u.drug_id, u.parent) not in world.units
            }
        )
    for code in containers:
        # what is not in a container any more of one of its products neither moves with it nor stands in its way
        of_label = world.rows_of.pop(code, ())
        for unit in [row for row in of_label if row.qty] or of_label:
            world.add(unit)
    mixed = [u.key for u in world.units.values() if not u.batch_id]
    if mixed:
        rows = await conn.fetch(store.CONTAINER_BATCHES, [k[0] for k in mixed], [k[1] for k in mixed])
        for row in rows:
            world.container_batches.setdefault((row["drug_id"], row["code"]), {})[row["batch_id"]] = row[
                "qty"
            ]
    needed: dict[int, int] = {u.batch_id: u.drug_id for u in world.units.values() if u.batch_id}
    for (drug_id, _), held in world.container_batches.items():
        needed.update(dict.fromkeys(held, drug_id))
    world.batches = await batches.get(conn, needed)
    return world


def _stand_ins(world: World, keys: Sequence[tuple[int, str]]) -> None:
    """A logistics container that was emptied is gone, and a bill that moved it may still be taken back. What stands for
    it is empty, so that something has come since. No scan finds it."""
    for drug_id, code in keys:
        if code.startswith("(00)") and (drug_id, code) not in world.units:
            gone = Unit(drug_id, code, 0, LOGISTICS_LEVEL, None, "", None, None, 0, None, 0)
            world.units[gone.key] = gone


async def load_limits(
    conn: Connection, world: World, batches: BatchCache, version: int, *, sold: bool = False
) -> None:
    """What may forbid moving the units: stops in force, holds of open cases; and the insides of opened boxes.

    `version` is the stops' version as read in this transaction; `sold` that boxes already used up matter too
    (returns, corrections). Asks nothing where nothing of the kind is about. Raises AssumptionError where stops tell
    packages apart that are taken to be alike.
    """
    stops = batches.stops
    await stops.at(conn, version)
    world.stop_batches = stops.batches
    if stops.codes:
        outer = [u.key for u in world.units.values() if u.level > 1]
        for run in world.assumed:
            keys = [(run.unit.drug_id, code) for code in run.codes]
            if not stops.codes.keys().isdisjoint(keys):
                raise store.AssumptionError("some of a run are stopped by their codes")
            outer += keys[1:] if run.unit.level > 1 else []
        world.stop_codes = stops.codes
        world.stop_holding = await stops.holding(conn, outer) if outer else {}
        if any(run.unit.level > 1 for run in world.assumed) and world.stop_holding:
            raise store.AssumptionError("some of a run hold what is stopped by its code")
    quarantined = [u.key for u in world.units.values() if u.status == "Q"]
    if quarantined:
        rows = await conn.fetch(store.HELD, [k[1] for k in quarantined])
        world.held = {(r["drug_id"], r["code"]): r["held_case"] for r in rows}
    statuses = ("D", "Q", "N", "S") if sold else ("D", "Q", "N")
    opened = [u.key for u in world.units.values() if u.level == 1 and u.status in statuses]
    if opened:
        world.splits = await splits.load(conn, opened)
