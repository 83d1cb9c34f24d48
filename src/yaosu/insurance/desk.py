"""Where verified calls are taken in, once. Small reports that arrive while others are written share a transaction.

Who waits for an answer gets it after the commit: an answer always means a durable record (design D5). When a shared
transaction fails, every call of the group is tried once more on its own, so that none fails for its neighbour. Other
calls, and large reports, have transactions of their own.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

import structlog

from yaosu.db.engine import Connection, Pool
from yaosu.errors import Finding, YaosuError
from yaosu.insurance import check, envelope, institutions, signing, store, store_message, transactions
from yaosu.insurance.calls import MSG_MAX, SHOWN_MAX, Call, Taken, words
from yaosu.insurance.model import Institution
from yaosu.insurance.reports import Rows
from yaosu.people.keeper import Keeper

log = structlog.get_logger("yaosu.insurance")

ERR_MAX = 2000
GROUP_CALLS_MAX = 64
GROUP_CODES_MAX = 400
SMALL_CODES_MAX = 40
"""Reports with up to this many rows and codes share transactions."""
WAITING_MAX = 2_000
"""Calls waiting; above, callers are told to come back (`too_busy`)."""
Said = dict[str, Any]


class StaleError(Exception):
    """The institution's keys have changed since they were read: the call is to be verified again."""


@dataclass(slots=True)
class Pending:
    """A verified call that waits for its transaction. `version`: of the institution whose keys verified it."""

    call: Call
    rows: Rows | Taken | None
    content: bytes
    body: bytes
    version: datetime
    nonce: str = ""
    numbers: list[int] = field(default_factory=list)
    weight: int = 1

    @property
    def msgid(self) -> str:
        """The sender's number."""
        return str(self.call.message["msgid"])

    @property
    def query(self) -> bool:
        """Whether it only asks."""
        return self.call.infno == "3513"

    @property
    def reports(self) -> bool:
        """Whether nothing is written but what it says."""
        return isinstance(self.rows, Taken) or (
            isinstance(self.rows, Rows) and self.rows.one.infno in transactions.REPORTS
        )


def pending(call: Call, raw: bytes, version: datetime, nonce: str = "") -> Pending:
    """A call read, with all that can be worked out before anything is locked."""
    rows = transactions.read(call)
    weight = max(len(rows.rows), len(rows.codes)) if isinstance(rows, Rows) else 1
    content = call.hashed([call.infno, call.message.get("input")])
    body = close(call.keeper, call.institution, str(call.message["msgid"]), raw)
    numbers = transactions.numbers(call, rows)
    return Pending(call, rows, content, body, version, nonce, numbers, weight)


