"""Pages of the daily work as a browser meets them: who may open which, what they show, what a form does."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio

from access.helpers import PASSWORD, make_account, make_org
from circulation.helpers import Goods, Market, activate, make_market
from yaosu.circulation.pages_bills import spreadsheet_text
from yaosu.db.engine import Pool
from yaosu.registry.resolver import Registry

HTML = {"accept": "text/html"}
HOSTILE = "<script>alert(1)</script>医药\"'公司"

WORKING = (
    "/ship",
    "/receive",
    "/receive/new",
    "/returns",
    "/other",
    "/quarantine",
    "/bills",
    "/checks",
    "/delegations",
    "/",
)


@dataclass
class Place:
    """The market of the module, its goods, and a client that can sign in as anybody."""

    market: Market
    goods: Goods
    client: httpx.AsyncClient
    logins: dict[str, str]

    async def enter(self, who: str) -> str:
        """Sign in; the token for forms."""
        self.client.cookies.clear()
        answer = await self.client.post(
            "/login", data={"login": self.logins[who], "password": PASSWORD}, headers=HTML
        )
        assert answer.status_code == 303
        page = await self.client.get("/account", headers=HTML)
        found = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
        assert found is not None
        return found.group(1)

    async def get(self, path: str) -> httpx.Response:
        """A page."""
        return await self.client.get(path, headers=HTML)

    async def post(self, path: str, token: str, **fields: str) -> httpx.Response:
        """A form."""
        return await self.client.post(path, data={"_csrf": token, **fields}, headers=HTML)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(pool: Pool, client: httpx.AsyncClient) -> AsyncIterator[Place]:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        await conn.execute("UPDATE org SET name = $2 WHERE id = $1", market.wholesaler, HOSTILE)
        goods = await activate(market, cases=10)
        logins = {}
        for who in ("maker", "wholesaler", "pharmacy", "hospital", "other"):
            _, logins[who] = await make_account(conn, getattr(market, who), "admin")
        _, logins["reader"] = await make_account(conn, market.wholesaler, "reader")
        _, logins["quality"] = await make_account(conn, market.pharmacy, "quality")
        _, logins["regulator"] = await make_account(conn, await make_org(conn, 110, "370000"), "regulator")
        _, logins["operator"] = await make_account(conn, None, "operator")
        made = Place(market, goods, client, logins)
        registry: Registry = client._transport.app.state.yaosu.parts["registry"]  # type: ignore[attr-defined]
        await registry.refresh(conn)
        yield made
    client.cookies.clear()


@pytest.mark.parametrize(
    "path", [*WORKING, "/sell", "/consumer-returns", "/bills/1", "/receive/1", "/checks/1", "/bills.csv"]
)
async def test_a_stranger_is_sent_to_sign_in(place: Place, path: str) -> None:
    place.client.cookies.clear()
    answer = await place.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={path}")


@pytest.mark.parametrize("who", ["maker", "wholesaler", "pharmacy", "hospital"])
async def test_every_working_page_opens_for_those_whose_duty_it_is(place: Place, who: str) -> None:
    await place.enter(who)
    for path in WORKING:
        answer = await place.get(path)
        assert answer.status_code == 200, path
        assert HOSTILE not in answer.text


@pytest.mark.parametrize(
    ("who", "path", "status"),
    [
        ("reader", "/ship", 403),
        ("reader", "/receive", 403),
        ("reader", "/bills", 200),
        ("reader", "/bills.csv", 403),
        ("quality", "/sell", 403),
        ("quality", "/quarantine", 200),
        ("wholesaler", "/sell", 403),
        ("pharmacy", "/sell", 200),
        ("hospital", "/sell?type=323", 200),
        ("pharmacy", "/sell?type=323", 422),
        ("maker", "/other/205", 200),
        ("maker", "/other/101", 200),
        ("pharmacy", "/other/101", 404),
        ("pharmacy", "/other/999", 404),
        ("maker", "/ship?type=202", 200),
        ("maker", "/ship?type=321", 422),
        ("wholesaler", "/bills/999999", 404),
        ("wholesaler", "/bills/x", 422),
        ("wholesaler", "/receive/999999", 404),
        ("wholesaler", "/checks/999999", 404),
        ("regulator", "/", 200),
        ("regulator", "/ship", 403),
        ("regulator", "/bills", 200),
        ("operator", "/", 200),
        ("operator", "/bills", 200),
        ("operator", "/quarantine", 403),
    ],
)
async def test_a_page_opens_for_those_who_may_and_not_for_others(
    place: Place, who: str, path: str, status: int
) -> None:
    await place.enter(who)
    assert (await place.get(path)).status_code == status


async def test_a_hostile_name_is_shown_as_text(place: Place) -> None:
    market = place.market
    shipped = await market.ship(market.maker, market.wholesaler, place.goods.cases[:1], bill_no="CK-H")
    await place.enter("maker")
    assert "alert(1)" in (await place.get("/ship")).text
    for path in (f"/bills/{shipped.bill_id}", f"/bills/{shipped.bill_id}/note", "/bills"):
        assert "&lt;script&gt;alert" in (await place.get(path)).text
    for path in ("/ship", "/delegations", "/bills", f"/bills/{shipped.bill_id}/correct"):
        assert "<script>alert" not in (await place.get(path)).text


async def test_a_notice_shows_what_is_expected_and_its_receipt_the_check(place: Place) -> None:
    market, goods = place.market, place.goods
    shipped = await market.ship(market.maker, market.wholesaler, goods.cases[1:2], bill_no="CK-N")
    await place.enter("wholesaler")
    assert "CK-N" in (await place.get("/receive")).text
    page = (await place.get(f"/receive/{shipped.bill_id}")).text
    assert goods.batch_no in page
    assert "&#34;expected&#34;: 10" in page
    result = await market.move(
        102, market.wholesaler, [goods.cases[1], goods.cases[9]], from_org=market.maker, notice="CK-N"
    )
    bill = (await place.get(f"/bills/{result.bill_id}")).text
    assert "不通过与注意" in bill
    assert f"/checks/{result.checks[0]['id']}" in bill
    await place.enter("other")
    assert (await place.get(f"/receive/{shipped.bill_id}")).status_code == 404
    assert (await place.get(f"/bills/{result.bill_id}")).status_code == 404
    assert (await place.get(f"/checks/{result.checks[0]['id']}")).status_code == 404


async def test_the_seller_answers_a_check_once(place: Place) -> None:
    market, goods = place.market, place.goods
    await market.ship(market.maker, market.wholesaler, goods.cases[2:3], bill_no="CK-A")
    result = await market.move(
        102, market.wholesaler, [goods.cases[2], goods.cases[9]], from_org=market.maker, notice="CK-A"
    )
    path = f"/checks/{result.checks[0]['id']}"
    token = await place.enter("maker")
    blank = await place.post(path, token, kind="agreed", text=" ")
    assert blank.status_code == 422
    assert (await place.post(path, token, kind="agreed", text="已补传<b>")).status_code == 303
    page = (await place.get(path)).text
    assert "已补传&lt;b&gt;" in page
    again = await place.post(path, token, kind="disputed", text="再答")
    assert again.status_code == 409
    assert "再答" not in (await place.get(path)).text


async def test_a_whole_delivery_is_refused_with_a_reason_and_goes_back(place: Place) -> None:
    market, goods = place.market, place.goods
    shipped = await market.ship(market.maker, market.wholesaler, goods.cases[3:4], bill_no="CK-R")
    token = await place.enter("wholesaler")
    path = f"/receive/{shipped.bill_id}"
    assert (await place.post(path + "/refuse", token, bill_no="RK-R", reason="")).status_code == 422
    done = await place.post(path + "/refuse", token, bill_no="RK-R", reason="外箱破损")
    assert done.status_code == 303
    assert "外箱破损" in (await place.get(done.headers["location"])).text
    assert await market.status(goods.cases[3]) == ("O", market.maker, market.maker)
    await place.enter("maker")
    assert "RK-R" in (await place.get("/returns")).text


async def test_quarantine_is_released_only_by_quality_and_with_a_reason(place: Place) -> None:
    market, goods = place.market, place.goods
    await market.pass_on(market.maker, market.pharmacy, goods.cases[4:5])
    boxes = goods.boxes_of(4)
    await market.move(321, market.pharmacy, boxes[:2])
    await market.move(116, market.pharmacy, boxes[:2])
    token = await place.enter("pharmacy")
    page = (await place.get("/quarantine")).text
    number = re.findall(r'name="ids" value="(\d+)"', page)
    assert len(number) == 2
    nothing = await place.post(
        "/quarantine/dispose", token, way="release", bill_no="DC-1", reason_text="复检合格"
    )
    assert nothing.status_code == 422
    no_reason = await place.post("/quarantine/dispose", token, way="release", bill_no="DC-1", ids=number[0])
    assert no_reason.status_code == 422
    done = await place.post(
        "/quarantine/dispose", token, way="release", bill_no="DC-1", ids=number[0], reason_text="复检合格"
    )
    assert done.status_code == 303
    assert "复检合格" in (await place.get(done.headers["location"])).text
    assert len(re.findall(r'name="ids"', (await place.get("/quarantine")).text)) == 1
    token = await place.enter("other")
    stolen = await place.post(
        "/quarantine/dispose", token, way="release", bill_no="DC-2", ids=number[1], reason_text="x" * 5
    )
    assert stolen.status_code == 422


async def test_a_memo_of_goods_never_booked_is_closed_with_what_became_of_them(place: Place) -> None:
    market = place.market
    await market.move(102, market.hospital, ["83857939999999999999"], from_org=market.maker)
    token = await place.enter("hospital")
    number = re.search(r"/quarantine/(\d+)/dismiss", (await place.get("/quarantine")).text)
    assert number is not None
    path = f"/quarantine/{number.group(1)}/dismiss"
    assert (await place.post(path, token, disposition="")).status_code == 422
    assert (await place.post(path, token, disposition="已退回供货方")).status_code == 303
    assert (await place.post(path, token, disposition="已退回供货方")).status_code == 404
    assert "已退回供货方" in (await place.get("/quarantine?tab=closed")).text


async def test_a_bill_is_voided_with_a_reason_and_the_reason_is_what_is_kept(place: Place) -> None:
    market, goods = place.market, place.goods
    shipped = await market.ship(market.maker, market.hospital, goods.cases[5:6], bill_no="CK-V")
    token = await place.enter("maker")
    path = f"/bills/{shipped.bill_id}"
    assert (await place.post(path + "/void", token, reason="")).status_code == 422
    done = await place.post(path + "/void", token, reason="发错单位")
    assert done.status_code == 303
    assert await market.status(goods.cases[5]) == ("I", market.maker, None)
    body = await place.client.get("/api/v1" + done.headers["location"] + "/submission")
    assert "发错单位" in body.text
    assert token not in body.text
    assert (await place.post(path + "/void", token, reason="再一次")).status_code == 409


async def test_the_receiver_sees_a_bill_and_may_not_void_or_correct_it(place: Place) -> None:
    market, goods = place.market, place.goods
    shipped = await market.ship(market.maker, market.hospital, goods.cases[6:7], bill_no="CK-S")
    token = await place.enter("hospital")
    page = (await place.get(f"/bills/{shipped.bill_id}")).text
    assert f"/bills/{shipped.bill_id}/void" not in page
    assert (await place.get(f"/bills/{shipped.bill_id}/correct")).status_code == 404
    refused = await place.post(f"/bills/{shipped.bill_id}/void", token, reason="不是我的")
    assert refused.status_code in (403, 404)
    assert await market.status(goods.cases[6]) == ("O", market.maker, market.hospital)


async def test_bills_are_filtered_by_number_type_day_and_partner_and_exported(place: Place) -> None:
    market, goods = place.market, place.goods
    await market.ship(market.maker, market.other, goods.cases[7:8], bill_no="=CK-F")
    await place.enter("maker")
    one = (await place.get(f"/bills?partner={market.other}&type=201")).text
    assert "=CK-F" in one
    assert "CK-V" not in one
    assert "没有符合条件的单据" in (await place.get("/bills?since=2001-01-01&until=2001-01-02")).text
    assert (await place.get("/bills?since=2001-13-01")).status_code == 422
    table = await place.get(f"/bills.csv?partner={market.other}")
    assert table.text.startswith("\ufeff单据号")
    assert "'=CK-F" in table.text


def test_text_of_a_spreadsheet_is_never_a_formula() -> None:
    assert [spreadsheet_text(v) for v in ("=1", "@a", "-1", "甲", 7)] == ["'=1", "'@a", "'-1", "甲", 7]


async def test_numbers_proposed_follow_the_last_of_the_day(place: Place) -> None:
    market, goods = place.market, place.goods
    await place.enter("maker")
    first = (await place.client.get("/bills/next-number?prefix=ZZ")).json()["bill_no"]
    assert re.fullmatch(r"ZZ-\d{8}-0001", first)
    await market.ship(market.maker, market.other, goods.cases[8:9], bill_no=first)
    second = (await place.client.get("/bills/next-number?prefix=ZZ")).json()["bill_no"]
    assert second == first[:-1] + "2"


async def test_a_delegation_is_given_shown_to_both_and_withdrawn(place: Place) -> None:
    market = place.market
    token = await place.enter("wholesaler")
    assert (await place.post("/delegations", token, agent="", valid_until="")).status_code == 422
    assert (
        await place.post("/delegations", token, agent=str(market.other), valid_until="2001-01-01")
    ).status_code == 422
    assert (
        await place.post(
            "/delegations", token, agent=str(market.other), note="委托合同-示-7", may_read="true"
        )
    ).status_code == 303
    page = (await place.get("/delegations")).text
    number = re.search(r"/delegations/(\d+)/withdraw", page)
    assert number is not None
    stranger = await place.enter("hospital")
    assert (await place.post(f"/delegations/{number.group(1)}/accept", stranger)).status_code == 404
    agent = await place.enter("other")
    # it holds from the agent's acceptance
    assert 'name="owner"' not in (await place.get("/ship")).text
    assert (await place.post(f"/delegations/{number.group(1)}/accept", agent)).status_code == 303
    assert 'name="owner"' in (await place.get("/ship")).text
    # what was agreed, and where the agent may look
    held = (await place.get("/delegations")).text
    assert "委托合同-示-7" in held
    assert f'href="/stock?org={market.wholesaler}"' in held
    books = await place.get(f"/stock?org={market.wholesaler}")
    # a batch in them opens, without the shelf that only the owner's books as a whole tell
    batches = re.findall(r'href="(/stock\?drug=[^"]+)"', books.text)
    assert batches
    batch = await place.get(batches[0].replace("&amp;", "&"))
    assert batch.status_code == 200 and "按包装级别" not in batch.text
    assert (await place.post(f"/delegations/{number.group(1)}/accept", agent)).status_code == 409
    token = await place.enter("wholesaler")
    assert (await place.post(f"/delegations/{number.group(1)}/withdraw", token)).status_code == 303
    assert "已撤回" in (await place.get("/delegations")).text


async def test_a_form_without_its_token_changes_nothing(place: Place) -> None:
    market = place.market
    await place.enter("wholesaler")
    answer = await place.post("/delegations", "wrong", agent=str(market.pharmacy))
    assert answer.status_code == 403


async def test_looking_by_office_is_written_down(place: Place, pool: Pool) -> None:
    market = place.market
    result = await market.move(320, market.maker, [place.goods.boxes_of(8)[0]])
    del result
    await place.enter("regulator")
    assert (await place.get("/bills")).status_code == 200
    async with pool.acquire() as conn:
        told = await conn.fetch("SELECT what FROM read_record ORDER BY at DESC LIMIT 3")
    assert "bills" in {row["what"] for row in told}


@pytest.mark.parametrize(
    "path", [*WORKING, "/other/205", "/ship?type=202", "/checks?side=buyer&all=1", "/receive?tab=done"]
)
async def test_the_english_page_has_no_chinese_words_of_its_own(place: Place, path: str) -> None:
    await place.enter("hospital")
    place.client.cookies.set("yaosu_lang", "en")
    text = (await place.get(path)).text
    place.client.cookies.delete("yaosu_lang")
    main = text.split('id="main"', 1)[1].split("</main>", 1)[0]
    main = re.sub(r"<option[^>]*>.*?</option>|<code.*?</code>", "", main, flags=re.S)
    data = ("测试", "复方", "医药", "胶囊", "盒", "大药房", "医院", "退回", "发错", "外箱")
    left = [line.strip() for line in main.splitlines() if re.search(r"[\u3400-\u9fff]", line)]
    assert [line for line in left if not any(word in line for word in data)] == []
