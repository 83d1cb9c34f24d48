"""A firm tries its integration on a small world of its own, and begins anew whenever it likes (R-I1)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import httpx
import pytest_asyncio

from access.helpers import key_headers
from circulation.helpers import make_market
from yaosu.db.engine import Pool
from yaosu.sandbox.service import expires_of

Headers = dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def firm(pool: Pool, client: httpx.AsyncClient) -> Headers:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        registry = client._transport.app.state.yaosu.parts["registry"]  # type: ignore[attr-defined]
        await registry.refresh(conn)
        return await key_headers(conn, market.wholesaler)


async def key(client: httpx.AsyncClient, firm: Headers, role: str) -> Headers:
    made = await client.post("/api/v1/sandbox/keys", json={"role": role}, headers=firm)
    assert made.status_code == 201, made.text
    return {"authorization": f"Bearer {made.json()['secret']}"}


async def stock(client: httpx.AsyncClient, who: Headers) -> int:
    items = (await client.get("/api/v1/stock", headers=who)).json()["items"]
    return sum(i["qty"] for i in items if i["status"] == "I")


async def test_a_sandbox_has_stock_and_deliveries_and_is_reset_under_the_same_keys(
    client: httpx.AsyncClient, firm: Headers, pool: Pool
) -> None:
    assert (await client.get("/api/v1/sandbox", headers=firm)).json()["generation"] == 0
    assert (
        await client.post("/api/v1/sandbox/keys", json={"role": "maker"}, headers=firm)
    ).status_code == 404
    made = await client.post("/api/v1/sandbox/reset", headers=firm)
    assert made.status_code == 200, made.text
    first = made.json()
    assert {o["role"] for o in first["organisations"]} == {"maker", "wholesaler", "pharmacy", "hospital"}
    assert [p["identifiers"][0][:1] for p in first["products"]] == ["7", "0"]
    wholesaler = await key(client, firm, "wholesaler")
    pharmacy = await key(client, firm, "pharmacy")
    before = await stock(client, wholesaler), await stock(client, pharmacy)
    assert before == (20, 20)
    (case, *_) = (await client.get("/api/v1/notices?state=open", headers=pharmacy)).json()["items"]
    notice = (await client.get(f"/api/v1/notices/{case['bill_id']}", headers=pharmacy)).json()
    codes = [p["code"] for p in notice["packages"]]
    bill = {
        "type": 102,
        "bill_no": "ISV-1",
        "happened_at": "2026-11-21T10:00:00+08:00",
        "codes": codes,
        "notice": case["bill_no"],
        "from_org": case["from_org"]["id"],
    }
    # business time of the notice is later than that: the verdict says so, as in production
    received = await client.post("/api/v1/movements", json=bill, headers=pharmacy)
    assert received.status_code == 200 and received.json()["status"] in ("accepted", "partial"), received.text
    again = await client.post("/api/v1/sandbox/reset", headers=firm)
    second = again.json()
    assert second["generation"] == 2
    assert {o["org_id"] for o in second["organisations"]}.isdisjoint(
        o["org_id"] for o in first["organisations"]
    )
    assert (await stock(client, wholesaler), await stock(client, pharmacy)) == before
    off = await pool.fetch("SELECT drug_id, sum(qty) FROM balance GROUP BY 1 HAVING sum(qty) <> 0")
    assert off == []


async def test_a_server_that_died_while_it_built_locks_nobody_out(
    client: httpx.AsyncClient, firm: Headers, pool: Pool
) -> None:
    before = (await client.get("/api/v1/sandbox", headers=firm)).json()["generation"]
    org = (await client.get("/api/v1/me", headers=firm)).json()["org_id"]
    begun = "UPDATE sandbox SET building = true, begun_at = now() - $2::interval WHERE org = $1"
    await pool.execute(begun, org, timedelta(minutes=9))
    refused = await client.post("/api/v1/sandbox/reset", headers=firm)
    assert (refused.status_code, refused.json()["code"]) == (409, "sandbox_building")
    await pool.execute(begun, org, timedelta(minutes=11))
    made = await client.post("/api/v1/sandbox/reset", headers=firm)
    assert (made.status_code, made.json()["generation"], made.json()["building"]) == (200, before + 1, False)


async def test_a_sandbox_has_no_sandbox_and_its_keys_end(client: httpx.AsyncClient, firm: Headers) -> None:
    await client.post("/api/v1/sandbox/reset", headers=firm)
    maker = await key(client, firm, "maker")
    inside = await client.post("/api/v1/sandbox/reset", headers=maker)
    assert inside.status_code in (403, 409), inside.text
    shown = (await client.get("/api/v1/sandbox", headers=firm)).json()
    number = next(k["id"] for k in shown["keys"] if k["role"] == "maker")
    assert (await client.delete(f"/api/v1/sandbox/keys/{number}", headers=firm)).status_code == 204
    assert (await client.get("/api/v1/me", headers=maker)).status_code == 401


async def test_sandbox_trade_is_told_to_nobody(pool: Pool) -> None:
    orgs = await pool.fetchval("SELECT count(*) FROM sandbox_org")
    assert orgs >= 4
    from yaosu.notify.routed import Routed

    routed = Routed()
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute(
            "INSERT INTO connection (org, everyone, channel, title, url) VALUES (1, true, 'jianguan', 't', 'u')"
        )
        await conn.execute("UPDATE route_version SET version = version + 1")
        await routed.at(conn, await conn.fetchval("SELECT version FROM route_version"))
        inside = await conn.fetchval("SELECT org FROM sandbox_org LIMIT 1")
        assert not routed.concerns(inside) and routed.concerns(1)
        raise_ = conn.execute("DELETE FROM connection WHERE title = 't'")
        await raise_


async def test_neither_a_regulator_nor_other_systems_hear_of_a_sandbox(pool: Pool) -> None:
    """What is tried out is no trade: the feed and the filed base data leave it out."""
    from yaosu.exchange.basedata import everything
    from yaosu.exchange.jianguan import store_feed
    from yaosu.registry.resolver import load_registry

    async with pool.acquire() as conn:
        inside = {r["org"] for r in await conn.fetch("SELECT org FROM sandbox_org")}
        bills = await conn.fetchval("SELECT count(*) FROM bill WHERE owner = ANY($1::int[])", sorted(inside))
        assert bills > 0
        since = datetime(2020, 1, 1, tzinfo=UTC)
        numbered = [r["id"] for r in await conn.fetch(store_feed.FRESH, 999, 0, since, "", 10_000)]
        owners = await conn.fetch("SELECT DISTINCT owner FROM bill WHERE id = ANY($1::bigint[])", numbered)
        assert not inside & {r["owner"] for r in owners}
        registry = await load_registry(conn)
        filed = await everything(conn, registry)
        names = {registry.org(o).uscc for o in inside}  # type: ignore[union-attr]
        assert not names & {item.firm for item in filed}


def test_goods_made_on_a_leap_day_have_a_last_day() -> None:
    """A sandbox that was reset sixty days after one, on 29 April 2028, could not be built."""
    days = [date(2028, 2, 28), date(2028, 2, 29), date(2028, 3, 1)]
    assert [expires_of(d) for d in days] == [date(2031, 2, 27), date(2031, 2, 27), date(2031, 2, 28)]
