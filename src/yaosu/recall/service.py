"""Recall orders: drafted, approved by a second person or the office, published, finished (R-E4, standards §5.10).

Publication is one transaction: the stop takes hold, every holder is found in the ledger, each gets a task and is told
(R-X7). Bills wait for that moment, so the snapshot and the stop agree: nothing moves in between.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg

from yaosu.access import audit
from yaosu.access.visibility import record_read, region_prefix, visible
from yaosu.codes import NotACode, parse
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.notify.service import tell, tell_many
from yaosu.people import free_text
from yaosu.recall import progress, store, store_locate, store_task
from yaosu.recall.model import (
    BATCHES_MAX,
    CODES_MAX,
    ON_HAND,
    SOLD,
    STATES,
    UNITS_MAX,
    Draft,
    Figures,
    Goods,
    Order,
)
from yaosu.recall.remit import in_charge, is_office, over_product, product_of
from yaosu.registry.lists import is_region
from yaosu.registry.model import Product
from yaosu.registry.resolver import Registry
from yaosu.stops import service as stops
from yaosu.subject import Subject

READ, MANAGE, RESPOND = "recall.read", "recall.manage", "recall.respond"
CHINA = ZoneInfo("Asia/Shanghai")
NEWEST = 2**31 - 1
CLOCK = ("notice_hours", "progress_days", "summary_working_days")


def reader(subject: Subject) -> int:
    """The reader's organisation for the store's queries; 0 for none."""
    return subject.org_id or 0


async def listed(
    conn: Connection,
    subject: Subject,
    *,
    states: Sequence[str] | None = None,
    simulated: bool | None = None,
    before: int = NEWEST,
    limit: int = 50,
) -> list[Order]:
    """Orders the subject may see, newest first."""
    subject.require(READ)
    return await store.listed(conn, visible(subject), reader(subject), before, states, simulated, limit)


async def shown(conn: Connection, subject: Subject, order_id: int) -> Order:
    """One order; refused (`not_found`) for whom it does not concern. Offices' reads are written down."""
    subject.require(READ)
    order = await store.one(conn, visible(subject), reader(subject), order_id)
    if order is None:
        raise YaosuError("not_found", {"what": "召回单" if subject.lang == "zh" else "Recall"})
    if visible(subject).records_reads:
        await record_read(conn, subject, f"recall {order.number}", order.issuer)
    return order


def runs(subject: Subject, registry: Registry, order: Order) -> bool:
    """Whether the subject sees the whole fan-out: it runs the recall or is the office in charge of it."""
    if visible(subject).kind == "operator" or subject.org_id in order.parties:
        return True
    product = registry.product(order.drug_id)
    return product is not None and is_office(subject) and over_product(subject, registry, product)


def manages(subject: Subject, registry: Registry, order: Order) -> bool:
    """Whether the subject may change, publish and end the order: the issuer, and for an active recall the MAH."""
    if not subject.can(MANAGE):
        return False
    if subject.kind == "system" or subject.org_id == order.issuer:
        return True
    if order.kind == "active":
        return subject.org_id in order.parties
    return is_office(subject) and in_charge(subject, registry, order.owner)


async def _checked(
    conn: Connection, registry: Registry, subject: Subject, draft: Draft
) -> tuple[Product, list[int], list[tuple[str, int, int]]]:
    """The product, batch ids and codes of a draft; refused with every finding at once."""
    subject.require(MANAGE)
    product = product_of(registry, draft.drug_id)
    if not over_product(subject, registry, product):
        raise YaosuError("recall_not_yours")
    if is_office(subject) and draft.kind != "ordered":
        raise YaosuError("field_invalid", {"field": "kind", "reason": "ordered"})
    findings = free_text.findings(
        {"title": draft.title, "reason": draft.reason, "hazard": draft.hazard, "contact": draft.contact}
    )
    if draft.simulated and draft.is_public:
        findings.append(Finding("recall_drill_public", {}, "public"))
    for region in draft.regions:
        if not is_region(region):
            findings.append(Finding("recall_region_unknown", {"region": region}, "regions"))
    if registry.lists.item("recall_measure", draft.measure) is None:
        findings.append(Finding("field_invalid", {"field": "measure", "reason": draft.measure}, "measure"))
    goal = draft.return_to if draft.return_to is not None else product.mah_id
    if registry.org(goal) is None:
        findings.append(Finding("field_invalid", {"field": "return_to", "reason": str(goal)}, "return_to"))
    batch_nos = list(dict.fromkeys(b.strip() for b in draft.batch_nos if b.strip()))
    raws = list(dict.fromkeys(c.strip() for c in draft.codes if c.strip()))
    if not batch_nos and not raws:
        findings.append(Finding("recall_nothing_named", {}, "batches"))
    for count, limit, name in ((len(batch_nos), BATCHES_MAX, "batches"), (len(raws), CODES_MAX, "codes")):
        if count > limit:
            findings.append(Finding("field_invalid", {"field": name, "reason": f"≤ {limit:,}"}, name))
    if findings:
        raise YaosuError("invalid_request", {"count": len(findings)}, findings)
    batches, codes = await named_goods(conn, registry, product, batch_nos, raws)
    return product, batches, codes


