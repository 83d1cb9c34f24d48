"""A trace system with goods in motion and a regulator, each a process of its own."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from access.helpers import key_headers
from circulation.helpers import Goods, Market, activate, make_market
from exchange.running import COMES_WITHIN_S, Running
from yaosu.db.engine import Connection, connect
from yaosu.exchange.jianguan import held
from yaosu.exchange.outbox import connections
from yaosu.people.keeper import Keeper
from yaosu.settings import master_secret
from yaosu.subject import ADMIN, SYSTEM, Subject

EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


def keeper_of(process: Running) -> Keeper:
    """The keeper of a process's secrets."""
    return Keeper(master_secret(process.data))


@dataclass
class Trace:
    """A trace system with a market and a feed."""

    process: Running
    conn: Connection
    market: Market
    goods: Goods
    headers: dict[int, dict[str, str]]
    feed: int = 0

    async def move(self, org: int, type: int, number: str, codes: list[str], **more: Any) -> dict[str, Any]:
        """A bill over HTTP, again and again until it is answered: the process may just have been killed."""
        body = {
            "type": type,
            "bill_no": number,
            "happened_at": datetime.now(UTC).replace(microsecond=0).isoformat(),
            "codes": codes,
            **more,
        }
        async with httpx.AsyncClient() as http:
            # a process that was killed takes its time to come back on a busy machine
            end = time.monotonic() + COMES_WITHIN_S
            while time.monotonic() < end:
                try:
                    answer = await http.post(
                        f"{self.process.url}/api/v1/movements",
                        json=body,
                        headers=self.headers[org],
                        timeout=20,
                    )
                    assert answer.status_code == 200, answer.text
                    said: dict[str, Any] = answer.json()
                    return said
                except httpx.HTTPError:
                    await asyncio.sleep(0.1)
        raise AssertionError("no answer")


async def a_trace_system(process: Running, cases: int = 4) -> Trace:
    """Organisations, a product, an activated batch, keys."""
    conn = await connect(process.database)
    market = await make_market(conn)
    goods = await activate(market, cases=cases)
    headers = {
        org: await key_headers(conn, org)
        for org in (market.maker, market.wholesaler, market.pharmacy, market.hospital)
    }
    return Trace(process, conn, market, goods, headers)


async def feed_to(trace: Trace, url: str, source: held.Source, key: str, region: str = "37") -> int:
    """The regulator as a connection of the operator."""
    subject = Subject("account", None, trace.market.maker, scopes=frozenset({ADMIN}))
    async with trace.conn.transaction():
        trace.feed = await connections.add(
            trace.conn,
            subject,
            keeper_of(trace.process),
            "jianguan",
            "省药监局",
            url,
            {"source_id": source.source_id},
            {"key": key},
            profile="shandong",
            region=region,
            everyone=True,
            since=EPOCH,
        )
    return trace.feed


async def a_source(regulator: Running, name: str = "药溯") -> tuple[held.Source, str]:
    """The trace system as the regulator registers it."""
    conn = await connect(regulator.database)
    try:
        return await held.register(conn, SYSTEM, keeper_of(regulator), name, "37")
    finally:
        await conn.close()
