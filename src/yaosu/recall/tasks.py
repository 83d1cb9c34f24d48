"""A holder's part of a recall: acknowledge, count, and close when ledger and count explain each other (R-E4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from yaosu.access import audit
from yaosu.access.visibility import visible
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.people import free_text
from yaosu.recall import progress, service, store_locate, store_task
from yaosu.recall.model import ON_HAND, UNITS_MAX, Goods, Ledger, Order, Task
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject
from yaosu.trace import store as trace_store
from yaosu.trace.model import Found
from yaosu.trace.verify import ask

SCANS_MAX = 1_000
"""Codes in one call."""
SCANS_SHOWN = 200
BILLS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Scanned:
    """One scan of a count: what it is, and how many recalled smallest packages it stands for."""

    raw: str
    code: str
    finding: Finding
    qty: int = 0

    @property
    def severity(self) -> str:
        """ok, warn or refused."""
        return {"recall_scan_ours": "ok", "recall_scan_elsewhere": "warn", "recall_scan_inside": "warn"}.get(
            self.finding.code, "refused"
        )


async def mine(
    conn: Connection, subject: Subject, order_id: int, org: int | None = None
) -> tuple[Order, Task]:
    """The subject's own task, or that of one of its stores; refused (`not_found`) when there is none."""
    order = await service.shown(conn, subject, order_id)
    own = await store_task.own(conn, visible(subject), order_id, org, service.reader(subject))
    if not own or visible(subject).kind != "own":
        raise YaosuError("not_found", {"what": "召回任务" if subject.lang == "zh" else "Task"})
    return order, own[0]


async def _for_change(
    conn: Connection, subject: Subject, order_id: int, org: int | None
) -> tuple[Order, Task]:
    subject.require(service.RESPOND)
    order, seen = await mine(conn, subject, order_id, org)
    task = await store_task.locked(conn, order_id, seen.org)
    assert task is not None
    if order.state != "published":
        raise YaosuError("recall_not_running", {"number": order.number})
    if task.done_at is not None:
        raise YaosuError("recall_task_settled")
    return order, task


async def acknowledge(conn: Connection, subject: Subject, order_id: int, org: int | None = None) -> Task:
    """签收: the holder has read it; a second time changes nothing. The answer names the time."""
    _, task = await _for_change(conn, subject, order_id, org)
    if await conn.fetchval(store_task.READ, task.id, subject.account_id) is not None:
        await audit.record(conn, subject, "recall.acknowledge", ("recall", order_id), {"org": task.org})
    _, done = await mine(conn, subject, order_id, task.org)
    return done


async def count(
    conn: Connection,
    subject: Subject,
    order_id: int,
    *,
    found: int | None,
    sealed: int = 0,
    missing: int = 0,
    note: str = "",
    org: int | None = None,
) -> Task:
    """What the holder found by hand; `found` None takes the sum of the scanned codes (`recall_not_counted` if none).

    The ledger's count of the same moment is kept beside it, so that the difference can be seen later.
    """
    order, task = await _for_change(conn, subject, order_id, org)
    free_text.refuse(note=note)
    goods = await service.goods_of(conn, order)
    scanned, codes = await store_task.put_scans(conn, task, ())
    if found is None:
        if not codes:
            raise YaosuError("recall_not_counted")
        found = scanned
    line = await progress.of_task(conn, order, goods, task.org)
    await conn.execute(
        store_task.COUNTED, task.id, subject.account_id, found, line.now, sealed, missing, note.strip()
    )
    await audit.record(
        conn,
        subject,
        "recall.count",
        ("recall", order_id),
        {"org": task.org, "counted": found, "ledger": line.now},
    )
    _, done = await mine(conn, subject, order_id, task.org)
    return done


async def scan(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    order_id: int,
    raws: Sequence[str],
    org: int | None = None,
    *,
    keep: bool = True,
) -> tuple[list[Scanned], int]:
    """Count by scanning: a verdict per scan, and the sum of what was scanned so far.

    A package counts with everything recalled inside it, once, however often it or its content is scanned.
    `keep=False` only looks.
    """
    order, task = await _for_change(conn, subject, order_id, org)
    if len(raws) > SCANS_MAX:
        raise YaosuError("trace_too_many_codes", {"count": len(raws), "limit": SCANS_MAX})
    goods = await service.goods_of(conn, order)
    asked = [ask(registry, raw) for raw in raws]
    keys = [(order.drug_id, a.code.text) for a in asked if a.code is not None]
    units = await trace_store.climb(conn, keys) if keys else {}
    amounts = await _amounts(conn, order, goods, units)
    before = {r["code"] for r in await conn.fetch(store_task.SCANS, task.drug_id, task.id, UNITS_MAX)}
    answers: list[Scanned] = []
    ours: dict[str, int] = {}
    for one in asked:
        text = one.code.text if one.code is not None else ""
        unit = units.get((order.drug_id, text))
        if unit is None:
            answers.append(Scanned(one.raw, text, Finding("recall_scan_unknown")))
            continue
        qty = amounts.get(text, 0)
        around = next((r.code for r in unit.path[1:] if r.code in before or r.code in ours), None)
        if not qty:
            answers.append(Scanned(one.raw, text, Finding("recall_scan_other")))
        elif unit.root.holder != task.org or unit.root.status not in ON_HAND:
            answers.append(Scanned(one.raw, text, Finding("recall_scan_elsewhere"), qty))
        elif around is not None:
            answers.append(Scanned(one.raw, text, Finding("recall_scan_inside", {"package": around}), 0))
        else:
            ours[text] = qty
            answers.append(Scanned(one.raw, text, Finding("recall_scan_ours"), qty))
    # a case scanned after a box of it: the box is counted with the case
    inner = {r.code for f in units.values() for r in f.path[:1] if any(p.code in ours for p in f.path[1:])}
    if not keep:
        return answers, sum(q for c, q in ours.items() if c not in inner)
    total, _ = await store_task.put_scans(
        conn, task, [(c, q) for c, q in sorted(ours.items()) if c not in inner]
    )
    if ours:
        total = await _without_inner(conn, order, task, ours)
    return answers, total


