"""Small bills share transactions (design D5).

Small bills that arrive while others are being written are committed together; each caller still gets its
own verdicts, and a bad bill never fails a neighbour. When the shared transaction fails (another server took a
number, the database went away), every bill of the group is tried once more on its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress

import asyncpg
import structlog

from yaosu.circulation.apply import apply_group
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.model import MovementResult, Prepared
from yaosu.circulation.posting import Outcome
from yaosu.circulation.store_write import ConflictError
from yaosu.db.engine import Pool
from yaosu.errors import YaosuError

log = structlog.get_logger("yaosu.circulation")

GROUP_BILLS_MAX = 128
GROUP_CODES_MAX = 2_000
"""A group closes at either limit, so that nobody waits long behind others."""
SMALL_CODES_MAX = 200
"""Bills of up to this many codes share transactions with others."""
WAITING_MAX = 4_000
"""Bills waiting; above, callers are told to come back (`too_busy`)."""
TRIES = 3

_RETRY = (
    ConflictError,
    asyncpg.UniqueViolationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)


class _Lane:
    """A queue of prepared bills that one writer drains."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Prepared, asyncio.Future[Outcome]]] = deque()
        self.wake = asyncio.Event()

    def put(self, prepared: Prepared, future: asyncio.Future[Outcome]) -> None:
        """Queue a bill."""
        self.waiting.append((prepared, future))
        self.wake.set()

    def take(self) -> list[tuple[Prepared, asyncio.Future[Outcome]]]:
        """The next group: in order of arrival, no two bills of one number, within the limits."""
        group: list[tuple[Prepared, asyncio.Future[Outcome]]] = []
        numbers: set[tuple[int, str]] = set()
        codes = 0
        while self.waiting and len(group) < GROUP_BILLS_MAX:
            prepared, future = self.waiting[0]
            number = (prepared.movement.owner, prepared.movement.bill_no)
            if number in numbers or (group and codes + len(prepared.scans) > GROUP_CODES_MAX):
                break
            self.waiting.popleft()
            if future.cancelled():
                continue
            numbers.add(number)
            codes += len(prepared.scans)
            group.append((prepared, future))
        return group


class Committer:
    """One per server process. Small bills and large ones wait in lanes of their own, so that a sale never stands
    behind a delivery of thousands. One writer a lane: while it commits, the next group gathers by itself, and larger
    groups cost less per bill than more writers gain.
    """

    def __init__(self, pool: Pool, batches: BatchCache) -> None:
        self._pool = pool
        self._batches = batches
        self._small, self._large = _Lane(), _Lane()
        self._tasks: list[asyncio.Task[None]] = []
        self._unanswered: set[asyncio.Future[Outcome]] = set()

    def start(self) -> None:
        """Start the writers."""
        lanes = (self._small, self._large)
        self._tasks = [asyncio.create_task(self._run(lane), name="committer") for lane in lanes]

    async def stop(self) -> None:
        """Write what waits, then stop."""
        if self._unanswered:
            await asyncio.wait(set(self._unanswered))
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def submit(self, prepared: Prepared) -> MovementResult:
        """Judge and record one bill; returns after the commit. Raises what its judgement raises."""
        if len(self._unanswered) >= WAITING_MAX:
            raise YaosuError("too_busy")
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._unanswered.add(future)
        future.add_done_callback(self._unanswered.discard)
        lane = self._small if len(prepared.scans) <= SMALL_CODES_MAX else self._large
        lane.put(prepared, future)
        outcome = await future
        if isinstance(outcome, YaosuError):
            raise outcome
        return outcome

    async def _run(self, lane: _Lane) -> None:
        while True:
            await lane.wake.wait()
            group = lane.take()
            if group:
                await self._write(group)
            else:
                lane.wake.clear()

    async def _write(self, group: list[tuple[Prepared, asyncio.Future[Outcome]]]) -> None:
        try:
            outcomes = await self._transaction([prepared for prepared, _ in group])
        except Exception as error:
            if len(group) == 1:
                self._fail(group[0][1], error)
                return
            # one by one: whatever it was, it must not touch the neighbours
            for one in group:
                await self._write([one])
            return
        for (_, future), outcome in zip(group, outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)

    async def _transaction(self, bills: list[Prepared]) -> list[Outcome]:
        for attempt in range(TRIES):
            try:
                async with self._pool.acquire() as conn, conn.transaction():
                    return await apply_group(conn, bills, self._batches, lock=attempt > 0)
            except _RETRY as error:
                log.info("group_retried", attempt=attempt, bills=len(bills), reason=type(error).__name__)
                if attempt == TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    @staticmethod
    def _fail(future: asyncio.Future[Outcome], error: Exception) -> None:
        if not future.done():
            future.set_exception(error)
