"""The outbox: deliveries to somebody outside, each sent at least once under one key, followed to its end (R-X9).

General on purpose: a target is a name, a way to send one delivery, perhaps a way to ask what became of it, and what to
do when it comes to rest unfinished. Work is claimed (`FOR UPDATE SKIP LOCKED`) and committed before anything is sent,
so that two servers never send the same delivery at the same time and no transaction waits for a network. A claim whose
sender died is a delivery of which nobody knows whether it arrived: it is asked about before it is sent again, where
the target can be asked, and goes out under the same key with the same content where it cannot.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from yaosu.db.engine import Connection, Pool
from yaosu.notify import store_outbox as store
from yaosu.notify.pace import Pace, pace_of
from yaosu.notify.states import ASKED, Next, State, after
from yaosu.registry.lists import CodeLists

__all__ = ["Delivery", "Outbox", "Outcome", "Target", "enqueue", "enqueue_many"]

log = structlog.get_logger("yaosu.notify")

PER_ADDRESS = 4
"""Deliveries to one address at a time, so that a slow receiver holds up nobody else."""
ROUND_MAX = 32
IDLE_S = 0.5
PACED_S = 0.05
"""How soon it looks again while an address is held up by its pace."""
SWEEP_S = 2.0
WOKEN_S = 1.0
"""How often, at most, an address that answers again has its failed deliveries brought forward."""
REACHED: frozenset[State] = frozenset({"sent", "accepted", "processed", "partly"})
ANSWER_KEPT = 4000


@dataclass(frozen=True, slots=True)
class Delivery:
    """One thing to send. `event` and `key` are the receiver's keys against doubling; `attempts` counts this one.

    `remote` is their reference, once they gave one; `state` what is known of it before this attempt.
    """

    id: int
    org: int
    target: str
    target_id: int
    event: uuid.UUID
    kind: str
    body: Mapping[str, Any]
    attempts: int
    bill_id: int | None = None
    key: str = ""
    lane: str = ""
    state: State = "pending"
    remote: str = ""
    tries: int = 0
    interrupted: bool = False
    """Whether its last claim ended without a word: the sender died, or was stopped."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt.

    `state`: `sent` the gateway took it (level 1), `accepted` (level 2), `processed` done, `partly` done but for some
    codes, `failed`, `unknown` it may have arrived, `pending` they never got it. `answer` is what they said, word for
    word, without secrets. `final`: trying again cannot help, a person must act. `remote` is their reference, `details`
    what they said of single codes (`{"codes": {code: {"code": …, "text": …}}}` where known). `wait_s`: not before.
    """

    state: State
    status: int | None = None
    answer: str = ""
    final: bool = False
    remote: str = ""
    details: Mapping[str, Any] | None = None
    wait_s: float | None = None


_EVENTS = uuid.UUID("7f2c1c0e-6a55-4f0b-9d0a-3b7f8f0c2e16")

Send = Callable[[Delivery], Awaitable[Outcome]]
AtRest = Callable[[Connection, Delivery, Outcome], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Target:
    """A way to the outside. `given_up` runs in the transaction that records that nothing more will be tried by itself:
    given up, refused for good, or at rest until a person acts. `ask` looks up what became of something sent.
    """

    send: Send
    given_up: AtRest
    ask: Send | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to put into the outbox. `key` '' means: every time is a new one."""

    org: int
    target: str
    target_id: int
    kind: str
    body: Mapping[str, Any]
    key: str = ""
    lane: str = ""
    bill_id: int | None = None
    event: uuid.UUID = field(default_factory=uuid.uuid4)


def event_of(target: str, target_id: int, key: str) -> uuid.UUID:
    """The event that a key stands for: the same however often it is made."""
    return uuid.uuid5(_EVENTS, f"{target} {target_id} {key}") if key else uuid.uuid4()


class KeyReusedError(ValueError):
    """The same key with other content: a defect of whoever made it. Nothing is sent."""


