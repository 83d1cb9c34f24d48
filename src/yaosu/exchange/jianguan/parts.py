"""Numbers and pushes the regulator feeds, and reconciles them once a day, as long as the server runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from asyncpg import Record

from yaosu.edge.background import running
from yaosu.edge.state import AppState
from yaosu.errors import YaosuError
from yaosu.exchange.jianguan import feed
from yaosu.exchange.jianguan import store_feed as store
from yaosu.exchange.jianguan.compare import Reconciler
from yaosu.exchange.outbox import connections
from yaosu.registry.resolver import Registry

log = structlog.get_logger("yaosu.jianguan")

IDLE_S = 1.0
CHECK_HOURS_DEFAULT = 24


@asynccontextmanager
async def start(app: AppState) -> AsyncIterator[None]:
    """Run for the life of the server, where the installation is a trace system."""
    async with running({"jianguan-feed": _run(app)} if "trace" in app.settings.roles else {}):
        yield


async def _run(app: AppState) -> None:
    seen: dict[int, int] = {}
    while True:
        try:
            done = await once(app, seen)
        except Exception as error:
            log.warning("jianguan_round_failed", error=type(error).__name__)
            done = 0
        if not done:
            await asyncio.sleep(IDLE_S)


async def once(app: AppState, seen: dict[int, int]) -> int:
    """One round over all feeds; how much was done."""
    async with app.pool.acquire() as conn:
        rows = await conn.fetch(store.LINKS)
    done = 0
    for row in rows:
        try:
            done += await _one(app, row, seen)
        except Exception as error:
            # one regulator's trouble is not the others'
            log.warning("jianguan_feed_failed", feed=row["id"], error=type(error).__name__)
    return done


async def _one(app: AppState, row: Record, seen: dict[int, int]) -> int:
    async with app.pool.acquire() as conn:
        try:
            link = await connections.open_link(conn, app.parts["keeper"], row["id"])
        except YaosuError as error:
            log.warning("jianguan_feed_unreadable", feed=row["id"], code=error.code)
            return 0
    # a feed that is held goes on numbering: nothing is lost, it only does not leave
    done = await feed.number(app, link, row["since"], seen)
    if row["state"] == "active":
        done += await feed.push(app, link)
        await _reconcile(app, link.id)
    return done


def check_hours(registry: Registry, profile: str) -> int:
    """How often a feed is reconciled (list `jianguan_profile`)."""
    item = registry.lists.item("jianguan_profile", profile or "national")
    return int(str(item.attrs["check_hours"])) if item is not None else CHECK_HOURS_DEFAULT


async def _reconcile(app: AppState, link_id: int) -> None:
    async with app.pool.acquire() as conn:
        link = await connections.open_link(conn, app.parts["keeper"], link_id)
        hours = check_hours(app.parts["registry"], link.profile)
        row = await conn.fetchrow(store.FEED, link_id)
        due = await conn.fetchval(store.CHECK_DUE, link_id, hours)
        first = await conn.fetchval(store.LAST_EQUAL, link_id) is None
    if not link.url or row is None or not due or not row["acked"]:
        return
    if row["fails"] or (first and row["acked"] < row["seq"]):
        return  # first what is due
    try:
        await Reconciler(app, link).run(full=False)
    except YaosuError as error:
        log.warning("jianguan_reconcile_failed", feed=link_id, code=error.code)
