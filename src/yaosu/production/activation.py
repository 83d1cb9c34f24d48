"""Activation (赋码激活): a relation file becomes units, all of it or nothing (R-A3, R-A5, R-A8; issue 2 §4).

One transaction per file: batches, units, bill, ledger, the file's bytes and the log leaf. The same file by the same
owner gets the same answer. Reading and checking run in a thread, so they never hold up a server's event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import numpy as np

from yaosu.access import audit
from yaosu.codes.issue import IssueKey, derive
from yaosu.db.engine import Connection
from yaosu.db.leaf import leaf_hash
from yaosu.errors import YaosuError
from yaosu.production import keeping
from yaosu.production import store_activation as store
from yaosu.production.copy_rows import RowFacts, blocks
from yaosu.production.pallets import pack_told
from yaosu.production.relation import Facts, Findings, Judged, Limits, RelationFile, read, validate
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

CHINA = ZoneInfo("Asia/Shanghai")
ACTIVATION, STOCK_IN, TAKEN_IN = 1, 101, 9
LOOK_UP = 20_000

Progress = Callable[[int, int, str], None]
"""Called with done, total and phase: read, check, write, keep."""


def no_progress(done: int, total: int, phase: str) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to activate. `stock_in` also posts the 生产入库 (101) of everything in the file."""

    name: str = "relation.xml"
    bill_no: str = ""
    """The bill number; empty: made from batch and file digest, so that the same file has the same number."""
    stock_in: bool = False
    happened_at: datetime | None = None
    holder: int | None = None
    """Set: the codes live in another trace system, which says that this organisation has the goods; they enter its
    account at once (外系统转入, R-A4, R-B9). None: an activation of our own."""


@dataclass(slots=True)
class Check:
    """Result of a dry run."""

    judged: Judged
    errors: Findings
    notes: Findings
    file_name: str = ""

    @property
    def ok(self) -> bool:
        """Whether activation would succeed now."""
        return not self.errors

    def summary(self) -> dict[str, object]:
        """Numbers for API and page."""
        return summary(self.judged)


@dataclass(slots=True)
class Activation:
    """What was activated, or had been by the same file before."""

    bill_id: int
    bill_no: str
    sha256: str
    codes: int
    boxes: int
    """Smallest packages."""
    batches: list[dict[str, object]]
    leaf: str
    recorded_at: datetime
    stock_bill: int | None = None
    repeated: bool = False
    """True when the same file had been activated before: this is the answer of then."""
    notes: list[dict[str, object]] = field(default_factory=list)


def summary(judged: Judged) -> dict[str, object]:
    """Counts of a judged file."""
    file = judged.file
    per_level = np.bincount(judged.level, minlength=10)
    return {
        "format": file.format,
        "encoding": file.encoding,
        "sha256": file.sha256.hex(),
        "size": file.size,
        "codes": len(file),
        "boxes": int((judged.level == 1).sum()),
        "outermost": int((judged.up == -1).sum()),
        "logistics": len(file.logistics),
        "levels": {str(n): int(c) for n, c in enumerate(per_level.tolist()) if c and n},
        "batches": [
            {
                "batch_no": part.batch_no,
                "drug_id": drug_id or None,
                "product": judged.products[drug_id].generic_name if drug_id else None,
                "made_on": part.made_on.isoformat() if part.made_on else None,
                "expires_on": part.expires_on.isoformat() if part.expires_on else None,
                "codes": part.end - part.start,
            }
            for part, drug_id in zip(file.parts[:200], judged.part_drug[:200], strict=True)
        ],
    }


async def check(
    conn: Connection,
    subject: Subject,
    path: Path,
    registry: Registry,
    master: bytes,
    name: str = "",
    limits: Limits | None = None,
    progress: Progress = no_progress,
) -> Check:
    """Everything that activation would find wrong, without changing anything (`production.read`)."""
    subject.require("production.read")
    file = await _read(path, registry, limits, progress)
    judged = await _judge(conn, subject, file, registry, master, progress)
    errors = judged.errors
    errors.extend(await _collisions(conn, judged, progress))
    return Check(judged, errors, judged.notes, name)


