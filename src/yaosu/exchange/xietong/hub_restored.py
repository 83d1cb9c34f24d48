"""A platform that was restored from an older backup: noticed from what its systems hold, and told to all of them.

Each system knows how many of its events we had, and which event it got under the last number of its mailbox. Where that
does not fit what is here, this database has gone back. The system sends again what we lost, and reads its mailbox again
from where both agree; the others hear of it (1009) and do the same, also those that are only pushed to.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from yaosu.db.engine import Connection
from yaosu.exchange.xietong import envelope
from yaosu.exchange.xietong import store_hub as store
from yaosu.exchange.xietong.envelope import BASE
from yaosu.exchange.xietong.hub import System, system_of

RESTORED = "1009"


async def agrees(conn: Connection, system: System, after: int, check: str, sent: int) -> bool:
    """Whether what a system says it holds fits what is here: `check` is the event it has under `after` of its mailbox,
    `sent` the number of its last event that we took. Where it does not, every system is told."""
    lost = max(0, sent - system.held, after - system.box)
    fits = not lost
    if fits and check and after:
        here = await conn.fetchval(store.MAIL_AT, system.id, after)
        fits = here is not None and str(here) == check.lower()
    if not fits:
        # all are told in the same transaction
        await store.lock_boxes(conn, [r["id"] for r in await conn.fetch(store.SYSTEMS)])
        lately = await conn.fetchval(store.AHEAD_LATELY)
        await conn.execute(store.AHEAD, system.id, lost)
        if not lately:
            await tell(conn, but=system.id)
    return fits


async def tell(conn: Connection, but: int = 0) -> int:
    """Tell every system that this platform was restored, each up to where its events are held; how many systems."""
    rows = [r for r in await conn.fetch(store.SYSTEMS) if r["state"] != "ended" and r["id"] != but]
    now = datetime.now(UTC)
    for row in rows:
        system = system_of(row)
        content = {"held": system.held, "last": system.box, "happened_at": now.isoformat()}
        digest = envelope.content_digest(BASE, RESTORED, "", content)
        event: int = await conn.fetchval(
            store.ADD_EVENT, system.id, uuid.uuid4(), "", BASE, RESTORED, "", now, digest,
            envelope.pack(content), None,
        )  # fmt: skip
        await store.post(conn, [system.id], event)
    return len(rows)
