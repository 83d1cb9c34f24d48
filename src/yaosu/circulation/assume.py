"""Large bills of alike boxes: a few are read, the rest is taken to be like them, and writing proves it (decision 0023).

A delivery of a thousand boxes is a thousand packages in one state. Reading each costs as much as writing each, and
the write has to name the state it expects anyway. So the state is taken from a sample, the verdicts hold for that
state, and the update that writes them back matches only packages in exactly that state and is counted. One box that
differs, is missing, or is refused for whatever reason, and the bill is judged again on what is really there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from yaosu.circulation import store_write as store
from yaosu.db.engine import Connection
from yaosu.rules.world import Assumed, Unit, World

if TYPE_CHECKING:
    from yaosu.circulation.model import Prepared

Key = tuple[int, str]
State = tuple[
    int, int, str | None, str | None, int | None, int | None, int | None, datetime | None, int, int | None
]
"""The parameters of a Unit after product and code."""
RUN_MIN = 100
"""From so many codes of one product in a bill on, a sample is worth its round trip."""
SAMPLE = 8
"""Packages read of a run. They only have to make a wrong guess rare: no verdict leaves on a guess."""
_PLAIN = frozenset("AIO")
"""States about which nothing else has to be known: no opened box, no case about goods in quarantine."""


def runs_of(bills: Sequence[Prepared]) -> tuple[list[list[Key]], list[Key]]:
    """The keys of the bills: runs of one bill and product each that are worth a sample, and the rest."""
    runs: list[list[Key]] = []
    rest: list[Key] = []
    taken: set[Key] = set()
    for one in bills:
        if len(one.keys) < RUN_MIN:
            rest += one.keys
            continue
        by_product: dict[int, list[Key]] = {}
        for key in dict.fromkeys(one.keys):
            by_product.setdefault(key[0], []).append(key)
        for keys in by_product.values():
            # what two bills of a group name is read
            if len(keys) < RUN_MIN or (taken and not taken.isdisjoint(keys)):
                rest += keys
            else:
                runs.append(keys)
                taken.update(keys)
    if taken:
        rest = [key for key in rest if key not in taken]
    return runs, rest


async def assume(conn: Connection, world: World, runs: Sequence[Sequence[Key]]) -> list[Key]:
    """Put the units of those runs into the world whose samples are alike; the keys of the others."""
    samples = [[keys[len(keys) * n // SAMPLE] for n in range(SAMPLE)] for keys in runs]
    found = {
        u.key: u for u in await store.read_units(conn, [k for keys in samples for k in keys], lock=False)
    }
    unread: list[Key] = []
    for keys, sample in zip(runs, samples, strict=True):
        read = [found.get(key) for key in sample]
        first = read[0]
        if first is None or not _plain(first) or any(u is None or _state(u) != _state(first) for u in read):
            unread += keys
            continue
        assert first.status is not None and first.holder is not None
        state = _state(first)
        units = [Unit(drug_id, code, *state) for drug_id, code in keys]
        # no two runs share a key, and nothing else is in the world yet
        world.units.update(zip(keys, units, strict=True))
        world.rows_of.update([(unit.code, [unit]) for unit in units])
        world.assumed.append(
            Assumed(units, first.status, first.holder, first.dest, first.notice, first.since)
        )
    return unread


def _plain(unit: Unit) -> bool:
    return (
        unit.parent is None
        and unit.batch_id != 0
        and unit.status is not None
        and unit.status in _PLAIN
        and unit.holder is not None
    )


def _state(u: Unit) -> State:
    return (
        u.batch_id, u.level, u.parent, u.status, u.holder, u.dest, u.qty, u.since, u.last_bill, u.notice,
    )  # fmt: skip