async def named_goods(
    conn: Connection, registry: Registry, product: Product, batch_nos: Sequence[str], raws: Sequence[str]
) -> tuple[list[int], list[tuple[str, int, int]]]:
    """Ids of batches by number, and units by scanned code, all of one product; refused with every unknown one."""
    findings: list[Finding] = []
    rows = await conn.fetch(store.BATCH_IDS, product.id, list(batch_nos))
    by_no = {r["batch_no"]: r["id"] for r in rows}
    findings += [
        Finding("recall_batch_unknown", {"batch_no": b}, "batches") for b in batch_nos if b not in by_no
    ]
    texts: list[str] = []
    for raw in raws:
        code = parse(raw, registry.customs)
        texts.append(raw if isinstance(code, NotACode) else code.text)
    units = {
        r["code"]: (r["code"], r["level"], r["qty"]) for r in await conn.fetch(store.UNITS, product.id, texts)
    }
    findings += [Finding("recall_code_unknown", {"code": t[:100]}, "codes") for t in texts if t not in units][
        :200
    ]
    if findings:
        raise YaosuError("invalid_request", {"count": len(findings)}, findings)
    return list(by_no.values()), [units[t] for t in dict.fromkeys(texts)]


async def next_number(conn: Connection, last: str, prefix: str) -> str:
    """The day's next number, e.g. ZH20260930-001; `last` is the query for the highest so far."""
    stem = f"{prefix}{datetime.now(CHINA):%Y%m%d}-"
    # one at a time: the whole country counts in one series, and the longest number is the highest
    await conn.execute(store.NUMBERING, stem)
    highest = await conn.fetchval(last, stem + "%")
    return f"{stem}{int(highest[len(stem) :]) + 1 if highest else 1:03d}"


async def draft(conn: Connection, registry: Registry, subject: Subject, given: Draft) -> int:
    """A new order in state draft, by the product's firm or, ordered, by an office; its number of record.

    Refused: `recall_not_yours`, `invalid_request` with a finding for each unknown batch, code and region.
    """
    product, batches, codes = await _checked(conn, registry, subject, given)
    issuer = subject.org_id if subject.org_id is not None else product.mah_id
    author = await _author(conn, subject)
    for attempt in range(5):
        number = await next_number(conn, store.LAST_NUMBER, "YL" if given.simulated else "ZH")
        try:
            async with conn.transaction():
                made: int = await conn.fetchval(
                    store.INSERT,
                    *(product.id, issuer, product.mah_id, product.manufacturer_id),
                    given.return_to if given.return_to is not None else product.mah_id,
                    *(given.level, given.kind, given.simulated, given.is_public),
                    *(given.measure, number, given.title, given.reason, given.hazard, list(given.regions)),
                    *(given.contact, author),
                )
            break
        except asyncpg.UniqueViolationError:
            if attempt == 4:
                raise
    await store.put_goods(conn, made, product.id, batches, codes)
    await audit.record(conn, subject, "recall.draft", ("recall", made), {"number": number})
    if given.kind == "ordered" and not is_office(subject):
        await _tell_offices(conn, registry, made, product.mah_id, number, given.title)
    return made


async def _tell_offices(
    conn: Connection, registry: Registry, order_id: int, owner: int, number: str, title: str
) -> None:
    card = registry.org(owner)
    offices = await store.offices(conn, card.region if card is not None else "")
    params = {"number": number, "title": title}
    await tell_many(
        conn, offices, "notice_recall_approval", params, f"/recalls/{order_id}", f"recall:{order_id}"
    )


async def _for_change(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    order_id: int,
    states: Sequence[str],
    act: tuple[str, str],
    version: int | None = None,
) -> Order:
    subject.require(MANAGE)
    await shown(conn, subject, order_id)
    order = await store.locked(conn, order_id)
    assert order is not None, "orders are never deleted"
    zh = subject.lang.startswith("zh")
    if order.state not in states:
        params = {
            "number": order.number,
            "state": STATES[order.state][0 if zh else 1],
            "act": act[0 if zh else 1],
        }
        raise YaosuError("recall_wrong_state", params)
    if version is not None and version != order.version:
        raise YaosuError("recall_changed")
    return order


