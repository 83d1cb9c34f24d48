"""A wholesaler and a maker behind a bad network: a bill and a relation file go in once, whatever gets lost (R-X2)."""

from __future__ import annotations

import base64
import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
import pytest_asyncio

from circulation.helpers import Goods, activate, make_market
from exchange.faults import FaultyProxy, faulty
from exchange.running import Running, running
from exchange.top.client import TopClient
from exchange.top.test_maker import relation
from exchange.top.world import bill_time
from yaosu.db.engine import connect
from yaosu.exchange.top import keys
from yaosu.exchange.top.keys import Sealing
from yaosu.registry.resolver import load_registry
from yaosu.settings import master_secret

pytestmark = pytest.mark.asyncio(loop_scope="module")
P = "alibaba.alihealth."
UPLOAD = P + "drug.msc.uploadinoutbill"


@dataclass
class Trade:
    """A wholesaler with goods and a maker, each with a key, and a line to the server that can be made bad."""

    server: Running
    line: FaultyProxy
    wholesaler: TopClient
    maker: TopClient
    goods: Goods
    names: dict[str, tuple[str, str]]
    shipped: int = 0

    def bill(self) -> dict[str, str]:
        """One case more, to the pharmacy."""
        self.shipped += 1
        return {
            "bill_code": f"PF{self.shipped:04d}", "bill_time": bill_time(), "bill_type": "201", "physic_type": "3",
            "ref_user_id": self.names["wholesaler"][1], "from_user_id": self.names["wholesaler"][0],
            "to_user_id": self.names["pharmacy"][0], "oper_ic_code": "1", "oper_ic_name": "张三", "client_type": "2",
            "trace_codes": self.goods.cases[self.shipped],
        }  # fmt: skip

    def count(self, query: str, *args: str) -> int:
        """A number from the server's own database."""
        with psycopg.connect(self.server.database) as conn:
            row = conn.execute(query, args).fetchone()
        assert row is not None
        return int(row[0])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trade(
    server_address: str, template_name: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Trade]:
    folder: Path = tmp_path_factory.mktemp("top-trade")
    with running(server_address, template_name, folder) as server:
        conn = await connect(server.database)
        market = await make_market(conn)
        goods = await activate(market, cases=12)
        await market.pass_on(market.maker, market.wholesaler, goods.cases)
        master = master_secret(server.data)
        made = {}
        async with conn.transaction():
            registry = await load_registry(conn)
            for who in ("wholesaler", "maker"):
                subject = market.subject(getattr(market, who))
                made[who] = await keys.add(conn, registry, Sealing(master), subject, who, "admin")
        await conn.close()
        async with faulty(server.port) as line, httpx.AsyncClient(base_url=line.url, timeout=60) as http:
            clients = {who: TopClient(http, key.app_key, secret) for who, (key, secret) in made.items()}
            names = {}
            for who in ("wholesaler", "pharmacy", "maker"):
                card = market.registry.org(getattr(market, who))
                assert card is not None
                found = await clients["wholesaler"].ok(P + "drug.kyt.getentinfo", {"ent_name": card.name})
                model = found["result"]["model"]
                names[who] = (model["ent_id"], model["ref_ent_id"])
            yield Trade(server, line, clients["wholesaler"], clients["maker"], goods, names)


async def sent(client: TopClient, method: str, fields: dict[str, str]) -> dict[str, object] | None:
    """The answer; None where none came."""
    try:
        return await client.call(method, fields)
    except (httpx.HTTPError, AssertionError, ValueError):
        return None


@pytest.mark.parametrize("fault", ["refuse", "lose_answer", "cut_answer", "error_500", "twice"])
async def test_a_shipment_whose_answer_was_lost_is_sent_again_and_stands_once(
    trade: Trade, fault: str
) -> None:
    bill = trade.bill()
    trade.line.faults.append(fault)  # type: ignore[arg-type]
    first = await sent(trade.wholesaler, UPLOAD, bill)
    assert (first is None) == (fault != "twice")
    answer = await trade.wholesaler.ok(UPLOAD, bill)
    assert answer["response_success"] is True
    again = await trade.wholesaler.ok(UPLOAD, bill)
    assert again["model"] == answer["model"] and "单据重复" in again["msg_info"]
    assert trade.count("SELECT count(*) FROM bill WHERE bill_no = %s", bill["bill_code"]) == 1
    asked = {"ref_ent_id": trade.names["wholesaler"][1], "bill_code": bill["bill_code"]}
    shown = await trade.wholesaler.ok(P + "drug.msc.searchbill.detail", asked)
    assert shown["result"]["model"]["bill_code"] == bill["bill_code"]


async def test_a_relation_file_whose_answer_was_lost_activates_once(trade: Trade) -> None:
    data, cases, _ = relation("PROC1")
    fields = {
        "ref_ent_id": trade.names["maker"][1],
        "file_content_string": base64.b64encode(gzip.compress(data)).decode(),
        "save_code_relation": '{"upload_file_name": "proc1.xml"}',
    }
    method = P + "drug.kyt.scqy.uploadrelation"
    trade.line.faults.append("lose_answer")
    assert await sent(trade.maker, method, fields) is None
    answer = await trade.maker.ok(method, fields)
    assert answer["result"]["response_success"] is True
    assert trade.count("SELECT count(*) FROM bill WHERE type = 1 AND bill_no LIKE %s", "JH-PROC1%") == 1
    assert trade.count("SELECT count(*) FROM unit WHERE code = %s", cases[0]) == 1
    assert trade.count("SELECT count(*) FROM top_relation WHERE file_name = %s", "proc1.xml") == 1


async def test_a_deletion_survives_the_servers_death(trade: Trade) -> None:
    bill = trade.bill()
    await trade.wholesaler.ok(UPLOAD, bill)
    fields = {"ref_ent_id": trade.names["wholesaler"][1], "bill_code": bill["bill_code"], "delete_reason": "录错",
              "mobile_phone": "13800000000", "license_token": "t"}  # fmt: skip
    done = await trade.wholesaler.ok(P + "drug.code.kyt.wes.delbillinfo", fields)
    assert done["result"]["response_success"] is True
    trade.server.kill()
    trade.server.start()
    gone = await trade.wholesaler.ok(P + "drug.code.kyt.wes.delbillinfo", fields)
    assert gone["result"]["msg_code"] == "FAIL_BIZ_NO_PAT_INFO"
    status = "SELECT count(*) FROM bill WHERE bill_no = %s AND status = 'V'"
    assert trade.count(status, bill["bill_code"]) >= 1
    assert trade.goods.cases[trade.shipped] not in trade.server.log()
