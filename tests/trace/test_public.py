"""The public's page: the standard's fields, nothing about the trade, no hint which codes exist (R-G1, standards §7)."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from html import unescape
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from circulation.helpers import Goods, Market, activate, make_market
from registry.helpers import make_filing, make_product
from yaosu.access.limits import RateLimit
from yaosu.db.engine import Pool
from yaosu.registry.resolver import load_registry
from yaosu.trace.parts import client_of, trusted_proxies
from yaosu.trace.public import QueryCounter

GTIN = "06901234567892"


@dataclass
class Street:
    """A market on the module's database, and goods of it in every interesting state."""

    market: Market
    goods: Goods
    expired: Goods
    gs1: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(pool: Pool, client: httpx.AsyncClient) -> Street:
    """Goods sold by a pharmacy, travelling, expired; and a product with GS1 codes."""
    async with pool.acquire() as conn:
        market = await make_market(conn)
        goods = await activate(market, cases=4)
        expired = await activate(market, expires_on=date(2026, 3, 31))
        await market.pass_on(market.maker, market.wholesaler, goods.cases[:3])
        await market.pass_on(market.wholesaler, market.pharmacy, goods.cases[:1])
        await market.move(321, market.pharmacy, goods.boxes[:1])
        await market.ship(market.wholesaler, market.hospital, goods.cases[1:2])
        imported = await make_product(
            conn,
            market.maker,
            levels=(("盒", 1, GTIN),),
            scheme="gs1",
            approval_no="国药准字HJ20230011",
            generic_name="进口测试片",
        )
        gs1 = f"(01){GTIN}(21)AB/7"
        batch = await conn.fetchval(
            "INSERT INTO batch (drug_id, batch_no, maker, produced_on, expires_on) VALUES ($1, 'J1', $2, $3, $4) "
            "RETURNING id",
            imported,
            market.maker,
            date(2026, 1, 1),
            date(2029, 1, 1),
        )
        await conn.execute(
            "INSERT INTO unit (last_bill, drug_id, batch_id, level, code, status, holder, since) "
            "VALUES (1, $1, $2, 1, $3, 'I', $4, $5)",
            imported,
            batch,
            gs1,
            market.maker,
            datetime(2026, 2, 1, tzinfo=UTC),
        )
        system = await conn.fetchval(
            "INSERT INTO trace_system (name, operator, query_url, own) "
            "VALUES ('他家追溯', '他家', 'https://other.example/q', false) RETURNING id"
        )
        await make_filing(conn, market.maker, ["8111111"], system_id=system)
        market.registry = await load_registry(conn)
        transport = client._transport
        registry = transport.app.state.yaosu.parts["registry"]  # type: ignore[attr-defined]
        transport.app.state.yaosu.parts["trace.limit"] = RateLimit(6000, 1000)  # type: ignore[attr-defined]
        await registry.refresh(conn)
    return Street(market, goods, expired, gs1)