class Desk:
    """One per server process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: deque[tuple[Pending, asyncio.Future[Said]]] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._unanswered: set[asyncio.Future[Said]] = set()

    def start(self) -> None:
        """Start the writer."""
        self._task = asyncio.create_task(self._run(), name="insurance-desk")

    async def stop(self) -> None:
        """Write what waits, then stop."""
        if self._unanswered:
            await asyncio.wait(set(self._unanswered))
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def take(self, one: Pending) -> Said:
        """Take a call in; what is answered, after the commit. Raises what refuses it, and StaleError."""
        if not one.reports:
            async with self._pool.acquire() as conn, conn.transaction():
                return await _alone(conn, one)
        if one.weight > SMALL_CODES_MAX:
            (outcome,) = await self._together([one])
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        if len(self._unanswered) >= WAITING_MAX:
            raise YaosuError("too_busy")
        future: asyncio.Future[Said] = asyncio.get_running_loop().create_future()
        self._unanswered.add(future)
        future.add_done_callback(self._unanswered.discard)
        self._waiting.append((one, future))
        self._wake.set()
        return await future

    def _group(self) -> list[tuple[Pending, asyncio.Future[Said]]]:
        """The next group in order of arrival: no two that lock the same, within the limits."""
        group: list[tuple[Pending, asyncio.Future[Said]]] = []
        numbers: set[int] = set()
        weight = 0
        while self._waiting and len(group) < GROUP_CALLS_MAX:
            one, future = self._waiting[0]
            if group and (weight + one.weight > GROUP_CODES_MAX or not numbers.isdisjoint(one.numbers)):
                break
            self._waiting.popleft()
            if future.cancelled():
                continue
            numbers.update(one.numbers)
            weight += one.weight
            group.append((one, future))
        return group

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            group = self._group()
            if group:
                await self._write(group)
            else:
                self._wake.clear()

    async def _write(self, group: list[tuple[Pending, asyncio.Future[Said]]]) -> None:
        try:
            outcomes = await self._together([one for one, _ in group])
        except Exception as error:
            if len(group) == 1:
                if not group[0][1].done():
                    group[0][1].set_exception(error)
                return
            log.warning("insurance_group_failed", calls=len(group), reason=type(error).__name__)
            for each in group:
                await self._write([each])
            return
        for (_, future), outcome in zip(group, outcomes, strict=True):
            if future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    async def _together(self, calls: Sequence[Pending]) -> list[Said | Exception]:
        async with self._pool.acquire() as conn, conn.transaction():
            return await _reported(conn, calls)


@dataclass(slots=True)
class _Before:
    """What stood when the locks were held, and numbers for what is added."""

    messages: dict[tuple[int, str], tuple[bytes, Said]] = field(default_factory=dict)
    records: dict[tuple[int, str], dict[str, bytes]] = field(default_factory=dict)
    """By institution and transaction: content by 批次流水号."""
    versions: dict[int, datetime] = field(default_factory=dict)
    ids: dict[int, list[int]] = field(default_factory=lambda: {4: [], 5: [], 6: []})


async def _before(conn: Connection, calls: Sequence[Pending]) -> _Before:
    rows = [one.rows for one in calls if isinstance(one.rows, Rows)]
    records = [(r.call.institution.id, r.one.infno, key) for r in rows for key in r.keys]
    institution = [one.call.institution.id for one in calls]
    read = await conn.fetch(
        store_message.BEFORE,
        institution, [one.msgid for one in calls],
        [r[0] for r in records], [r[1] for r in records], [r[2] for r in records],
        sorted(set(institution)),
        len(calls), len(records), sum(len(r.codes) for r in rows if r.one.infno == "3505"),
    )  # fmt: skip
    found = _Before()
    for what, owner, key, stage, content, answer, at, number in read:
        if what == 1:
            found.messages[owner, key] = (content, answer)
        elif what == 2:
            found.records.setdefault((owner, stage), {})[key] = content
        elif what == 3:
            found.versions[owner] = at
        else:
            found.ids[what].append(number)
    return found


async def _reported(conn: Connection, calls: Sequence[Pending]) -> list[Said | Exception]:
    """Take reports in: what is answered to each, or what refuses it. No two of them lock the same."""
    await store.lock_numbers(conn, sorted({number for one in calls for number in one.numbers}))
    before = await _before(conn, calls)
    said: dict[int, Said | Exception] = {}
    acts: dict[int, check.Begun] = {}
    takens: dict[int, Taken] = {}
    for at, one in enumerate(calls):
        owner = one.call.institution.id
        try:
            if before.versions.get(owner) != one.version:
                raise StaleError
            await signing.demand(conn, one.call)
            await _once(conn, one)
            stored = before.messages.get((owner, one.msgid))
            if stored is not None:
                said[at] = _repeated(one, *stored)
                continue
        except (YaosuError, StaleError) as error:
            said[at] = error
            continue
        if isinstance(one.rows, Taken):
            takens[at] = one.rows
        elif isinstance(one.rows, Rows):
            one.rows.compare(before.records.get((owner, one.rows.one.infno), {}))
            try:
                act = one.rows.act() if one.rows.one.infno == "3505" else None
            except YaosuError as error:
                takens[at] = refused_whole(error)
                continue
            if act is not None:
                acts[at] = act
    settled = await _judged(conn, calls, acts, before) if acts else []
    messages, records, codes = [], [], []
    message_ids, record_ids = iter(before.ids[4]), iter(before.ids[5])
    for at, one in enumerate(calls):
        if at in said:
            continue
        number, rows = next(message_ids), one.rows
        taken = takens.get(at)
        if taken is None:
            assert isinstance(rows, Rows)
            made, marks = rows.records(number, list(islice(record_ids, len(rows.fresh))))
            records += made
            codes += marks
            taken = rows.answer()
        answer = said[at] = said_of(taken)
        messages.append(
            (
                number, one.call.institution.id, one.call.infno, one.msgid, taken.rows, taken.refused, taken.kept,
                one.content, answer, one.body,
            )
        )  # fmt: skip
    if settled:
        await store.add(conn, settled)
    await store_message.add_reports(conn, records, codes)
    if messages:
        await store_message.add_messages(conn, messages)
    return [said[at] for at in range(len(calls))]


async def _judged(
    conn: Connection, calls: Sequence[Pending], acts: Mapping[int, check.Begun], before: _Before
) -> list[dict[str, Any]]:
    """Judge sales; what they add to the settlement ledger. Their cases are opened."""
    first = calls[next(iter(acts))].call
    registry = first.registry
    await check.look(conn, registry, first.memory, list(acts.values()))
    numbers = iter(before.ids[6])
    added: list[dict[str, Any]] = []
    for at, act in acts.items():
        await check.judge(conn, registry, act)
        added += check.plan(act, list(islice(numbers, check.sort_out(act))))
        await check.change(conn, act)
        await check.open_cases(conn, registry, act)
        rows = calls[at].rows
        assert isinstance(rows, Rows)
        rows.judged(act.outcome)
    return added


async def _alone(conn: Connection, one: Pending) -> Said:
    """Take in a call that changes what stands, or asks."""
    call, owner = one.call, one.call.institution.id
    await store.lock_numbers(conn, one.numbers)
    if not await conn.fetchval(store_message.CURRENT, owner, one.version):
        raise StaleError
    await signing.demand(conn, call)
    await _once(conn, one)
    stored = await conn.fetchrow(store_message.MESSAGE, owner, one.msgid)
    if stored is not None:
        return _repeated(one, stored["content"], stored["answer"])
    number = await conn.fetchval(
        store_message.KEEP, owner, call.infno, one.msgid, 0, 0, True, one.content, {}, one.body
    )
    # what one row does must not stand when the whole is refused in the end
    point = conn.transaction()
    await point.start()
    try:
        assert not isinstance(one.rows, Taken)
        taken = await transactions.take(conn, call, one.rows, number)
    except YaosuError as error:
        taken = refused_whole(error)
    except BaseException:
        await point.rollback()
        raise
    await (point.commit() if taken.kept else point.rollback())
    answer = said_of(taken)
    stored_answer = {} if one.query else answer
    await conn.execute(store_message.ANSWERED, number, taken.rows, taken.refused, taken.kept, stored_answer)
    return answer


async def _once(conn: Connection, one: Pending) -> None:
    """A gateway's nonce is used once. Refused: `insurance_in_replayed`."""
    if not one.nonce:
        return
    owner = one.call.institution.id
    if not await conn.fetchval(store_message.NONCE, owner, one.nonce, one.content):
        # a caller that lost the answer sends the very same again; anybody else has nothing to send again
        same = await conn.fetchval(store_message.NONCE_CONTENT, owner, one.nonce)
        if one.query or same != one.content:
            raise YaosuError("insurance_in_replayed")


