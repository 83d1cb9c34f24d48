"""Send the bills of a file through the one write path, in order, and keep what became of every line.

Safe to break off anywhere: a bill's result is written when it is known; what is sent again after a crash is answered
as before, since bills are known by their number and content (D8).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from yaosu.circulation import service as circulation
from yaosu.circulation.committer import Committer
from yaosu.circulation.model import CODES_MAX, Movement, MovementResult
from yaosu.circulation.prepare import prepare
from yaosu.circulation.tasks import JOB_CODES_MAX
from yaosu.db.engine import Connection, Pool
from yaosu.errors import Finding, YaosuError
from yaosu.exchange.files import plan, store
from yaosu.exchange.files.answers import BillAnswer, of_refusal, of_rest, of_result
from yaosu.exchange.files.formats.read import content_of
from yaosu.exchange.files.model import FileContent, FileRefusedError, Problem
from yaosu.exchange.files.plan import Choices, Plan, Planned
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

INLINE_ITEMS = 10_000
INLINE_BILLS = 500
"""Files up to this size are answered at once; larger ones run as a job."""
TOGETHER_BILLS = 64
TOGETHER_CODES = 4_000

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Doors:
    """What sending needs of the process it runs in."""

    pool: Pool
    committer: Committer
    registry: Registry


def refusal(error: FileRefusedError) -> YaosuError:
    """A file that cannot be read, as the refusal of a request."""
    return YaosuError(error.code, {"line": "—", **error.params})


async def read(data: bytes) -> FileContent:
    """The file's content, read beside the event loop. Refused with the place."""
    try:
        return await asyncio.to_thread(content_of, data)
    except FileRefusedError as error:
        raise refusal(error) from None


@dataclass(frozen=True, slots=True)
class Known:
    """A file whose bytes were just read, so that they need not be read again."""

    data: bytes
    content: FileContent


async def send(
    doors: Doors,
    subject: Subject,
    file_id: int,
    progress: Progress | None = None,
    known: Known | None = None,
) -> dict[str, Any]:
    """Send every bill of a file that has no result yet; the summary. Refused: `file_busy`, `file_questions`."""
    subject.require("bill.write")
    async with doors.pool.acquire() as holder:
        # held for the session: a process that dies gives it back
        if not await holder.fetchval(store.LOCK, file_id):
            raise YaosuError("file_busy")
        try:
            return await _send(doors, subject, holder, file_id, progress, known)
        finally:
            await holder.fetchval(store.UNLOCK, file_id)


async def _send(
    doors: Doors,
    subject: Subject,
    conn: Connection,
    file_id: int,
    progress: Progress | None,
    known: Known | None,
) -> dict[str, Any]:
    file = await store.get(conn, subject.org, file_id)
    if file is None or file["state"] not in ("preview", "sending"):
        state = file["state"] if file is not None else "—"
        raise YaosuError("file_state", {"state": state})
    if known is None:
        data = await store.whole(conn, file_id)
        known = Known(data, await read(data))
    content = known.content
    made = await plan.make(
        conn, doors.registry, subject.org, content, Choices.of(file["choices"]), dict(file), known.data
    )
    if made.questions:
        raise YaosuError(
            "file_questions", {"count": len(made.questions)}, [q.finding for q in made.questions[:200]]
        )
    large = content.items > INLINE_ITEMS or len(content.bills) > INLINE_BILLS
    done: set[int] = set()
    if large or file["state"] == "sending":
        await conn.fetchval(store.SENDING, file_id, subject.org, None)
        done = {r["n"] for r in await conn.fetch(store.DONE_BILLS, file_id)}
    run = _Run(doors, subject, dict(file), content, made, progress, large)
    answers = [*await run.all(done), of_rest(content)]
    async with conn.transaction():
        await conn.executemany(store.PUT_BILL, [a.row(file_id) for a in answers])
        summary = dict(await conn.fetchrow(store.TOTALS, file_id) or {})
        await conn.fetchval(store.FINISH, file_id, subject.org, summary, None)
    return summary


class _Run:
    """One pass over a file's bills. Small bills that share no code go together, so that they share a commit."""

    def __init__(
        self,
        doors: Doors,
        subject: Subject,
        file: Mapping[str, Any],
        content: FileContent,
        made: Plan,
        progress: Progress | None,
        keep: bool,
    ) -> None:
        self._keep, self._answers = keep, list[BillAnswer]()
        self._doors, self._subject, self._file, self._made = doors, subject, file, made
        self._progress = progress or (lambda done, total, phase: None)
        self._problems: dict[int, list[Problem]] = defaultdict(list)
        for problem in content.problems:
            self._problems[problem.bill].append(problem)
        self._skip_bad = Choices.of(file["choices"]).skip_bad
        self._total = sum(p.bill.items for p in made.bills)
        self._done = 0

    async def all(self, done: set[int]) -> list[BillAnswer]:
        """Every bill that has no result yet. Results of large files are kept as they come, others are returned."""
        group: list[Planned] = []
        codes: set[str] = set()
        for one in self._made.bills:
            if one.bill.n in done:
                self._done += one.bill.items
                continue
            mine = one.bill.codes
            full = len(group) >= TOGETHER_BILLS or len(codes) + len(mine) > TOGETHER_CODES
            # bills that name the same code wait for one another: the second may need what the first did
            if group and (full or one.bill.quantities or not codes.isdisjoint(mine)):
                await self._together(group)
                group, codes = [], set()
            group.append(one)
            codes.update(mine)
        if group:
            await self._together(group)
        return self._answers

    async def _together(self, group: list[Planned]) -> None:
        answers = await asyncio.gather(*(self._one(p) for p in group))
        if self._keep:
            async with self._doors.pool.acquire() as conn:
                await conn.executemany(store.PUT_BILL, [a.row(self._file["id"]) for a in answers])
        else:
            # a small file's results are written at once; broken off before, it is sent again and answered alike
            self._answers += answers
        self._done += sum(p.bill.items for p in group)
        self._progress(self._done, self._total, "write")

    async def _one(self, one: Planned) -> BillAnswer:
        problems = self._problems[one.bill.n]
        try:
            if one.movement is None:
                raise plan.refused_with(one.findings or [Finding("file_interrupted")])
            if problems and not self._skip_bad:
                raise YaosuError("file_bill_held", {"count": len(problems)})
            if not one.bill.items:
                raise YaosuError("no_codes")
            result = await self._submit(one.movement)
            answer = of_result(one.bill, problems, result)
        except YaosuError as error:
            if error.http in (401, 403, 503) and error.code != "not_your_bill":
                raise
            answer = of_refusal(one.bill, problems, one.number, error)
        answer.type = one.type
        return answer

    async def _submit(self, movement: Movement) -> MovementResult:
        doors = self._doors
        if len(movement.codes) <= CODES_MAX:
            return await circulation.submit(
                doors.pool, doors.committer, doors.registry, self._subject, movement
            )
        # as large as a job may be: the same door with the job's limit
        prepared = await prepare(doors.pool, doors.registry, self._subject, movement, JOB_CODES_MAX)
        return await doors.committer.submit(prepared)
