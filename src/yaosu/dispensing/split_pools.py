"""Verbs of pools (预扫码池, R-C9): pre-scanned boxes of a ward or a dispensing machine, drawn without a scan.

A draw is planned under the pool's lock against what is left in its boxes minus what is promised to draws whose bill is
on its way; so two machines never plan the same units. Then the bill goes through the one write path. What the write
path refuses (a recall, a box that somebody used elsewhere) is left out and the draw is planned anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asyncpg import Record

from yaosu.access.visibility import visible
from yaosu.circulation.cache import CHINA, BatchCache
from yaosu.circulation.model import MovementResult
from yaosu.db.engine import Connection
from yaosu.dispensing import split_orders as orders
from yaosu.dispensing import split_service as service
from yaosu.dispensing import split_store as split
from yaosu.dispensing import split_store_pool as store
from yaosu.dispensing.split_model import LINES_MAX, Line, Plan, Refused, Want
from yaosu.dispensing.split_orders import Desk, Recorded
from yaosu.dispensing.split_plan import Box, choose
from yaosu.errors import Finding, YaosuError
from yaosu.notify import service as notify
from yaosu.people import free_text
from yaosu.subject import Subject

KINDS = ("ward", "machine", "counter")
TRIES = 8
"""How often a draw is planned anew when boxes turn out to be refused or units are promised to others."""
WAIT_S = 0.03
FIRST = 40
"""Boxes of a product looked at first; all of them only when these do not do."""
LOADED_MAX = 2_000
"""Boxes put in by one call."""
SHOWN_MAX = 2_000


_OF_THE_BOX = frozenset(
    {
        *("recalled", "locked", "suspended", "exception_open", "expired", "in_quarantine", "never_issued"),
        *(
            "held_elsewhere",
            "in_transit_elsewhere",
            "sold_elsewhere",
            "opened_elsewhere",
            "not_shipped_to_you",
        ),
        *("already_shipped", "already_sold", "not_received_yet", "not_stocked_in", "not_activated"),
        *("cancelled", "destroyed", "disabled", "package_empty", "opened_name_parts", "prefix_unknown"),
        *("registered_elsewhere", "split_not_possible", "split_not_enough", "split_opened_too_long"),
    }
)
"""Refusals that concern a box, so that another box may do."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of one scanned package. `verdict` pool_box_loaded when its boxes are in the pool now."""

    raw: str
    code: str
    verdict: str
    params: Mapping[str, object]
    boxes: int = 0


async def create(
    conn: Connection,
    desk: Desk,
    name: str,
    kind: str,
    *,
    bill_type: int | None = None,
    opens: bool | None = None,
    owner: int | None = None,
) -> int:
    """A new pool of the owner. A machine's boxes are opened as they are loaded unless stated otherwise."""
    org = desk.owner(owner)
    free_text.refuse(name=name)
    code = service.dispensing_type(desk.registry, org, bill_type)
    opening = opens if opens is not None else kind == "machine"
    made: int | None = await conn.fetchval(
        store.INSERT_POOL, org, kind, name, code, opening, desk.subject.account_id
    )
    if made is None:
        raise YaosuError("pool_name_taken", {"name": name})
    return made


async def mine(conn: Connection, desk: Desk, pool_id: int) -> Record:
    """An open pool that the subject may work with; else `not_found`, `not_your_bill` or `pool_closed`."""
    desk.subject.require("bill.write")
    row = await store.pool(conn, visible(desk.subject), pool_id)
    if row is None:
        raise YaosuError("not_found", {"what": "预扫码池" if desk.subject.lang == "zh" else "Pool"})
    desk.owner(row["org"])
    if row["closed_at"] is not None:
        raise YaosuError("pool_closed", {"name": row["name"]})
    return row


