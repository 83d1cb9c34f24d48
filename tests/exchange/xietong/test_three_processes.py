"""A box between customers of two trace systems, with the coordination platform between them and a bad network (R-A4,
R-B9): three processes, each with its own database, that know each other by nothing but the envelope.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import httpx
import pytest

from access.helpers import key_headers
from circulation.helpers import Market, activate, make_market
from exchange.faults import faulty
from exchange.running import Running, running, until
from recall.helpers import draft_of, published
from registry.helpers import make_org
from yaosu.circulation.cache import BatchCache
from yaosu.db.engine import connect
from yaosu.exchange.xietong import client, hub
from yaosu.exchange.xietong.hub import SystemDraft
from yaosu.people.keeper import Keeper
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import load_registry
from yaosu.settings import master_secret
from yaosu.subject import SYSTEM

Conn: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


def keeper_of(process: Running) -> Keeper:
    return Keeper(master_secret(process.data))


@dataclass
class Firm:
    """Somebody who works in one system, by API key."""

    process: Running
    org: int
    uscc: str
    headers: dict[str, str]

    async def move(
        self, type: int, number: str, codes: list[str], status: str = "accepted", **more: Any
    ) -> dict[str, Any]:
        at = datetime.now(UTC).isoformat()
        body = {"type": type, "bill_no": number, "happened_at": at, "codes": codes, **more}
        async with httpx.AsyncClient(timeout=60) as http:
            answer = await http.post(f"{self.process.url}/api/v1/movements", json=body, headers=self.headers)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        assert said["status"] == status, said
        return said

    async def get(self, path: str, **params: str) -> Any:
        async with httpx.AsyncClient(timeout=60) as http:
            answer = await http.get(f"{self.process.url}{path}", params=params, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()


async def firm(process: Running, conn: Conn, org: int) -> Firm:
    uscc = await conn.fetchval("SELECT uscc FROM org WHERE id = $1", org)
    return Firm(process, org, uscc, await key_headers(conn, org))


async def take_part(
    platform: Conn,
    platform_keeper: Keeper,
    url: str,
    process: Running,
    conn: Conn,
    name: str,
    org: int,
    push: bool,
) -> None:
    """Registered at the platform, and connected to it."""
    draft = SystemDraft(
        name,
        query_url=f"{process.url}/q/",
        resolver_url=f"{process.url}/xietong/resolve",
        receive_url=f"{process.url}/xietong/exchange" if push else "",
    )
    async with platform.transaction():
        system, key = await hub.register(platform, SYSTEM, platform_keeper, draft)
    async with conn.transaction():
        await client.connect(
            conn, SYSTEM, keeper_of(process), org, url, system.app_id, key, allowed=frozenset({"127.0.0.1"})
        )


@pytest.mark.asyncio
async def test_a_box_travels_between_customers_of_two_systems(
    server_address: str, template_name: str, tmp_path: Path
) -> None:
    with (
        running(server_address, template_name, tmp_path / "c", {"YAOSU_ROLE": "coordination"}) as c,
        running(server_address, template_name, tmp_path / "a") as a,
        running(server_address, template_name, tmp_path / "b") as b,
    ):
        conn_a, conn_b, conn_c = [await connect(p.database) for p in (a, b, c)]
        market = await make_market(conn_a)
        goods = await activate(market, cases=2)
        seller = await make_org(conn_b, OrgType.WHOLESALER)
        shop = await make_org(conn_b, OrgType.RETAIL)
        maker = await firm(a, conn_a, market.maker)
        wholesaler, pharmacy = await firm(b, conn_b, seller), await firm(b, conn_b, shop)
        async with faulty(c.port, hang_s=1) as to_c, faulty(c.port, hang_s=1) as b_to_c:
            to_c.faults.extend(["pass", "lose_answer", "twice", "error_500", "pass", "change_answer"])
            b_to_c.faults.extend(["refuse", "pass", "twice", "cut_answer", "pass", "change_request"])
            kc = keeper_of(c)
            await take_part(conn_c, kc, to_c.url, a, conn_a, "系统甲", market.maker, push=True)
            await take_part(conn_c, kc, b_to_c.url, b, conn_b, "系统乙", seller, push=False)

            async def filed() -> bool:
                open_ = [
                    await k.fetchval("SELECT count(*) FROM xietong_filed WHERE state <> 'filed'")
                    for k in (conn_a, conn_b)
                ]
                knows = await conn_b.fetchval("SELECT count(*) FROM product")
                meets = await conn_a.fetchval("SELECT count(*) FROM org WHERE uscc = $1", pharmacy.uscc)
                return open_ == [0, 0] and knows == 1 and meets == 1

            await until(filed)
            number = await conn_a.fetchval("SELECT filing_no FROM filing")
            assert number.startswith("XT"), "the platform's number stands on the filing"
            box = goods.boxes_of(0)[0]

            # the public at B is led to A, whose system has the code
            async with httpx.AsyncClient(timeout=60) as http:
                page = await http.get(f"{b.url}/q/{box}", headers={"accept": "text/html"})
                home = (await http.get(f"{c.url}/xietong/resolve", params={"code": box})).json()
            assert "系统甲" in page.text
            assert a.url in page.text
            assert (home["system"], home["query_url"]) == ("系统甲", f"{a.url}/q/{box}")

            # more faults for what follows
            to_c.faults.extend(["lose_answer", "twice", "pass", "change_request"])
            b_to_c.faults.extend(["lose_answer", "pass", "twice", "cut_answer"])
            await maker.move(201, "CK1", [goods.cases[0]], to_org=wholesaler.uscc)

            async def announced() -> object:
                return await conn_b.fetchval("SELECT count(*) FROM notice WHERE to_org = $1", wholesaler.org)

            await until(announced)
            notices = (await wholesaler.get("/api/v1/notices"))["items"]
            assert [(n["bill_no"], n["expected"]) for n in notices] == [("CK1", 10)]
            received = await wholesaler.move(102, "RK1", [goods.cases[0]], from_org=maker.uscc, notice="CK1")
            assert received["checks"][0]["outcome"] == "matched"
            three = goods.boxes_of(0)[:3]
            await wholesaler.move(201, "XS1", three, to_org=pharmacy.uscc)
            await pharmacy.move(102, "RK2", three, from_org=wholesaler.uscc, notice="XS1")
            await pharmacy.move(321, "LS1", [box])

            async def sold() -> object:
                return await conn_a.fetchval(
                    "SELECT count(*) FROM unit WHERE code = $1 AND status = 'S'", box
                )

            await until(sold)
            # home has the whole life of the box
            authority = await firm(a, conn_a, await make_org(conn_a, OrgType.GOVERNMENT, region="370000"))
            history = await authority.get(f"/api/v1/codes/{box}/history")
            kinds = [e["bill_type"] for e in history["events"] if e["bill_type"] in (201, 102, 321)]
            assert sorted(kinds) == [102, 102, 201, 201, 321], history["events"]
            told = await conn_a.fetch("SELECT type FROM bill WHERE type IN (102, 201, 321) ORDER BY id")
            assert [r["type"] for r in told] == [201, 102, 201, 102, 321]
            checks = await conn_a.fetch("SELECT outcome FROM receipt_check ORDER BY id")
            assert [r["outcome"] for r in checks] == ["matched", "matched"]
            # A's maker recalls the batch: what B's firms have of it is stopped there, and they are asked to count it
            await published(market, conn_a, draft_of(goods))

            async def stopped() -> object:
                return await conn_b.fetchval("SELECT count(*) FROM recall_task WHERE org = $1", shop)

            await until(stopped)
            refused = await pharmacy.move(321, "LS2", [three[1]], status="refused")
            assert refused["results"][0]["verdict"] == "recalled", refused
            # nobody's goods appeared or vanished on either side
            await market.conserved()
            other = Market(conn_b, await load_registry(conn_b), BatchCache(), 0, seller, 0, shop, 0, 0, 0)
            await other.conserved()
            assert await other.stock(seller) == 7
            assert await other.stock(shop) == 2
            assert (
                await conn_a.fetchval(
                    "SELECT sum(qty)::int FROM balance b JOIN org o ON o.id = b.org "
                    "WHERE o.uscc = $1 AND b.status = 'I'",
                    wholesaler.uscc,
                )
                == 7
            )
            # what they told each other was taken once
            twice = await conn_c.fetch("SELECT event_id FROM xietong_event GROUP BY 1 HAVING count(*) > 1")
            assert twice == []

            async def all_taken() -> bool:
                return not await conn_a.fetch("SELECT state, said FROM xietong_inbox WHERE state <> 'done'")

            await until(all_taken)
        for conn in (conn_a, conn_b, conn_c):
            await conn.close()
