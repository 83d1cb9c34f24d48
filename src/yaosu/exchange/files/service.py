"""Verbs of the files room: receive and preview, choose, send, drop."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

from asyncpg import Record

from yaosu.circulation import service as circulation
from yaosu.circulation.model import Movement
from yaosu.circulation.prepare import scans_of
from yaosu.db.engine import Connection
from yaosu.db.jobs import queue
from yaosu.errors import Finding, YaosuError
from yaosu.exchange.files import plan, sending, store, store_jobs
from yaosu.exchange.files.answers import error_json
from yaosu.exchange.files.model import SHEET_LINES, FileContent, place
from yaosu.exchange.files.plan import Choices, Plan, Planned
from yaosu.exchange.files.reading import Room, head, own, version
from yaosu.exchange.files.sending import INLINE_BILLS, INLINE_ITEMS, Known
from yaosu.production import activation
from yaosu.production.answers import activation_answer, check_answer
from yaosu.registry.names import normalise
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import submittable
from yaosu.subject import Subject

TASK = "room3:files_send"
JOB_KIND = "file_send"
NAME_MAX = 200
PREVIEW_BILLS = 200
PREVIEW_PROBLEMS = 500
CHECKED_MAX = 1_000
"""Codes up to which the preview asks for verdicts; beyond, only what the code itself says."""
CHECK_AT_ONCE = 500

Json = dict[str, Any]
_OPEN: Json = {
    "questions": [],
    "problems": [],
    "problem_count": 0,
    "doubtful": [],
    "notes": [],
    "bills": [],
    "held": 0,
}


def clean_name(name: str) -> str:
    """A file's name without folders and control characters."""
    base = name.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in base if c.isprintable()).strip()[:NAME_MAX] or "file"


async def receive(
    room: Room, subject: Subject, data: bytes, name: str, way: str, choices: Json
) -> tuple[int, Known]:
    """Take a file in and keep it; its id and what was read of it. Bytes that wait for an answer already keep theirs.

    Refused with the place when it cannot be read as a whole; then nothing is kept.
    """
    subject.require("bill.write")
    content = await sending.read(data)
    sha = hashlib.sha256(data).digest()
    kind = "relation" if content.format == "relation" else "movements"
    if kind == "relation":
        subject.require("production.write")
    async with room.doors.pool.acquire() as conn, conn.transaction():
        same = await conn.fetchrow(store.SAME, subject.org, sha)
        if same is not None and same["state"] == "preview":
            if choices:
                merged = {**same["choices"], **choices}
                await conn.fetchval(store.CHOOSE, same["id"], subject.org, merged)
            return int(same["id"]), Known(data, content)
        if same is not None and same["state"] == "sending":
            return int(same["id"]), Known(data, content)
        row = await conn.fetchrow(
            store.INSERT,
            *(
                subject.org,
                subject.account_id,
                way,
                kind,
                content.format,
                clean_name(name),
                len(data),
                sha,
                choices,
            ),
        )
        assert row is not None
        await store.put_body(conn, row["id"], data)
    return int(row["id"]), Known(data, content)


async def choose(room: Room, subject: Subject, file_id: int, choices: Json, remember: bool = True) -> None:
    """Answer questions of a preview. Partners are remembered for the organisation's later files.

    Refused: `file_choice_invalid`, `file_state`, `not_found`.
    """
    subject.require("bill.write")
    registry = room.doors.registry
    partners = choices.get("partners") or {}
    for field, org in [
        *((f"partners.{k}"[:80], v) for k, v in partners.items()),
        ("partner", choices.get("partner")),
    ]:
        if org is not None and registry.org(org) is None:
            raise YaosuError("file_choice_invalid", {"field": field})
    for value in [*(choices.get("types") or {}).values(), choices.get("type")]:
        if value is not None and value not in submittable():
            raise YaosuError("file_choice_invalid", {"field": "type"})
    async with room.doors.pool.acquire() as conn, conn.transaction():
        row = own(await conn.fetchrow(store.HELD, file_id, subject.org))
        merged = {**row["choices"], **choices}
        for key in ("partners", "types"):
            merged[key] = {**(row["choices"].get(key) or {}), **(choices.get(key) or {})}
        if await conn.fetchval(store.CHOOSE, file_id, subject.org, merged) is None:
            raise YaosuError("file_state", {"state": row["state"]})
        if remember:
            for text, org in partners.items():
                if text.strip():
                    args = (subject.org, normalise(text), text[:200], org, subject.account_id)
                    await conn.execute(store.REMEMBER, *args)


