"""An order as one reader sees it: the whole fan-out for who runs it, the own part for a holder (D10)."""

from __future__ import annotations

from typing import Any

from yaosu.access.visibility import region_prefix, visible
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.papers.model import Paper
from yaosu.recall import letters, progress, reports, service, store, store_task, tasks, views
from yaosu.recall.model import CODES_MAX, Figures, Goods, Order, Task
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject
from yaosu.trace.verify import org_json

View = dict[str, Any]


async def short(conn: Connection, registry: Registry, orders: list[Order], lang: str) -> list[View]:
    """Orders of a list with their batches and codes."""
    goods = await store.goods(conn, [o.id for o in orders])
    return [views.order_view(registry, o, goods[o.id], lang) for o in orders]


async def _due(conn: Connection, order: Order, filed: list[reports.Report]) -> View:
    found = reports.due_dates(
        order.published_at, order.ended_at, order.state, order.clock, [(r.kind, r.made_at) for r in filed]
    )
    return {key: moment.isoformat() for key, moment in found.items()}


async def _seen(
    conn: Connection, subject: Subject, order: Order, goods: Goods, whole: bool
) -> tuple[list[Task], Figures]:
    rows = await store_task.of_order(conn, visible(subject), order.id, whole, order.simulated)
    return rows, await progress.figures(conn, order, goods)


async def order(conn: Connection, registry: Registry, subject: Subject, order_id: int, lang: str) -> View:
    """Everything of an order that the reader may know.

    `figures`, `times` and `reports` are for who runs it or is in charge of it; `regions` and the holders' counts cover
    the holders the reader sees; `task` is the reader's own.
    """
    found = await service.shown(conn, subject, order_id)
    goods = await service.goods_of(conn, found)
    whole = service.runs(subject, registry, found)
    view = views.order_view(registry, found, goods, lang)
    filed = await reports.made(conn, found)
    view |= {
        "may_manage": service.manages(subject, registry, found),
        "runs": whole,
        "due": await _due(conn, found, filed),
        "figures": None,
        "times": None,
        "reports": [],
        "by_region": [],
        "unnamed": 0,
        "task": None,
    }
    if not found.was_published:
        return view
    rows, figures = await _seen(conn, subject, found, goods, whole)
    if whole:
        view["figures"] = reports.figures_json(figures)
        view["times"] = views.times_view(await progress.times(conn, found))
        view["reports"] = [views.report_view(r, lang) for r in filed]
    if whole or visible(subject).kind == "regulator":
        view["by_region"] = views.by_region(registry, [t for t in rows if t.named], figures)
        view["unnamed"] = sum(not t.named for t in rows)
    mine = next((t for t in rows if t.org == subject.org_id), None)
    if mine is not None:
        view["task"] = views.task_view(registry, mine, figures.by_org.get(mine.org))
    return view


async def holders(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    order_id: int,
    *,
    state: str = "",
    region: str = "",
    start: int = 0,
    limit: int = 200,
) -> tuple[Order, list[View], int]:
    """Holders the reader may see with what the ledger says of each, the largest first; and how many there are."""
    found = await service.shown(conn, subject, order_id)
    if not found.was_published:
        return found, [], 0
    goods = await service.goods_of(conn, found)
    rows, figures = await _seen(conn, subject, found, goods, service.runs(subject, registry, found))
    if state:
        rows = [t for t in rows if t.state == state]
    if region:
        prefix = region_prefix(region)
        cards = {t.org: registry.org(t.org) for t in rows}
        rows = [
            t for t in rows if t.named and (c := cards[t.org]) is not None and c.region.startswith(prefix)
        ]
    shown = [
        views.task_view(registry, t, figures.by_org.get(t.org) if t.named else None)
        for t in rows[start : start + limit]
    ]
    return found, shown, len(rows)