async def _without_inner(conn: Connection, order: Order, task: Task, fresh: dict[str, int]) -> int:
    """Drop codes scanned earlier whose package was scanned now; the sum."""
    kept = [r["code"] for r in await conn.fetch(store_task.SCANS, task.drug_id, task.id, UNITS_MAX)]
    found = await trace_store.climb(conn, [(order.drug_id, c) for c in kept])
    inner = [f.unit.code for f in found.values() if any(p.code in fresh for p in f.path[1:])]
    if inner:
        await conn.execute(store_task.DROP_INNER, task.drug_id, task.id, inner)
    total, _ = await store_task.put_scans(conn, task, ())
    return total


async def _amounts(
    conn: Connection, order: Order, goods: Goods, units: dict[tuple[int, str], Found]
) -> dict[str, int]:
    """Recalled smallest packages in each scanned package."""
    batch_ids = {b for b, _ in goods.batches}
    amounts = {f.unit.code: f.unit.qty for f in units.values() if f.unit.batch_id in batch_ids}
    mixed = [(order.drug_id, f.unit.code) for f in units.values() if not f.unit.batch_id]
    if mixed:
        for (_, code), held in (await trace_store.container_batches(conn, mixed)).items():
            amounts[code] = sum(q for b, q in held.items() if b in batch_ids)
    rest = [c for _, c in units if not amounts.get(c)]
    if rest and goods.codes:
        for row in await conn.fetch(store_locate.INSIDE_SCANNED, order.drug_id, order.id, rest):
            amounts[row["asked"]] = row["qty"]
    return amounts


async def start_over(conn: Connection, subject: Subject, order_id: int, org: int | None = None) -> None:
    """Forget the scans of the count and begin again."""
    _, task = await _for_change(conn, subject, order_id, org)
    await conn.execute(store_task.DROP_SCANS, task.drug_id, task.id)


async def close(conn: Connection, subject: Subject, order_id: int, org: int | None = None) -> Task:
    """办结: what the books still hold must be explained by what is sealed or missing.

    Refused: `recall_not_counted`, `recall_task_unsettled` with the numbers. In a drill nothing is moved, so only the
    count is asked for.
    """
    order, task = await _for_change(conn, subject, order_id, org)
    if task.counted is None:
        raise YaosuError("recall_not_counted")
    if not order.simulated and task.org != order.return_to:
        line = await progress.of_task(conn, order, await service.goods_of(conn, order), task.org)
        explained = (task.sealed or 0) + (task.missing or 0)
        if line.now + line.coming > explained:
            params = {
                "remaining": line.now + line.coming,
                "sealed": task.sealed or 0,
                "missing": task.missing or 0,
                "gap": line.now + line.coming - explained,
            }
            raise YaosuError("recall_task_unsettled", params)
    await conn.execute(store_task.DONE, task.id, subject.account_id)
    await audit.record(conn, subject, "recall.close", ("recall", order_id), {"org": task.org})
    _, done = await mine(conn, subject, order_id, task.org)
    return done


async def detail(conn: Connection, order: Order, task: Task) -> tuple[Ledger, list[dict[str, Any]]]:
    """What the ledger says of the task, and the bills that did it, newest first; for who was let in to the task."""
    goods = await service.goods_of(conn, order)
    line = await progress.of_task(conn, order, goods, task.org)
    batch_ids = [b for b, _ in goods.batches]
    if not batch_ids:
        rows = await conn.fetch(store_locate.SINGLE_BATCHES, order.drug_id, order.id)
        batch_ids = [r["batch_id"] for r in rows]
    bills = await store_locate.rows(
        conn, store_locate.BILLS, order.drug_id, batch_ids, order.bill_mark or 0, task.org, BILLS_SHOWN
    )
    return line, [dict(r) for r in bills]
