"""Verbs of the stops room: place, lift, who ran into one, which units are stopped; and each process's memory of them.

A stop is in force from the commit that places it: placing waits for the bills that are being written and holds up
the next ones for that moment, so no bill commits afterwards without having seen it (R-E4: sale stops at once).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.stops import store
from yaosu.stops.model import Hit, Key, Kind, Stop

CODES_MAX = 500_000
"""Single codes of one stop, with everything inside them; a whole batch is stopped as a batch."""
STALE_S = 1.0
"""Readers that do not move goods (queries of consumers and partners) may be this far behind."""


async def place(
    conn: Connection,
    *,
    kind: Kind,
    ref: int,
    number: str,
    title: str,
    level: int | None,
    placed_by: int,
    reason: str,
    batches: Sequence[tuple[int, int]],
    codes: Sequence[Key],
    org: int | None = None,
    return_to: int | None = None,
) -> int:
    """Stop `batches` (product, batch) and `codes` (product, code) with all they contain; the stop's number.

    `org` limits it to bills of one owner: a firm's own suspension of sale (R-B5). `return_to` is who collects the
    goods, where a recall order says it. In force with the caller's commit; keep that transaction short, bills wait for
    it. Refused (`stops_too_many_codes`) past `CODES_MAX`.
    """
    made: int = await conn.fetchval(
        store.PLACE, kind, ref, number, title, level, org, placed_by, reason, return_to
    )
    await extend(conn, made, batches, codes)
    return made


async def extend(
    conn: Connection, stop_id: int, batches: Sequence[tuple[int, int]], codes: Sequence[Key]
) -> None:
    """Stop more goods under a stop that is in force; as `place`, and refused as it is."""
    await conn.execute(store.LOCK_OUT_BILLS)
    if batches:
        await conn.execute(store.PLACE_BATCHES, [b[0] for b in batches], [b[1] for b in batches], stop_id)
    if codes:
        done = await conn.execute(
            store.PLACE_CODES, [c[0] for c in codes], [c[1] for c in codes], stop_id, CODES_MAX + 1
        )
        count = int(done.rsplit(" ", 1)[1])
        if count > CODES_MAX:
            raise YaosuError("stops_too_many_codes", {"limit": CODES_MAX})
    await conn.execute(store.RAISE_VERSION)


async def lift(conn: Connection, stop_id: int, reason: str) -> bool:
    """Let the goods move again from the caller's commit on; False when it was not in force."""
    if await conn.fetchval(store.LIFT, stop_id, reason) is None:
        return False
    await conn.execute(store.RAISE_VERSION)
    return True


async def hits(conn: Connection, stop_id: int) -> list[Hit]:
    """Who ran into the stop, earliest first."""
    return [Hit(**dict(r)) for r in await conn.fetch(store.HITS, stop_id)]


async def first_hit_at(conn: Connection, stop_id: int) -> datetime | None:
    """When the first scan was refused because of it (R-X7); None while none was."""
    found = await hits(conn, stop_id)
    return found[0].first_at if found else None


async def count_hits(conn: Connection, met: Sequence[tuple[int, int, str]]) -> None:
    """Write down refusals: (stop, organisation, code) for each refused scan."""
    found: dict[tuple[int, int], tuple[int, str]] = {}
    for stop_id, org, code in met:
        count, first = found.get((stop_id, org), (0, code))
        found[(stop_id, org)] = (count + 1, first)
    if found:
        rows = sorted((stop, org, count, first) for (stop, org), (count, first) in found.items())
        await conn.execute(store.HIT, *(list(column) for column in zip(*rows, strict=True)))


