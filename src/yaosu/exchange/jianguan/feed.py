"""The sender: numbers what is due, pushes it in order, goes on where the regulator's receipt says it stands."""

from __future__ import annotations

import zlib
from datetime import datetime
from typing import Any

import orjson

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
    done = 0
    async with app.pool.acquire() as conn:
        await conn.execute(store.ENSURE, link.id)
        if seen.get(link.id) != registry.generation:
            generation = registry.generation
            async with conn.transaction():
                done += await sequencer.number_base(conn, registry, link.id, source_id(link), link.region)
            seen[link.id] = generation
        async with conn.transaction():
            done += await sequencer.number_bills(conn, registry, link.id, source_id(link), link.region, since)
    return done


async def batch(app: AppState, link_id: int, after: int, limit: int = EVENTS_MAX) -> list[dict[str, Any]]:
    """Events after a number, as many as fit one message; at least one."""
    found: list[dict[str, Any]] = []
    size = 0
    async with app.pool.acquire() as conn:
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
    events = await batch(app, link.id, claim["acked"])
    body = {"events": events, "last": claim["seq"]}
    said = await wire.call(
        url_of(link.url, "events"),
        source_id(link),
        link.secret.get("key", ""),
        body,
        app.settings.webhook_hosts,
    )
    held = said.body.get("contiguous") if said.genuine else None
    async with app.pool.acquire() as conn:
        if isinstance(held, int) and not isinstance(held, bool) and 0 <= held <= claim["seq"] and said.ok:
            # their word counts, also when they hold less than we thought: after a restore they get it again
            await conn.execute(store.ACKED, link.id, held, said.text)
            return max(0, held - int(claim["acked"]))
        pause = float(PAUSES_S[min(claim["fails"], len(PAUSES_S) - 1)])
        await conn.execute(store.FAILED, link.id, said.text, pause)
    return 0
