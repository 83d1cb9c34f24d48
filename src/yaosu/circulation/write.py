"""What judged bills leave in the database: units, lines, notes, ledger, bodies, in a handful of statements."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from yaosu.circulation import notices, splits
from yaosu.circulation import store_write as store
from yaosu.circulation.answers import result_of
from yaosu.circulation.posting import Posting
from yaosu.db.engine import Connection
from yaosu.db.leaf import leaf_hash
from yaosu.notify.routed import Routed
from yaosu.rules.lines import transfers
from yaosu.rules.world import World

T = TypeVar("T")


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


async def write(
    conn: Connection,
    world: World,
    postings: Sequence[Posting],
    replaced: dict[int, str],
    now: datetime,
    routed: Routed,
) -> None:
    """Everything of the group, in a handful of statements.

    The two long ones, units and lines, run while their successors are still being put together: the database works
    on one core and we on another.
    """
    bodies = [p.prepared.movement.body for p in postings]
    rows, packed = await _meanwhile(_units(conn, world), lambda: (_rows(postings), pack_bodies(bodies)))
    await splits.write(conn, world, postings)
    changed = sorted((*key, delta) for key, delta in rows.deltas.items() if delta)
    # a bill alone in its commit
    alone = len(postings) == 1 and bool(changed)
    submission = 0 if alone else await conn.fetchval(store.INSERT_SUBMISSION, len(bodies), packed)

    def heads() -> list[tuple[object, ...]]:
        made = []
        for part, posting in enumerate(postings):
            posting.leaf = leaf_hash((posting.content_hash, _judged(posting)))
            made.append(_bill_row(posting, submission, part, now))
            posting.result = result_of(posting, now)
        return made

    bills = await _meanwhile(store.insert_lines(conn, rows.lines), heads)
    if alone:
        await store.record_one(conn, packed, bills[0], rows.entries, changed)
    else:
        await store.insert_rows(conn, "bill", store.BILL_COLUMNS, bills)
        await store.insert_rows(conn, "entry", store.ENTRY_COLUMNS, rows.entries)
        await store.post_balances(conn, changed)
    await store.insert_rows(conn, "bill_note", store.NOTE_COLUMNS, rows.notes)
    kept = [
        (p.bill_id, k.drug_id, k.from_bill, k.code) for p in postings if not p.is_reversal for k in p.kept
    ]
    await store.insert_rows(conn, "bill_kept", store.KEPT_COLUMNS, kept)
    mixed = [
        (drug_id, code, batch_id, qty)
        for (drug_id, code), held in world.container_batches.items()
        if world.units[(drug_id, code)].touched
        for batch_id, qty in held.items()
    ]
    await store.columns(conn, store.UPDATE_CONTAINER_BATCHES, mixed)
    for status in set(replaced.values()):
        await conn.execute(store.SET_BILL_STATUS, [b for b, s in replaced.items() if s == status], status)
    await notices.record(conn, postings)
    # a correction is routed as its new revision, a void as its reversal
    due = [
        (p.bill_id, p.prepared.movement.owner)
        for p in postings
        if (not p.is_reversal or p.prepared.movement.void)
        and any(routed.concerns(org) for org in _parties(p))
    ]
    await store.insert_rows(conn, "bill_due", store.DUE_COLUMNS, due)


async def _units(conn: Connection, world: World) -> None:
    """Write back what changed; what nobody has read comes first, since a wrong guess ends the group."""
    await store.update_assumed(conn, world.assumed)
    changed = [u for u in world.units.values() if u.touched and not u.alike]
    await store.update_units(conn, changed)


def _parties(posting: Posting) -> list[int]:
    """Owner, giver and receiver: whose systems may want to hear of a bill."""
    movement = posting.prepared.movement
    return [org for org in (movement.owner, movement.from_org, movement.to_org) if org]


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

    lines: list[store.Lines]
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
            store.Lines(
                (
                    bill_id,
                    one.prev_bill,
                    one.notice_bill,
                    one.unit.drug_id,
                    one.unit.batch_id,
                    one.qty,
                    one.pre_holder,
                    one.pre_dest,
                    one.pre,
                    one.post,
                    one.left_parent,
                ),
                part.codes,
            )
            for part in posting.parts
            for one in (part.first,)
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
            for v in posting.odd
        ]
        moved = transfers(posting.parts)
        for key, qty in posting.transfers.items():
            moved[key] = moved.get(key, 0) + qty
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
    fates = []
    for part in posting.parts:
        line = part.first
        fate = f" {line.pre}{line.post} {line.pre_holder} {line.post_holder}"
        fates.append((fate + "\n").join(part.codes) + fate)
    moved = "\n".join(fates)
    refused = "\n".join(f"{v.scan.n} {v.code}" for v in posting.refused)
    more = ""
    # beyond units: stands in the leaf only where there is any, so that leaves made before keep their form
    if posting.transfers:
        more += "\nU" + "".join(f" {key} {qty}" for key, qty in sorted(posting.transfers.items()))
    inside = splits.rows_of(posting)
    if inside:
        more += "\nD" + "".join(f" {row[1:]}" for row in sorted(inside))
    if posting.kept:
        more += "\nK" + "".join(f" {k.from_bill} {k.code}" for k in posting.kept)
    return f"{head}\n{moved}\n\n{refused}{more}".encode()


def _bill_row(posting: Posting, submission: int, part: int, now: datetime) -> tuple[object, ...]:
    one, movement = posting.prepared, posting.prepared.movement
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
        posting.count,
        posting.qty,
        len(posting.refused),
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
        posting.drug_ids,
    )
