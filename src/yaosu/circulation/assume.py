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
_INSIDES = frozenset({"open", "split_loss"})
"""Kinds of bills that do something to the inside of each box."""

Run = tuple[int, list[str]]
"""(product, codes)"""


def runs_of(bills: Sequence[Prepared]) -> tuple[list[Run], list[Key]]:
    """The keys of the bills: runs of one bill and product each that are worth a sample, and the rest."""
    runs: list[Run] = []
    rest: list[Key] = []
    taken: set[Key] = set()
    for one in bills:
        order = one.order
        # what is said of single codes makes them differ
        if len(one.keys) < RUN_MIN or order.rejects or order.parts or one.kind.kind in _INSIDES:
            rest += one.keys
            continue
        by_product: dict[int, list[str]] = {}
        for drug_id, code in dict.fromkeys(one.keys):
            by_product.setdefault(drug_id, []).append(code)
        for drug_id, codes in by_product.items():
            keys = [(drug_id, code) for code in codes] if len(bills) > 1 or len(codes) < RUN_MIN else []
            # what two bills of a group name is read
            if len(codes) < RUN_MIN or (taken and not taken.isdisjoint(keys)):
                rest += keys
            else:
                runs.append((drug_id, codes))
                taken.update(keys)
    if taken:
        rest = [key for key in rest if key not in taken]
    return runs, rest


async def assume(conn: Connection, world: World, runs: Sequence[Run]) -> list[Key]:
    """Put the units of those runs into the world whose samples are alike; the keys of the others."""
    samples = [[(drug_id, codes[len(codes) * n // SAMPLE]) for n in range(SAMPLE)] for drug_id, codes in runs]
    found = {
        u.key: u for u in await store.read_units(conn, [k for keys in samples for k in keys], lock=False)
    }
    unread: list[Key] = []
    for (drug_id, codes), sample in zip(runs, samples, strict=True):
        read = [found.get(key) for key in sample]
        first = read[0]
        if first is None or not _plain(first) or any(u is None or _state(u) != _state(first) for u in read):
            unread += [(drug_id, code) for code in codes]
            continue
        assert first.status is not None and first.holder is not None
        # the first of the sample is the first of the run; no two runs share a key, and nothing else is there yet
        world.add_run(
            Assumed(first, codes, first.status, first.holder, first.dest, first.notice, first.since)
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