async def activate(
    conn: Connection,
    subject: Subject,
    path: Path,
    registry: Registry,
    master: bytes,
    options: Options | None = None,
    limits: Limits | None = None,
    progress: Progress = no_progress,
) -> Activation:
    """Activate the file, inside the caller's transaction (`production.write`).

    Refused as a whole with every finding (`relation_refused`). A number that another content already has:
    `bill_number_taken`.
    """
    subject.require("production.write")
    chosen = options or Options()
    happened_at = _business_time(chosen)
    file = await _read(path, registry, limits, progress)
    await conn.execute(store.LOCK_FILE, f"{subject.org}:{file.sha256.hex()}")
    previous = await conn.fetchrow(store.FILE_BY_HASH, subject.org, file.sha256)
    if previous is not None:
        return _repeated(previous)
    foreign = chosen.holder is not None
    judged = await _judge(conn, subject, file, registry, master, progress, foreign)
    if not judged.ok:
        # what is already active is worth knowing in the same answer
        judged.errors.extend(await _collisions(conn, judged, progress))
        raise refusal(judged.errors)
    bill_no = chosen.bill_no or f"JH-{file.parts[0].batch_no}-{file.sha256.hex()[:8]}"
    if await conn.fetchrow(store.BILL_BY_NUMBER, subject.org, bill_no) is not None:
        raise YaosuError("bill_number_taken", {"bill_no": bill_no})
    keeper = asyncio.create_task(asyncio.to_thread(keeping.pack, path))
    try:
        # a savepoint of our own: nothing stays behind even when the caller's transaction goes on
        async with conn.transaction():
            done = await _write(conn, subject, judged, chosen, bill_no, happened_at, keeper, progress)
            wrong = await pack_told(conn, subject, registry, file) if file.logistics else None
            if wrong:
                raise refusal(wrong)
            return done
    finally:
        if not keeper.done():
            with suppress(Exception):
                await keeper
        if keeper.done() and not keeper.cancelled() and keeper.exception() is None:
            keeper.result().close()


def _business_time(options: Options) -> datetime:
    now = datetime.now(UTC)
    if options.happened_at is None:
        return now
    if options.happened_at > now:
        raise YaosuError("activation_in_future", {"at": options.happened_at.isoformat()})
    return options.happened_at


def refusal(errors: Findings) -> YaosuError:
    """The refusal of a file with everything found."""
    return YaosuError("relation_refused", {"count": errors.total}, errors.kept)


def _repeated(row: asyncpg.Record) -> Activation:
    return Activation(
        bill_id=row["bill_id"],
        bill_no=row["bill_no"],
        sha256=row["sha256"].hex(),
        codes=row["codes"],
        boxes=row["boxes"],
        batches=row["batches"],
        leaf=row["leaf"].hex(),
        recorded_at=row["recorded_at"],
        stock_bill=row["stock_bill"],
        repeated=True,
        notes=row["notes"],
    )


async def _read(path: Path, registry: Registry, limits: Limits | None, progress: Progress) -> RelationFile:
    progress(0, 0, "read")

    def work() -> RelationFile:
        with path.open("rb") as file:
            return read(file, registry.customs, limits)

    return await asyncio.to_thread(work)


async def _judge(
    conn: Connection,
    subject: Subject,
    file: RelationFile,
    registry: Registry,
    master: bytes,
    progress: Progress,
    foreign: bool = False,
) -> Judged:
    progress(0, len(file), "check")
    prefixes = file.space.prefixes
    drugs = {d for p in prefixes if (d := registry.resolve_prefix(p).drug_id) is not None}
    keys = [(d, n) for d in sorted(drugs) for n in sorted({p.batch_no for p in file.parts})]
    issued: dict[str, tuple[IssueKey, list[tuple[int, int]]]] = {}
    for row in await conn.fetch(store.ISSUED, prefixes):
        _, ranges = issued.setdefault(row["prefix"], (derive(master, row["key_id"]), []))
        ranges.append((row["start_no"], row["count"]))
    facts = Facts(
        org_id=subject.org,
        today=datetime.now(CHINA).date(),
        batches=await store.batch_facts(conn, keys),
        issued=issued,
    )
    return await asyncio.to_thread(validate, file, registry, facts, foreign=foreign)


