"""Orders, tasks and locks as the API and the pages show them; names of the data set in docs/recall.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from yaosu.recall.model import KINDS, STATES, Figures, Goods, Ledger, Lock, Order, Task, Times
from yaosu.recall.reports import NAMES, Report
from yaosu.recall.tasks import Scanned
from yaosu.registry.lists import region_path
from yaosu.registry.resolver import Registry
from yaosu.trace.verify import org_json, product_json

View = dict[str, Any]


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None


def _pick(pair: tuple[str, str], lang: str) -> str:
    return pair[0] if lang.startswith("zh") else pair[1]


def order_view(registry: Registry, order: Order, goods: Goods, lang: str) -> View:
    """An order with what it recalls (standards §5.10)."""
    zh = lang.startswith("zh")
    return {
        "id": order.id,
        "number": order.number,
        "title": order.title,
        "state": order.state,
        "state_name": _pick(STATES[order.state], lang),
        "level": order.level,
        "level_name": registry.lists.text("recall_clock", order.level, "zh" if zh else "en"),
        "kind": order.kind,
        "kind_name": _pick(KINDS[order.kind], lang),
        "simulated": order.simulated,
        "public": order.is_public,
        "product": product_json(registry, order.drug_id),
        "issuer": org_json(registry, order.issuer),
        "owner": org_json(registry, order.owner),
        "return_to": org_json(registry, order.return_to),
        "reason": order.reason,
        "hazard": order.hazard,
        "measure": order.measure,
        "measure_name": registry.lists.text("recall_measure", order.measure, "zh" if zh else "en"),
        "regions": list(order.regions),
        "region_names": [region_path(r, "zh" if zh else "en") for r in order.regions],
        "contact": order.contact,
        "batches": [number for _, number in goods.batches],
        "codes": [{"code": c, "level": level, "qty": qty} for c, level, qty in goods.codes],
        "drafted_at": _iso(order.drafted_at),
        "approved_at": _iso(order.approved_at),
        "approved_by": org_json(registry, order.approved_org),
        "published_at": _iso(order.published_at),
        "ended_at": _iso(order.ended_at),
        "end_reason": order.end_reason,
        "clock": dict(order.clock) if order.clock else None,
        "version": order.version,
    }


def public_view(registry: Registry, order: Order, goods: Goods, lang: str) -> View:
    """What everybody may know of a public recall; codes and holders are nobody's business."""
    full = order_view(registry, order, goods, lang)
    kept = (
        "number", "title", "state", "state_name", "level", "level_name", "kind", "kind_name", "product", "reason",
        "hazard", "measure", "measure_name", "regions", "region_names", "contact", "batches", "published_at",
        "ended_at",
    )  # fmt: skip
    view = {key: full[key] for key in kept}
    view["issuer"] = full["issuer"]["name"] if full["issuer"] else ""
    view["single_codes"] = len(goods.codes)
    return view


def times_view(times: Times) -> View:
    """The measured fan-out; seconds after publication."""
    view = asdict(times)
    view["located_ms"] = round(times.located_ms, 1) if times.located_ms is not None else None
    return view


def ledger_view(line: Ledger) -> View:
    """What the ledger says of one holder."""
    return asdict(line)


def task_view(registry: Registry, task: Task, line: Ledger | None) -> View:
    """One holder's part. `holder` is null while a drill's holder has not answered to a stranger."""
    card = registry.org(task.org) if task.named else None
    return {
        "holder": org_json(registry, task.org) if task.named else None,
        "region": card.region if card is not None else None,
        "region_name": region_path(card.region) if card is not None else "",
        "state": task.state,
        "at_publication": {
            "on_hand": task.on_hand,
            "coming": task.coming,
            "sent": task.sent,
            "sold": task.sold,
        },
        "told_at": _iso(task.told_at),
        "read_at": _iso(task.read_at),
        "counted_at": _iso(task.counted_at),
        "counted": task.counted,
        "ledger_then": task.ledger_then,
        "difference": task.counted - task.ledger_then
        if task.counted is not None and task.ledger_then is not None
        else None,
        "sealed": task.sealed,
        "missing": task.missing,
        "note": task.note,
        "done_at": _iso(task.done_at),
        "overdue": task.overdue_at is not None,
        "ledger": ledger_view(line) if line is not None else None,
    }


def by_region(registry: Registry, tasks: Sequence[Task], figures: Figures) -> list[View]:
    """Holders, acknowledged, and goods by province, the most outstanding first."""
    found: dict[str, View] = {}
    for task in tasks:
        card = registry.org(task.org)
        key = card.region[:2] + "0000" if card is not None else ""
        line = figures.by_org.get(task.org, Ledger())
        row = found.setdefault(
            key,
            {
                "region": key,
                "name": region_path(key) if key else "—",
                "holders": 0,
                "read": 0,
                "done": 0,
                "due": 0,
                "returned": 0,
                "under_way": 0,
                "destroyed": 0,
                "now": 0,
            },
        )
        row["holders"] += 1
        row["read"] += task.read_at is not None
        row["done"] += task.done_at is not None
        for field in ("due", "returned", "under_way", "destroyed", "now"):
            row[field] += getattr(line, field)
    return sorted(found.values(), key=lambda r: (-r["now"], r["region"]))


def scan_view(one: Scanned, lang: str) -> View:
    """One scan of a count, in the scan station's form (docs/ui.md)."""
    return {
        "raw": one.raw,
        "code": one.code,
        "severity": one.severity,
        "verdict": one.finding.code,
        "message": one.finding.text(lang),
        "next": one.finding.next_step(lang),
        "qty": one.qty,
    }


def report_view(report: Report, lang: str) -> View:
    """A filed report."""
    return {
        "id": report.id,
        "n": report.n,
        "kind": report.kind,
        "name": _pick(NAMES[report.kind], lang),
        "made_at": _iso(report.made_at),
        "figures": dict(report.figures),
        "findings": report.findings,
    }


def lock_view(registry: Registry, lock: Lock, goods: tuple[list[str], list[str]], lang: str) -> View:
    """A lock or suspension."""
    zh = lang.startswith("zh")
    names = {"lock": ("锁定", "lock"), "suspension": ("暂停销售", "suspension of sale")}
    return {
        "id": lock.id,
        "number": lock.number,
        "kind": lock.kind,
        "kind_name": _pick(names[lock.kind], lang),
        "product": product_json(registry, lock.drug_id),
        "batches": goods[0],
        "codes": goods[1],
        "issuer": org_json(registry, lock.issuer),
        "binds": org_json(registry, lock.org),
        "reason": lock.reason,
        "reason_name": registry.lists.text("lock_reason", lock.reason, "zh" if zh else "en"),
        "reason_text": lock.reason_text,
        "placed_at": _iso(lock.placed_at),
        "released_at": _iso(lock.released_at),
        "released_by": org_json(registry, lock.released_org),
        "release_reason": lock.release_reason,
    }