async def view(room: Room, subject: Subject, file_id: int, lang: str) -> Json:
    """A file: what it holds and what is open while it waits, what became of it when it was sent."""
    subject.require("bill.read")
    async with room.doors.pool.acquire() as conn:
        row = own(await store.get(conn, subject.org, file_id))
        answer = {**head(row), "earlier": None, "progress": None, "relation": None, **_OPEN}
        if row["state"] == "preview":
            data = await store.whole(conn, file_id)
            if row["kind"] == "relation":
                answer["relation"] = await _relation_check(conn, room, subject, row, data, lang)
                answer["ready"] = answer["relation"]["ok"]
            else:
                answer.update(await _preview(conn, room, subject, row, data, lang))
            earlier = await conn.fetchrow(store.SAME, subject.org, row["sha256"])
            if earlier is not None and earlier["id"] != file_id and earlier["state"] == "done":
                answer["earlier"] = {
                    "id": earlier["id"],
                    "at": earlier["received_at"],
                    "summary": earlier["summary"],
                }
        else:
            if row["job"] is not None:
                job = await conn.fetchrow(store_jobs.PROGRESS, row["job"], subject.org)
                answer["progress"] = (
                    {"state": job["state"], "done": job["done"], "total": job["total"]}
                    if job is not None
                    else None
                )
            source = row["repeats"] or file_id
            answer["bills"] = [
                {**dict(b), "error": error_json(b["error"], lang)}
                for b in await conn.fetch(store.BILLS, source, -1, PREVIEW_BILLS + 1)
            ]
    return answer


async def _preview(
    conn: Connection, room: Room, subject: Subject, row: Record, data: bytes, lang: str
) -> Json:
    content = await sending.read(data)
    registry, choices = room.doors.registry, Choices.of(row["choices"])
    made = await plan.make(conn, registry, subject.org, content, choices, dict(row), data)
    said = await _said(conn, room, subject, content, made)
    held = 0 if choices.skip_bad else sum(1 for p in made.bills if p.bill.bad)
    return {
        "encoding": content.encoding,
        "lines": content.items,
        "sheets": [asdict(s) for s in content.sheets],
        "totals": {
            "readable": sum(b.items for b in content.bills),
            "unreadable": content.problem_count,
            "ignored": len(content.ignored),
        },
        "bill_count": len(made.bills),
        "bills": [_bill_json(registry, p, said.get(p.bill.n), lang) for p in made.bills[:PREVIEW_BILLS]],
        "questions": [
            {"kind": q.kind, "text": q.text, "bills": q.bills, **q.finding.as_json(lang)}
            for q in made.questions[:200]
        ],
        "problems": [
            {
                **Finding(p.finding.code, p.finding.params, p.where).as_json(lang),
                "text": p.text,
                "bill": p.bill,
            }
            for p in content.problems[:PREVIEW_PROBLEMS]
        ],
        "problem_count": content.problem_count,
        "doubtful": [
            {
                "line": n % SHEET_LINES,
                "text": raw,
                **Finding(code, params, one.bill.where(n)).as_json(lang),
            }
            for one in made.bills
            if one.bill.n in said
            for n, raw, code, params in said[one.bill.n]["doubtful"]
        ][:PREVIEW_PROBLEMS],
        "ignored": [
            {"line": i.line, "reason": i.reason, "text": i.text, **({"sheet": i.sheet} if i.sheet else {})}
            for i in content.ignored[:PREVIEW_PROBLEMS]
        ],
        "notes": [n.as_json(lang) for n in made.notes[:50]],
        "held": held,
        "ready": not made.questions and any(p.movement is not None for p in made.bills),
        "large": content.items > INLINE_ITEMS or len(content.bills) > INLINE_BILLS,
    }