def _repeated(one: Pending, content: bytes, answer: Said) -> Said:
    """The answer that a message had. Refused (`insurance_in_msgid_used`): its number stood for something else."""
    if one.query or content != one.content:
        raise YaosuError("insurance_in_msgid_used", {"msgid": one.msgid})
    return answer


def refused_whole(error: YaosuError) -> Taken:
    """A call of which nothing is kept but the call itself."""
    return Taken(whole=[*error.findings] or [Finding(error.code, error.params)], kept=False)


def said_of(taken: Taken) -> Said:
    """What is answered, and stored to be answered again: no person is in it."""
    if taken.whole:
        text = "；".join(words(f) for f in taken.whole[:SHOWN_MAX])
        more = len(taken.whole) - SHOWN_MAX
        text += f"；另有{more}处" if more > 0 else ""
        return {
            "infcode": envelope.FAILED,
            "err_msg": text[:ERR_MAX],
            "warn_msg": "",
            "output": {"result": {"retRslt": "0", "msgRslt": text[:MSG_MAX]}},
        }
    return {
        "infcode": envelope.FAILED if taken.failed else envelope.OK,
        "err_msg": taken.failed[:ERR_MAX],
        "warn_msg": "；".join(taken.warnings)[:ERR_MAX],
        "output": taken.output,
    }


def close(keeper: Keeper, one: Institution, msgid: str, raw: bytes) -> bytes:
    """The call as it came, compressed and sealed."""
    # a small window: what deflate sets up for a large one costs more than a message of a few kB takes
    packer = zlib.compressobj(1, zlib.DEFLATED, 12, 5) if len(raw) < 1 << 16 else zlib.compressobj(6)
    return keeper.close(institutions.CIPHER_KEY, packer.compress(raw) + packer.flush(), _bound(one.id, msgid))


def opened(keeper: Keeper, institution_id: int, msgid: str, sealed: bytes) -> bytes:
    """A stored call as it came, for inspection under audit."""
    return zlib.decompress(keeper.open(institutions.CIPHER_KEY, sealed, _bound(institution_id, msgid)))


def _bound(institution_id: int, msgid: str) -> bytes:
    return f"insurance message {institution_id} {msgid}".encode()