async def enqueue(
    conn: Connection,
    org: int,
    target: str,
    target_id: int,
    kind: str,
    body: Mapping[str, Any],
    *,
    key: str = "",
    lane: str = "",
    bill_id: int | None = None,
) -> tuple[int, uuid.UUID]:
    """Put one delivery into the outbox, in the caller's transaction; its number and event.

    The same key for the same target twice is the same delivery. Raises KeyReusedError when its content differs.
    """
    event = uuid.uuid4()
    full = {**body, "id": str(event), "kind": kind, "org": org} if not key else body
    (one,) = await enqueue_many(conn, [Entry(org, target, target_id, kind, full, key, lane, bill_id, event)])
    return one


async def enqueue_many(conn: Connection, entries: Sequence[Entry]) -> list[tuple[int, uuid.UUID]]:
    """The same for many, in their order: that is the order within each lane."""
    if not entries:
        return []
    made = await store.insert(conn, entries)
    for entry, (_, _, digest) in zip(entries, made, strict=True):
        if entry.key and digest != store.digest_of(entry.body):
            raise KeyReusedError(
                f"{entry.target} {entry.target_id}: {entry.key!r} has other content on record"
            )
    return [(number, event) for number, event, _ in made]


async def made_before(conn: Connection, entries: Sequence[Entry]) -> list[Entry]:
    """Those that were made for the same bill before. What was made first stands: names and addresses in a content may
    have changed since, and the same thing must not become two."""
    keyed = [e for e in entries if e.key and e.bill_id is not None]
    known = await store.bills_of_keys(conn, [(e.target, e.target_id, e.key) for e in keyed])
    return [e for e in keyed if known.get((e.target, e.target_id, e.key)) == e.bill_id]


async def clashes(conn: Connection, entries: Sequence[Entry]) -> list[Entry]:
    """Those whose key stands for other content, on record or earlier among them: `enqueue_many` would refuse all."""
    keyed = [e for e in entries if e.key]
    known = {
        k: v[2]
        for k, v in (await store.by_key(conn, [(e.target, e.target_id, e.key) for e in keyed])).items()
    }
    found = []
    for e in keyed:
        if known.setdefault((e.target, e.target_id, e.key), digest := store.digest_of(e.body)) != digest:
            found.append(e)
    return found


