"""Back-fill: what was recorded before a connection was made goes out in order, behind nothing new (R-X9, R-B9).

It walks the bills from a date on by their numbers, a portion at a time, each in one transaction with its place: stopped
or killed anywhere it goes on where it was. A portion is taken only while little is under way through the connection, so
what happens now never waits for more than a portion. What was sent before keeps its key and is not sent again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from yaosu.access import audit
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.exchange.outbox import store_backfill as store
from yaosu.subject import Subject

PORTION = 50
"""Bills looked at in one transaction."""
UNDER_WAY_MAX = 50
"""Deliveries and unbuilt bills of a connection up to which the next portion is taken."""
COUNT_MAX = 100_000
"""A back-fill's bills are counted up to here when it begins; the walk has no limit."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """How a back-fill stands: from bill number `first` to `upto`, now `at`; `looked` bills."""

    since: datetime
    state: str
    looked: int
    first: int
    at: int
    upto: int
    started_at: datetime
    ended_at: datetime | None

    @property
    def percent(self) -> int:
        """Of the way."""
        way = self.upto - self.first
        return 100 if self.state == "done" or not way else min(99, (self.at - self.first) * 100 // way)

    def awaits(self, bill: int, recorded_at: datetime) -> bool:
        """Whether a bill's turn is still to come."""
        return self.state != "done" and self.at < bill <= self.upto and recorded_at >= self.since

    def as_json(self) -> dict[str, Any]:
        """The form of API answers."""
        return {
            "since": self.since.isoformat(),
            "state": self.state,
            "bills": self.looked,
            "percent": self.percent,
            "started_at": self.started_at.isoformat(),
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
        }


async def of(conn: Connection, connection_id: int) -> Backfill | None:
    """The latest back-fill of a connection, or None. The caller has looked whether the subject may see it."""
    row = await conn.fetchrow(store.ONE, connection_id)
    if row is None:
        return None
    return Backfill(
        row["since"], row["state"], row["looked"], row["first"], row["at"], row["upto"], row["started_at"],
        row["ended_at"],
    )  # fmt: skip


async def begin(
    conn: Connection, subject: Subject, connection_id: int, owners: Sequence[int] | None, since: datetime
) -> int:
    """From the first bill recorded at `since` on; how many bills, counted up to `COUNT_MAX`.

    One that is under way begins anew from there. `owners`: whose bills; None: everybody's. The caller has looked
    whether the subject may.
    """
    first, upto = await conn.fetchval(store.FIRST, since), await conn.fetchval(store.LAST)
    count: int = await conn.fetchval(
        store.COUNT, first, upto, since, list(owners or ()), owners is None, connection_id, COUNT_MAX
    )
    await conn.execute(store.BEGIN, connection_id, since, first, max(first, upto), subject.account_id)
    details = {"since": since.isoformat(), "count": count}
    await audit.record(conn, subject, "connection.backfill", ("connection", connection_id), details)
    return count


async def set_state(conn: Connection, subject: Subject, connection_id: int, state: str) -> None:
    """`paused`, or `running` again from where it was; `not_found` where none is under way."""
    if await conn.fetchval(store.SET_STATE, connection_id, state) is None:
        raise YaosuError("not_found", {"what": "补报" if subject.lang == "zh" else "Back-fill"})
    await audit.record(conn, subject, "connection.backfill", ("connection", connection_id), {"state": state})


Routed = Callable[[Connection, int, Sequence[tuple[int, int]]], Awaitable[bool]]
"""Route bills (number, owner) for a connection in the caller's transaction; False: somebody is at these owners now."""


async def step(
    conn: Connection, connection_id: int, owners: Callable[[int], Sequence[int]], routed: Routed
) -> int:
    """One portion, in the caller's transaction; how many bills. `owners`: an organisation with its places."""
    row = await conn.fetchrow(store.TAKE, connection_id)
    if row is None:
        return 0
    if await conn.fetchval(store.UNDER_WAY, row["channel"], connection_id, UNDER_WAY_MAX) >= UNDER_WAY_MAX:
        return 0
    whose = [] if row["everyone"] else list(owners(row["org"]))
    found = await conn.fetch(
        store.NEXT, row["at"], row["upto"], row["since"], whose, row["everyone"], connection_id, PORTION
    )
    if found and not await routed(conn, connection_id, [(r["bill_id"], r["owner"]) for r in found]):
        return 0
    last = len(found) < PORTION
    await conn.execute(
        store.MOVE, connection_id, row["upto"] if last else found[-1]["bill_id"], len(found), last
    )
    return len(found)
