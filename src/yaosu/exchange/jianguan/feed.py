"""The sender: numbers what is due, pushes it in order, goes on where the regulator's receipt says it stands."""

from __future__ import annotations

import zlib
from datetime import datetime
from typing import Any

import orjson

from yaosu.db.engine import Connection
from yaosu.edge.state import AppState
from yaosu.exchange.jianguan import sequencer, wire
from yaosu.exchange.jianguan import store_feed as store
from yaosu.exchange.outbox.model import Link
from yaosu.registry.resolver import Registry

NAME = "jianguan"
EVENTS_MAX = 200
BYTES_MAX = 4 * 1024 * 1024
PAUSES_S = (1, 1, 2, 3, 5, 10, 30, 60, 300)


def url_of(url: str, what: str) -> str:
    """An address of the receiving side, from its base address."""
    return f"{url.rstrip('/')}/jianguan/v1/{what}"


def source_id(link: Link) -> str:
    """Under which name the regulator knows us."""
    return str(link.account.get("source_id", ""))


def shown(row: Any) -> dict[str, Any]:
    """A stored event as it travels."""
    return {
        "seq": row["seq"],
        "digest": row["digest"].hex(),
        "event": orjson.loads(zlib.decompress(row["body"])),
    }


async def number(app: AppState, link: Link, since: datetime, seen: dict[int, int]) -> int:
    """Give numbers to what has none; how many bills and pieces of base data."""
    registry: Registry = app.parts["registry"]
    region = region_of(registry, link)
    done = 0
    async with app.pool.acquire() as conn:
        await conn.execute(store.ENSURE, link.id)
        if seen.get(link.id) != registry.generation:
            generation = registry.generation
            async with conn.transaction():
                done += await sequencer.number_base(conn, registry, link.id, source_id(link), region)
            seen[link.id] = generation
        async with conn.transaction():
            done += await sequencer.number_bills(conn, registry, link.id, source_id(link), region, since)
    return done


async def batch(conn: Connection, link_id: int, after: int, limit: int = EVENTS_MAX) -> list[dict[str, Any]]:
    """Events after a number, as many as fit one message; at least one."""
    found: list[dict[str, Any]] = []
    size = 0
    for row in await conn.fetch(store.AFTER, link_id, after, min(limit, EVENTS_MAX)):
        size += len(row["body"]) * 6
        if found and size > BYTES_MAX:
            break
        found.append(shown(row))
    return found


async def push(app: AppState, link: Link) -> int:
    """Send one batch; how many events the regulator holds more than before."""
    if not link.url:
        return 0  # it pulls
    async with app.pool.acquire() as guard:
        due = await guard.fetchrow(store.DUE, link.id)
        if due is None or not await guard.fetchval(store.PUSH_LOCK, link.id):
            return 0
        try:
            return await _send(app, link, due)
        finally:
            await guard.execute(store.PUSH_FREE, link.id)


async def _send(app: AppState, link: Link, claim: Any) -> int:
    # after each failure half as many: what comes before an event they refuse arrives, and that event stands alone
    limit = max(1, EVENTS_MAX >> min(claim["fails"], 20))
    async with app.pool.acquire() as conn:
        events = await batch(conn, link.id, claim["acked"], limit)
    body = {"events": events, "last": claim["seq"]}
    said = await wire.call(
        url_of(link.url, "events"),
        source_id(link),
        link.secret.get("key", ""),
        body,
        app.settings.webhook_hosts,
    )
    held = said.body.get("contiguous") if said.genuine else None
    held = (
        held if isinstance(held, int) and not isinstance(held, bool) and 0 <= held <= claim["seq"] else None
    )
    async with app.pool.acquire() as conn:
        # their word counts, also when they hold less than we thought (after a restore they get it again), and when they
        # took the beginning of a batch and refused the rest
        if held is not None and held != claim["acked"] and (said.ok or held > claim["acked"]):
            await conn.execute(store.ACKED, link.id, held, said.text)
            return max(0, held - int(claim["acked"]))
        pause = float(PAUSES_S[min(claim["fails"], len(PAUSES_S) - 1)])
        text = f"{_name(events[0])}: {said.text}" if said.genuine and len(events) == 1 else said.text
        await conn.execute(store.FAILED, link.id, text[:500], pause)
    return 0


def _name(shown_: dict[str, Any]) -> str:
    """An event as people look for it."""
    event = shown_["event"]
    what = event.get("billNo") or event.get("key") or ""
    return f"#{shown_['seq']} {event.get('eventType', '')} {what} {event.get('eventID', '')}"


def region_of(registry: Registry, link: Link) -> str:
    """Whose bills a feed carries: its own region, and never more than its profile's (list `jianguan_profile`)."""
    item = registry.lists.item("jianguan_profile", link.profile or "national")
    widest = str(item.attrs.get("for_region") or "") if item is not None else ""
    return link.region if link.region.startswith(widest) else widest
