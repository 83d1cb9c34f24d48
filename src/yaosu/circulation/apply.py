"""The transaction: lock the units of a group of bills, judge, write back set-based (design §1, D5, D8).

A group is one large bill, or many small ones that share a commit. Bills of a group are judged one after the
other in memory, each seeing what the one before it did; a refused bill changes nothing and never fails its
neighbours. Ids are taken after the locks, so along each unit's life bill ids rise.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from yaosu.circulation import late, notices, revise
from yaosu.circulation import store_write as store
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.evidence import add_evidence
from yaosu.circulation.model import CodeResult, Flag, MovementResult, Prepared
from yaosu.db.engine import Connection
from yaosu.db.leaf import leaf_hash
from yaosu.errors import YaosuError
from yaosu.rules.judge import Line, Verdict, carry_out, examine, transfers
from yaosu.rules.world import World

LATE_AFTER = timedelta(days=1)
"""A bill uploaded later than this after it happened is flagged (D14)."""

Outcome = MovementResult | YaosuError
T = TypeVar("T")


class Posting:
    """One bill that will be written: its rows, judged but not yet stored."""

    __slots__ = (
        "bill_id",
        "checks",
        "content_hash",
        "flags",
        "leaf",
        "lines",
        "notice_bill",
        "prepared",
        "replaces",
        "result",
        "revision",
        "status",
        "verdicts",
    )

    def __init__(
        self, prepared: Prepared, bill_id: int, lines: list[Line], verdicts: Sequence[Verdict]
    ) -> None:
        self.prepared = prepared
        self.bill_id = bill_id
        self.lines = lines
        self.verdicts = verdicts
        self.revision = prepared.movement.revision
        self.status = "A"
        self.flags = prepared.flags
        self.replaces: int | None = None
        self.notice_bill: int | None = prepared.order.notice or None
        self.content_hash = prepared.content_hash
        self.leaf = b""
        self.checks: list[dict[str, object]] = []
        self.result: MovementResult | None = None


async def apply_group(
    conn: Connection, group: Sequence[Prepared], batches: BatchCache, *, lock: bool = False
) -> list[Outcome]:
    """Judge and record `group` inside the caller's transaction; one outcome per bill, in order.

    Two bills of a group must not share owner and number (the committer sees to that). Without `lock` the units
    are read as they are and written only if nobody changed them meanwhile. `ConflictError`, `UniqueViolation` and
    deadlocks mean that somebody was faster: the caller rolls back and tries again with `lock`.
    """
    outcomes: list[Outcome | None] = [None] * len(group)
    latest = await revise.latest_revisions(conn, group)
    todo: list[tuple[int, Prepared, revise.Previous | None]] = []
    for n, one in enumerate(group):
        previous = latest.get((one.movement.owner, one.movement.bill_no))
        try:
            if previous is not None and revise.is_repeat(one, previous):
                outcomes[n] = await revise.replay(conn, one, previous)
            else:
                revise.check_revision(one, previous)
                todo.append((n, one, previous))
        except YaosuError as error:
            outcomes[n] = error
    if todo:
        await _apply(conn, todo, outcomes, batches, lock)
    return [o for o in outcomes if o is not None]


async def load_world(
    conn: Connection,
    keys: Sequence[tuple[int, str]],
    containers: Sequence[str],
    batches: BatchCache,
    *,
    lock: bool,
) -> World:
    """The units of `keys` and everything around them, locked lowest level first."""
    world = World()
    wanted = dict.fromkeys(keys)
    if containers:
        for row in await conn.fetch(store.CONTAINERS, list(containers)):
            wanted.update(dict.fromkeys((drug_id, row["code"]) for drug_id in row["drug_ids"]))
    missing = list(wanted)
    while missing:
        found = await store.read_units(conn, missing, lock=lock)
        for unit in found:
            world.add(unit)
        missing = list(
            {
                (u.drug_id, u.parent)
                for u in found
                if u.parent is not None and (u.drug_id, u.parent) not in world.units
            }
        )
    mixed = [u.key for u in world.units.values() if not u.batch_id]
    if mixed:
        rows = await conn.fetch(store.CONTAINER_BATCHES, [k[0] for k in mixed], [k[1] for k in mixed])
        for row in rows:
            world.container_batches.setdefault((row["drug_id"], row["code"]), {})[row["batch_id"]] = row[
                "qty"
            ]
    needed: dict[int, int] = {u.batch_id: u.drug_id for u in world.units.values() if u.batch_id}
    for (drug_id, _), held in world.container_batches.items():
        needed.update(dict.fromkeys(held, drug_id))
    world.batches = await batches.get(conn, needed)
    return world


async def _apply(
    conn: Connection,
    todo: Sequence[tuple[int, Prepared, revise.Previous | None]],
    outcomes: list[Outcome | None],
    batches: BatchCache,
    lock: bool,
) -> None:
    keys = [key for _, one, _ in todo for key in one.keys]
    containers = [code for _, one, _ in todo for code in one.containers]
    taken_back: dict[int, list[revise.OldLine]] = {}
    for n, _, previous in todo:
        if previous is not None:
            taken_back[n] = await revise.old_lines(conn, previous)
            keys += [(line.drug_id, line.code) for line in taken_back[n]]
    world = await load_world(conn, keys, containers, batches, lock=lock)
    times = await revise.times_before(conn, taken_back)
    ids = iter(await store.next_ids(conn, len(todo) + len(taken_back)))
    now = datetime.now(UTC)
    postings: list[Posting] = []
    refusals: list[tuple[int, Prepared, Sequence[Verdict]]] = []
    places: list[tuple[int, Posting]] = []
    replaced: dict[int, str] = {}
    for n, one, previous in todo:
        if now - one.order.happened_at > LATE_AFTER:
            one.flags |= Flag.LATE
        reversal: Posting | None = None
        undo = revise.Undo()
        if previous is not None:
            try:
                reversal_id = next(ids)
                lines = revise.take_back(world, taken_back[n], reversal_id, times, undo)
            except YaosuError as error:
                outcomes[n] = error
                continue
            reversal = Posting(one, reversal_id, lines, ())
            reversal.replaces, reversal.status = previous.id, "V"
            reversal.flags |= Flag.REVERSAL
            reversal.notice_bill = None
            if one.movement.void:
                replaced[previous.id] = "V"
                postings.append(reversal)
                places.append((n, reversal))
                continue
            reversal.revision = -previous.revision
        verdicts = examine(world, one.order, one.scans)
        await late.explain(conn, world, one.order, verdicts)
        if batches.issued is not None:
            await batches.issued.explain(conn, verdicts)
        refused = [v for v in verdicts if not v.accepted]
        keeps_record = any(v.quarantined for v in refused) or (
            one.kind.kind == "receive" and any(v.code in notices.MEMO for v in refused)
        )
        nothing = len(refused) == len(verdicts) and not keeps_record
        if nothing or (refused and one.order.atomic):
            undo.restore()
            refusals.append((n, one, verdicts))
            continue
        posting = Posting(one, next(ids), [], verdicts)
        posting.lines = carry_out(world, one.order, verdicts, posting.bill_id)
        if any(v.code == "out_of_order" for v in verdicts):
            posting.flags |= Flag.OUT_OF_ORDER
        if any(v.code == "no_notice" for v in refused):
            posting.flags |= Flag.NO_NOTICE
        if reversal is not None and previous is not None:
            postings.append(reversal)
            posting.replaces = previous.id
            posting.flags |= Flag.CORRECTION
            replaced[previous.id] = "R"
        postings.append(posting)
        places.append((n, posting))
    if postings:
        await _write(conn, world, postings, replaced, now)
    results = []
    for n, posting in places:
        assert posting.result is not None
        posting.result.checks = posting.checks
        results.append((n, posting.result))
    results += [(n, _refusal(one, verdicts)) for n, one, verdicts in refusals]
    await add_evidence(conn, [r for _, r in results])
    for n, result in results:
        outcomes[n] = result


def code_result(verdict: Verdict) -> CodeResult:
    """A verdict in the form of the answer."""
    units = verdict.units
    return CodeResult(
        raw=verdict.scan.raw,
        code=verdict.scan.code,
        verdict=verdict.code,
        severity=verdict.severity,
        params=verdict.params,
        quarantined=verdict.quarantined,
        qty=units[0].qty if len(units) == 1 else sum(u.qty for u in units),
        drug_id=verdict.scan.drug_id,
        batch_id=units[0].batch_id if units else 0,
        evidence_bill=verdict.evidence_bill,
    )


def _result(posting: Posting, now: datetime) -> MovementResult:
    verdicts = posting.verdicts
    refused = sum(1 for v in verdicts if not v.accepted)
    if posting.status == "V":
        status = "void"
    elif not refused:
        status = "accepted"
    else:
        status = "partial" if refused < len(verdicts) else "refused"
    return MovementResult(
        owner=posting.prepared.movement.owner,
        bill_id=posting.bill_id,
        bill_no=posting.prepared.movement.bill_no,
        revision=posting.revision,
        status=status,
        results=[code_result(v) for v in verdicts],
        flags=posting.flags,
        qty=sum(line.qty for line in posting.lines),
        recorded_at=now,
        leaf=posting.leaf.hex(),
        checks=posting.checks,
    )


def _refusal(one: Prepared, verdicts: Sequence[Verdict]) -> MovementResult:
    return MovementResult(
        owner=one.movement.owner,
        bill_id=0,
        bill_no=one.movement.bill_no,
        revision=one.movement.revision,
        status="refused",
        results=[code_result(v) for v in verdicts],
        flags=one.flags,
    )


def pack_bodies(bodies: Sequence[bytes]) -> bytes:
    """Submissions that share a commit, as one zlib stream of length-prefixed parts."""
    parts = b"".join(len(b).to_bytes(4, "big") + b for b in bodies)
    return zlib.compress(parts, 1)


def unpack_body(packed: bytes, part: int) -> bytes:
    """The submission at position `part`, byte for byte as received."""
    data = zlib.decompress(packed)
    at = 0
    for _ in range(part):
        at += 4 + int.from_bytes(data[at : at + 4], "big")
    return data[at + 4 : at + 4 + int.from_bytes(data[at : at + 4], "big")]


async def _write(
    conn: Connection, world: World, postings: Sequence[Posting], replaced: dict[int, str], now: datetime
) -> None:
    """Everything of the group, in a handful of statements.

    The two long ones, units and lines, run while their successors are still being put together: the database works
    on one core and we on another.
    """
    changed_units = [u for u in world.units.values() if u.touched]
    rows = await _meanwhile(store.update_units(conn, changed_units), lambda: _rows(postings))
    bodies = [p.prepared.movement.body for p in postings]
    submission = await conn.fetchval(store.INSERT_SUBMISSION, len(bodies), pack_bodies(bodies))

    def heads() -> list[tuple[object, ...]]:
        made = []
        for part, posting in enumerate(postings):
            posting.leaf = leaf_hash((posting.content_hash, _judged(posting)))
            made.append(_bill_row(posting, submission, part, now))
            posting.result = _result(posting, now)
        return made

    bills = await _meanwhile(store.insert_lines(conn, rows.lines), heads)
    await store.insert_rows(conn, "bill", store.BILL_COLUMNS, bills)
    await store.insert_rows(conn, "bill_note", store.NOTE_COLUMNS, rows.notes)
    await store.insert_rows(conn, "entry", store.ENTRY_COLUMNS, rows.entries)
    mixed = [
        (drug_id, code, batch_id, qty)
        for (drug_id, code), held in world.container_batches.items()
        if world.units[(drug_id, code)].touched
        for batch_id, qty in held.items()
    ]
    await store.columns(conn, store.UPDATE_CONTAINER_BATCHES, mixed)
    changed = sorted((key, delta) for key, delta in rows.deltas.items() if delta)
    await store.post_balances(conn, [(*key, delta) for key, delta in changed])
    for status in set(replaced.values()):
        await conn.execute(store.SET_BILL_STATUS, [b for b, s in replaced.items() if s == status], status)
    await notices.record(conn, postings)


async def _meanwhile(statement: Coroutine[Any, Any, None], work: Callable[[], T]) -> T:
    """Do `work` while the database carries out `statement`; both are done when this returns or raises."""
    running = asyncio.ensure_future(statement)
    await asyncio.sleep(0)  # the statement goes out first
    try:
        return work()
    finally:
        await running


@dataclass(slots=True)
class _Rows:
    """What the group records beside its bills."""

    lines: list[tuple[object, ...]]
    notes: list[tuple[object, ...]]
    entries: list[tuple[object, ...]]
    deltas: dict[tuple[int, int, int, str], int]
    """Change of each account (product, batch, organisation, status)."""


def _rows(postings: Sequence[Posting]) -> _Rows:
    """Lines, notes and ledger entries of the group; the entries balance."""
    rows = _Rows([], [], [], {})
    deltas = rows.deltas
    for posting in postings:
        bill_id = posting.bill_id
        rows.lines += [
            (
                bill_id,
                line.prev_bill,
                line.notice_bill,
                line.unit.drug_id,
                line.unit.batch_id,
                line.qty,
                line.pre_holder,
                line.pre_dest,
                line.pre,
                line.post,
                line.unit.code,
                line.left_parent,
            )
            for line in posting.lines
        ]
        rows.notes += [
            (
                bill_id,
                v.scan.n,
                v.evidence_bill,
                "R" if v.severity == "refused" else "W",
                v.quarantined,
                v.scan.code,
                v.scan.raw.replace("\x00", "␀"),
                v.code,
                dict(v.params or {}),
            )
            for v in posting.verdicts
            if v.severity != "ok"
        ]
        moved = transfers(posting.lines)
        for (drug_id, batch_id, from_org, from_status, to_org, to_status), qty in moved.items():
            rows.entries.append((bill_id, drug_id, batch_id, from_org, to_org, qty, from_status, to_status))
            source = (drug_id, batch_id, from_org, from_status)
            target = (drug_id, batch_id, to_org, to_status)
            deltas[source] = deltas.get(source, 0) - qty
            deltas[target] = deltas.get(target, 0) + qty
    assert sum(deltas.values()) == 0, "a posting that does not balance"
    return rows


def _judged(posting: Posting) -> bytes:
    """The judgement as bytes, for the leaf: who, what, when, and the fate of every code."""
    head = f"{posting.bill_id}|{posting.revision}|{posting.status}|{posting.flags}"
    moved = "\n".join(
        f"{li.unit.code} {li.pre}{li.post} {li.pre_holder} {li.post_holder}" for li in posting.lines
    )
    refused = "\n".join(f"{v.scan.n} {v.code}" for v in posting.verdicts if not v.accepted)
    return f"{head}\n{moved}\n\n{refused}".encode()


def _bill_row(posting: Posting, submission: int, part: int, now: datetime) -> tuple[object, ...]:
    one, movement = posting.prepared, posting.prepared.movement
    lines: list[Line] = posting.lines
    drug_ids = sorted({line.unit.drug_id for line in lines})
    return (
        posting.bill_id,
        movement.owner,
        one.submitter,
        one.account_id,
        movement.from_org,
        movement.to_org,
        movement.principal,
        movement.carrier,
        movement.direct_org,
        movement.type,
        posting.revision,
        posting.flags,
        posting.status,
        "T" if one.order.atomic else "P",
        len(lines),
        sum(line.qty for line in lines),
        sum(1 for v in posting.verdicts if not v.accepted),
        movement.happened_at,
        now,
        submission,
        part,
        posting.replaces,
        posting.notice_bill,
        movement.bill_no,
        posting.content_hash,
        posting.leaf,
        dict(movement.header) or None,
        drug_ids,
    )
