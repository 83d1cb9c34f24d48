"""Goods that are not there any more (lost, damaged, written off): whether they were in quarantine before (R-B4).

What is found comes back to where it was lost from. The bill that tells it is the last one that stands: a destruction
or a find that was taken back left the goods as lost as they were before it. Where that was said of a package around
them, which they have left since, nobody can tell any more: they come to quarantine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yaosu.circulation import store_holds, store_revise
from yaosu.circulation.chains import Chains, Step
from yaosu.circulation.revise import OldLine
from yaosu.circulation.way_home import AloneError
from yaosu.db.engine import Connection
from yaosu.rules.world import Aside, World

GONE = "N"
"""The status of goods that are not there."""
Key = tuple[int, str]


async def load(conn: Connection, world: World, old: Sequence[OldLine] = (), bills: int = 1) -> None:
    """What is known of the place in quarantine of units that are not there, or will not be when the lines `old` are
    taken back (`World.lost`). Asks nothing where there are none of them. Raises AloneError where one of several bills
    takes back what found or ended such goods.
    """
    back = {(line.drug_id, line.code): line for line in old if line.pre == GONE}
    if back and bills > 1:
        raise AloneError("what was lost is judged by itself")
    gone = [u for u in world.units.values() if u.status == GONE and u.parent is None and u.key not in back]
    by: dict[Key, int] = {u.key: u.last_bill for u in gone}
    if not by and not back:
        return
    rows = await _rows(conn, by)
    through = [key for key in by if key in rows and rows[key].reversal]
    if through or back:
        lives = await _lives(conn, world, [*through, *back])
        again = {}
        for key in (*through, *back):
            taken = back[key].bill_id if key in back else 0
            stands = [bill for bill in lives.standing_bills(world.units[key]) if bill != taken]
            again[key] = stands[-1] if stands else 0
        told = {key: one for key, one in (await _rows(conn, again)).items() if one.post == GONE}
        rows |= {key: told.get(key, _UNKNOWN) for key in again}
    world.lost = {key: one.aside for key, one in rows.items() if one.pre == "Q"}
    for unit in gone:
        unit.aside = world.lost.get(unit.key)


@dataclass(frozen=True, slots=True)
class _Row:
    """What one bill says of the goods that it took away."""

    pre: str
    post: str
    reversal: bool
    aside: Aside


_UNKNOWN = _Row("Q", GONE, False, Aside())


async def _rows(conn: Connection, by: dict[Key, int]) -> dict[Key, _Row]:
    columns = [k[0] for k in by], list(by.values()), [k[1] for k in by]
    return {
        (r["drug_id"], r["code"]): _Row(
            r["pre"],
            r["post"],
            bool(r["reversal"]),
            Aside(r["verdict"] or "", r["params"] or {}, r["decided_case"] or ""),
        )
        for r in await conn.fetch(store_holds.LOST, *columns)
    }


async def _lives(conn: Connection, world: World, keys: Sequence[Key]) -> Chains:
    chains = Chains(world)
    chains.of = {key: {} for key in keys}
    columns = [k[0] for k in keys], [k[1] for k in keys], [world.units[k].last_bill for k in keys]
    for r in await conn.fetch(store_revise.CHAINS, *columns):
        chains.of[(r["drug_id"], r["code"])][r["bill_id"]] = Step(r["prev_bill"], r["undoes"])
    return chains