async def _collisions(conn: Connection, judged: Judged, progress: Progress) -> Findings:
    """Codes that exist already, each with where it was activated (R-A8)."""
    out = Findings()
    file, total = judged.file, len(judged.file)
    for drug_id in judged.products:
        at = judged.order[judged.drug[judged.order] == drug_id]
        for a in range(0, len(at), LOOK_UP):
            block = at[a : a + LOOK_UP].tolist()
            index = {file.text(i): i for i in block}
            hits = await store.existing(conn, drug_id, list(index))
            progress(min(a + LOOK_UP, total), total, "check")
            room = hits[: out.room("relation_already_active")]
            origins = await store.origins(conn, drug_id, room) if room else {}
            for code in room:
                row = origins[code]
                out.add(
                    "relation_already_active",
                    file.where(index[code]),
                    code=code,
                    batch=row["batch_no"] or "—",
                    file=row["file_name"] or "—",
                    bill=row["bill_no"] or "—",
                    at=row["recorded_at"].astimezone(CHINA).strftime("%Y-%m-%d %H:%M")
                    if row["recorded_at"]
                    else "—",
                )
            out.count_only("relation_already_active", len(hits) - len(room))
    return out


async def _rows(judged: Judged, parts: dict[int, RowFacts], progress: Progress) -> AsyncIterator[bytes]:
    """Blocks of rows; the next one is built in a thread while the server takes in the one before."""
    source, total, done = blocks(judged, parts), len(judged.file), 0
    following = asyncio.create_task(asyncio.to_thread(next, source, None))
    while (block := await following) is not None:
        following = asyncio.create_task(asyncio.to_thread(next, source, None))
        yield block[0]
        done += block[1]
        progress(done, total, "write")


async def _batches(conn: Connection, subject: Subject, judged: Judged) -> dict[int, int]:
    """The batch id of each part, batches made where needed and locked in order."""
    out: dict[int, int] = {}
    wanted: dict[tuple[int, str], list[int]] = {}
    for number, part in enumerate(judged.file.parts):
        if part.end > part.start:
            wanted.setdefault((judged.part_drug[number], part.batch_no), []).append(number)
    for (drug_id, batch_no), numbers in sorted(wanted.items()):
        part = judged.file.parts[numbers[0]]
        values = (drug_id, batch_no, subject.org, part.made_on, part.expires_on)
        found = await store.make_batch(
            conn, (*values, part.workshop[:100], part.line_name[:100], part.line_manager[:100])
        )
        if (found.maker, found.produced_on, found.expires_on) != (subject.org, part.made_on, part.expires_on):
            # made by somebody else between check and lock
            raise YaosuError("conflict", {"reason": batch_no})
        out.update(dict.fromkeys(numbers, found.id))
    return out