class Memory:
    """The stops in force, kept by each process. Whoever moves goods asks `at` with the version read in its own
    transaction; whoever only looks asks `fresh`, which looks at the database at most once a second.
    """

    def __init__(self) -> None:
        self.version = -1
        self.batches: Mapping[tuple[int, int], Sequence[Stop]] = {}
        self.codes: Mapping[Key, Sequence[Stop]] = {}
        self.products: frozenset[int] = frozenset()
        """Products of which single codes are stopped."""
        self.by_id: Mapping[int, Stop] = {}
        self._looked = 0.0
        self._lock = asyncio.Lock()

    async def at(self, conn: Connection, version: int) -> None:
        """Bring it to at least `version`."""
        if version == self.version:
            return
        async with self._lock:
            if version != self.version:
                await self._load(conn)

    async def fresh(self, conn: Connection) -> Memory:
        """At most `STALE_S` seconds behind."""
        if time.monotonic() - self._looked > STALE_S:
            self._looked = time.monotonic()
            await self.at(conn, await conn.fetchval(store.VERSION))
        return self

    async def _load(self, conn: Connection) -> None:
        # the version first: what changes in between makes it look older than it is, never newer
        version = await conn.fetchval(store.VERSION)
        stops = {r["id"]: Stop(**dict(r)) for r in await conn.fetch(store.ACTIVE)}
        batches: dict[tuple[int, int], list[Stop]] = {}
        for drug_id, batch_id, stop_id in await conn.fetch(store.ACTIVE_BATCHES):
            if stop_id in stops:
                batches.setdefault((drug_id, batch_id), []).append(stops[stop_id])
        codes: dict[Key, list[Stop]] = {}
        for drug_id, code, stop_id in await conn.fetch(store.ACTIVE_CODES):
            if stop_id in stops:
                codes.setdefault((drug_id, code), []).append(stops[stop_id])
        self.batches, self.codes, self.by_id = batches, codes, stops
        self.products = frozenset(drug_id for drug_id, _ in codes)
        self.version = version

    async def holding(self, conn: Connection, keys: Sequence[Key]) -> dict[Key, dict[Stop, int]]:
        """Those of `keys` that hold stopped codes somewhere inside, and how many."""
        concerned = [k for k in keys if k[0] in self.products]
        if not concerned:
            return {}
        rows = await conn.fetch(store.AROUND, sorted({k[0] for k in concerned}), [k[1] for k in concerned])
        found: dict[Key, dict[Stop, int]] = {}
        for r in rows:
            stop = self.by_id.get(r["stop_id"])
            if stop is not None:
                found.setdefault((r["drug_id"], r["code"]), {})[stop] = r["count"]
        return found


async def version_of(conn: Connection) -> int:
    """The version of the stops in force now."""
    found: int = await conn.fetchval(store.VERSION)
    return found


async def of_batches(conn: Connection, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Stop]:
    """The first stop in force on each of the batches (product, batch) that everybody is bound by."""
    memory = Memory()
    await memory.fresh(conn)
    found = {}
    for key in keys:
        stop = next((s for s in memory.batches.get(key, ()) if s.org is None), None)
        if stop is not None:
            found[key] = stop
    return found


async def of_units(conn: Connection, keys: Sequence[Key], owner: int | None = None) -> dict[Key, Stop]:
    """The first stop in force on each unit: its own code, what it holds, what it is inside of, or its batch.

    `owner` adds that firm's own suspensions. Exact at the moment of the call; for bills in the write path the
    judge does the same from memory.
    """
    memory = Memory()
    await memory.at(conn, await conn.fetchval(store.VERSION))
    if not keys or not (memory.batches or memory.codes):
        return {}
    holding = await memory.holding(conn, keys)
    found: dict[Key, Stop] = {}

    def note(key: Key, stops: Sequence[Stop]) -> None:
        for stop in stops:
            if stop.org is None or stop.org == owner:
                found.setdefault(key, stop)

    for row in await conn.fetch(store.BATCHES_OF, [k[0] for k in keys], [k[1] for k in keys]):
        key = (row["drug_id"], row["asked"])
        note(key, memory.codes.get((row["drug_id"], row["code"]), ()))
        if row["code"] == row["asked"]:
            note(key, list(holding.get(key, ())))
            note(key, memory.batches.get((row["drug_id"], row["batch_id"]), ()))
    return found
