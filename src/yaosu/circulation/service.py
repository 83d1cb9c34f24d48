"""Verbs of the circulation room: submit, void, check a scan, answer a receipt check.

`submit` is the one door for every movement, whatever way it comes in (design §1): API, page, file, job, simulator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from yaosu.access.visibility import visible
from yaosu.circulation import lost, store_revise, way_home
from yaosu.circulation import store_read as reads
from yaosu.circulation.answers import code_result
from yaosu.circulation.apply import apply_group
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.evidence import add_evidence
from yaosu.circulation.load import load_limits, load_sent, load_world
from yaosu.circulation.model import CodeResult, Effect, Movement, MovementResult, Preview
from yaosu.circulation.prepare import parts_of, prep_units, prepare, scans_of, transferable
from yaosu.db.engine import Connection, Pool
from yaosu.errors import YaosuError
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import submittable
from yaosu.rules.judge import Order, examine
from yaosu.rules.world import World
from yaosu.stops.service import count_hits, version_of
from yaosu.subject import Subject

if TYPE_CHECKING:
    from yaosu.circulation.committer import Committer

CHECK_MAX = 500
"""Scans looked at in one call of the scan station."""

EFFECTS_MAX = 200
"""Codes whose fate a preview tells one by one."""

_RELEASE = 6


async def submit(
    pool: Pool, committer: Committer, registry: Registry, subject: Subject, movement: Movement
) -> MovementResult:
    """Judge and record one movement; answers after the commit, with a verdict for every code.

    Refused as a whole (YaosuError) for header, rights, numbering or size; `status` of the answer tells whether
    all, some or none of the codes moved. Safe to repeat: the same number and content get the same answer (D8).
    Requirements: R-B6, R-C1, R-C3, R-X1, R-X2, R-X3.
    """
    if movement.type == _RELEASE:
        subject.require("quarantine.dispose")
    if movement.revision > 1 or movement.void:
        subject.require("bill.correct")
    # mostly nothing is asked, so no connection is taken for it
    prepared = await prepare(pool, registry, subject, movement)
    return await committer.submit(prepared)


async def void(
    pool: Pool,
    committer: Committer,
    registry: Registry,
    subject: Subject,
    bill_id: int,
    reason: str,
    body: bytes,
) -> MovementResult:
    """Take a bill back with reversing entries, as its next revision (R-X3).

    Refused (`later_fact`) when a unit of it has moved on since, naming the codes.
    """
    async with pool.acquire() as conn:
        sql, args = visible(subject).apply(reads.BILL_HEAD, bill_id)
        row = await conn.fetchrow(sql, *args)
    if row is None or row["revision"] < 1 or row["type"] not in submittable():
        raise YaosuError("not_found", {"what": "单据" if subject.lang == "zh" else "Bill"})
    if row["status"] == "V":
        raise YaosuError("bill_is_void", {"bill_no": row["bill_no"]})
    movement = void_of(dict(row), reason, body)
    return await submit(pool, committer, registry, subject, movement)


async def preview(
    pool: Pool, registry: Registry, batches: BatchCache, subject: Subject, movement: Movement
) -> Preview:
    """What `submit` would do with a correction or void now: the real thing, rolled back.

    Refused like `submit` for rights and header; what later facts forbid is the preview's `error`.
    """
    subject.require("bill.correct")
    prepared = await prepare(pool, registry, subject, movement)
    async with pool.acquire() as conn:
        trial = conn.transaction()
        await trial.start()
        try:
            (outcome,) = await apply_group(conn, [prepared], batches, lock=True)
            if isinstance(outcome, YaosuError):
                return Preview(None, outcome)
            effects = await _effects(conn, movement, Preview(outcome, None).removed)
        finally:
            await trial.rollback()
    for one in outcome.results:
        said = one.evidence
        if said and (said["bill_no"], said["owner"]) == (movement.bill_no, movement.owner):
            # the trial's own reversal, whose number nobody will ever find
            one.evidence = {**said, "bill_id": None}
    return Preview(outcome, None, effects)


async def _effects(conn: Connection, movement: Movement, removed: Sequence[str]) -> list[Effect]:
    """What the trial has just done to codes and quantities that the next revision no longer moves."""
    reversal = movement.revision if movement.void else 1 - movement.revision
    which = (movement.owner, movement.bill_no, reversal)
    rows = await conn.fetch(store_revise.EFFECTS, *which, list(removed[:EFFECTS_MAX]))
    found = [Effect(**dict(row)) for row in rows]
    if movement.void:
        rows = await conn.fetch(store_revise.EFFECTS_UNCODED, *which, EFFECTS_MAX)
        found += [Effect(code="", **dict(row)) for row in rows]
    elif movement.quantities:
        both = [reversal, movement.revision]
        rows = await conn.fetch(
            store_revise.EFFECTS_ACCOUNTS, movement.owner, movement.bill_no, both, EFFECTS_MAX
        )
        found += [Effect(code="", **dict(row)) for row in rows]
    return found


def void_of(row: Mapping[str, Any], reason: str, body: bytes) -> Movement:
    """The movement that takes a bill back, from its head."""
    return Movement(
        type=row["type"],
        bill_no=row["bill_no"],
        owner=row["owner"],
        happened_at=row["happened_at"],
        codes=(),
        revision=row["revision"] + 1,
        void=True,
        from_org=row["from_org"],
        to_org=row["to_org"],
        principal=row["principal"],
        carrier=row["carrier"],
        direct_org=row["direct_org"],
        header={"void_reason": reason},
        body=body,
    )


async def check(
    conn: Connection,
    registry: Registry,
    batches: BatchCache,
    subject: Subject,
    movement: Movement,
) -> tuple[list[CodeResult], World]:
    """What `submit` would say of these scans now, changing nothing: for the scan station, scan by scan.

    Header fields may still be missing; only what is there is judged. Refused for rights and unknown types.
    """
    subject.require("bill.write")
    kind = submittable().get(movement.type)
    if kind is None:
        raise YaosuError("bill_type_unknown", {"type": movement.type})
    if len(movement.codes) > CHECK_MAX:
        raise YaosuError("too_many_codes", {"count": len(movement.codes), "limit": CHECK_MAX})
    scans, keys, containers = scans_of(registry, movement.codes)
    notice = 0
    if movement.notice:
        rows = await conn.fetch(reads.NOTICE_BY_NUMBER, movement.owner, movement.notice, movement.from_org)
        notice = rows[0]["bill_id"] if rows else 0
    scans = await transferable(conn, registry, movement, scans)
    parts = parts_of(movement, kind, scans)
    world = await load_world(conn, keys, containers, batches, lock=False)
    sold = kind.kind == "give_back"
    await load_limits(conn, world, batches, await version_of(conn), sold=sold, lock=False)
    order = Order(
        type=kind,
        owner=movement.owner,
        happened_at=datetime.now(UTC),
        to=movement.to_org or 0,
        sender=(movement.from_org or 0) if kind.by_dest else 0,
        notice=notice,
        parts=parts,
        prep_units=prep_units(registry, scans) if parts or kind.kind == "open" else {},
        kin=partial(way_home.kin, registry, movement.owner),
        way_home=way_home.of_bill(registry, movement, kind),
    )
    await load_sent(conn, world, [order])
    await lost.load(conn, world)
    await way_home.load(conn, world, [(order, scans)])
    verdicts = examine(world, order, scans)
    # a scan at the station is refused as a bill would be, and counts as the first one that was (R-X7)
    await count_hits(conn, [(v.stop.id, movement.owner, v.scan.code) for v in verdicts if v.stop is not None])
    results = [code_result(v) for v in verdicts]
    for n, one in enumerate(results):
        # of what is refused, only what lies open on the package itself: product and quantity
        units = world.rows_of.get(one.code)
        if units and not one.batch_id:
            results[n] = replace(one, batch_id=units[0].batch_id, qty=sum(u.qty for u in units))
    await add_evidence(conn, [MovementResult(0, "", 1, "", results, owner=movement.owner, recorded_at=None)])
    return results, world


async def answer_check(
    conn: Connection, subject: Subject, check_id: int, kind: str, text: str
) -> dict[str, object]:
    """The seller's answer to a receipt check (R-B2, R-B5); once. `kind`: agreed, disputed."""
    subject.require("bill.write")
    row = await conn.fetchrow(reads.ANSWER_CHECK, check_id, subject.org, kind, text, subject.account_id)
    if row is None:
        sql, args = visible(subject).apply(reads.CHECK, check_id)
        if await conn.fetchrow(sql, *args) is None:
            raise YaosuError("not_found", {"what": "核对结果" if subject.lang == "zh" else "Receipt check"})
        raise YaosuError("check_not_open")
    return dict(row)
