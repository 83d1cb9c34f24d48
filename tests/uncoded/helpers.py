"""A market whose pharmacies and hospital have uncoded stock, through the room's own doors."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

from circulation.helpers import Market, make_market
from registry.helpers import make_org, make_product
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.committer import Committer
from yaosu.db.engine import Pool
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import load_registry
from yaosu.subject import Subject
from yaosu.uncoded import intake, service
from yaosu.uncoded.intake import Doors, Opened
from yaosu.uncoded.model import Item, Lot, Opening

_numbers = itertools.count(1)
BEFORE = date(2025, 6, 12)
"""A day of purchase before every date of the field."""
PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"


def png(mark: int = 0) -> bytes:
    """A picture of one pixel that differs for every `mark`."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = (1).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    body = zlib.compress(b"\x00" + mark.to_bytes(3, "big"))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@dataclass
class Shop:
    """The market with doors, and a pharmacy in 新疆 beside the one in 山东."""

    market: Market
    doors: Doors
    pool: Pool
    pharmacy: int
    """In 山东: settlement of goods bought before the date goes on."""
    far: int
    """In 新疆, where historical stock had to be cleared by 2026-02-28."""
    supplier: int
    drug_id: int
    herbs: int

    def who(self, org: int) -> Subject:
        """Somebody of an organisation who may do everything."""
        return self.market.subject(org)

    async def proof(self, org: int) -> int:
        """A proof on file."""
        async with self.pool.acquire() as conn, conn.transaction():
            return await service.keep_proof(conn, self.who(org), png(next(_numbers)), "发票.png")

    async def open(self, org: int, qty: int, batch_no: str = "", **more: Any) -> Opened:
        """Goods bought before every date, entered with a proof."""
        values: dict[str, Any] = {
            "invoice_no": f"044{next(_numbers):05d}",
            "invoice_date": BEFORE,
            "zone": "无码专区 A-01",
            "supplier": self.supplier,
            **more,
        }
        drug = values.pop("drug_id", self.drug_id)
        item = Item(drug, batch_no or f"U{next(_numbers)}", qty, date(2024, 5, 1), date(2059, 4, 30))
        values.setdefault("proof_id", await self.proof(org))
        values.setdefault("items", (item,))
        return await intake.open_account(self.doors, self.who(org), Opening(**values))

    async def lot(self, org: int, lot_id: int) -> Lot:
        """A lot as it is now."""
        async with self.pool.acquire() as conn, conn.transaction():
            return await service.lot(conn, self.doors.registry, self.who(org), lot_id)

    async def book(self, org: int) -> list[Lot]:
        """The account of an organisation."""
        async with self.pool.acquire() as conn, conn.transaction():
            return await service.book(conn, self.doors.registry, self.who(org))

    async def left(self, org: int) -> int:
        """What the ledger says is in the uncoded account."""
        query = "SELECT coalesce(sum(qty), 0)::bigint FROM balance WHERE org = $1 AND status = 'U'"
        found: int = await self.pool.fetchval(query, org)
        return found


@asynccontextmanager
async def make_shop(pool: Pool) -> AsyncIterator[Shop]:
    """The market and a running committer."""
    async with pool.acquire() as conn:
        market = await make_market(conn)
        herbs = await make_product(
            conn,
            market.maker,
            levels=(("袋", 1, "8385901"), ("箱", 20, "8385902")),
            flags=frozenset({"decoction"}),
        )
        far = await make_org(conn, OrgType.RETAIL, region="650102")
        market.registry = await load_registry(conn)
        committer = Committer(pool, market.batches if market.batches else BatchCache())
        committer.start()
        doors = Doors(pool, committer, market.registry)
        try:
            yield Shop(
                market,
                doors,
                pool,
                market.pharmacy,
                far,
                market.wholesaler,
                market.drug_id,
                herbs,
            )
        finally:
            await committer.stop()