async def load(
    desk: Desk, batches: BatchCache, pool_id: int, number: str, codes: Sequence[str], body: bytes
) -> tuple[list[Loaded], MovementResult | None]:
    """Scan boxes into a pool in advance; a scanned case brings all boxes in it. A verdict for every scan.

    Where the pool opens its boxes, one bill of type 7 under `number` does so. Repeating is safe: what is in stays in.
    """
    async with desk.pool.acquire() as conn:
        head = await mine(conn, desk, pool_id)
        looked = await _look(conn, desk, batches, head["org"], codes)
        boxes, found = await _boxes(conn, desk, pool_id, looked)
    opened: MovementResult | None = None
    if head["opens"]:
        closed = [b["code"] for b in boxes.values() if not b["opened"]]
        if closed:
            opened = await service.open_boxes(desk, number, closed, body, head["org"])
            refused = {r.code: r for r in opened.results if not r.accepted}
            boxes = {key: b for key, b in boxes.items() if b["code"] not in refused}
            found = [
                Loaded(f.raw, f.code, refused[f.code].verdict, dict(refused[f.code].params or {}))
                if f.code in refused
                else f
                for f in found
            ]
    async with desk.pool.acquire() as conn, conn.transaction():
        rows = list(boxes.values())
        await conn.fetch(
            store.LOAD,
            pool_id,
            desk.subject.account_id,
            [b["drug_id"] for b in rows],
            [b["batch_id"] for b in rows],
            [b["total"] for b in rows],
            [b["code"] for b in rows],
        )
    return found, opened


async def _look(
    conn: Connection, desk: Desk, batches: BatchCache, org: int, codes: Sequence[str]
) -> list[service.Looked]:
    found: list[service.Looked] = []
    for start in range(0, len(codes), 500):
        part = codes[start : start + 500]
        found += await service.look(conn, desk.registry, batches, desk.subject, org, part)
    return found


async def _boxes(
    conn: Connection, desk: Desk, pool_id: int, looked: Sequence[service.Looked]
) -> tuple[dict[tuple[int, str], dict[str, Any]], list[Loaded]]:
    """The boxes to put in, by key, and the verdict on each scan."""
    # a case cannot be split, but the boxes in it can be loaded
    good = [one for one in looked if one.verdict in ("", "split_not_possible")]
    inside = await conn.fetch(store.INSIDE, [o.drug_id for o in good], [o.code for o in good])
    by_top: dict[str, list[Record]] = {}
    for row in inside:
        by_top.setdefault(row["top"], []).append(row)
    keys = [(r["drug_id"], r["code"]) for r in inside]
    elsewhere = {
        (r["drug_id"], r["code"]): r
        for r in await conn.fetch(store.WHERE_IN, [k[0] for k in keys], [k[1] for k in keys])
    }
    boxes: dict[tuple[int, str], dict[str, Any]] = {}
    found = []
    for one in looked:
        if one.verdict not in ("", "split_not_possible"):
            found.append(Loaded(one.raw, one.code, one.verdict, one.params or {}))
            continue
        product = desk.registry.product(one.drug_id)
        total = one.total if one.opened else product.prep_units_per if product is not None else 0
        rows = by_top.get(one.code, [])
        level_one = [r for r in rows if r["code"] == one.code]
        if total < 2 or not rows or (one.verdict and level_one):
            found.append(Loaded(one.raw, one.code, "split_not_possible", {"code": one.code}))
            continue
        taken = [e for r in rows if (e := elsewhere.get((r["drug_id"], r["code"]))) is not None]
        others = [e for e in taken if e["pool_id"] != pool_id]
        if others and len(rows) == 1:
            found.append(Loaded(one.raw, one.code, "pool_box_elsewhere", {"pool": others[0]["name"]}))
            continue
        count = 0
        for row in rows:
            key = (row["drug_id"], row["code"])
            if key not in elsewhere and key not in boxes:
                boxes[key] = {**row, "total": total, "opened": one.opened}
                count += 1
        found.append(Loaded(one.raw, one.code, "pool_box_loaded", {}, count))
    return boxes, found


