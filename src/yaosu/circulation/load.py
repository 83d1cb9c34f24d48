"""The part of the world a group of bills touches: units and what is around them, batches, stops, quarantine, opened
boxes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from yaosu.circulation import splits, store_holds
from yaosu.circulation import store_write as store
from yaosu.circulation.assume import Run, assume
from yaosu.circulation.cache import BatchCache
from yaosu.db.engine import Connection
from yaosu.rules.judge import Order
from yaosu.rules.world import LOGISTICS_LEVEL, Aside, Unit, World


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
        world.labels = await store.labels(conn, containers)
        wanted.update(dict.fromkeys((d, code) for code, drug_ids in world.labels.items() for d in drug_ids))
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
    conn: Connection,
    world: World,
    batches: BatchCache,
    version: int,
    *,
    sold: bool = False,
    lock: bool = True,
) -> None:
    """What may forbid moving the units: stops in force, quarantine and its cases; and the insides of opened boxes.

    `version` is the stops' version as read in this transaction; `sold` that boxes already used up matter too
    (returns, corrections); `lock` that what is read of quarantine must hold until the commit: a case that is being
    opened or closed about these goods comes before the bill or after it. Asks nothing where nothing of the kind is
    about. Raises AssumptionError where stops tell packages apart that are taken to be alike.
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
    await _quarantine(conn, world, lock)
    statuses = ("D", "Q", "N", "S") if sold else ("D", "Q", "N")
    opened = [u.key for u in world.units.values() if u.level == 1 and u.status in statuses]
    if opened:
        world.splits = await splits.load(conn, opened)


async def _quarantine(conn: Connection, world: World, lock: bool) -> None:
    """What is known of units in quarantine."""
    waiting = [u for u in world.units.values() if u.status == "Q"]
    if waiting:
        for u in waiting:
            u.aside = Aside()
        held: dict[tuple[int, str], str] = {}
        query = store_holds.WAITING_LOCKED if lock else store_holds.WAITING
        for r in await conn.fetch(query, [u.code for u in waiting]):
            unit = world.units.get((r["drug_id"], r["code"]))
            if unit is None or unit.status != "Q":
                continue
            unit.aside = Aside(r["verdict"], r["params"], r["decided_case"])
            if r["held_by"] is not None:
                held[unit.key] = r["held_case"]
        world.held = held


async def load_sent(
    conn: Connection, world: World, orders: Iterable[Order], before: Iterable[tuple[int, int]] = ()
) -> None:
    """Whether goods that come back, or come from the same legal entity or chain, were sent from quarantine (R-B4).

    `before`: shipments (product, bill) that goods may be on again when a bill is taken back. Asks nothing of goods that
    another firm sent. Raises AssumptionError where that tells packages apart that are taken to be alike.
    """
    kin = {one.owner: one.kin for one in orders if one.type.kind == "receive"}
    if not kin:
        return
    asked = set(before)
    related: dict[tuple[int, int], bool] = {}
    for u in world.units.values():
        if u.status != "O" or not u.notice or u.dest not in kin:
            continue
        pair = (u.holder or 0, u.dest)
        if pair not in related:
            related[pair] = pair[0] == pair[1] or kin[u.dest](pair[0])
        if related[pair]:
            asked.add((u.drug_id, u.notice))
    if asked:
        world.sent = await _shipments(conn, asked)
        if any((run.unit.drug_id, run.notice) in world.sent for run in world.assumed):
            raise store.AssumptionError("some of a run may have been sent from quarantine")


async def _shipments(conn: Connection, asked: set[tuple[int, int]]) -> dict[tuple[int, int], dict[str, str]]:
    """Each code's status before those of the shipments that had goods from quarantine; of goods that were turned away,
    before the shipment that they were turned away from."""
    found: dict[tuple[int, int], dict[str, str]] = {}
    turned: dict[tuple[int, int], dict[str, tuple[int, int]]] = {}
    seen = set(asked)
    while asked:
        rows = await conn.fetch(store_holds.SENT, [d for d, _ in asked], [b for _, b in asked])
        for drug_id, bill_id, code, pre, post, notice in rows:
            if pre != "O":
                found.setdefault((drug_id, bill_id), {})[code] = pre
            elif post == "O":
                turned.setdefault((drug_id, bill_id), {})[code] = (drug_id, notice)
        asked = {one for lines in turned.values() for one in lines.values()} - seen
        seen |= asked
    # the older bill first: what was turned away twice leads from one to the next
    for key in sorted(turned, key=lambda k: k[1]):
        for code, shipment in turned[key].items():
            lines = found.get(shipment, {})
            was = lines.get(code) or ("Q" if "Q" in lines.values() else "I")
            found.setdefault(key, {})[code] = was
    return found