async def revise(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    order_id: int,
    given: Draft,
    version: int | None = None,
) -> None:
    """Change a draft. Whoever changes it becomes its drafter, so that a second person still approves it."""
    order = await _for_change(conn, registry, subject, order_id, ("draft",), ("修改", "change"), version)
    if not manages(subject, registry, order):
        raise YaosuError("recall_not_yours")
    if given.drug_id != order.drug_id:
        raise YaosuError("field_invalid", {"field": "drug_id", "reason": str(order.drug_id)})
    product, batches, codes = await _checked(conn, registry, subject, given)
    await conn.execute(
        store.REVISE,
        *(order_id, given.return_to if given.return_to is not None else product.mah_id, given.level),
        *(given.kind, given.simulated, given.is_public, given.measure, given.title),
        *(given.reason, given.hazard, list(given.regions), given.contact, await _author(conn, subject)),
    )
    await store.put_goods(conn, order_id, product.id, batches, codes)
    await audit.record(conn, subject, "recall.revise", ("recall", order_id), {"number": order.number})


async def _author(conn: Connection, subject: Subject) -> int | None:
    """The account behind a draft: a key's drafts are its maker's, who may not approve them either."""
    if subject.kind != "key":
        return subject.account_id
    maker: int | None = await conn.fetchval(store.KEY_MAKER, subject.session_id)
    return maker


async def approve(
    conn: Connection, registry: Registry, subject: Subject, order_id: int, version: int | None = None
) -> None:
    """Approve a draft: a second account of the product's firm; an ordered recall by the office in charge.

    Refused: `recall_second_person`, `recall_ordered_by_office`, `recall_wrong_state`, `recall_changed`.
    """
    order = await _for_change(conn, registry, subject, order_id, ("draft",), ("批准", "approve"), version)
    product = product_of(registry, order.drug_id)
    if order.kind == "ordered":
        if not is_office(subject) or not over_product(subject, registry, product):
            raise YaosuError("recall_ordered_by_office")
    elif subject.org_id not in order.parties:
        raise YaosuError("recall_not_yours")
    if subject.kind != "account" or subject.account_id == order.drafted_by:
        raise YaosuError("recall_second_person")
    await conn.execute(store.APPROVE, order_id, subject.account_id, subject.org_id)
    await audit.record(conn, subject, "recall.approve", ("recall", order_id), {"number": order.number})
    if order.kind == "ordered" and order.owner != subject.org_id:
        params = {"number": order.number, "title": order.title}
        await tell(
            conn,
            order.owner,
            "notice_recall_ordered",
            params,
            f"/recalls/{order_id}",
            f"recall:{order_id}:ordered",
        )


def clock_of(registry: Registry, level: int, day: datetime) -> dict[str, int]:
    """The deadlines of a class from list `recall_clock`: hours for the notice, days for reports."""
    item = registry.lists.item("recall_clock", str(level), day.astimezone(CHINA).date())
    attrs = item.attrs if item is not None else {}
    return {key: int(str(attrs[key])) for key in CLOCK if key in attrs}