async def draw(
    desk: Desk,
    pool_id: int,
    number: str,
    wants: Sequence[Want],
    body: bytes,
    *,
    happened_at: datetime | None = None,
    atomic: bool = False,
) -> Recorded:
    """Dispense from a pool by product and units, up to `LINES_MAX` prescriptions in one bill.

    Earliest expiry first, over several boxes if needed. A line that the pool cannot fill whole is refused
    (`pool_short`) beside the others, or with `atomic` refuses the call. The same number and content get the same
    answer. Two callers never get more than there is.
    """
    if not wants:
        raise YaosuError("split_no_lines")
    if len(wants) > LINES_MAX:
        raise YaosuError("too_many_codes", {"count": len(wants), "limit": LINES_MAX})
    free_text.refuse(prescription_no=" | ".join(f"{w.prescription_no} | {w.dosage}" for w in wants))
    async with desk.pool.acquire() as conn:
        head = await mine(conn, desk, pool_id)
    asked = [[w.drug_id, w.units, w.prescription_no, w.person_id, w.dosage] for w in wants]
    content = orders.digest(["draw", pool_id, happened_at, atomic, asked])
    row = await orders.earlier(desk, head["org"], number, content)
    if row is not None:
        return await orders.resume(desk, row, body)
    for turn in range(TRIES):
        plan, order_id, promised = await _plan(desk, head, number, wants, content, happened_at)
        if plan is None:
            row = await orders.earlier(desk, head["org"], number, content)
            if row is not None:
                return await orders.resume(desk, row, body)
            continue
        last = turn == TRIES - 1
        if plan.refused and promised and not last:
            # somebody's draw is being recorded; what it does not need may come back
            await orders.undo(desk.pool, order_id, pool_id)
            await asyncio.sleep(WAIT_S * (turn + 1))
            continue
        if plan.refused and (atomic or not plan.shares):
            await orders.undo(desk.pool, order_id, pool_id)
            raise orders.lines_refused(plan.refused)
        done = await orders.settle(desk, order_id, plan, body)
        if done.order is not None:
            await _warn(desk, head, {s.drug_id for s in plan.shares})
            return done
        assert done.result is not None
        if any(not r.accepted and r.verdict not in _OF_THE_BOX for r in done.result.results):
            # not the boxes but the request: a person or a prescription is missing, a limit is reached
            raise orders.lines_refused(service.of_result(plan.shares, done.result))
        await _block(desk, pool_id, done.result)
    raise YaosuError("too_busy")


async def _plan(
    desk: Desk,
    head: Record,
    number: str,
    wants: Sequence[Want],
    content: bytes,
    happened_at: datetime | None,
) -> tuple[Plan | None, int, bool]:
    """Choose boxes under the pool's lock and promise the units: plan, order, and whether units are promised to others.

    No plan when the number was taken meanwhile.
    """
    when = happened_at or datetime.now(UTC)
    pool_id: int = head["id"]
    async with desk.pool.acquire() as conn, conn.transaction():
        await conn.execute(split.LAZY)
        await conn.execute(store.LOCK, pool_id)
        shares, short = choose(wants, await _candidates(conn, pool_id, wants, when, FIRST), when)
        if short:
            await conn.execute(store.BACK_FROM_VOIDED, pool_id, list({w.drug_id for w in wants}))
            shares, short = choose(wants, await _candidates(conn, pool_id, wants, when, None), when)
        refused = [
            Refused(n, "pool_short", {"have": have, "asked": wants[n].units}) for n, have in short.items()
        ]
        plan = Plan(
            head["org"], "dispense", head["bill_type"], number, when, content, shares, pool_id, refused
        )
        order_id = await split.write_plan(conn, plan, desk.subject.account_id)
        if order_id is None:
            return None, 0, False
        await conn.execute(
            store.RESERVE,
            *zip(*_sums(plan), strict=True) if plan.shares else ([], [], []),
        )
        promised = bool(short) and bool(await conn.fetchval(store.PROMISED, pool_id, order_id))
    return plan, order_id, promised


