"""Concurrent questions about single codes share their statements.

While one set of statements is under way, further questions wait and go together in the next: nobody waits by
the clock, and the more callers there are the fewer statements each costs. Answers are bytes, ready to send.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import asyncpg
import orjson
import structlog

from yaosu.access.visibility import Sight, note_reads, visible
from yaosu.db.engine import Connection, connect
from yaosu.errors import YaosuError
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject
from yaosu.trace import verify
from yaosu.trace.model import VERIFY_MAX, Found

LANES = 2
"""Sets of statements under way at once; each lane keeps one connection."""
WAITING_MAX = 10_000
"""Questions waiting; above, callers are told to come back."""
GATHER_S = 0.0005
"""How long a lane waits for company while the other lane is busy."""

log = structlog.get_logger("yaosu.trace")

_Question = tuple[verify.Asked, Subject, str, "asyncio.Future[bytes]"]


class Verifier:
    """One per server process. `verify` answers one code; the lanes do the work."""

    def __init__(self, address: str, registry: Registry, memory: verify.BatchMemory, master: bytes) -> None:
        self._address = address
        self._registry = registry
        self._memory = memory
        self._master = master
        self._waiting: list[_Question] = []
        self._wake = asyncio.Event()
        self._busy = 0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the lanes."""
        self._tasks = [asyncio.create_task(self._lane(), name=f"verify-{n}") for n in range(LANES)]

    async def stop(self) -> None:
        """Stop the lanes; whoever still waits is told so."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        for *_, future in self._waiting:
            if not future.done():
                future.set_exception(YaosuError("too_many_requests", {"seconds": 1}))

    async def verify(self, subject: Subject, raw: str, lang: str) -> bytes:
        """The answer on `raw` as JSON. What needs no database is answered at once."""
        asked = verify.ask(self._registry, raw)
        if not asked.keys and not asked.container:
            return orjson.dumps(verify.answer(self._registry, asked, verify.Looked(), set(), lang))
        if len(self._waiting) >= WAITING_MAX:
            raise YaosuError("too_many_requests", {"seconds": 1})
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, subject, lang, future))
        self._wake.set()
        return await future

    async def _lane(self) -> None:
        conn: asyncpg.Connection[asyncpg.Record] | None = None
        try:
            while True:
                await self._wake.wait()
                if self._busy:
                    await asyncio.sleep(GATHER_S)
                group = self._waiting[:VERIFY_MAX]
                del self._waiting[:VERIFY_MAX]
                if not self._waiting:
                    self._wake.clear()
                if not group:
                    continue
                self._busy += 1
                try:
                    if conn is None or conn.is_closed():
                        conn = await connect(self._address)
                    await self._answer(conn, group)
                except asyncio.CancelledError:
                    raise
                except Exception as error:
                    # the callers get it and the edge reports it; the lane lives on
                    for *_, future in group:
                        if not future.done():
                            future.set_exception(error)
                finally:
                    self._busy -= 1
        finally:
            if conn is not None and not conn.is_closed():
                with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await conn.close(timeout=2)

    async def _answer(self, conn: Connection, group: list[_Question]) -> None:
        looked = await verify.look(conn, [q[0] for q in group], self._memory)
        by_sight: dict[Sight, list[Found]] = {}
        found_of: list[list[Found]] = []
        sights = [visible(q[1]) for q in group]
        for (asked, *_), sight in zip(group, sights, strict=True):
            found = [looked.found[key] for key in asked.keys if key in looked.found]
            found_of.append(found)
            by_sight.setdefault(sight, []).extend(found)
        seen = {sight: await verify.known(conn, sight, found) for sight, found in by_sight.items() if found}
        reads: list[tuple[Subject, str, int | None]] = []
        for (_, subject, *_rest), sight, found in zip(group, sights, found_of, strict=True):
            reads += read_of(subject, sight, found, seen.get(sight, set()))
        if reads:
            await note_reads(conn, reads)
        for (asked, subject, lang, future), sight, found in zip(group, sights, found_of, strict=True):
            if future.done():
                continue
            known = seen.get(sight, set())
            body = verify.answer(self._registry, asked, looked, known, lang, reader=sight.org_id)
            if not found:
                await verify.tell_origin(conn, self._registry, subject, self._master, body, lang)
            # the caller may have gone away meanwhile
            if not future.done():
                future.set_result(orjson.dumps(body))


def read_of(
    subject: Subject, sight: Sight, found: list[Found], seen: set[tuple[int, str]]
) -> list[tuple[Subject, str, int | None]]:
    """What is read of others when it is told who holds these goods (D10)."""
    return [
        (subject, f"unit {one.unit.code}", one.root.holder)
        for one in found
        if (one.root.drug_id, one.root.code) in seen and not sight.owns(one.root.holder)
    ]
