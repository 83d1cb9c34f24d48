"""The gateway as a process of its own behind a bad network: a bill goes in once, whatever gets lost (R-X2, R-X10)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from circulation.helpers import Goods, activate, make_market
from exchange.faults import FaultyProxy, faulty
from exchange.running import Running, running
from exchange.top.client import TopClient
from exchange.top.world import bill_time
from yaosu.db.engine import connect
from yaosu.exchange.top import keys
from yaosu.exchange.top.aliases import make
from yaosu.exchange.top.keys import Sealing
from yaosu.registry.resolver import load_registry
from yaosu.settings import master_secret

pytestmark = pytest.mark.asyncio(loop_scope="module")

RETAIL = "alibaba.alihealth.drugtrace.top.lsyd.uploadretail"


@dataclass
class Shop:
    """A pharmacy with boxes, a key, and a line to the server that can be made bad."""

    server: Running
    line: FaultyProxy
    client: TopClient
    goods: Goods
    ref_ent_id: str
    sold: int = 0

    def sale(self) -> dict[str, str]:
        """One box more."""
        self.sold += 1
        return {
            "bill_code": f"LS{self.sold:04d}", "bill_time": bill_time(), "bill_type": "321",
            "ref_user_id": self.ref_ent_id, "trace_codes": self.goods.boxes[self.sold],
        }  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(
    server_address: str, template_name: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shop]:
    folder: Path = tmp_path_factory.mktemp("top")
    with running(server_address, template_name, folder) as server:
        conn = await connect(server.database)
        market = await make_market(conn)
        goods = await activate(market)
        await market.pass_on(market.maker, market.wholesaler, goods.cases)
        await market.pass_on(market.wholesaler, market.pharmacy, goods.cases)
        master = master_secret(server.data)
        async with conn.transaction():
            registry = await load_registry(conn)
            subject = market.subject(market.pharmacy)
            made, secret = await keys.add(conn, registry, Sealing(master), subject, "收银", "sales")
        await conn.close()
        async with faulty(server.port) as line, httpx.AsyncClient(base_url=line.url, timeout=60) as http:
            alias = make(master, market.pharmacy)
            # the names are kept at their first use: any question makes them
            me = TopClient(http, made.app_key, secret)
            card = market.registry.org(market.pharmacy)
            assert card is not None
            await me.ok("alibaba.alihealth.drugtrace.top.lsyd.query.getentinfo", {"ent_name": card.name})
            yield Shop(server, line, me, goods, alias.ref_ent_id)


async def sent(shop: Shop, bill: dict[str, str]) -> dict[str, object] | None:
    """The answer; None where none came."""
    try:
        return await shop.client.call(RETAIL, bill)
    except (httpx.HTTPError, AssertionError, ValueError):
        return None


@pytest.mark.parametrize("fault", ["refuse", "lose_answer", "cut_answer", "error_500"])
async def test_a_sale_whose_answer_never_came_is_sent_again_and_stands_once(shop: Shop, fault: str) -> None:
    bill = shop.sale()
    shop.line.faults.append(fault)  # type: ignore[arg-type]
    assert await sent(shop, bill) is None
    answer = await shop.client.ok(RETAIL, bill)
    assert answer["response_success"] is True
    assert (answer["msg_info"] == "单据重复") == (fault in ("lose_answer", "cut_answer"))
    again = await shop.client.ok(RETAIL, bill)
    assert again["model"] == answer["model"]


async def test_a_request_that_arrives_twice_is_one_sale(shop: Shop) -> None:
    bill = shop.sale()
    shop.line.faults.append("twice")
    answer = await shop.client.ok(RETAIL, bill)
    assert answer["msg_info"] == "单据重复", "the second arrival is answered like the first"


async def test_a_request_changed_on_its_way_is_refused(shop: Shop) -> None:
    bill = shop.sale()
    shop.line.faults.append("change_request")
    answer = await sent(shop, bill)
    assert answer is None or "error_response" in answer
    done = await shop.client.ok(RETAIL, bill)
    assert done["msg_info"] == "成功", "nothing of it had been posted"


async def test_what_was_answered_survives_the_servers_death(shop: Shop) -> None:
    bill = shop.sale()
    first = await shop.client.ok(RETAIL, bill)
    shop.server.kill()
    assert await sent(shop, bill) is None
    shop.server.start()
    again = await shop.client.ok(RETAIL, bill)
    assert (again["model"], again["msg_info"]) == (first["model"], "单据重复")
    log = shop.server.log()
    assert shop.client.secret not in log and shop.goods.boxes[1] not in log
