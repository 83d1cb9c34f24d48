"""Goods under a recall or lock go back up the chain, not to anybody (R-B5, R-E4): what the rule has to know.

Asked only where a bill sends goods back that are stopped, to a receiver that neither product nor recall order names.
"""

from __future__ import annotations

from collections.abc import Sequence

from yaosu.circulation import store_way_home as store
from yaosu.circulation.model import Movement
from yaosu.db.engine import Connection
from yaosu.registry.groups import home
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import BillType, submittable
from yaosu.rules.judge import Order, Scan
from yaosu.rules.way_home import WayHome
from yaosu.rules.world import World

CHAIN_MAX = 5
"""Organisations above one another."""
_PASSING_ON = [code for code, one in submittable().items() if one.kind == "ship" and not one.stopped]
"""Bill types that pass goods on down the chain."""


class AloneError(RuntimeError):
    """A bill cannot share its commit with those beside it: the group is judged bill by bill."""


def _upward(registry: Registry, org_id: int) -> list[int]:
    """The organisation, the one it is a place of, its headquarters, and so on."""
    found = [org_id]
    while len(found) < CHAIN_MAX:
        card = registry.org(found[-1])
        if card is None or card.parent_id is None or card.parent_id in found:
            break
        found.append(card.parent_id)
    return found


def kin(registry: Registry, one: int, other: int) -> bool:
    """Whether two organisations belong to the same legal entity or chain."""
    return one == other or _upward(registry, one)[-1] == _upward(registry, other)[-1]


def of_bill(registry: Registry, movement: Movement, kind: BillType) -> WayHome | None:
    """What a bill that may send stopped goods back says of its receiver; None for all others."""
    if kind.kind != "ship" or not kind.stopped or movement.to_org is None or movement.void:
        return None
    to = movement.to_org

    def firms(drug_id: int) -> frozenset[int]:
        product = registry.product(drug_id)
        if product is None:
            return frozenset()
        mah = registry.org(product.mah_id)
        agent = mah.domestic_agent_id if mah is not None else None
        return frozenset({product.mah_id, product.manufacturer_id} | ({agent} if agent else set()))

    # places of one legal entity in any direction, within a chain from the store to its headquarters
    return WayHome(to, home(registry, to) in _upward(registry, movement.owner), firms)


async def load(conn: Connection, world: World, bills: Sequence[tuple[Order, Sequence[Scan]]]) -> None:
    """Who delivered the stopped goods of `bills`, and names for a refusal. No statement where none are sent to anybody
    but whom product or recall order names. Raises AloneError where a bill beside it may change the answer.
    """
    if not (world.stop_batches or world.stop_codes):
        return
    asked: dict[int, set[tuple[int, int]]] = {}
    receivers: set[int] = set()
    named: set[int] = set()
    for order, scans in bills:
        way, owner = order.way_home, order.owner
        if way is None or way.upward:
            continue
        rows = {row.key: row for scan in scans for row in world.rows_of.get(scan.code, ())}
        for row in rows.values():
            stops = world.stops_of(row, owner)
            if not stops or way.to in (known := way.named(row.drug_id, stops)):
                continue
            named |= known
            receivers.add(way.to)
            asked.setdefault(owner, set()).update((row.drug_id, b) for b in world.batches_in(row))
    if not asked:
        return
    if len(bills) > 1 and any(order.owner in asked and order.type.kind == "receive" for order, _ in bills):
        raise AloneError("what was delivered is judged in the same commit")
    sellers: dict[tuple[int, int, int], frozenset[int]] = {}
    for owner, goods in asked.items():
        batches = list({b for _, b in goods})
        found = await conn.fetch(store.SELLERS, owner, list({d for d, _ in goods}), batches, _PASSING_ON)
        for r in found:
            key = (owner, r["drug_id"], r["batch_id"])
            sellers[key] = sellers.get(key, frozenset()) | {r["org"]}
    world.sellers = sellers
    stored: dict[int, set[int]] = {}
    for r in await conn.fetch(store.STORED_FOR, list(receivers), int(OrgType.LOGISTICS)):
        stored.setdefault(r["agent"], set()).add(r["principal"])
    world.stored_for = {agent: frozenset(principals) for agent, principals in stored.items()}
    named |= {org for orgs in sellers.values() for org in orgs}
    world.names = {r["id"]: r["name"] for r in await conn.fetch(store.NAMES, sorted(named))}
