"""A platform that was restored from an older backup: what it lost of ours goes out again, its mailbox is read again.

It numbers the events it takes of us without gaps, and says the number. A number below what it had said, or one that
stands for another event of ours, shows that it went back: everything after the last number on which both agree is sent
again under the same event ids, so what it does hold is only repeated. Numbers of its mailbox would be used a second
time: the last one on which both agree is looked for, and a new era begins there; what was booked before is known by its
sender, id and content.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import structlog
from asyncpg import Record

from yaosu.db.engine import Connection, Pool
from yaosu.exchange.outbox.store import LOCK
from yaosu.exchange.xietong import store_client as store
from yaosu.exchange.xietong.wire import Said

log = structlog.get_logger("yaosu.xietong")
SHOWN = 5


async def told(pool: Pool, link_id: int, event_id: str, said: Said, delivery_id: int | None) -> None:
    """Keep under which number the platform holds an event of ours. Platforms that say none are not followed."""
    number = said.body.get("seq")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < 2**62:
        return
    one = uuid.UUID(event_id)
    async with pool.acquire() as conn, conn.transaction():
        if await conn.fetchval(store.TOLD, link_id, number, one, delivery_id) == one:
            return
        # the number stood for another event of ours: it and everything after it is there no more
        await send_again(conn, link_id, number - 1)
        await conn.fetchval(store.TOLD, link_id, number, one, delivery_id)


async def send_again(conn: Connection, link_id: int, agreed: int) -> int:
    """Everything they held of ours after number `agreed` goes out again; how many events."""
    await conn.fetchval(LOCK, link_id)
    rows = await conn.fetch(store.UNTOLD, link_id, agreed)
    if not rows:
        return 0
    sent = [r["delivery_id"] for r in rows if r["delivery_id"] is not None]
    again = len(await conn.fetch(store.AGAIN_SENT, sent))
    filings = [r["event_id"] for r in rows if r["delivery_id"] is None]
    # a filing whose content has changed since has been filed anew already
    again += len(await conn.fetch(store.AGAIN_FILED, link_id, filings))
    lost = len(sent) + len(filings) - again
    ours = max(r["n"] for r in rows)
    await conn.execute(store.BEHIND, link_id, "sent", agreed, ours, again, lost)
    log.warning("xietong_platform_behind", connection=link_id, held=agreed, ours=ours, again=again)
    return again


Ask = Callable[[int, int], Awaitable[Said]]
"""The mailbox after a number, at most so many events."""


async def held_less(conn: Connection, link_id: int, sent: int, body: Mapping[str, Any]) -> int:
    """Look at `held` of a mailbox answer, asked when they had said up to `sent`; how many events go out again."""
    held = body.get("held")
    if not isinstance(held, int) or isinstance(held, bool) or not 0 <= held < sent:
        return 0
    return await send_again(conn, link_id, held)


async def rewind(pool: Pool, link_id: int, pulled: int, last: int, ask: Ask) -> bool:
    """Find the last number of the mailbox on which both agree, and go on from there; False when they cannot be asked.

    Both hold the same up to some number and nothing in common after it, so it is found by halves.
    """
    low, high = 0, min(pulled, last)
    while low < high:
        middle = (low + high + 1) // 2
        said = await ask(middle - 1, 1)
        if not (said.genuine and said.success):
            return False
        events = said.body.get("events")
        one = events[0] if isinstance(events, list) and events else None
        async with pool.acquire() as conn:
            ours = await conn.fetchrow(store.HELD, link_id, middle)
        if ours is not None and isinstance(one, Mapping) and _same(one, middle, ours):
            low = middle
        else:
            high = middle - 1
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute(store.NEW_ERA, link_id, low)
        if low < pulled:
            await conn.execute(store.BEHIND, link_id, "mail", low, pulled, 0, 0)
            log.warning("xietong_mailbox_went_back", connection=link_id, agreed=low, ours=pulled)
    return True


def _same(one: Mapping[str, Any], n: int, ours: Record) -> bool:
    return (
        str(one.get("n")) == str(n)
        and str(one.get("event_id", "")).lower() == str(ours["event_id"])
        and str(one.get("from_app_id", "")) == ours["origin"]
    )


async def found(conn: Connection, link_id: int) -> list[dict[str, Any]]:
    """The latest times that a platform was found behind."""
    rows = await conn.fetch(store.FOUND_BEHIND, link_id, SHOWN)
    return [{k: v.isoformat() if isinstance(v, datetime) else v for k, v in r.items()} for r in rows]