def _bill_json(registry: Registry, one: Planned, said: Json | None, lang: str) -> Json:
    kind, bill = submittable().get(one.type), one.bill
    row, sheet = place(bill.line, bill.sheets)
    names = {side: card.name for side, org in one.parties.items() if (card := registry.org(org)) is not None}
    return {
        "n": bill.n,
        "bill_no": one.number,
        "type": one.type or None,
        "type_name": kind.label(lang) if kind is not None else bill.type_text,
        "line": row,
        **({"sheet": sheet} if sheet else {}),
        "happened_at": one.movement.happened_at if one.movement is not None else bill.at,
        "partner_text": bill.partner or bill.sender or bill.receiver,
        "parties": names,
        "owner": one.movement.owner if one.movement is not None else None,
        "codes": len(bill.codes),
        "quantities": len(bill.quantities),
        "unreadable": bill.bad,
        "ready": one.movement is not None,
        "problems": [f.as_json(lang) for f in one.findings[:50]],
        "verdicts": {"ok": 0, "warn": 0, "refused": 0, "readable": 0, **(said["verdicts"] if said else {})},
    }


async def _said(
    conn: Connection, room: Room, subject: Subject, content: FileContent, made: Plan
) -> dict[int, Json]:
    """Per bill, what can be said of its codes now: verdicts of small files, unreadable codes of large ones."""
    total = sum(len(b.codes) for b in content.bills)
    deep = total <= CHECKED_MAX
    found: dict[int, Json] = {}
    for one in made.bills:
        bill = one.bill
        doubtful: list[tuple[int, str, str, Mapping[str, object]]] = []
        verdicts: Counter[str] = Counter()
        if deep and one.movement is not None and bill.codes:
            for at in range(0, len(bill.codes), CHECK_AT_ONCE):
                part = bill.codes[at : at + CHECK_AT_ONCE]
                asked = Movement(
                    type=one.type,
                    bill_no=one.number,
                    owner=one.movement.owner,
                    happened_at=one.movement.happened_at,
                    codes=part,
                    from_org=one.movement.from_org,
                    to_org=one.movement.to_org,
                    parts={c: n for c, n in bill.parts.items() if c in set(part)},
                )
                try:
                    results, _ = await circulation.check(
                        conn, room.doors.registry, room.batches, subject, asked
                    )
                except YaosuError as error:
                    doubtful.append((bill.line, one.number, error.code, error.params))
                    break
                for result, line in zip(results, bill.lines[at : at + CHECK_AT_ONCE], strict=True):
                    verdicts[result.severity] += 1
                    if result.severity != "ok":
                        params = {"code": result.code or result.raw, **(result.params or {})}
                        doubtful.append((line, result.raw, result.verdict, params))
        elif bill.codes and len(doubtful) < PREVIEW_PROBLEMS:
            scans, _, _ = await asyncio.to_thread(scans_of, room.doors.registry, bill.codes)
            for scan in scans:
                if scan.problem:
                    verdicts["refused"] += 1
                    if len(doubtful) < PREVIEW_PROBLEMS:
                        params = {"code": scan.code or scan.raw, **(scan.params or {})}
                        doubtful.append((bill.lines[scan.n], scan.raw, scan.problem, params))
                else:
                    verdicts["readable"] += 1
        found[bill.n] = {"verdicts": dict(verdicts), "doubtful": doubtful}
    return found


async def send(
    room: Room,
    subject: Subject,
    file_id: int,
    lang: str,
    again: bool = False,
    *,
    direct: bool = False,
    known: Known | None = None,
    seen: str = "",
) -> Json:
    """Confirm a preview. Small files are answered at once, large ones run as a job; the file as it stands then, also
    when it was confirmed before. `seen` is the `version` of the preview that was looked at.

    Bytes that came before and went through without a refused line take over that result, unless `again`.
    `direct`: also large ones are sent by this process (command line).
    """
    subject.require("bill.write")
    async with room.doors.pool.acquire() as conn:
        row = own(await store.get(conn, subject.org, file_id))
        if row["state"] == "done":
            # a confirmation whose answer was lost comes again
            return await view(room, subject, file_id, lang)
        _same_preview(row, seen)
        earlier = await conn.fetchrow(store.SAME, subject.org, row["sha256"])
        repeated = (
            earlier is not None
            and earlier["id"] != file_id
            and earlier["state"] == "done"
            and earlier["summary"].get("refused") == 0
        )
        if repeated and not again and earlier is not None:
            first = earlier["repeats"] or earlier["id"]
            await conn.fetchval(store.FINISH, file_id, subject.org, earlier["summary"], first)
            return await view(room, subject, file_id, lang)
        data = known.data if known is not None else await store.whole(conn, file_id)
    if row["kind"] == "relation":
        await _relation_send(room, subject, row, data)
        return await view(room, subject, file_id, lang)
    known = known or Known(data, await sending.read(data))
    content = known.content
    if not direct and (content.items > INLINE_ITEMS or len(content.bills) > INLINE_BILLS):
        await _queue(room, subject, row, content, data, lang)
    else:
        await sending.send(room.doors, subject, file_id, known=known)
    return await view(room, subject, file_id, lang)


