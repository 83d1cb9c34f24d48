"""A pharmacy with ephedrine compounds on the shelf, over HTTP, for tests of real-name sales."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from access.helpers import key_headers
from circulation.helpers import Goods, Market, activate, make_market
from registry.helpers import make_org, make_product
from yaosu.db.engine import Connection, Pool
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import load_registry

_numbers = itertools.count(1)
_prefixes = itertools.count(8_300_000)


@dataclass
class Till:
    """One shop's way to the server."""

    client: httpx.AsyncClient
    org: int
    headers: dict[str, str]
    boxes: list[str] = field(default_factory=list)

    async def post(self, path: str, body: dict[str, Any], status: int = 200) -> Any:
        """The answer's JSON, or its bytes when it is a file."""
        answer = await self.client.post("/api/v1" + path, json=body, headers=self.headers)
        assert answer.status_code == status, answer.text
        return answer.json() if "json" in answer.headers["content-type"] else answer.content

    def sale(self, codes: Sequence[str] | int = 1, **more: Any) -> dict[str, Any]:
        """A sale of the next boxes on the shelf."""
        taken = [self.boxes.pop() for _ in range(codes)] if isinstance(codes, int) else list(codes)
        at = datetime.now(UTC) - timedelta(minutes=5)
        return {
            "type": 321,
            "bill_no": f"LS{next(_numbers)}",
            "happened_at": at.isoformat(),
            "codes": taken,
            **more,
        }


@dataclass
class Street:
    """Two pharmacies of one region, a third elsewhere, the region's regulator, and a product of each kind."""

    market: Market
    drug: int
    goods: Goods
    here: Till
    there: Till
    far: Till
    office: Till


async def make_street(client: httpx.AsyncClient, pool: Pool, boxes: int = 20) -> Street:
    """Committed, so that the server sees it."""
    async with pool.acquire() as conn:
        market = await make_market(conn)
        prefixes = tuple(str(next(_prefixes)) for _ in range(3))
        drug = await make_product(
            conn,
            market.maker,
            levels=tuple(
                (n, u, p) for (n, u), p in zip((("盒", 1), ("箱", 10), ("托盘", 40)), prefixes, strict=True)
            ),
            flags=("ephedrine",),
            prescription="otc_a",
            generic_name="复方盐酸伪麻黄碱缓释胶囊",
        )
        market = replace(
            market,
            registry=await load_registry(conn),
            drug_id=drug,
            prefixes=(prefixes[0], prefixes[1], prefixes[2]),
        )
        goods = await activate(market, cases=max(3, boxes * 3 // 10))
        tills = []
        for number, region in enumerate(("650102", "650102", "370102")):
            org = await make_org(conn, OrgType.RETAIL, region=region, sub_type=44)
            market.registry = await load_registry(conn)
            share = goods.boxes[number::3]
            await market.pass_on(market.maker, org, share)
            tills.append(Till(client, org, await key_headers(conn, org), share))
        office = await make_org(conn, OrgType.GOVERNMENT, region="650000")
        scopes = ["supervise.read", "person.read", "person.unmask", "export.read", "bill.read"]
        regulator = Till(client, office, await key_headers(conn, office, scopes))
    await settled(client, tills[0], drug)
    return Street(market, drug, goods, *tills, regulator)


async def settled(client: httpx.AsyncClient, till: Till, drug: int) -> None:
    """Until the server's registry has taken the new products in."""
    import asyncio

    end = asyncio.get_running_loop().time() + 90
    while asyncio.get_running_loop().time() < end:
        found = await client.get(f"/api/v1/products/{drug}", headers=till.headers)
        asked = await client.post(
            "/api/v1/movements/check",
            json={"codes": till.boxes[:1], "context": {"type": 321}},
            headers=till.headers,
        )
        if found.status_code == 200 and asked.json()["results"][0]["severity"] == "ok":
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the server never saw the product")


async def dump(conn: Connection) -> str:
    """Everything in the database as one text, bytes looked into."""
    import zlib

    tables = await conn.fetch(
        "SELECT format('%I.%I', schemaname, tablename) AS t FROM pg_tables "
        "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    found = [r["r"] for t in tables for r in await conn.fetch(f"SELECT x::text AS r FROM {t['t']} x")]
    for row in await conn.fetch("SELECT body FROM submission"):
        body = row["body"]
        try:
            found.append(zlib.decompress(body).decode("latin-1"))
        except zlib.error:
            found.append(body.decode("latin-1"))
    return "\n".join(found)
