"""Progress and summary reports: filed with the figures of that moment, told to the office in charge (R-E4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from yaosu.access import audit
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.notify.service import tell_many
from yaosu.people import free_text
from yaosu.recall import progress, service, store, store_task
from yaosu.recall.model import Figures, Order
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

ReportKind = Literal["progress", "summary"]
NAMES: Mapping[str, tuple[str, str]] = {
    "progress": ("进展报告", "progress report"),
    "summary": ("总结报告", "summary report"),
}
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Report:
    """A report as it was filed."""

    id: int
    n: int
    kind: ReportKind
    made_at: datetime
    made_by: int | None
    figures: Mapping[str, Any]
    findings: str


def figures_json(figures: Figures, times: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The figures as they are kept and answered; counts are smallest packages."""
    return {
        "recalled": figures.recalled,
        "home": figures.home,
        "sold": figures.sold,
        "back": figures.back,
        "destroyed": figures.destroyed,
        "destroyed_home": figures.destroyed_home,
        "outstanding": figures.outstanding,
        "on_the_way": figures.on_the_way,
        "sealed": figures.sealed,
        "rate": round(figures.rate, 4),
        **(times or {}),
    }


async def made(conn: Connection, order: Order) -> list[Report]:
    """Reports of an order, in their order; for whoever was let in to it."""
    return [Report(*r.values()) for r in await conn.fetch(store_task.REPORTS, order.id)]


async def file(
    conn: Connection, registry: Registry, subject: Subject, order_id: int, kind: ReportKind, findings: str
) -> Report:
    """File a report with the office in charge: progress while it runs, the summary after its end.

    Refused: `recall_not_running`, `recall_report_early`, `recall_not_yours`.
    """
    subject.require(service.MANAGE)
    free_text.refuse(findings=findings)
    order = await service.shown(conn, subject, order_id)
    if not service.manages(subject, registry, order) and subject.org_id not in order.parties:
        raise YaosuError("recall_not_yours")
    if kind == "progress" and order.state != "published":
        raise YaosuError("recall_not_running", {"number": order.number})
    if kind == "summary" and order.state != "finished":
        raise YaosuError("recall_report_early")
    figures = await progress.figures(conn, order, await service.goods_of(conn, order))
    times = await progress.times(conn, order)
    kept = figures_json(figures, {"holders": times.holders, "read": times.read})
    row = await conn.fetchrow(
        store_task.PUT_REPORT, order_id, kind, subject.account_id, kept, findings.strip()
    )
    assert row is not None
    await audit.record(conn, subject, f"recall.report.{kind}", ("recall", order_id), {"n": row["n"]})
    card = registry.org(order.owner)
    offices = await store.offices(conn, card.region if card is not None else "")
    params = {"number": order.number, "title": order.title, "report": NAMES[kind][0]}
    ref = f"recall:{order_id}:report:{row['n']}"
    if not order.simulated:
        await tell_many(conn, offices, "notice_recall_filed", params, f"/recalls/{order_id}", ref)
    return Report(row["id"], row["n"], kind, row["made_at"], subject.account_id, kept, findings.strip())


def working_days_after(start: date, days: int) -> date:
    """The last of `days` working days after `start`. Saturdays and Sundays do not count; public holidays do, since
    no calendar of them is kept: the date is never later than the rule allows."""
    day = start
    while days > 0:
        day += timedelta(days=1)
        if day.weekday() < SATURDAY:
            days -= 1
    return day


def due_dates(
    published_at: datetime | None,
    ended_at: datetime | None,
    state: str,
    clock: Mapping[str, int] | None,
    reports: Sequence[tuple[str, datetime]],
) -> dict[str, datetime]:
    """When acknowledgement, the next progress report and the summary are due; what is done is left out.

    The next progress report is counted from the last one, or from the publication.
    """
    if published_at is None or not clock:
        return {}
    found = {"notice": published_at + timedelta(hours=clock["notice_hours"])}
    if state == "published" and "progress_days" in clock:
        last = max([published_at, *(at for kind, at in reports if kind == "progress")])
        found["progress"] = last + timedelta(days=clock["progress_days"])
    summed_up = any(kind == "summary" for kind, _ in reports)
    if state == "finished" and ended_at is not None and "summary_working_days" in clock and not summed_up:
        local = ended_at.astimezone(service.CHINA)
        day = working_days_after(local.date(), clock["summary_working_days"])
        found["summary"] = datetime.combine(day, datetime.max.time().replace(microsecond=0), service.CHINA)
    return found
