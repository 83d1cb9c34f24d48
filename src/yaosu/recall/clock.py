"""What becomes due by time: acknowledgements, progress reports, the summary (list `recall_clock`).

Holders are reminded once, half-way to their deadline. When it has passed, the recalling firm and the office in charge
of it are told once a day's count of them, and the offices of the holders' own regions with them.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from yaosu.db.engine import Connection
from yaosu.notify.service import tell_many
from yaosu.recall import store, store_task
from yaosu.recall.reports import NAMES, due_dates
from yaosu.recall.service import CHINA
from yaosu.settings import Settings

WARN_BEFORE = timedelta(hours=12)
"""How long before a report is due its firm is reminded."""


async def tick(conn: Connection, settings: Settings) -> None:
    """Remind and escalate what is due now; nothing happens twice."""
    now = datetime.now(UTC)
    await _holders(conn, now)
    await _reports(conn, now)


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(CHINA):%Y-%m-%d %H:%M}"


async def _holders(conn: Connection, now: datetime) -> None:
    remind: dict[int, list[Any]] = defaultdict(list)
    late: dict[int, list[Any]] = defaultdict(list)
    for row in await conn.fetch(store_task.UNREAD):
        due = row["published_at"] + timedelta(hours=row["clock"]["notice_hours"])
        if due <= now:
            late[row["order_id"]].append(row)
        elif row["reminded_at"] is None:
            remind[row["order_id"]].append(row)
    for order_id, rows in remind.items():
        head = rows[0]
        due = head["published_at"] + timedelta(hours=head["clock"]["notice_hours"])
        params = {"number": head["number"], "title": head["title"], "due": _shown(due)}
        orgs = [r["org"] for r in rows]
        ref = f"recall:{order_id}:reminder"
        await tell_many(conn, orgs, "notice_recall_reminder", params, f"/recalls/{order_id}/task", ref)
        await conn.execute(store_task.REMINDED, [r["id"] for r in rows])
    for order_id, rows in late.items():
        await _escalate(conn, order_id, rows, now)


async def _escalate(conn: Connection, order_id: int, rows: list[Any], now: datetime) -> None:
    head = rows[0]
    region = await conn.fetchval(store.REGION, head["owner"])
    told = {head["issuer"], head["owner"], *await store.offices(conn, region, 1)}
    for other in {r["region"] for r in rows}:
        told |= set(await store.offices(conn, other, 1))
    params = {"number": head["number"], "title": head["title"], "count": len(rows)}
    ref = f"recall:{order_id}:overdue:{now:%Y%m%d%H%M}"
    await tell_many(conn, told, "notice_recall_overdue", params, f"/recalls/{order_id}", ref)
    await conn.execute(store_task.OVERDUE, [r["id"] for r in rows])


async def _reports(conn: Connection, now: datetime) -> None:
    for row in await conn.fetch(store_task.RUNNING):
        reports = []
        if row["last_report"] is not None:
            reports.append(("progress", row["last_report"]))
        if row["summed_up"]:
            reports.append(("summary", now))
        due = due_dates(row["published_at"], row["ended_at"], row["state"], row["clock"], reports)
        for kind in ("progress", "summary"):
            if kind in due:
                await _report(conn, row, kind, due[kind], now)


async def _report(conn: Connection, row: Any, kind: str, due: datetime, now: datetime) -> None:
    params = {
        "number": row["number"],
        "title": row["title"],
        "report": NAMES[kind][0],
        "due": _shown(due),
    }
    link = f"/recalls/{row['id']}"
    ref = f"recall:{row['id']}:{kind}:{due:%Y%m%d%H%M}"
    if due - WARN_BEFORE <= now and await _first(conn, row["id"], kind, due):
        await tell_many(conn, {row["issuer"], row["owner"]}, "notice_recall_report_due", params, link, ref)
    if due <= now and await _first(conn, row["id"], f"{kind}:overdue", due):
        told = {row["owner"], *await store.offices(conn, row["region"], 1)}
        await tell_many(conn, told, "notice_recall_report_overdue", params, link, ref)


async def _first(conn: Connection, order_id: int, kind: str, due: datetime) -> bool:
    """Whether this is the first time that this is due."""
    return await conn.fetchval(store_task.DUE, order_id, kind, due) is not None