async def publish(conn: Connection, registry: Registry, subject: Subject, order_id: int) -> Order:
    """Put an approved order into force, in the caller's transaction: stop, locate, tasks, notices.

    A drill does all of it but the stop. Refused: `recall_wrong_state`, `recall_not_yours`, `stops_too_many_codes`.
    """
    order = await _for_change(conn, registry, subject, order_id, ("approved",), ("发布", "publish"))
    if not manages(subject, registry, order) and subject.org_id not in order.parties:
        raise YaosuError("recall_not_yours")
    goods = (await store.goods(conn, [order_id], CODES_MAX))[order_id]
    batch_ids = [b for b, _ in goods.batches]
    now = datetime.now(UTC)
    clock = clock_of(registry, order.level, now)
    stop_id: int | None = None
    if not order.simulated:
        # first: from here on bills wait, so nothing moves between the stop and the snapshot
        stop_id = await stops.place(
            conn,
            kind="recall",
            ref=order_id,
            number=order.number,
            title=order.title,
            level=order.level,
            placed_by=order.issuer,
            reason=order.reason,
            batches=[(order.drug_id, b) for b in batch_ids],
            codes=[(order.drug_id, code) for code, _, _ in goods.codes],
            return_to=order.return_to,
        )
    begun = time.perf_counter()
    mark = await store_locate.mark(conn)
    units = await store_locate.snapshot(
        conn,
        order_id,
        order.drug_id,
        batch_ids,
        [region_prefix(r) for r in order.regions],
        UNITS_MAX,
        single=bool(goods.codes),
    )
    if units > UNITS_MAX:
        raise YaosuError("stops_too_many_codes", {"limit": UNITS_MAX})
    orgs = await store_locate.tasks(conn, order_id, order.drug_id, ON_HAND, SOLD)
    located_ms = (time.perf_counter() - begun) * 1000
    published_at = datetime.now(UTC)
    due = published_at + timedelta(hours=clock.get("notice_hours", 24))
    kind = "notice_recall_drill" if order.simulated else "notice_recall"
    params = {
        "number": order.number,
        "title": order.title,
        "level": order.level,
        "due": f"{due.astimezone(CHINA):%Y-%m-%d %H:%M}",
    }
    await conn.execute(
        store.PUBLISHED, order_id, subject.account_id, published_at, stop_id, mark, located_ms, clock
    )
    await tell_many(conn, orgs, kind, params, f"/recalls/{order_id}/task", f"recall:{order_id}")
    await conn.execute(store_task.TOLD, order_id)
    if not order.simulated:
        what = f"recall {order.number}"
        runners = [order.issuer, order.owner]
        await conn.execute(
            store_task.DISCLOSED, order_id, subject.kind, audit.subject_id(subject), what, runners
        )
    await audit.record(
        conn,
        subject,
        "recall.publish",
        ("recall", order_id),
        {"number": order.number, "holders": len(orgs), "located_ms": round(located_ms, 1)},
    )
    done = await store.locked(conn, order_id)
    assert done is not None
    return done


async def finish(
    conn: Connection, registry: Registry, subject: Subject, order_id: int, reason: str = ""
) -> Figures:
    """End a recall. With holders not through or goods outstanding only with a reason (`recall_order_open`).

    The stop stays: recalled goods do not come back into trade by the end of the recall.
    """
    order = await _for_change(conn, registry, subject, order_id, ("published",), ("结束", "finish"))
    free_text.refuse(reason=reason)
    if not manages(subject, registry, order) and subject.org_id not in order.parties:
        raise YaosuError("recall_not_yours")
    figures = await progress.figures(conn, order, (await store.goods(conn, [order_id]))[order_id])
    times = await conn.fetchrow(store_task.TIMES, order_id)
    assert times is not None
    open_tasks = times["holders"] - times["done"]
    outstanding = figures.outstanding - figures.sealed
    if not reason.strip() and not order.simulated and (open_tasks or outstanding > 0):
        raise YaosuError("recall_order_open", {"count": open_tasks, "qty": max(outstanding, 0)})
    await conn.execute(store.END, order_id, "finished", subject.account_id, reason.strip())
    await audit.record(
        conn, subject, "recall.finish", ("recall", order_id), {"number": order.number, "open": open_tasks}
    )
    await _tell_ended(conn, order, "已结束")
    return figures


async def cancel(conn: Connection, registry: Registry, subject: Subject, order_id: int, reason: str) -> None:
    """Withdraw an order; a published one's stop is lifted at once and every holder is told."""
    order = await _for_change(
        conn, registry, subject, order_id, ("draft", "approved", "published"), ("撤销", "cancel")
    )
    if not manages(subject, registry, order):
        raise YaosuError("recall_not_yours")
    if not reason.strip():
        raise YaosuError("field_invalid", {"field": "reason", "reason": "—"})
    free_text.refuse(reason=reason)
    if order.stop_id is not None:
        await stops.lift(conn, order.stop_id, reason.strip())
    await conn.execute(store.END, order_id, "cancelled", subject.account_id, reason.strip())
    await audit.record(conn, subject, "recall.cancel", ("recall", order_id), {"number": order.number})
    if order.state == "published":
        await _tell_ended(conn, order, "已撤销，停售解除" if order.stop_id is not None else "已撤销")


async def _tell_ended(conn: Connection, order: Order, outcome: str) -> None:
    tasks = await store_task.of_order(conn, visible(SYSTEM_READER), order.id, True, False)
    params = {"number": order.number, "title": order.title, "outcome": outcome}
    await tell_many(
        conn,
        {t.org for t in tasks} | order.parties,
        "notice_recall_ended",
        params,
        f"/recalls/{order.id}",
        f"recall:{order.id}:ended",
    )


SYSTEM_READER = Subject(kind="system", name="recall")
"""Reads every holder of an order to tell them; nothing of it is shown to anybody."""


async def goods_of(conn: Connection, order: Order) -> Goods:
    """What an order recalls, for whoever was let in to it."""
    return (await store.goods(conn, [order.id], CODES_MAX))[order.id]