async def _write(
    conn: Connection,
    subject: Subject,
    judged: Judged,
    options: Options,
    bill_no: str,
    happened_at: datetime,
    keeper: asyncio.Task[keeping.Packed],
    progress: Progress,
) -> Activation:
    file, org = judged.file, subject.org
    batch_ids = await _batches(conn, subject, judged)
    ids = [r[0] for r in await conn.fetch(store.NEXT_BILLS, 2 if options.stock_in else 1)]
    bill_id, stock_bill = ids[0], ids[1] if options.stock_in else None
    parts = {
        number: RowFacts(
            drug_id=judged.part_drug[number],
            batch_id=batch_id,
            bill_id=bill_id,
            last_bill=stock_bill or bill_id,
            status="I" if stock_bill or options.holder else "A",
            holder=options.holder or org,
            since=happened_at,
        )
        for number, batch_id in batch_ids.items()
    }
    try:
        async with conn.transaction():
            await store.copy_units(conn, _rows(judged, parts, progress))
    except asyncpg.UniqueViolationError:
        found = await _collisions(conn, judged, progress)
        if not found:
            raise YaosuError("conflict", {"reason": bill_no}) from None
        raise refusal(found) from None
    progress(len(file), len(file), "keep")
    manifest = keeping.manifest(options.name, file.sha256, file.size)
    submission = await conn.fetchval(store.INSERT_SUBMISSION, manifest)
    await keeping.keep(conn, submission, await keeper)
    outer = _outermost(judged, parts)
    boxes = sum(sum(qty) for _, qty in outer.values())
    batches = _batch_summaries(judged, parts, outer)
    header = {
        "file": options.name[:200],
        "sha256": file.sha256.hex(),
        "codes": len(file),
        "boxes": boxes,
        "batches": batches,
        **({"holder": options.holder} if options.holder is not None else {}),
    }
    lines = sum(len(codes) for codes, _ in outer.values())
    drug_ids = sorted({facts.drug_id for facts in parts.values()})
    judgement = _judgement(outer, len(file))
    leaf = b""
    recorded_at = happened_at
    first = (bill_id, ACTIVATION, ("P", "A")) if options.holder is None else (bill_id, TAKEN_IN, ("P", "I"))
    for part_no, (number, kind, move) in enumerate((first, (stock_bill, STOCK_IN, ("A", "I")))):
        if number is None:
            continue
        shown = bill_no if kind != STOCK_IN else f"{bill_no}-RK"
        this_leaf = leaf_hash((file.sha256, f"{number}|{kind}|{org}\n".encode() + judgement))
        content = file.sha256 if kind != STOCK_IN else leaf_hash((file.sha256, b"101"))
        at = await store.insert_bill(
            conn,
            (
                *(number, org, org, subject.account_id, kind, lines, boxes, happened_at, submission, part_no),
                *(shown, content, this_leaf, header, drug_ids),
            ),
        )
        if kind != STOCK_IN:
            leaf, recorded_at = this_leaf, at
        await _post(
            conn, number, bill_id if kind == STOCK_IN else 0, (org, options.holder or org), outer, move
        )
    kept_notes = [f.as_json("zh") for f in judged.notes.kept[:200]]
    await conn.execute(
        store.INSERT_FILE,
        *(bill_id, org, submission, file.size, len(file), boxes, stock_bill, file.sha256),
        *(file.format, file.encoding, options.name[:200], batches, kept_notes),
    )
    await audit.record(
        conn,
        subject,
        "relation.activate",
        ("bill", bill_id),
        {"bill_no": bill_no, "codes": len(file), "boxes": boxes, "sha256": file.sha256.hex()},
    )
    return Activation(
        bill_id,
        bill_no,
        file.sha256.hex(),
        len(file),
        boxes,
        batches,
        leaf.hex(),
        recorded_at,
        stock_bill,
        notes=kept_notes,
    )


Outer = dict[tuple[int, int], tuple[list[str], list[int]]]


def _outermost(judged: Judged, parts: dict[int, RowFacts]) -> Outer:
    """Outermost packages by (product, batch): codes and quantities, in order of the codes."""
    out: Outer = {}
    for number, facts in parts.items():
        part = judged.file.parts[number]
        at = part.start + np.flatnonzero(judged.up[part.start : part.end] == -1)
        codes, qty = out.setdefault((facts.drug_id, facts.batch_id), ([], []))
        codes += [judged.file.text(i) for i in at.tolist()]
        qty += judged.qty[at].tolist()
    return out


def _batch_summaries(judged: Judged, parts: dict[int, RowFacts], outer: Outer) -> list[dict[str, object]]:
    out: dict[tuple[int, int], dict[str, object]] = {}
    codes: dict[tuple[int, int], int] = {}
    for number, facts in parts.items():
        part, key = judged.file.parts[number], (facts.drug_id, facts.batch_id)
        codes[key] = codes.get(key, 0) + part.end - part.start
        out[key] = {
            "drug_id": facts.drug_id,
            "batch_id": facts.batch_id,
            "batch_no": part.batch_no,
            "codes": codes[key],
            "boxes": sum(outer[key][1]),
        }
    return list(out.values())


def _judgement(outer: Outer, codes: int) -> bytes:
    """What was judged, as bytes for the leaf: every outermost package with its content."""
    lines = [f"{codes}"]
    for (drug_id, batch_id), (texts, qty) in sorted(outer.items()):
        lines.append(f"{drug_id} {batch_id}")
        lines += [f"{text} {n}" for text, n in zip(texts, qty, strict=True)]
    return "\n".join(lines).encode()


async def _post(
    conn: Connection, bill_id: int, prev_bill: int, orgs: tuple[int, int], outer: Outer, move: tuple[str, str]
) -> None:
    """Lines and entries of one of the two bills."""
    for (drug_id, batch_id), (codes, qty) in sorted(outer.items()):
        await conn.execute(
            store.INSERT_LINES, bill_id, prev_bill, drug_id, batch_id, orgs[0], move[0], move[1], codes, qty
        )
        await store.post(conn, bill_id, drug_id, batch_id, orgs, sum(qty), move)
