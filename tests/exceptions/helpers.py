"""People at the desks of a market where a delivery does not match: fixture `desk` for tests of cases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from circulation.helpers import Goods, Market, activate, make_market
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.exceptions import opening, record, views
from yaosu.settings import Settings
from yaosu.subject import Subject

SETTINGS = Settings(data=None, database_url="", host="", port=0, public_url="")  # type: ignore[arg-type]


@dataclass
class Desk:
    """The market, and each organisation's person at the desk."""

    market: Market
    conn: Connection
    goods: Goods

    def of(self, name: str) -> Subject:
        """Somebody of that organisation who may do everything there."""
        return self.market.subject(getattr(self.market, name))

    async def refused(self, code: str, doing: Any) -> YaosuError:
        """What the call refuses with; nothing of it is kept."""
        with pytest.raises(YaosuError) as caught:
            async with self.conn.transaction():
                await doing
        assert caught.value.code == code, caught.value
        return caught.value

    async def case(self, who: str, case_id: int) -> dict[str, Any]:
        """The case as that organisation sees it."""
        subject = self.of(who)
        row = await record.seen(self.conn, subject, case_id)
        return await views.whole(self.conn, self.market.registry, subject, row, "zh")

    async def news(self, who: str) -> list[str]:
        """Kinds of messages that organisation was sent."""
        rows = await self.conn.fetch(
            "SELECT kind FROM message WHERE org = $1 ORDER BY id", getattr(self.market, who)
        )
        return [r["kind"] for r in rows]

    async def short_delivery(self) -> int:
        """The wholesaler announces three boxes, the pharmacy finds two; the receipt check's number."""
        boxes = self.goods.boxes[:3]
        sent = await self.market.ship(self.market.wholesaler, self.market.pharmacy, boxes)
        got = await self.market.move(
            102,
            self.market.pharmacy,
            boxes[:2],
            from_org=self.market.wholesaler,
            notice=sent.bill_no,
        )
        return int(str(got.checks[0]["id"]))

    async def stranger_in_quarantine(self) -> tuple[int, str]:
        """A box of the other wholesaler comes along with the delivery; check and box."""
        boxes = self.goods.boxes[3:6]
        sent = await self.market.ship(self.market.wholesaler, self.market.pharmacy, boxes[:2])
        await self.market.ship(self.market.wholesaler, self.market.pharmacy, boxes[2:])
        got = await self.market.move(
            102, self.market.pharmacy, boxes, from_org=self.market.wholesaler, notice=sent.bill_no
        )
        assert [r.verdict for r in got.results] == ["accepted", "accepted", "on_other_notice"]
        check = next(c for c in got.checks if c["outcome"] == "mismatch")
        return int(str(check["id"])), boxes[2]

    async def open(self, who: str, check_id: int, **more: Any) -> list[int]:
        """Cases from a receipt check."""
        return await opening.open_check(self.conn, self.market.registry, self.of(who), check_id, **more)


@pytest_asyncio.fixture(loop_scope="module")
async def desk(db: Connection) -> AsyncIterator[Desk]:
    market = await make_market(db)
    goods = await activate(market, cases=2)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    yield Desk(market, db, goods)
