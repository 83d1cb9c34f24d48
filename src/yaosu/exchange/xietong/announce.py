"""What is told to the other systems beside movements: activations, recalls and locks of our own (R-A3, R-E4, R-B9)."""

from __future__ import annotations

import time

from yaosu.edge.state import AppState
from yaosu.exchange.basedata import Parties
from yaosu.exchange.outbox.model import Link, Parcel
from yaosu.exchange.xietong import bills, stopping
from yaosu.exchange.xietong import store_client as store
from yaosu.exchange.xietong.channel import NAME
from yaosu.exchange.xietong.made import ACTIVATION
from yaosu.notify.outbox import Entry, enqueue_many, event_of
from yaosu.registry.resolver import Registry

LOOK_S = 2.0
LOW_S = 3600.0


class Announcer:
    """Looks every few seconds. One per process; several may run: each thing has one key."""

    def __init__(self, app: AppState) -> None:
        self._app = app
        self._next: dict[int, float] = {}
        self._low = 0
        self._low_at = 0.0

    async def look(self, link: Link) -> int:
        """Put what was not told yet into the outbox; how many things."""
        now = time.monotonic()
        if now < self._next.get(link.id, 0.0):
            return 0
        self._next[link.id] = now + LOOK_S
        return await self._made(link, now) + await self._stops(link)

    async def _made(self, link: Link, now: float) -> int:
        """Activations go through the router, like bills."""
        async with self._app.pool.acquire() as conn:
            since = await conn.fetchval(store.SINCE, link.id)
            low = await conn.fetchval(store.MADE_LOW) if now >= self._low_at else None
            tag: str = await conn.execute(store.MADE_DUE, link.id, since, self._low, ACTIVATION)
        if low is not None:
            # only what was looked at from the first on may be left out from now on
            self._low, self._low_at = low, now + LOW_S
        return int(tag.rsplit(" ", 1)[1])

    async def _stops(self, link: Link) -> int:
        """Recalls and locks of products that have their home here."""
        registry: Registry = self._app.parts["registry"]
        app_id = str(link.account.get("app_id", ""))
        async with self._app.pool.acquire() as conn, conn.transaction():
            rows = await conn.fetch(store.STOPS_TO_TELL, link.id)
            if not rows:
                return 0
            parties = await Parties.load(conn, registry)
            parcels: list[Parcel] = []
            for row in rows:
                product = registry.product(row["drug_id"])
                if product is None or not product.levels:
                    continue
                identifier = product.levels[0].identifier
                if registry.resolve_prefix(identifier).kind != "known":
                    continue  # its home tells
                names = {"owner": parties.key(row["owner"]), "return_to": parties.key(row["return_to"])}
                acts = ([] if row["told"] else ["stop"]) + ([row["ending"]] if row["ending"] else [])
                parcels += [
                    bills.stop_parcel(app_id, registry.lists, stopping.made(row, act, identifier, names))
                    for act in acts
                ]
            entries = [
                Entry(
                    link.org,
                    NAME,
                    link.id,
                    p.kind,
                    p.body,
                    p.key,
                    p.lane,
                    None,
                    event_of(NAME, link.id, p.key),
                )
                for p in parcels
            ]
            await enqueue_many(conn, entries)
        return len(entries)
