"""What lies open of files that were received: lists, results line by line, bytes, remembered partners."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from asyncpg import Record

from yaosu.circulation.cache import BatchCache
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.exchange.files import results, store
from yaosu.exchange.files.answers import Line, unpacked
from yaosu.exchange.files.sending import Doors
from yaosu.registry.names import normalise
from yaosu.subject import Subject

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Room:
    """What the room's verbs need of the process they run in."""

    doors: Doors
    batches: BatchCache
    data: Path
    master: bytes


def own(row: Record | None) -> Record:
    """The row, or `not_found`."""
    if row is None:
        raise YaosuError("not_found", {"what": "文件 / file"})
    return row


def head(row: Record) -> Json:
    """A file in lists and answers."""
    return {
        "id": row["id"],
        "name": row["name"],
        "kind": row["kind"],
        "format": row["format"],
        "state": row["state"],
        "way": row["way"],
        "size": row["size"],
        "sha256": row["sha256"].hex(),
        "received_at": row["received_at"],
        "finished_at": row["finished_at"],
        "job": str(row["job"]) if row["job"] else None,
        "repeats": row["repeats"],
        "choices": row["choices"],
        "version": version(row),
        "summary": row["summary"],
    }


def version(row: Record) -> str:
    """What a preview was made from beside its bytes: changes when somebody answers a question of it."""
    return hashlib.sha256(orjson.dumps(row["choices"], option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]


async def listed(conn: Connection, subject: Subject, before: int | None, limit: int) -> list[Json]:
    """Own files, newest first."""
    subject.require("bill.read")
    return [head(r) for r in await conn.fetch(store.LIST, subject.org, before, limit)]


async def known(room: Room, subject: Subject, file_id: int) -> None:
    """Refused (`not_found`) unless the file is the organisation's."""
    subject.require("bill.read")
    async with room.doors.pool.acquire() as conn:
        own(await store.get(conn, subject.org, file_id))


async def lines(
    room: Room, subject: Subject, file_id: int, outcome: str = ""
) -> AsyncIterator[tuple[str, int, int | None, Line]]:
    """(bill number, type, bill id, line) of a sent file, bill by bill; of one outcome, or all."""
    subject.require("bill.read")
    async with room.doors.pool.acquire() as conn:
        row = own(await store.get(conn, subject.org, file_id))
    source, n = row["repeats"] or file_id, -1
    while True:
        async with room.doors.pool.acquire() as conn:
            found = await conn.fetchrow(store.ANSWER, source, n)
        if found is None:
            return
        n = found["n"]
        for one in unpacked(found["answer"]):
            if not outcome or one.outcome == outcome:
                yield found["bill_no"], found["type"], found["bill_id"], one


async def page_of_lines(
    room: Room, subject: Subject, file_id: int, outcome: str, skip: int, limit: int, lang: str
) -> list[Json]:
    """Lines `skip` … `skip + limit` of a result."""
    page: list[Json] = []
    n = 0
    async for bill_no, type_, bill_id, one in lines(room, subject, file_id, outcome):
        n += 1
        if n <= skip:
            continue
        page.append(
            {
                "line": one.line,
                "column": one.column,
                "bill_no": bill_no,
                "type": type_ or None,
                "bill_id": bill_id,
                "text": one.text,
                "outcome": one.outcome,
                "code": one.code,
                "severity": one.severity,
                "qty": one.qty,
                "message": one.reason(lang),
                "next": one.next_step(lang),
            }
        )
        if len(page) >= limit:
            break
    return page


async def result_book(found: AsyncIterator[tuple[str, int, int | None, Line]], lang: str) -> bytes:
    """A result as XLSX."""
    rows = [results.row(bill_no, type_, one, lang) async for bill_no, type_, _, one in found]
    title = "结果" if lang.startswith("zh") else "Result"
    return await asyncio.to_thread(results.book, [(title, results.heads(lang), rows)])


async def as_received(conn: Connection, subject: Subject, file_id: int) -> tuple[str, bytes]:
    """Name and bytes."""
    subject.require("bill.read")
    row = own(await store.get(conn, subject.org, file_id))
    return row["name"], await store.whole(conn, file_id)


async def partners(conn: Connection, subject: Subject, after: str, limit: int) -> list[Json]:
    """How the organisation's files call its partners."""
    subject.require("bill.read")
    return [dict(r) for r in await conn.fetch(store.ALL_PARTNERS, subject.org, after, limit)]


async def forget_partner(conn: Connection, subject: Subject, text: str) -> None:
    """Forget what a text means. Refused: `not_found`."""
    subject.require("bill.write")
    if await conn.fetchval(store.FORGET, subject.org, normalise(text)) is None:
        raise YaosuError("not_found", {"what": "往来单位对照 / partner name"})
