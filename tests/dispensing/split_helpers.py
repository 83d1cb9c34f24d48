"""A hospital with boxes in stock, and a desk that works through the server's own committer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date

from circulation.helpers import Goods, Market, activate, make_market
from yaosu.circulation.committer import Committer
from yaosu.db.engine import Pool
from yaosu.dispensing.split_orders import Desk

PER_BOX = 24
"""Preparation units in a box of the market's product."""


@dataclass
class Ward:
    """The hospital's desk; everything is committed, so each test takes boxes of its own."""

    market: Market
    desk: Desk
    pool: Pool

    async def boxes(self, cases: int = 1, per_case: int = 10, expires_on: date | None = None) -> Goods:
        """Fresh boxes in the hospital's stock, delivered by the wholesaler."""
        goods = await activate(self.market, cases=cases, per_case=per_case, expires_on=expires_on)
        await self.market.pass_on(self.market.maker, self.market.wholesaler, goods.cases)
        await self.market.pass_on(self.market.wholesaler, self.market.hospital, goods.cases)
        return goods

    async def left(self, code: str) -> tuple[int, int, int, int] | None:
        """Total, left, out, lost of an opened box."""
        row = await self.pool.fetchrow("SELECT * FROM split_pack WHERE code = $1", code)
        return (row["total"], row["unit_left"], row["unit_out"], row["unit_lost"]) if row else None

    async def sums(self, code: str) -> dict[str, int]:
        """Entries of a box added up by kind."""
        rows = await self.pool.fetch(
            "SELECT kind, sum(qty)::int AS qty FROM split_entry WHERE code = $1 GROUP BY kind", code
        )
        return {r["kind"]: r["qty"] for r in rows}


@asynccontextmanager
async def ward_on(pool: Pool) -> AsyncIterator[Ward]:
    """A committed market on the module's database."""
    async with pool.acquire() as conn:
        market = await make_market(conn)
        committer = Committer(pool, market.batches)
        committer.start()
        desk = Desk(pool, committer, market.registry, market.subject(market.hospital))
        try:
            yield Ward(market, desk, pool)
        finally:
            await committer.stop()
