"""Clocks of open cases: reminders, overdue answers, escalation to the MAH and then to the regulator (R-B5).

The hours and days are the list `exception_clock`; each stage of a case is acted on once.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from asyncpg import Record

from yaosu.db.engine import Connection
from yaosu.exceptions import record, service, store
from yaosu.exceptions.model import clock_of, next_look
from yaosu.registry.resolver import Registry, load_registry
from yaosu.settings import Settings

LEVELS = {"mah": 1, "regulator": 2}


async def tick(conn: Connection, settings: Settings) -> None:
    """Act on every case that is due, and put corrections made since on record. Quick when nothing is."""
    due = [r["id"] for r in await conn.fetch(store.DUE)]
    corrected = [r["id"] for r in await conn.fetch(store.CORRECTED)]
    if not due and not corrected:
        return
    registry = await load_registry(conn)
    for case_id in corrected:
        row = await conn.fetchrow(store.LOCK, case_id)
        if row is not None:
            await service.sync(conn, registry, row)
    now = datetime.now(UTC)
    for case_id in due:
        row = await conn.fetchrow(store.LOCK, case_id)
        if row is not None and row["state"] == "open":
            await _pass(conn, registry, row, now)


async def _pass(conn: Connection, registry: Registry, row: Record, now: datetime) -> None:
    buyer = registry.org(row["buyer"])
    region = buyer.region if buyer is not None else ""
    clock = clock_of(
        registry.lists, row["kind"], region, row["opened_at"], row["answer_due"], row["resolve_due"]
    )
    stages = clock.stages()
    done, level = list(row["done"]), 0
    for name, when in stages:
        if name in done or when > now:
            continue
        done.append(name)
        level = max(level, LEVELS.get(name, 0))
        await _act(conn, registry, row, name, now)
    await conn.execute(store.TICKED, row["id"], done, next_look(stages, done), level)


async def _act(conn: Connection, registry: Registry, row: Record, stage: str, now: datetime) -> None:
    """One stage; a reminder that the next stage overtook while the clock stood still is not sent."""
    other = row["seller"] if row["opened_by"] == row["buyer"] else row["buyer"]
    both = [row["buyer"], row["seller"]]
    if stage in ("answer_soon", "answer_overdue"):
        if row["answered_at"] is not None or (stage == "answer_soon" and row["answer_due"] <= now):
            return
        await _remind(conn, registry, row, stage, [other] if stage == "answer_soon" else both)
    elif stage in ("resolve_soon", "resolve_overdue"):
        if stage == "resolve_soon" and row["resolve_due"] <= now:
            return
        await _remind(conn, registry, row, stage, both)
    elif stage == "mah":
        told = await record.tell_holders(conn, registry, row, row["drug_ids"])
        if told:
            await record.enter(conn, row["id"], None, None, "escalated", "", {"to": "mah", "orgs": told})
            await record.tell(conn, registry, row, both, "notice_exception_escalated", "to-mah")
    else:
        told = await _regulators(conn, registry, both)
        await record.enter(conn, row["id"], None, None, "escalated", "", {"to": "regulator", "orgs": told})
        await record.tell(conn, registry, row, [*both, *told], "notice_exception_regulator", "to-regulator")


async def _remind(conn: Connection, registry: Registry, row: Record, stage: str, to: Iterable[int]) -> None:
    await record.enter(conn, row["id"], None, None, "reminder", "", {"stage": stage})
    await record.tell(conn, registry, row, to, f"notice_exception_{stage}", stage)


async def _regulators(conn: Connection, registry: Registry, orgs: Iterable[int]) -> list[int]:
    """The closest authority of each side's region."""
    found = []
    for org in orgs:
        card = registry.org(org)
        rows = await conn.fetch(store.REGULATORS, card.region) if card is not None else []
        closest = rows[0]["region"] if rows else ""
        found += [r["id"] for r in rows if r["region"] == closest]
    return sorted(set(found))
