"""Goods whose codes live in another trace system are received, sold and explained here (R-A4, R-B9)."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest
import pytest_asyncio

from circulation.helpers import Market, make_market
from registry.helpers import make_org
from yaosu.circulation.committer import Committer
from yaosu.db.engine import Pool
from yaosu.errors import YaosuError
from yaosu.exchange.adopt.model import Package, Upstream
from yaosu.exchange.adopt.service import adopt, set_foreign
from yaosu.registry.resolver import load_registry
from yaosu.trace import service as trace

MASTER = bytes(32)
_numbers = itertools.count(1)


@dataclass
class Two:
    """Our market, another system's product and a wholesaler that works there."""

    market: Market
    pool: Pool
    committer: Committer
    system: int
    sender: int
    other: int

    def package(self, boxes: int = 5) -> Package:
        """A case of the foreign product with its boxes."""

        def one(level: int, children: tuple[Package, ...] = ()) -> Package:
            prefix = self.market.prefixes[level - 1]
            code = f"{prefix}{700_000_000 + next(_numbers):09d}{next(_numbers):04d}"
            return Package(
                code, level, self.market.drug_id, "WX01", date(2026, 1, 1), date(2059, 12, 31), children
            )

        return one(2, tuple(one(1) for _ in range(boxes)))

    def upstream(self, packages: list[Package], **more: object) -> Upstream:
        """A shipping bill of the foreign wholesaler to our wholesaler."""
        values: dict[str, object] = {
            "system_id": self.system,
            "from_org": self.sender,
            "to_org": self.market.wholesaler,
            "bill_no": f"W{next(_numbers)}",
            "happened_at": datetime.now(UTC) - timedelta(hours=2),
            "packages": packages,
            **more,
        }
        return Upstream(**values)  # type: ignore[arg-type]

    async def take(self, upstream: Upstream):  # type: ignore[no-untyped-def]
        """Through the door."""
        return await adopt(self.pool, self.committer, self.market.registry, MASTER, upstream)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(pool: Pool) -> AsyncIterator[Two]:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        system = await conn.fetchval(
            "INSERT INTO trace_system (name, query_url) VALUES ($1, 'https://other.example/q') RETURNING id",
            f"他系统{next(_numbers)}",
        )
        # the product's codes live there
        await conn.execute("UPDATE code_prefix SET system_id = $1 WHERE drug_id = $2", system, market.drug_id)
        sender, other = (await make_org(conn, type=2), await make_org(conn, type=2))
        await set_foreign(conn, [sender, other], system)
        market.registry = await load_registry(conn)
        committer = Committer(pool, market.batches)
        committer.start()
        yield Two(market, pool, committer, system, sender, other)
        await committer.stop()


async def test_a_foreign_shipment_becomes_a_notice_that_is_received_and_sold_on(two: Two) -> None:
    market = two.market
    before = await market.stock(market.wholesaler)
    case = two.package()
    done = await two.take(two.upstream([case]))
    assert done.refused == [] and len(done.taken_in) == 6
    assert done.bill.status == "accepted" and done.bill.qty == 5
    received = await market.move(102, market.wholesaler, [case.code], from_org=two.sender)
    assert received.status == "accepted" and received.checks
    box = case.children[0].code
    await market.pass_on(market.wholesaler, market.pharmacy, [box])
    sold = await market.move(321, market.pharmacy, [box])
    assert sold.status == "accepted"
    assert (await market.status(box))[0] == "S"
    assert await market.stock(market.wholesaler) == before + 4
    await market.conserved()
    seen = (
        await trace.verify_codes(market.conn, market.registry, market.subject(market.pharmacy), [box], "zh")
    )[0]
    assert seen["found"] and seen["home_system"]["name"].startswith("他系统")  # type: ignore[index]


async def test_the_same_bill_told_twice_gets_the_same_answer(two: Two) -> None:
    upstream = two.upstream([two.package()])
    first, second = await two.take(upstream), await two.take(upstream)
    assert second.taken_in == [] and second.bill.replayed
    assert second.bill.bill_id == first.bill.bill_id
    await two.market.conserved()


async def test_a_code_that_was_not_told_is_refused_with_its_home(two: Two) -> None:
    stranger = two.package().children[0].code
    result = await two.market.move(102, two.market.wholesaler, [stranger], from_org=two.sender)
    assert [r.verdict for r in result.results] == ["registered_elsewhere"]


async def test_boxes_come_back_into_the_other_system_and_again_to_us(two: Two) -> None:
    market = two.market
    before = await market.stock(market.wholesaler)
    case = two.package()
    await two.take(two.upstream([case]))
    await market.move(102, market.wholesaler, [case.code], from_org=two.sender)
    boxes = [child.code for child in case.children]
    # out to a firm of the other system, which passes them on there; we only hear that the sender has them again
    await market.ship(market.wholesaler, two.other, boxes[:2])
    back = list(case.children[:2])
    done = await two.take(two.upstream(back, happened_at=datetime.now(UTC) - timedelta(minutes=1)))
    assert done.refused == [] and done.taken_in == []
    assert done.bill.status == "accepted"
    again = await market.move(
        102, market.wholesaler, boxes[:2], from_org=two.sender, happened_at=datetime.now(UTC)
    )
    assert again.status == "accepted"
    assert await market.stock(market.wholesaler) == before + 5
    await market.conserved()


async def test_goods_that_our_own_customers_hold_are_not_taken_from_them(two: Two) -> None:
    market = two.market
    before = await market.stock(market.wholesaler)
    case, fresh = two.package(), two.package()
    await two.take(two.upstream([case]))
    await market.move(102, market.wholesaler, [case.code], from_org=two.sender)
    done = await two.take(two.upstream([case, fresh]))
    assert [(f.code, f.params["code"]) for f in done.refused] == [("adopt_conflict", case.code)]
    assert done.bill.status == "accepted" and done.bill.qty == 5
    assert await market.stock(market.wholesaler) == before + 5
    await market.conserved()


async def test_codes_of_our_own_and_senders_of_our_own_are_refused(two: Two) -> None:
    market = two.market
    with pytest.raises(YaosuError) as refused:
        await two.take(two.upstream([two.package()], from_org=market.pharmacy))
    assert refused.value.code == "adopt_not_foreign"
    done = await two.take(two.upstream([two.package()], system_id=two.system + 999))
    assert [f.code for f in done.refused] == ["adopt_not_theirs"] and done.bill is None
    assert done.taken_in == []


async def test_what_contradicts_itself_is_refused_whole(two: Two) -> None:
    case = two.package()
    twin = Package(case.code, 2, case.drug_id, "WX02", case.produced_on, case.expires_on, (case.children[0],))
    with pytest.raises(YaosuError) as refused:
        await two.take(two.upstream([case, twin]))
    assert refused.value.code == "relation_refused"
    assert await two.market.stock(two.sender) == 0
