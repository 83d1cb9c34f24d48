"""One pace for everybody on an AppKey: the platform counts calls by the key, not by the connection (§2.1, §2.6).

All that calls with a key (sending, asking and fetching, of every connection that has it, in every server process)
takes its turn in one row of `delivery_gate`. "App Call Limited" shuts the key for everybody for as long as the platform
does.
"""

from __future__ import annotations

import asyncio
import hashlib
from urllib.parse import urlsplit

from yaosu.db.engine import Pool
from yaosu.exchange.outbox.model import Link
from yaosu.exchange.top.client import store

SEND_PATIENCE_S = 20.0
"""How long a delivery waits for its turn: it makes a few calls and has to be done within its lease."""
PULL_PATIENCE_S = 60.0
"""The same for a look at what upstream sent."""


def number_of(link: Link) -> int:
    """The row of a link's AppKey: 31 bits of a digest. Two keys on one number share a pace, which harms nobody."""
    key = f"{urlsplit(link.url).netloc.lower()} {link.account.get('app_key') or link.id}"
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") >> 1


async def turn(pool: Pool, link: Link, calls_per_s: float, patience_s: float) -> float | None:
    """Wait for the key's next turn. The seconds waited, or None (without a turn taken) where the queue is longer than
    `patience_s`. `calls_per_s` 0 means that there is no pace; a shut key is waited for all the same."""
    step = 1.0 / calls_per_s if calls_per_s > 0 else 0.0
    wait: float | None = await pool.fetchval(store.TURN, number_of(link), step, patience_s)
    if wait is not None and wait > 0:
        await asyncio.sleep(wait)
    return wait


async def shut(pool: Pool, link: Link, seconds: float) -> None:
    """Nobody calls with this key for a while: the platform asked for patience."""
    await pool.execute(store.SHUT, number_of(link), seconds)
