"""The pages of real-name sales, as a pharmacist, an inspector and a stranger see them (R-C2)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from access.helpers import PASSWORD, make_account
from dispensing.realname_world import Street, make_street
from people.helpers import card
from yaosu.db.engine import Pool

NAME, NUMBER = "迪丽努尔", card("650102", "19790305", 77)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(client: httpx.AsyncClient, pool: Pool) -> Street:
    """A street on which somebody bought."""
    made = await make_street(client, pool, 30)
    who = {"kind": "1", "number": NUMBER, "name": NAME}
    sold = await made.here.post("/dispensing/sales", made.here.sale(2, person=who))
    assert sold["status"] == "accepted"
    return made


async def signed_in(client: httpx.AsyncClient, pool: Pool, org: int, role: str) -> httpx.AsyncClient:
    """A browser of somebody with that post."""
    async with pool.acquire() as conn:
        _, login = await make_account(conn, org, role)
    browser = httpx.AsyncClient(
        transport=client._transport, base_url="http://test", headers={"accept": "text/html"}
    )
    answer = await browser.post("/api/v1/sessions", json={"login": login, "password": PASSWORD})
    assert answer.status_code in (200, 201), answer.text
    return browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def counter(client: httpx.AsyncClient, pool: Pool, street: Street) -> AsyncIterator[httpx.AsyncClient]:
    """The shop's administrator at the browser."""
    browser = await signed_in(client, pool, street.here.org, "admin")
    yield browser
    await browser.aclose()


async def token(browser: httpx.AsyncClient, path: str) -> str:
    """The form's token."""
    found = re.search(r'name="_csrf" value="([^"]+)"', (await browser.get(path)).text)
    assert found is not None
    return found.group(1)


async def test_the_till_asks_for_a_document_and_shows_the_rules(counter: httpx.AsyncClient) -> None:
    page = (await counter.get("/sell/real-name")).text
    assert "data-person-box" in page
    assert "外国人永久居留身份证" in page
    assert "国食药监办〔2012〕260号" in page
    # of the two entries that the address lies under only the closer one is marked
    assert page.count('href="/sell/real-name" aria-current="page"') == 1
    assert 'href="/sell" aria-current="page"' not in page


async def test_the_register_shows_masks_and_finds_a_buyer_by_document(counter: httpx.AsyncClient) -> None:
    page = (await counter.get("/real-name")).text
    assert "迪***" in page
    assert NUMBER not in page
    assert NAME not in page
    csrf = await token(counter, "/real-name")
    found = await counter.post("/real-name/person", data={"_csrf": csrf, "kind": "1", "number": NUMBER})
    assert "迪***" in found.text
    assert NUMBER not in found.text
    other = await counter.post("/real-name/person", data={"_csrf": csrf, "kind": "1", "number": card()})
    assert "没有符合条件的登记" in other.text
    wrong = await counter.post("/real-name/person", data={"_csrf": csrf, "kind": "1", "number": "123"})
    assert "18 位" in wrong.text


async def test_filters_narrow_the_register(counter: httpx.AsyncClient, street: Street) -> None:
    for query, seen in (
        ("product=伪麻黄碱", True),
        ("product=阿莫西林", False),
        (f"batch_no={street.goods.batch_no}", True),
        ("batch_no=X", False),
        ("until=2020-01-01", False),
        ("since=2020-02-31", True),
    ):
        page = (await counter.get(f"/real-name?{query}")).text
        assert ("迪***" in page) is seen, query


async def test_somebody_is_seen_in_full_only_after_a_reason(counter: httpx.AsyncClient, pool: Pool) -> None:
    page = (await counter.get("/real-name")).text
    found = re.search(r'href="(/real-name/people/\d+)"', page)
    assert found is not None
    asked = (await counter.get(found.group(1))).text
    assert NAME not in asked
    csrf = await token(counter, found.group(1))
    short = await counter.post(found.group(1), data={"_csrf": csrf, "reason": "查"})
    assert short.status_code == 422
    assert NAME not in short.text
    opened = await counter.post(found.group(1), data={"_csrf": csrf, "reason": "药监检查第3号"})
    assert NAME in opened.text
    assert NUMBER in opened.text
    assert opened.headers["cache-control"] == "no-store"
    async with pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM audit WHERE action = 'person.unmask'") == 1


async def test_the_printout_and_the_files(counter: httpx.AsyncClient) -> None:
    paper = (await counter.get("/real-name/print")).text
    assert "迪***" in paper
    assert NUMBER not in paper
    csrf = await token(counter, "/real-name")
    for kind, start in (("pdf", b"%PDF"), ("xlsx", b"PK")):
        made = await counter.post("/real-name/file", data={"_csrf": csrf, "format": kind})
        assert made.content.startswith(start)
    refused = await counter.post("/real-name/file", data={"_csrf": csrf, "format": "pdf", "full": "1"})
    assert refused.status_code == 422


async def test_repeated_buying_has_a_page(counter: httpx.AsyncClient) -> None:
    page = await counter.get("/real-name/repeat")
    assert page.status_code == 200
    assert "没有达到预警条件的购买人" in page.text


async def test_a_clerk_sees_masks_but_no_way_to_open_them(
    client: httpx.AsyncClient, pool: Pool, street: Street
) -> None:
    clerk = await signed_in(client, pool, street.here.org, "sales")
    page = (await clerk.get("/real-name")).text
    assert "迪***" in page
    assert "/real-name/people/" not in page
    person = await pool.fetchval("SELECT max(id) FROM people.person")
    assert (await clerk.get(f"/real-name/people/{person}")).status_code == 403
    await clerk.aclose()


async def test_the_regions_inspector_sees_all_shops_and_another_shop_nothing(
    client: httpx.AsyncClient, pool: Pool, street: Street
) -> None:
    inspector = await signed_in(client, pool, street.office.org, "regulator_admin")
    assert "迪***" in (await inspector.get("/real-name")).text
    assert (await inspector.get("/sell/real-name")).status_code == 403
    neighbour = await signed_in(client, pool, street.there.org, "admin")
    assert "迪***" not in (await neighbour.get("/real-name")).text
    person = await pool.fetchval("SELECT max(id) FROM people.person")
    assert (await neighbour.get(f"/real-name/people/{person}")).status_code == 404
    await inspector.aclose()
    await neighbour.aclose()


async def test_odd_input_gets_a_clear_refusal(counter: httpx.AsyncClient) -> None:
    csrf = await token(counter, "/real-name")
    assert (await counter.get("/real-name", params={"product": "a\x01b"})).status_code == 422
    assert (await counter.get("/real-name", params={"after": "1.1"})).status_code == 422
    page = (await counter.get("/real-name")).text
    found = re.search(r'href="(/real-name/people/\d+)"', page)
    assert found is not None
    for reason, status in (("检查\x00检查检查", 400), ("检查\x01检查检查", 422), ("x" * 250, 422)):
        answer = await counter.post(found.group(1), data={"_csrf": csrf, "reason": reason})
        assert answer.status_code == status
    answer = await counter.post("/real-name/person", data={"_csrf": csrf, "kind": "77", "number": "\x02"})
    assert answer.status_code in (200, 422)
    assert "代码表" in answer.text or "控制字符" in answer.text
    answer = await counter.post("/real-name/file", data={"_csrf": csrf, "format": "exe"})
    assert answer.status_code == 422
