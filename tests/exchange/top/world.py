"""A market on a module's database, with app keys, for tests of the gateway."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from circulation.helpers import Goods, Market, activate, make_market
from exchange.top.client import CHINA, TopClient
from yaosu.edge.state import AppState
from yaosu.exchange.top import keys
from yaosu.exchange.top.aliases import Alias

_numbers = itertools.count(1)


@dataclass
class World:
    """Who there is, and how they call."""

    market: Market
    app: AppState
    http: httpx.AsyncClient

    async def client(self, org: int, role: str = "admin", **more: Any) -> TopClient:
        """A program of an organisation with a key of its own."""
        async with self.app.pool.acquire() as conn, conn.transaction():
            made, secret = await keys.add(
                conn,
                self.app.parts["registry"],
                self.app.parts["top.sealing"],
                self.market.subject(org),
                f"程序 {next(_numbers)}",
                role,
            )
        return TopClient(self.http, made.app_key, secret, **more)

    async def alias(self, org: int) -> Alias:
        """The two names of an organisation."""
        found = await self.app.parts["top.aliases"].of(self.app.pool, [org])
        one: Alias = found[org]
        return one

    async def goods(self, holder: int, **more: Any) -> Goods:
        """A batch of boxes in cases, in the account of `holder`."""
        goods = await activate(self.market, **more)
        if holder != self.market.maker:
            await self.market.pass_on(self.market.maker, holder, goods.cases)
        return goods

    def number(self, prefix: str = "N") -> str:
        """A bill number nobody used."""
        return f"{prefix}{next(_numbers):05d}"


def bill_time(shift: timedelta = timedelta(minutes=5)) -> str:
    """A moment ago, in China time."""
    return (datetime.now(UTC) - shift).astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")


@asynccontextmanager
async def make_world(http: httpx.AsyncClient) -> AsyncIterator[World]:
    """A market in the database of the running application behind `http`."""
    transport: Any = http._transport
    app: AppState = transport.app.state.yaosu
    async with app.pool.acquire() as conn:
        market = await make_market(conn)
        await app.parts["registry"].refresh(conn)
        yield World(market, app, http)