async def _candidates(
    conn: Connection, pool_id: int, wants: Sequence[Want], when: datetime, each: int | None
) -> list[Box]:
    """The next `each` boxes of every product wanted (None: all) in the order of drawing."""
    drug_ids = list({w.drug_id for w in wants})
    rows = await conn.fetch(store.CANDIDATES, pool_id, drug_ids, when, each)
    return [Box(r["drug_id"], r["code"], r["until"], r["opened"], r["free"], r["total"]) for r in rows]


def _sums(plan: Plan) -> list[tuple[int, str, int]]:
    found: dict[tuple[int, str], int] = {}
    for share in plan.shares:
        key = (share.drug_id, share.code)
        found[key] = found.get(key, 0) + share.units
    return [(drug_id, code, units) for (drug_id, code), units in found.items()]


async def _block(desk: Desk, pool_id: int, result: MovementResult) -> None:
    """Leave refused boxes out of further draws; units that somebody else took are simply counted anew."""
    async with desk.pool.acquire() as conn, conn.transaction():
        await conn.execute(store.LOCK, pool_id)
        for one in result.results:
            if not one.accepted and one.verdict not in ("split_not_enough", "opened_name_parts"):
                await conn.execute(store.BLOCK, pool_id, one.drug_id, one.code, one.verdict)


async def _warn(desk: Desk, head: Record, drug_ids: set[int]) -> None:
    """Tell the owner once a day which of these products fell below the level for refilling."""
    watched = [r["drug_id"] for r in await desk.pool.fetch(store.WATCHED, head["id"], sorted(drug_ids))]
    if not watched:
        return
    async with desk.pool.acquire() as conn, conn.transaction():
        today = datetime.now(CHINA).date()
        for row in await store.levels(conn, visible(desk.subject), head["id"], watched):
            if row["refill_below"] is None or row["units"] >= row["refill_below"]:
                continue
            product = desk.registry.product(row["drug_id"])
            params = {
                "pool": head["name"],
                "product": product.generic_name if product is not None else f"#{row['drug_id']}",
                "unit": product.prep_unit if product is not None else "",
                "units": row["units"],
                "below": row["refill_below"],
            }
            ref = f"pool-refill:{head['id']}:{row['drug_id']}:{today}"
            await notify.tell(conn, head["org"], "notice_pool_refill", params, f"/pools/{head['id']}", ref)


async def give_back(
    desk: Desk,
    pool_id: int,
    number: str,
    lines: Sequence[Line],
    body: bytes,
    happened_at: datetime | None = None,
) -> Recorded:
    """Parts that were drawn come back into their boxes and the boxes into the pool: all lines or none."""
    async with desk.pool.acquire() as conn:
        head = await mine(conn, desk, pool_id)
    return await service.take_back(
        desk, number, lines, body, happened_at=happened_at, owner=head["org"], pool_id=pool_id
    )


async def unload(desk: Desk, pool_id: int, codes: Sequence[str]) -> list[Loaded]:
    """Take boxes out of the pool, opened or not; they stay in stock. A verdict for every scan."""
    shares, refused = service.read_lines(desk.registry, [Line(code, 1) for code in codes])
    wrong = {r.n: r for r in refused}
    by_n = {s.n: s for s in shares}
    async with desk.pool.acquire() as conn, conn.transaction():
        await mine(conn, desk, pool_id)
        await conn.execute(store.LOCK, pool_id)
        rows = await conn.fetch(
            store.TAKE_OUT, pool_id, [s.drug_id for s in shares], [s.code for s in shares], "taken"
        )
    out = {(r["drug_id"], r["code"]) for r in rows}
    found = []
    for n, raw in enumerate(codes):
        if n in wrong:
            found.append(Loaded(raw, "", wrong[n].code, wrong[n].params))
            continue
        share = by_n[n]
        there = (share.drug_id, share.code) in out
        found.append(Loaded(raw, share.code, "accepted" if there else "pool_box_not_here", {}, int(there)))
    return found


