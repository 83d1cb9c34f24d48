"""The router: from recorded bills to deliveries, soon after each commit, once (R-X9).

A bill that may be owed to somebody left a row in `bill_due` in its own transaction. The router takes such rows, loads
the bills, asks the rules, lets each channel build what goes out, and stores the deliveries in the transaction that
takes the rows away: whoever dies in between leaves everything as it was. What a channel cannot build stays in
`route_due` for that connection alone and is tried again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from asyncpg import Record

from yaosu.db.engine import Connection, Pool
from yaosu.errors import YaosuError
from yaosu.exchange.outbox import backfill, loading, store_backfill
from yaosu.exchange.outbox import store_route as store
from yaosu.exchange.outbox.connections import unseal
from yaosu.exchange.outbox.model import Channel, Link, RoutedBill
from yaosu.exchange.outbox.routing import Decision, Told, decide
from yaosu.notify.outbox import Entry, Outbox, clashes, enqueue_many, event_of, made_before
from yaosu.people.keeper import Keeper
from yaosu.registry.groups import home
from yaosu.registry.resolver import Registry

PARTS = 8
"""Owners are routed in so many parts; each part by one process at a time."""
AT_ONCE = 100
IDLE_S = 0.3

log = structlog.get_logger("yaosu.exchange")

Pair = tuple[int, int]
"""(connection, bill)."""
Due = Record | Mapping[str, Any]
"""`bill_id` and `owner`; of single ones also `connection_id` and `tries`."""


@dataclass
class _Work:
    """What one transaction has decided so far."""

    decided: list[tuple[int, int, bool, int, str, str, object]] = field(default_factory=list)
    later: dict[Pair, tuple[int, int, str]] = field(default_factory=dict)
    done: list[Pair] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    owners: list[tuple[int, int, int]] = field(default_factory=list)
    told: dict[Pair, Told] = field(default_factory=dict)


class Router:
    """One per server process; any number may run on one database."""

    def __init__(
        self,
        pool: Pool,
        registry: Registry,
        keeper: Keeper,
        channels: Mapping[str, Channel],
        outbox: Outbox | None = None,
    ) -> None:
        self._pool = pool
        self._registry = registry
        self._keeper = keeper
        self.channels = channels
        self._outbox = outbox

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                done = await self.once()
            except Exception as error:
                log.warning("router_failed", error=type(error).__name__)
                done = 0
            if not done:
                await asyncio.sleep(IDLE_S)

    async def once(self) -> int:
        """Route what waits, one round of each part; how many bills."""
        async with self._pool.acquire() as conn:
            parts = [row[0] for row in await conn.fetch(store.PARTS_DUE, PARTS)]
        done = 0
        for part in parts:
            async with self._pool.acquire() as conn, conn.transaction():
                if await conn.fetchval(store.PART_LOCK, part):
                    done += await self._part(conn, part)
        done += await self._catch_up()
        if done and self._outbox is not None:
            self._outbox.wake()
        return done

    async def _catch_up(self) -> int:
        """One portion of each back-fill; how many bills."""
        async with self._pool.acquire() as conn:
            running = [row[0] for row in await conn.fetch(store_backfill.RUNNING)]
        done = 0
        for number in running:
            async with self._pool.acquire() as conn, conn.transaction():
                done += await backfill.step(conn, number, self._with_places, self._portion)
        return done

    def _with_places(self, org: int) -> list[int]:
        return [org, *(c.id for c in self._registry.orgs() if home(self._registry, c.id) == org != c.id)]

    async def _portion(self, conn: Connection, link_id: int, bills: Sequence[tuple[int, int]]) -> bool:
        for part in sorted({owner % PARTS for _, owner in bills}):
            if not await conn.fetchval(store.PART_LOCK, part):
                return False
        await self._route(
            conn, [], [{"bill_id": b, "owner": o, "connection_id": link_id, "tries": 0} for b, o in bills]
        )
        return True

    async def _part(self, conn: Connection, part: int) -> int:
        fresh = await conn.fetch(store.DUE, PARTS, part, AT_ONCE)
        single = await conn.fetch(store.DUE_ONE, PARTS, part, AT_ONCE)
        return await self._route(conn, fresh, single) if fresh or single else 0

    async def _route(self, conn: Connection, fresh: Sequence[Due], single: Sequence[Due]) -> int:
        # a firm, product or filing that came in with a bill, or by another server a moment before it: without them the
        # rules would find it owed to nobody, for good
        await self._registry.refresh(conn)
        bills = await loading.load(conn, self._registry, sorted({r["bill_id"] for r in (*fresh, *single)}))
        orgs = {o for b in bills.values() for o in self._parties(b)}
        rows = await conn.fetch(store.CONNECTIONS, sorted(orgs), [r["connection_id"] for r in single])
        links = {row["id"]: row for row in rows}
        behind: dict[tuple[int, int, str], set[int]] = defaultdict(set)
        named = sorted({(b.owner, b.bill_no) for b in bills.values()})
        for row in await conn.fetch(store.BEHIND, [n[0] for n in named], [n[1] for n in named]):
            behind[(row["connection_id"], row["owner"], row["bill_no"])].add(row["bill_id"])
        todo: dict[Pair, int] = {(r["connection_id"], r["bill_id"]): r["tries"] for r in single}
        alone = set(todo)
        for word in fresh:
            told = bills.get(word["bill_id"])
            for link_id, link in links.items():
                if told is not None and self._concerns(link, told):
                    todo.setdefault((link_id, told.id), 0)
        replaced = sorted({b.replaces for b in bills.values() if b.replaces})
        decided_before = {
            (r["connection_id"], r["bill_id"]): Told(
                r["owed"], frozenset(c for v in (r["left_out"] or {}).values() for c in v)
            )
            for r in await conn.fetch(store.TOLD, replaced)
        }
        work = _Work()
        opened: dict[int, Link | str] = {}
        for (link_id, bill_id), tries in sorted(todo.items(), key=lambda t: (t[0][1], t[0][0])):
            bill, connection = bills.get(bill_id), links.get(link_id)
            if bill is None or connection is None:
                work.done.append((link_id, bill_id))
                continue
            earlier = behind[(link_id, bill.owner, bill.bill_no)]
            if any(other < bill_id for other in earlier):
                work.later[(link_id, bill_id)] = (bill.owner, tries + 1, "behind")
                continue
            if link_id not in opened:
                opened[link_id] = self._open(connection)
            before = decided_before.get((link_id, bill.replaces or 0)) or work.told.get(
                (link_id, bill.replaces or 0)
            )
            built = await self._one(conn, work, bill, opened[link_id], link_id, tries, before)
            if built:
                earlier.discard(bill_id)
            else:
                earlier.add(bill_id)
        await self._write(conn, work, fresh, alone)
        return len(bills)

    def _parties(self, bill: RoutedBill) -> set[int]:
        """Who may have a connection for it: owner, seller, buyer, and the organisation the owner is a place of."""
        return {o for o in (bill.owner, bill.from_org, bill.to_org, home(self._registry, bill.owner)) if o}

    def _concerns(self, link: Record, bill: RoutedBill) -> bool:
        return bool(
            (link["everyone"] or link["org"] in self._parties(bill)) and bill.recorded_at >= link["since"]
        )

    def _open(self, row: Record) -> Link | str:
        try:
            secret = unseal(self._keeper, row["id"], row["secret"])
        except YaosuError as error:
            return error.code
        return Link(
            row["id"], row["org"], row["channel"], row["profile"], row["title"], row["url"], row["account"], secret,
            row["everyone"], row["region"],
        )  # fmt: skip

    async def _one(
        self,
        conn: Connection,
        work: _Work,
        bill: RoutedBill,
        link: Link | str,
        link_id: int,
        tries: int,
        told: Told | None,
    ) -> bool:
        """Decide and build for one connection; False when it has to be tried again."""
        if isinstance(link, str):
            work.later[(link_id, bill.id)] = (bill.owner, tries + 1, link)
            return False
        channel = self.channels.get(link.channel)
        if channel is None:
            work.later[(link_id, bill.id)] = (bill.owner, tries + 1, "channel_missing")
            return False
        chosen = decide(bill, link, loading.facts_of(self._registry, bill), self._registry.lists, told)
        parcels = []
        if chosen.bill is not None:
            try:
                async with conn.transaction():
                    parcels = list(await channel.build(conn, chosen.bill, link))
            except Exception as error:
                # a channel's defect or a moment's trouble: its own bill waits, the others go
                log.exception("build_failed", channel=link.channel, connection=link_id, bill=bill.id)
                code = error.code if isinstance(error, YaosuError) else type(error).__name__
                work.later[(link_id, bill.id)] = (bill.owner, tries + 1, code)
                return False
        work.done.append((link_id, bill.id))
        work.owners.append((link_id, bill.id, bill.owner))
        decided = _decision(bill, link_id, chosen, len(parcels), channel.stands is not None)
        work.decided.append(decided)
        out = frozenset(c for codes in chosen.left_out.values() for c in codes)
        work.told[(link_id, bill.id)] = Told(bool(parcels), out)
        work.entries += [
            Entry(link.org, link.channel, link.id, p.kind, p.body, p.key, p.lane, bill.id,
                  event_of(link.channel, link.id, p.key))
            for p in parcels
        ]  # fmt: skip
        return True

    async def _drop_clashes(self, conn: Connection, work: _Work) -> None:
        """A key that already stands for another bill is a channel's defect: its bill waits, the others go."""
        again = {id(e) for e in await made_before(conn, work.entries)}
        work.entries = [e for e in work.entries if id(e) not in again]
        clashing = {(e.target_id, e.bill_id or 0) for e in await clashes(conn, work.entries)}
        if not clashing:
            return
        for pair in clashing:
            log.error("delivery_key_reused", connection=pair[0], bill=pair[1])
        owners = {(c, b): o for c, b, o in work.owners if (c, b) in clashing}
        work.entries = [e for e in work.entries if (e.target_id, e.bill_id or 0) not in clashing]
        work.done = [pair for pair in work.done if pair not in clashing]
        work.decided = [d for d in work.decided if (d[1], d[0]) not in clashing]
        for pair in clashing:
            work.later[pair] = (owners[pair], 12, "delivery_key_reused")

    async def _write(self, conn: Connection, work: _Work, fresh: Sequence[Due], alone: set[Pair]) -> None:
        await self._drop_clashes(conn, work)
        await enqueue_many(conn, work.entries)
        if work.decided:
            await conn.execute(store.DECIDED, *(list(column) for column in zip(*work.decided, strict=True)))
        if work.later:
            await conn.execute(
                store.LATER,
                [pair[0] for pair in work.later],
                [pair[1] for pair in work.later],
                [owner for owner, _, _ in work.later.values()],
                [tries for _, tries, _ in work.later.values()],
                [error for _, _, error in work.later.values()],
            )
        ended = [pair for pair in work.done if pair in alone]
        if ended:
            await conn.execute(store.DONE_ONE, [c for c, _ in ended], [b for _, b in ended])
        if fresh:
            await conn.execute(store.DONE, [row["bill_id"] for row in fresh])


def _decision(
    bill: RoutedBill, link_id: int, chosen: Decision, parcels: int, streamed: bool
) -> tuple[int, int, bool, int, str, str, object]:
    reason = chosen.reason
    if chosen.bill is not None and not parcels:
        reason = "route_in_stream" if streamed else "route_nothing_built"
    # codes stand in the bill; a reason that holds for all of it needs no list
    left_out = dict(chosen.left_out) if chosen.left_out and chosen.bill is not None else None
    return (bill.id, link_id, parcels > 0, min(parcels, 32000), chosen.rule, reason, left_out)