class Outbox:
    """Sends what is due. One per server process; any number may run on one database."""

    def __init__(
        self,
        pool: Pool,
        lists: Callable[[], CodeLists],
        targets: Mapping[str, Target],
        lease_s: float | None = None,
    ) -> None:
        self._pool = pool
        self._lists = lists
        self.targets = dict(targets)
        self._lease_s = lease_s
        self._wake = asyncio.Event()
        self._swept = 0.0
        self._held_up = False
        self._woken: dict[tuple[str, int], float] = {}

    def wake(self) -> None:
        """Something was put in: look now."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled. A database that is away for a while is waited for; a slow receiver holds up nobody else."""
        flights: dict[asyncio.Task[None], tuple[str, int]] = {}
        try:
            while True:
                self._wake.clear()
                for done in [task for task in flights if task.done()]:
                    del flights[done]
                try:
                    begun = await self._begin(flights)
                except Exception as error:
                    log.warning("outbox_failed", error=type(error).__name__)
                    begun = 0
                if not begun:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), PACED_S if self._held_up else IDLE_S)
        finally:
            for task in flights:
                task.cancel()
            await asyncio.gather(*flights, return_exceptions=True)

    async def _begin(self, flights: dict[asyncio.Task[None], tuple[str, int]]) -> int:
        """Claim as much as there is room for, and let it fly; how many."""
        room = ROUND_MAX - len(flights)
        if room <= 0:
            return 0
        claimed, paces = await self._claim(room, Counter(flights.values()))
        for one in claimed:
            task = asyncio.create_task(self._fly(one, paces[one.target]))
            task.add_done_callback(lambda _: self._wake.set())
            flights[task] = (one.target, one.target_id)
        return len(claimed)

    async def _fly(self, delivery: Delivery, pace: Pace) -> None:
        try:
            await self._one(delivery, pace)
        except Exception as error:
            # the claim stays until its lease ends; then it is known as interrupted
            log.warning("outbox_failed", delivery=delivery.id, error=type(error).__name__)

    async def once(self) -> int:
        """Claim what is due now and send it to its end; how many attempts were made."""
        claimed, paces = await self._claim(ROUND_MAX, {})
        if claimed:
            await asyncio.gather(*(self._one(one, paces[one.target]) for one in claimed))
        return len(claimed)

    async def _claim(
        self, room: int, busy: Mapping[tuple[str, int], int]
    ) -> tuple[list[Delivery], Mapping[str, Pace]]:
        paces = {name: self._pace(name) for name in list(self.targets)}
        async with self._pool.acquire() as conn:
            if time.monotonic() - self._swept > SWEEP_S:
                await conn.execute(store.SWEEP)
                self._swept = time.monotonic()
            async with conn.transaction():
                claimed, self._held_up = await store.claim(conn, paces, PER_ADDRESS, room, busy)
        return claimed, paces

    def _pace(self, name: str) -> Pace:
        pace = pace_of(self._lists(), name)
        return pace if self._lease_s is None else replace(pace, lease_s=self._lease_s)

    async def _one(self, delivery: Delivery, pace: Pace) -> None:
        target = self.targets[delivery.target]
        asking = target.ask is not None and (delivery.state in ASKED or delivery.interrupted)
        began = time.monotonic()
        outcome = await self._attempt(delivery, target, pace, asking)
        took_ms = int((time.monotonic() - began) * 1000)
        # PostgreSQL keeps no NUL in text
        answer = outcome.answer.replace("\x00", "␀")[:ANSWER_KEPT]
        outcome = replace(outcome, answer=answer, remote=outcome.remote.replace("\x00", "␀"))
        known: State = "unknown" if delivery.interrupted and delivery.state == "pending" else delivery.state
        then = after(known, outcome.state, outcome.final, outcome.wait_s, delivery.tries, pace,
                     asking=asking, can_ask=target.ask is not None)  # fmt: skip
        async with self._pool.acquire() as conn, conn.transaction():
            await self._record(conn, delivery, target, outcome, then, asking, took_ms)

    async def _attempt(self, delivery: Delivery, target: Target, pace: Pace, asking: bool) -> Outcome:
        try:
            # whoever takes over after the lease must be alone
            async with asyncio.timeout(pace.lease_s * 0.9):
                if asking:
                    assert target.ask is not None
                    return await target.ask(delivery)
                return await target.send(delivery)
        except TimeoutError:
            return Outcome("unknown", None, f"no answer within {pace.lease_s * 0.9:g} s")
        except Exception as error:
            # a defect of ours must not stop the others; it may have arrived
            log.exception("delivery_broke", delivery=delivery.id)
            return Outcome("unknown", None, type(error).__name__)

    async def _record(
        self,
        conn: Connection,
        delivery: Delivery,
        target: Target,
        outcome: Outcome,
        then: Next,
        asking: bool,
        took_ms: int,
    ) -> None:
        if not await store.settle(conn, delivery, outcome, then):
            # somebody else claimed it meanwhile: what they find out counts, what we heard stays on record
            log.warning("delivery_claim_lost", delivery=delivery.id)
        await store.record_attempt(conn, delivery, "ask" if asking else "send", then.state, outcome, took_ms)
        address = (delivery.target, delivery.target_id)
        if outcome.state in REACHED and time.monotonic() - self._woken.get(address, -WOKEN_S) >= WOKEN_S:
            # the line is back: what only waited for it need not sit out its pause
            self._woken[address] = time.monotonic()
            await store.line_is_back(conn, *address)
        if then.limited:
            await store.close_gate(conn, delivery.target, delivery.target_id, then.pause_s or 0)
        if then.at_rest:
            await target.given_up(conn, delivery, outcome)