def _same_preview(row: Record, seen: str) -> None:
    if seen and row["state"] == "preview" and seen != version(row):
        raise YaosuError("file_changed")


async def unchanged(room: Room, subject: Subject, file_id: int, seen: str) -> None:
    """Refused (`file_changed`) when the preview is no longer that of version `seen`, before anything is answered."""
    subject.require("bill.write")
    async with room.doors.pool.acquire() as conn:
        _same_preview(own(await store.get(conn, subject.org, file_id)), seen)


async def _queue(
    room: Room, subject: Subject, row: Record, content: FileContent, data: bytes, lang: str
) -> None:
    async with room.doors.pool.acquire() as conn, conn.transaction():
        choices = Choices.of(row["choices"])
        made = await plan.make(conn, room.doors.registry, subject.org, content, choices, dict(row), data)
        if made.questions:
            found = [q.finding for q in made.questions[:200]]
            raise YaosuError("file_questions", {"count": len(made.questions)}, found)
        if row["job"] is not None:
            job_row = await conn.fetchrow(store_jobs.PROGRESS, row["job"], subject.org)
            if job_row is not None and job_row["state"] in ("queued", "running"):
                return
        details = {
            "file": row["id"],
            "kind": subject.kind,
            "org_type": subject.org_type,
            "role": subject.role,
            "scopes": sorted(subject.scopes),
            "region": subject.region,
            "lang": lang,
        }
        total = sum(b.items for b in content.bills)
        job: UUID = await queue(conn, TASK, JOB_KIND, subject.org, subject.account_id, details, total)
        await conn.fetchval(store.SENDING, row["id"], subject.org, job)


async def _relation_check(
    conn: Connection, room: Room, subject: Subject, row: Record, data: bytes, lang: str
) -> Json:
    """What the production room says of a relation file; nothing is written here about it twice."""
    subject.require("production.read")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "relation"
        await asyncio.to_thread(path.write_bytes, data)
        found = await activation.check(conn, subject, path, room.doors.registry, room.master, row["name"])
    return check_answer(found, lang)


async def _relation_send(room: Room, subject: Subject, row: Record, data: bytes) -> None:
    subject.require("production.write")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "relation"
        await asyncio.to_thread(path.write_bytes, data)
        options = activation.Options(row["name"], "", False)
        async with room.doors.pool.acquire() as conn, conn.transaction():
            done = await activation.activate(conn, subject, path, room.doors.registry, room.master, options)
            answer = activation_answer(done)
            summary = {
                "bills": 1,
                "lines": done.codes,
                "accepted": done.codes,
                "refused": 0,
                "ignored": 0,
                "bills_refused": 0,
                "relation": {k: answer[k] for k in ("bill_id", "bill_no", "codes", "boxes", "repeated")},
            }
            await conn.fetchval(store.FINISH, row["id"], subject.org, summary, None)


async def drop(conn: Connection, subject: Subject, file_id: int) -> None:
    """Forget a preview. Refused: `file_state`, `not_found`."""
    subject.require("bill.write")
    row = own(await store.get(conn, subject.org, file_id))
    if await conn.fetchval(store.DROP, file_id, subject.org) is None:
        raise YaosuError("file_state", {"state": row["state"]})


async def sweep(conn: Connection) -> int:
    """Remove previews nobody confirmed, with their bytes; how many."""
    ids = [r["id"] for r in await conn.fetch(store.SWEEP_OLD)]
    if ids:
        await conn.execute(store.SWEEP_CHUNKS, ids)
        await conn.execute(store.SWEEP_FILES, ids)
    return len(ids)


async def send_if_clear(
    room: Room,
    subject: Subject,
    file_id: int,
    lang: str,
    again: bool,
    *,
    direct: bool = False,
    known: Known | None = None,
) -> Json:
    """Send when nothing has to be asked; else the preview with its questions."""
    try:
        return await send(room, subject, file_id, lang, again, direct=direct, known=known)
    except YaosuError as error:
        if error.code == "file_questions":
            return await view(room, subject, file_id, lang)
        if error.code == "relation_refused":
            return await view(room, subject, file_id, lang)
        raise
