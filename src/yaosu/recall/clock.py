"""What becomes due by time: acknowledgements, progress reports, the summary (list `recall_clock`).

Holders are reminded once, half-way to their deadline. When it has passed, the recalling firm and the office in charge
of it are told once a day's count of them, and the offices of the holders' own regions with them.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from yaosu.access.visibility import region_prefix
from yaosu.db.engine import Connection
from yaosu.notify.service import tell_many
from yaosu.recall import store, store_locate, store_task
from yaosu.recall.model import ON_HAND
from yaosu.recall.reports import NAMES, due_dates
from yaosu.recall.service import CHINA
from yaosu.settings import Settings

WARN_BEFORE = timedelta(hours=12)
"""How long before a report is due its firm is reminded."""


async def tick(conn: Connection, settings: Settings) -> None:
    """Remind and escalate what is due now; nothing happens twice."""
    now = datetime.now(UTC)
    await _newcomers(conn, now)
    await _holders(conn, now)
    await _reports(conn, now)


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(CHINA):%Y-%m-%d %H:%M}"


async def _newcomers(conn: Connection, now: datetime) -> None:
    """A task for whoever came to hold recalled goods, or expects them, since the publication: by a return up the chain,
    a consumer's return to another shop, a voided sale. Those of other regions than a regional recall's are not asked.
    """
    for row in await conn.fetch(store_task.OPEN_ORDERS):
        found = await _in_hand(conn, row)
        known = {*row["told"], row["return_to"]}
        fresh = sorted(org for org in found if org not in known)
        if not fresh:
            continue
        columns = [[found[org][side] for org in fresh] for side in (0, 1)]
        prefixes = [region_prefix(r) for r in row["regions"]]
        made = await conn.fetch(store_task.LATE, row["id"], row["drug_id"], fresh, *columns, prefixes)
        orgs = [r["org"] for r in made]
        if not orgs:
            continue
        due = now + timedelta(hours=row["clock"].get("notice_hours", 24))
        params = {"number": row["number"], "title": row["title"], "level": row["level"], "due": _shown(due)}
        kind = "notice_recall_drill" if row["simulated"] else "notice_recall"
        await tell_many(conn, orgs, kind, params, f"/recalls/{row['id']}/task", f"recall:{row['id']}")
        await conn.execute(store_task.TOLD, row["id"])
        if not row["simulated"]:
            runners = [row["issuer"], row["owner"]]
            await conn.execute(store_task.DISCLOSED_LATE, f"recall {row['number']}", orgs, runners)


async def _in_hand(conn: Connection, row: Any) -> dict[int, list[int]]:
    """What each organisation holds of an order's goods now, and what is on the way to it."""
    found: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    rows = store_locate.rows
    if row["batch_ids"]:
        for held in await rows(conn, store_locate.NOW, row["drug_id"], row["batch_ids"], None):
            if held["status"] in ON_HAND:
                found[held["org"]][0] += held["qty"]
        for coming in await rows(conn, store_locate.COMING, row["drug_id"], row["batch_ids"], None):
            found[coming["to_org"]][1] += coming["qty"]
    if row["single"]:
        for unit in await rows(conn, store_locate.SINGLE_NOW, row["drug_id"], row["id"]):
            if unit["status"] in ON_HAND:
                found[unit["holder"]][0] += unit["qty"]
            elif unit["status"] == "O" and unit["dest"]:
                found[unit["dest"]][1] += unit["qty"]
    return found


async def _holders(conn: Connection, now: datetime) -> None:
    remind: dict[int, list[Any]] = defaultdict(list)
    late: dict[int, list[Any]] = defaultdict(list)
    for row in await conn.fetch(store_task.UNREAD):
        due = row["told_at"] + timedelta(hours=row["clock"]["notice_hours"])
        if due <= now:
            late[row["order_id"]].append(row)
        elif row["reminded_at"] is None:
            remind[row["order_id"]].append(row)
    for order_id, rows in remind.items():
        head = rows[0]
        due = head["told_at"] + timedelta(hours=head["clock"]["notice_hours"])
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