async def task(
    conn: Connection, registry: Registry, subject: Subject, order_id: int, org: int | None, lang: str
) -> View:
    """The reader's own task with the order, the ledger's line and the bills behind it."""
    found, mine = await tasks.mine(conn, subject, order_id, org)
    line, bills = await tasks.detail(conn, found, mine)
    goods = await service.goods_of(conn, found)
    scanned, codes = await store_task.put_scans(conn, mine, ())
    rows = await conn.fetch(store_task.SCANS, mine.drug_id, mine.id, tasks.SCANS_SHOWN)
    own = await store_task.own(conn, visible(subject), order_id, None, service.reader(subject))
    return {
        "order": views.order_view(registry, found, goods, lang),
        "due": (await _due(conn, found, [])).get("notice"),
        **views.task_view(registry, mine, line),
        "scanned": {"qty": scanned, "codes": codes},
        "scans": [
            {"code": r["code"], "qty": r["qty"], "scanned_at": r["scanned_at"].isoformat()} for r in rows
        ],
        "bills": [{**b, "happened_at": b["happened_at"].isoformat()} for b in bills],
        "others": [org_json(registry, t.org) for t in own if t.org != mine.org],
    }


async def letter(
    conn: Connection, registry: Registry, subject: Subject, order_id: int, org: int | None
) -> Paper:
    """召回通知书 for a holder: its own, or any the runner may see. Refused: `recall_letter_unavailable`."""
    found = await service.shown(conn, subject, order_id)
    if not found.was_published:
        raise YaosuError("recall_letter_unavailable")
    goods = await service.goods_of(conn, found)
    whole = service.runs(subject, registry, found)
    rows = await store_task.of_order(conn, visible(subject), order_id, whole, found.simulated)
    wanted = org if org is not None else subject.org_id
    one = next((t for t in rows if t.org == wanted and t.named), None)
    if one is None:
        raise YaosuError("not_found", {"what": str(wanted)})
    view = views.order_view(registry, found, goods, "zh")
    return letters.letter(
        view, views.task_view(registry, one, None), (await _due(conn, found, [])).get("notice")
    )


async def summary(conn: Connection, registry: Registry, subject: Subject, order_id: int) -> Paper:
    """The summary report, or the progress report while it runs; for who runs it or is in charge (`not_found` else)."""
    found = await service.shown(conn, subject, order_id)
    if not found.was_published or not service.runs(subject, registry, found):
        raise YaosuError("not_found", {"what": "召回总结报告" if subject.lang == "zh" else "Report"})
    goods = await service.goods_of(conn, found)
    rows, figures = await _seen(conn, subject, found, goods, True)
    filed = await reports.made(conn, found)
    last = next((r.findings for r in reversed(filed) if r.kind == "summary"), "")
    return letters.summary(
        views.order_view(registry, found, goods, "zh"),
        reports.figures_json(figures),
        views.times_view(await progress.times(conn, found)),
        [views.task_view(registry, t, figures.by_org.get(t.org) if t.named else None) for t in rows],
        [views.report_view(r, "zh") for r in filed],
        last or next((r.findings for r in reversed(filed)), ""),
    )


async def public_list(
    conn: Connection, registry: Registry, lang: str, before: int, limit: int
) -> tuple[list[View], int | None]:
    """Public recalls, newest first; no sign-in, minimal."""
    orders = [store.order_of(r) for r in await conn.fetch(store.PUBLIC, before, limit + 1)]
    page = orders[:limit]
    goods = await store.goods(conn, [o.id for o in page])
    after = page[-1].id if len(orders) > limit else None
    return [views.public_view(registry, o, goods[o.id], lang) for o in page], after


async def public_one(conn: Connection, registry: Registry, number: str, lang: str) -> View:
    """One public recall by its number; `not_found` for every other."""
    row = await conn.fetchrow(store.PUBLIC_ONE, number)
    if row is None:
        raise YaosuError("not_found", {"what": "召回公告" if lang == "zh" else "Recall"})
    found = store.order_of(row)
    goods = (await store.goods(conn, [found.id], CODES_MAX))[found.id]
    return views.public_view(registry, found, goods, lang)
