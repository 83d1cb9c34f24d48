"""The outbox: deliveries to somebody outside, each sent at least once, retried with growing pauses, given up at last.

General on purpose: a target is a name, a way to send one delivery and what to do when it is given up. Webhooks are
the first; other counterparts bring their own. Work is claimed (`FOR UPDATE SKIP LOCKED`) and committed before anything
is sent, so that two servers never send the same delivery at the same time and no transaction waits for a network.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from yaosu.db.engine import Connection, Pool
from yaosu.registry.lists import CodeLists

log = structlog.get_logger("yaosu.notify")

LEASE_S = 60
"""A claimed delivery whose sender died is due again after this."""
PER_ADDRESS = 4
"""Deliveries to one address at a time, so that a slow receiver holds up nobody else."""
ROUND_MAX = 32
IDLE_S = 1.0
ANSWER_KEPT = 500

# The oldest few of each address that has something due; a claim is a lease.
CLAIM = """
WITH addresses AS (
    SELECT DISTINCT target, target_id FROM delivery
    WHERE state IN ('pending', 'failed') AND next_at <= now() AND target = ANY ($1::text[])
), picked AS (
    SELECT d.id FROM addresses a CROSS JOIN LATERAL (
        SELECT id FROM delivery WHERE target = a.target AND target_id = a.target_id
            AND state IN ('pending', 'failed') AND next_at <= now() ORDER BY id LIMIT $2) few
    JOIN delivery d ON d.id = few.id AND d.next_at <= now() AND d.state IN ('pending', 'failed')
    LIMIT $3 FOR UPDATE OF d SKIP LOCKED
)
UPDATE delivery d SET next_at = now() + make_interval(secs => $4), attempts = d.attempts + 1
FROM picked p WHERE d.id = p.id
RETURNING d.id, d.org, d.target, d.target_id, d.event, d.kind, d.body, d.attempts"""

SETTLE = """
UPDATE delivery SET state = $2, answer_status = $3, answer = $4, next_at = now() + make_interval(secs => $5),
    settled_at = CASE WHEN $2 IN ('sent', 'given_up') THEN now() END
WHERE id = $1"""

ENQUEUE = """
INSERT INTO delivery (org, target, target_id, event, kind, body) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One thing to send. `event` is the receiver's key against doubling; `attempts` counts this one."""

    id: int
    org: int
    target: str
    target_id: int
    event: uuid.UUID
    kind: str
    body: Mapping[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt. `final`: trying again cannot help."""

    ok: bool
    status: int | None = None
    answer: str = ""
    final: bool = False


Send = Callable[[Delivery], Awaitable[Outcome]]
GivenUp = Callable[[Connection, Delivery, Outcome], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Target:
    """A way to the outside. `given_up` runs in the transaction that records the end."""

    send: Send
    given_up: GivenUp


async def enqueue(
    conn: Connection, org: int, target: str, target_id: int, kind: str, body: Mapping[str, Any]
) -> tuple[int, uuid.UUID]:
    """Put one delivery into the outbox, in the caller's transaction; its number and event."""
    event = uuid.uuid4()
    full = {**body, "id": str(event), "kind": kind, "org": org}
    number: int = await conn.fetchval(ENQUEUE, org, target, target_id, event, kind, full)
    return number, event


def pause_after(lists: CodeLists, attempts: int) -> int | None:
    """Seconds until the next try after `attempts` failed ones; None when there is none (list `delivery_retry`)."""
    item = lists.item("delivery_retry", attempts)
    return None if item is None else int(str(item.attrs["seconds"]))


class Outbox:
    """Sends what is due. One per server process; any number may run on one database."""

    def __init__(
        self,
        pool: Pool,
        lists: Callable[[], CodeLists],
        targets: Mapping[str, Target],
        lease_s: int = LEASE_S,
    ) -> None:
        self._pool = pool
        self._lists = lists
        self.targets = dict(targets)
        self._lease_s = lease_s

    async def run(self) -> None:
        """Until cancelled. A database that is away for a while is waited for."""
        while True:
            try:
                done = await self.once()
            except Exception as error:
                log.warning("outbox_failed", error=type(error).__name__)
                done = 0
            if not done:
                await asyncio.sleep(IDLE_S)

    async def once(self) -> int:
        """Claim and send what is due now; how many attempts were made."""
        async with self._pool.acquire() as conn, conn.transaction():
            rows = await conn.fetch(CLAIM, list(self.targets), PER_ADDRESS, ROUND_MAX, self._lease_s)
        if rows:
            await asyncio.gather(*(self._one(Delivery(*row.values())) for row in rows))
        return len(rows)

    async def _one(self, delivery: Delivery) -> None:
        target = self.targets[delivery.target]
        try:
            outcome = await target.send(delivery)
        except Exception as error:
            # a defect of ours must not stop the others; it is tried again like any failure
            log.exception("delivery_broke", delivery=delivery.id)
            outcome = Outcome(False, None, type(error).__name__)
        pause = None if outcome.final else pause_after(self._lists(), delivery.attempts)
        state = "sent" if outcome.ok else "given_up" if pause is None else "failed"
        # PostgreSQL keeps no NUL in text
        answer = outcome.answer.replace("\x00", "␀")[:ANSWER_KEPT]
        async with self._pool.acquire() as conn, conn.transaction():
            await conn.execute(SETTLE, delivery.id, state, outcome.status, answer, float(pause or 0))
            if state == "given_up":
                await target.given_up(conn, delivery, outcome)