def _text(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


async def test_the_page_shows_the_standards_groups_in_order(
    client: httpx.AsyncClient, street: Street
) -> None:
    page = await client.get(f"/q/{street.goods.boxes[0]}")
    assert page.status_code == 200
    text = _text(page.text)
    order = [
        "药品追溯码",
        "码查询次数",
        "基本信息",
        "药品通用名称",
        "药品本位码",
        "制剂规格",
        "生产信息",
        "药品生产日期",
    ]
    order += [
        "药品生产批号",
        "类别属性",
        "处方药标识",
        "厂商信息",
        "上市许可持有人名称",
        "销售信息",
        "售出状态",
    ]
    places = [text.index(label) for label in order]
    assert places == sorted(places)
    assert "进口药品注册证号" not in text
    assert "—" in text


async def test_an_imported_medicine_has_the_imported_layout(
    client: httpx.AsyncClient, street: Street
) -> None:
    text = _text((await client.get("/q/" + quote(street.gs1, safe=""))).text)
    assert "进口药品注册证号" in text
    assert "进口药品代理企业名称" in text


@pytest.mark.parametrize(
    "path", ["/c/{}", "/01/06901234567892/21/AB%2F7", "/01/06901234567892/10/J1/21/AB%2F7"]
)
async def test_qr_addresses_lead_to_the_same_answer(
    client: httpx.AsyncClient, street: Street, path: str
) -> None:
    page = await client.get(path.format(quote(street.gs1, safe="")))
    assert page.status_code == 200
    assert "进口测试片" in page.text


async def test_a_typed_code_gets_its_own_address(client: httpx.AsyncClient, street: Street) -> None:
    assert "药品追溯码" in (await client.get("/q")).text
    answer = await client.get("/q", params={"code": street.gs1})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/q/" + quote(street.gs1, safe="")


async def test_who_sold_it_is_shown_and_nobody_in_between(client: httpx.AsyncClient, street: Street) -> None:
    market, goods = street.market, street.goods

    def name(org: int) -> str:
        card = market.registry.org(org)
        assert card is not None
        return card.name

    sold = _text((await client.get(f"/q/{goods.boxes[0]}")).text)
    assert name(market.pharmacy) in sold
    assert "S：已售出" in sold
    for code in (goods.boxes[0], goods.boxes[1], goods.boxes[10], goods.cases[1], goods.cases[2]):
        text = _text((await client.get(f"/q/{code}")).text)
        assert name(market.wholesaler) not in text
        assert name(market.hospital) not in text
        if code != goods.boxes[0]:
            assert name(market.pharmacy) not in text


async def test_no_quantity_bill_or_package_around_is_shown(client: httpx.AsyncClient, street: Street) -> None:
    page = (await client.get(f"/q/{street.goods.boxes[1]}")).text
    assert street.goods.cases[0] not in page
    assert "最小包装数" not in page
    api = (await client.get(f"/api/v1/public/codes/{street.goods.boxes[1]}")).json()
    assert set(api) == {"code", "status", "recall", "message", "tone", "notices", "queries", "groups"}
    case = (await client.get(f"/api/v1/public/codes/{street.goods.cases[2]}")).text
    assert '"qty"' not in case
    assert "holder" not in case


@pytest.mark.parametrize(
    ("which", "wording"), [("sold", "已售出"), ("expired", "已过有效期"), ("stock", "正常流通")]
)
async def test_states_have_fixed_wordings(
    client: httpx.AsyncClient, street: Street, which: str, wording: str
) -> None:
    codes = {
        "sold": street.goods.boxes[0],
        "expired": street.expired.boxes[0],
        "stock": street.goods.boxes[30],
    }
    body = (await client.get(f"/api/v1/public/codes/{codes[which]}")).json()
    assert wording in body["message"]


async def test_codes_nobody_activated_answer_the_same_whether_issued_or_not(
    client: httpx.AsyncClient, street: Street
) -> None:
    def without(text: str, code: str) -> str:
        text = re.sub(r'name="csrf-token" content="[^"]*"', "", text).replace(code, "*")
        return re.sub(r'(<span class="g">)\d+', r"\1", text)

    known_prefix, unknown_prefix = "83857930000009999999", "99999990000009999999"
    pages = [await client.get(f"/q/{code}") for code in (known_prefix, unknown_prefix)]
    assert [p.status_code for p in pages] == [404, 404]
    assert without(pages[0].text, known_prefix) == without(pages[1].text, unknown_prefix)
    api = [await client.get(f"/api/v1/public/codes/{code}") for code in (known_prefix, unknown_prefix)]
    assert api[0].json() == api[1].json()


async def test_a_code_of_another_system_is_led_home(client: httpx.AsyncClient, street: Street) -> None:
    page = await client.get("/q/81111110000000000001")
    assert "他家追溯" in page.text
    assert 'href="https://other.example/q"' in page.text


@pytest.mark.parametrize(
    "junk", ["%3Cscript%3Ealert(1)%3C/script%3E", "'; DROP TABLE unit;--", "..%2F..%2Fetc", "6901234567892"]
)
async def test_junk_gets_a_clear_page_and_never_runs(
    client: httpx.AsyncClient, street: Street, junk: str
) -> None:
    page = await client.get(f"/q/{junk}")
    assert page.status_code == 404
    assert "<script>alert" not in page.text


async def test_queries_are_counted_from_the_first_and_repeats_are_told(
    client: httpx.AsyncClient, street: Street, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = street.goods.boxes[31]
    # a counter of our own: the server writes its own every two seconds, and may be about to
    parts = client._transport.app.state.yaosu.parts  # type: ignore[attr-defined]
    monkeypatch.setitem(parts, "trace.counter", QueryCounter())
    first = (await client.get(f"/api/v1/public/codes/{code}")).json()
    assert first["queries"]["count"] == 1
    assert first["notices"] == []
    await parts["trace.counter"].flush(pool)
    second = (await client.get(f"/api/v1/public/codes/{code}")).json()
    assert second["queries"] == {"count": 2, "first_at": first["queries"]["first_at"]}
    assert [n["code"] for n in second["notices"]] == ["public_repeated"]
    await parts["trace.counter"].flush(pool)
    stored = await pool.fetchval("SELECT count FROM public_query_count WHERE code = $1", code)
    assert stored == 2


async def test_concurrent_counts_add_up(street: Street, pool: Pool) -> None:
    counters = [QueryCounter() for _ in range(4)]
    now = datetime.now(UTC)
    for n, counter in enumerate(counters):
        for _ in range(5):
            counter.note((street.goods.drug_id, "X1"), now - timedelta(hours=n))
    await asyncio.gather(*(counter.flush(pool) for counter in counters))
    row = await pool.fetchrow("SELECT * FROM public_query_count WHERE code = 'X1'")
    assert row is not None
    assert (row["count"], row["first_at"]) == (20, now - timedelta(hours=3))


async def test_an_address_that_asks_too_often_is_told_when_to_come_back(
    client: httpx.AsyncClient, street: Street
) -> None:
    parts = client._transport.app.state.yaosu.parts  # type: ignore[attr-defined]
    kept = parts["trace.limit"]
    parts["trace.limit"] = RateLimit(1, 2)
    try:
        answers = [await client.get(f"/api/v1/public/codes/{street.goods.boxes[5]}") for _ in range(3)]
        page = await client.get("/q/1", headers={"accept": "text/html", "x-forwarded-for": "203.0.113.9"})
    finally:
        parts["trace.limit"] = kept
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert int(answers[2].headers["retry-after"]) >= 1
    assert page.status_code == 429


def test_only_a_trusted_proxy_may_say_who_asks() -> None:
    proxies = trusted_proxies("10.0.0.0/8, 192.0.2.1")
    assert client_of("203.0.113.5", "198.51.100.7", proxies) == "203.0.113.5"
    assert client_of("10.1.1.1", "198.51.100.7", proxies) == "198.51.100.7"
    assert client_of("10.1.1.1", "1.1.1.1, 198.51.100.7, 10.2.2.2", proxies) == "198.51.100.7"
    assert client_of("10.1.1.1", "", proxies) == "10.1.1.1"
    assert client_of("unix", "1.1.1.1", proxies) == "unix"
    with pytest.raises(ValueError, match="nonsense"):
        trusted_proxies("nonsense")


async def test_the_page_is_in_english_on_request(client: httpx.AsyncClient, street: Street) -> None:
    page = await client.get(f"/q/{street.goods.boxes[30]}?lang=en")
    assert "Generic name" in page.text
    assert "in regular circulation" in page.text