async def set_level(conn: Connection, desk: Desk, pool_id: int, drug_id: int, below: int | None) -> None:
    """From which level on a product is reported for refilling; None takes the level away."""
    await mine(conn, desk, pool_id)
    if desk.registry.product(drug_id) is None:
        raise YaosuError("not_found", {"what": f"#{drug_id}"})
    if below is None:
        await conn.execute(store.DROP_LEVEL, pool_id, drug_id)
    else:
        await conn.execute(store.SET_LEVEL, pool_id, drug_id, below)


async def unblock(conn: Connection, desk: Desk, pool_id: int) -> None:
    """Let draws try the refused boxes again, after somebody looked."""
    await mine(conn, desk, pool_id)
    await conn.execute(store.LOCK, pool_id)
    await conn.execute(store.UNBLOCK, pool_id)


async def count(
    desk: Desk,
    pool_id: int,
    number: str,
    counts: Mapping[str, int],
    reason: str,
    body: bytes,
    *,
    close: bool = False,
) -> tuple[MovementResult | None, int]:
    """Count boxes of a pool (units by scanned code); what is missing is written off as a loss with the reason.

    With `close` every box must be counted; all leave the pool and it takes no further draws. Answers the loss bill,
    if any, and the units written off. Refused with a finding per box that counts more than it can hold, or that
    should be whole and is not.
    """
    async with desk.pool.acquire() as conn:
        head = await mine(conn, desk, pool_id)
        rows = await store.boxes(conn, visible(desk.subject), pool_id, SHOWN_MAX)
    shares, refused = service.read_lines(desk.registry, [Line(code, 1) for code in counts])
    raws, units_of = list(counts), list(counts.values())
    counted = {s.code: units_of[s.n] for s in shares}
    findings = [Finding(r.code, r.params, raws[r.n]) for r in refused]
    known = {r["code"]: r for r in rows}
    findings += [Finding("pool_box_not_here", {}, code) for code in counted if code not in known]
    losses = []
    for code, units in counted.items():
        row = known.get(code)
        if row is None:
            continue
        if units > row["unit_left"]:
            params = {"counted": units, "left": row["unit_left"]}
            findings.append(Finding("pool_count_more", params, code))
        elif units < row["unit_left"] and not row["opened"]:
            findings.append(Finding("pool_count_whole_missing", {"counted": units}, code))
        elif units < row["unit_left"]:
            losses.append(Line(code, row["unit_left"] - units))
    missing = len(known) - len(counted.keys() & known.keys())
    if close and missing:
        findings.append(Finding("pool_count_incomplete", {"count": missing}, "counts"))
    if findings:
        raise YaosuError("split_lines_refused", {"count": len(findings)}, findings)
    result = None
    if losses:
        header: dict[str, object] = {"pool": head["name"]}
        result = await service.lose(desk, number, losses, reason, body, owner=head["org"], header=header)
    async with desk.pool.acquire() as conn, conn.transaction():
        await conn.execute(store.LOCK, pool_id)
        gone = [r for r in rows if close or (r["opened"] and counted.get(r["code"]) == 0)]
        await conn.fetch(
            store.TAKE_OUT,
            pool_id,
            [r["drug_id"] for r in gone],
            [r["code"] for r in gone],
            "closed" if close else "counted",
        )
        if close:
            await conn.execute(store.CLOSE, pool_id)
    return result, sum(line.units for line in losses)


async def shown(conn: Connection, subject: Subject, pool_id: int) -> dict[str, Any]:
    """A pool with its levels and boxes; `not_found` for other tenants."""
    subject.require("bill.read")
    sight = visible(subject)
    head = await store.pool(conn, sight, pool_id)
    if head is None:
        raise YaosuError("not_found", {"what": "预扫码池" if subject.lang == "zh" else "Pool"})
    return {
        "pool": head,
        "levels": await store.levels(conn, sight, pool_id),
        "boxes": await store.boxes(conn, sight, pool_id, SHOWN_MAX),
        "orders": await store.orders(conn, sight, pool_id, None, 20),
    }
