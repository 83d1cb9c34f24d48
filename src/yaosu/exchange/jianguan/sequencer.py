"""Gives every accepted bill of a region its number in the feed, after its commit, once, without gaps.

Bill ids are taken inside transactions and committed out of order, so «everything after id N» would miss a bill that
commits late. Numbers of the feed are therefore given by a second, short transaction that alone holds the feed's row:
it takes bills that are committed and have no number. A crash before its commit leaves nothing, after it everything;
two processes take turns. Numbers stand in the order of these transactions, so «after number N» misses nothing.

`low` keeps this cheap: all bills up to it have been looked at. It rises only to a mark (the last id handed out at some
moment) once no transaction that began before that moment is left, because only such a one could still commit an id
below. A bill is numbered after those it builds on, whatever their ids say.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from yaosu.circulation.cache import CHINA
from yaosu.db.engine import Connection
from yaosu.exchange.basedata import Parties, everything
from yaosu.exchange.jianguan import form
from yaosu.exchange.jianguan import store_feed as store
from yaosu.exchange.jianguan.events import Event, base_event, bill_events
from yaosu.exchange.outbox import loading
from yaosu.registry.resolver import Registry

AT_ONCE = 200
MARKS_MAX = 100
MAKING = frozenset({1})
"""Bill types whose packages are told with everything inside: 赋码激活."""


async def number_base(conn: Connection, registry: Registry, feed: int, source_id: str, region: str) -> int:
    """Number base data that are new or changed, in the caller's transaction; how many.

    Firms of the region; code rules and products whichever firm's they are, since what is sold in the region need not
    be made there.
    """
    locked = await conn.fetchrow(store.LOCK, feed)
    assert locked is not None
    known = {(r["kind"], r["key"]): (r["digest"], r["turn"]) for r in await conn.fetch(store.BASE, feed)}
    today = datetime.now(CHINA).date()
    events, changed = [], []
    for item in await everything(conn, registry):
        if item.kind == "firm" and not str(item.body.get("region", "")).startswith(region):
            continue
        digest = form.digest(dict(item.body))
        before = known.get((item.kind, item.key))
        if before is not None and before[0] == digest:
            continue
        turn = before[1] + 1 if before is not None else 1
        changed.append((feed, item.kind, item.key, digest, turn))
        events.append(base_event(source_id, item, turn, today))
    if changed:
        await conn.executemany(store.PUT_BASE, changed)
        last = await _put(conn, feed, locked["seq"], events)
        await conn.execute(store.SET_FEED, feed, last, locked["low"], locked["marks"])
    return len(events)


async def number_bills(
    conn: Connection, registry: Registry, feed: int, source_id: str, region: str, since: datetime
) -> int:
    """Number bills that have none yet, in the caller's transaction; how many bills."""
    locked = await conn.fetchrow(store.LOCK, feed)
    assert locked is not None
    low, marks, ready = await _horizon(conn, locked["low"], locked["marks"])
    fresh = [r["id"] for r in await conn.fetch(store.FRESH, feed, low, since, region, AT_ONCE)]
    whole = len(fresh) < AT_ONCE
    ordered = await _in_order(conn, feed, fresh, low, since, region)
    events: list[Event] = []
    if ordered:
        parties = await Parties.load(conn, registry)
        bills = await loading.load(conn, registry, ordered)
        refused = {r["id"]: r["refused"] for r in await conn.fetch(store.PRODUCTS_OF, ordered)}
        for number in ordered:
            bill = bills.get(number)
            if bill is None:
                continue
            inside: Sequence[tuple[str, str, int]] = ()
            if bill.type in MAKING:
                rows = await conn.fetch(
                    store.INSIDE, [v.drug_id for v in bill.lines], [v.code for v in bill.lines]
                )
                inside = [(r["code"], r["parent"], r["level"]) for r in rows]
            events += bill_events(parties, source_id, bill, refused.get(number, 0), inside)
    last = await _put(conn, feed, locked["seq"], events)
    # everything below the mark was in this round, if the round was not cut short
    new_low = ready if whole else low
    if (last, new_low, marks) != (locked["seq"], locked["low"], locked["marks"]):
        await conn.execute(store.SET_FEED, feed, last, new_low, marks)
    return len(ordered)


async def _horizon(conn: Connection, low: int, marks: list[list[Any]]) -> tuple[int, list[list[Any]], int]:
    """`low`, the marks to keep, and where `low` may rise to after a round that takes everything it sees.

    Asked before the bills are: what commits in between is above the mark or already seen.
    """
    row = await conn.fetchrow(store.HORIZON)
    assert row is not None
    oldest: datetime | None = row["oldest"]
    ready, kept = low, []
    for number, text in marks:
        if oldest is None or datetime.fromisoformat(text) < oldest:
            ready = max(ready, int(number))
        else:
            kept.append([number, text])
    if row["last"] > max([ready, *(int(m[0]) for m in kept)]):
        kept.append([row["last"], row["at"].isoformat()])
    return low, kept[:MARKS_MAX], ready


async def _in_order(
    conn: Connection, feed: int, fresh: Sequence[int], low: int, since: datetime, region: str
) -> list[int]:
    """The bills by id, but each after what it builds on; those it builds on are brought in where they wait, too."""
    chosen = list(fresh)
    edges: dict[int, set[int]] = {}
    look = list(fresh)
    while look:
        heads = await conn.fetch(store.PRODUCTS_OF, look)
        pairs = [(h["id"], d) for h in heads for d in h["drug_ids"]]
        rows = await conn.fetch(store.BUILDS_ON, [p[0] for p in pairs], [p[1] for p in pairs], low)
        missing = set()
        for row in rows:
            edges.setdefault(row["bill_id"], set()).add(row["prev_bill"])
            if row["prev_bill"] not in chosen:
                missing.add(row["prev_bill"])
        look = [
            r["id"] for r in await conn.fetch(store.STILL_FRESH, feed, sorted(missing), since, region)
        ] if missing else []  # fmt: skip
        chosen += look
    ordered: list[int] = []
    done: set[int] = set()
    for start in sorted(chosen):
        stack = [start]
        while stack:
            bill = stack[-1]
            ahead = sorted(b for b in edges.pop(bill, ()) if b in chosen and b not in done)
            if ahead:
                stack += ahead
                continue
            stack.pop()
            if bill not in done:
                done.add(bill)
                ordered.append(bill)
    return ordered


async def _put(conn: Connection, feed: int, last: int, events: Sequence[Event]) -> int:
    """Store events under the next numbers; the last number."""
    if events:
        numbers = range(last + 1, last + 1 + len(events))
        columns = list(
            zip(
                *(
                    (
                        n,
                        e.event_id,
                        e.kind,
                        e.org,
                        e.day,
                        e.qty,
                        e.codes,
                        e.bill_id,
                        e.part,
                        e.digest,
                        e.packed,
                    )
                    for n, e in zip(numbers, events, strict=True)
                ),
                strict=True,
            )
        )
        await conn.execute(store.PUT, feed, *(list(c) for c in columns))
    return last + len(events)
