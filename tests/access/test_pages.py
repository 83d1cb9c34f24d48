"""The pages of access as a browser meets them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from access.helpers import PASSWORD, make_account, make_org
from yaosu.access import keys
from yaosu.access.pages import local_path
from yaosu.access.scopes import scopes_of
from yaosu.db.engine import Pool
from yaosu.subject import Subject

HTML = {"accept": "text/html"}


@pytest_asyncio.fixture(loop_scope="module")
async def browser(client: httpx.AsyncClient, pool: Pool) -> AsyncIterator[httpx.AsyncClient]:
    """Signed in as an administrator of a pharmacy."""
    async with pool.acquire() as conn:
        _, login = await make_account(conn, await make_org(conn, 4, name="示例<b>大药房</b>"), "admin")
    answer = await client.post("/login", data={"login": login, "password": PASSWORD}, headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    yield client
    client.cookies.clear()


def _csrf(page: str) -> str:
    found = re.search(r'name="_csrf" value="([^"]+)"', page)
    assert found is not None
    return found.group(1)


async def test_a_page_sends_a_stranger_to_sign_in_and_back(client: httpx.AsyncClient, pool: Pool) -> None:
    answer = await client.get("/users", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/users")
    form = await client.get("/login?next=/users", headers=HTML)
    assert 'value="/users"' in form.text
    async with pool.acquire() as conn:
        _, login = await make_account(conn, await make_org(conn), "admin")
    done = await client.post(
        "/login", data={"login": login, "password": PASSWORD, "next": "/users"}, headers=HTML
    )
    client.cookies.clear()
    assert done.headers["location"] == "/users"


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "",
        "/a\r\nset-cookie: x",
        "\\\\e",
    ],
)
def test_a_link_to_sign_in_cannot_lead_elsewhere(wanted: str) -> None:
    assert local_path(wanted) == "/"


def test_a_page_of_ours_is_a_fine_target() -> None:
    assert local_path("/bills?type=201&cursor=3") == "/bills?type=201&cursor=3"


async def test_the_page_that_was_asked_for_keeps_its_question(client: httpx.AsyncClient, pool: Pool) -> None:
    answer = await client.get("/trace?code=(01)06999900002013&x=1", headers=HTML)
    assert answer.headers["location"] == "/login?next=/trace%3Fcode%3D%2801%2906999900002013%26x%3D1"
    form = await client.get(answer.headers["location"], headers=HTML)
    assert 'name="next" value="/trace?code=(01)06999900002013&amp;x=1"' in form.text


async def test_a_link_that_names_who_is_to_sign_in_asks_whoever_is_signed_in(
    browser: httpx.AsyncClient,
) -> None:
    assert (await browser.get("/login?next=/users", headers=HTML)).headers["location"] == "/users"
    form = await browser.get("/login?next=/users&login=somebody", headers=HTML)
    assert form.status_code == 200
    assert 'value="somebody"' in form.text


async def test_a_wrong_password_shows_the_form_again_with_the_reason(client: httpx.AsyncClient) -> None:
    hostile = '"><script>alert(1)</script>'
    answer = await client.post("/login", data={"login": hostile, "password": "x"}, headers=HTML)
    assert answer.status_code == 401
    assert "用户名或密码不正确" in answer.text
    assert "<script>alert" not in answer.text
    english = await client.post(
        "/login", data={"login": "x", "password": "x"}, headers={**HTML, "accept-language": "en"}
    )
    assert "Wrong user name or password" in english.text


async def test_users_are_added_changed_and_reset_on_one_page(browser: httpx.AsyncClient, pool: Pool) -> None:
    page = await browser.get("/users", headers=HTML)
    assert page.status_code == 200
    assert "示例&lt;b&gt;大药房" in page.text
    csrf = {"_csrf": _csrf(page.text)}
    form = {**csrf, "login": "page.clerk", "name": "<i>王</i>", "role": "sales"}
    made = await browser.post("/users", data=form, headers=HTML)
    assert made.status_code == 200
    assert "page.clerk" in made.text
    assert "&lt;i&gt;王&lt;/i&gt;" in made.text
    again = await browser.post("/users", data=form, headers=HTML)
    assert again.status_code == 409
    assert "已被使用" in again.text
    async with pool.acquire() as conn:
        number = await conn.fetchval("SELECT id FROM account WHERE login = 'page.clerk'")
    reset = await browser.post(f"/users/{number}", data={**csrf, "action": "reset"}, headers=HTML)
    assert re.search(r"[a-z2-9]{4}(-[a-z2-9]{4}){3}", reset.text)
    for action in ("disable", "enable"):
        done = await browser.post(f"/users/{number}", data={**csrf, "action": action}, headers=HTML)
        assert done.headers["location"] == "/users"
    role = await browser.post(
        f"/users/{number}", data={**csrf, "action": "role", "role": "quality"}, headers=HTML
    )
    assert role.status_code == 303
    async with pool.acquire() as conn:
        row = await conn.fetchrow("SELECT role, active FROM account WHERE id = $1", number)
    assert row is not None
    assert (row["role"], row["active"]) == ("quality", True)


async def test_a_keys_secret_is_on_the_page_once(browser: httpx.AsyncClient) -> None:
    csrf = {"_csrf": _csrf((await browser.get("/keys", headers=HTML)).text)}
    form = {**csrf, "name": "POS", "scope": ["bill.read", "bill.write"], "expires_on": "2099-12-31"}
    made = await browser.post("/keys", data=form, headers=HTML)
    secret = re.search(r"yk_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", made.text)
    assert secret is not None
    page = (await browser.get("/keys", headers=HTML)).text
    assert secret.group(0) not in page
    assert "2100-01-01 00:00" in page
    for expires, reason in (
        ("2020-01-01", "必须晚于当前时间"),
        ("9999-12-31", "应为日期"),
        ("明天", "应为日期"),
    ):
        refused = await browser.post("/keys", data={**form, "expires_on": expires}, headers=HTML)
        assert refused.status_code == 422
        assert reason in refused.text
    number = re.search(r"/keys/(\d+)/revoke", page)
    assert number is not None
    ended = await browser.post(f"/keys/{number.group(1)}/revoke", data=csrf, headers=HTML)
    assert ended.status_code == 303
    client_answer = await browser.get("/api/v1/me", headers={"x-api-key": secret.group(0)})
    assert client_answer.status_code == 401


async def test_a_narrowed_account_narrows_its_keys_at_once_and_another_takes_them_over(
    browser: httpx.AsyncClient, pool: Pool
) -> None:
    csrf = {"_csrf": _csrf((await browser.get("/keys", headers=HTML)).text)}
    me = (await browser.get("/api/v1/me")).json()
    async with pool.acquire() as conn:
        number, _ = await make_account(conn, me["org_id"], "admin")
        subject = Subject("account", number, me["org_id"], "4", "admin", scopes_of("admin", "4"))
        made, secret = await keys.create_key(conn, subject, "WMS", ["bill.read", "bill.correct"])
    key = {"x-api-key": secret}
    assert "bill.correct" in (await browser.get("/api/v1/me", headers=key)).json()["scopes"]
    done = await browser.post(
        f"/users/{number}", data={**csrf, "action": "role", "role": "reader"}, headers=HTML
    )
    assert done.status_code == 303
    assert (await browser.get("/api/v1/me", headers=key)).json()["scopes"] == ["bill.read"]
    assert "部分权限失效" in (await browser.get("/keys", headers=HTML)).text
    await browser.post(f"/users/{number}", data={**csrf, "action": "disable"}, headers=HTML)
    stopped = await browser.get("/api/v1/me", headers=key)
    assert (stopped.status_code, stopped.json()["code"]) == (401, "key_maker_disabled")
    taken = await browser.post(f"/keys/{made.id}/take-over", data=csrf, headers=HTML)
    assert taken.status_code == 303
    assert len((await browser.get("/api/v1/me", headers=key)).json()["scopes"]) == 2


async def test_the_own_password_and_language_are_changed_on_the_account_page(
    browser: httpx.AsyncClient,
) -> None:
    csrf = {"_csrf": _csrf((await browser.get("/account", headers=HTML)).text)}
    differ = {**csrf, "current": PASSWORD, "new": "one-new-password", "again": "two-new-password"}
    refused = await browser.post("/account", data=differ, headers=HTML)
    assert refused.status_code == 422
    assert "不一致" in refused.text
    done = await browser.post("/account", data={**differ, "again": "one-new-password"}, headers=HTML)
    assert done.headers["location"] == "/account?done=password"
    switched = await browser.post("/lang/en", data={**csrf, "next": "/account"}, headers=HTML)
    assert (switched.headers["location"], browser.cookies["yaosu_lang"]) == ("/account", "en")
    assert 'lang="en"' in (await browser.get("/account", headers=HTML)).text
    assert (await browser.post("/lang/xx", data=csrf, headers=HTML)).status_code == 422


async def test_a_link_from_anywhere_changes_no_accounts_language(browser: httpx.AsyncClient) -> None:
    followed = await browser.get("/lang/en?next=/account", headers=HTML)
    assert (followed.headers["location"], browser.cookies["yaosu_lang"]) == ("/account", "en")
    browser.cookies.delete("yaosu_lang")
    assert (await browser.get("/api/v1/me")).json()["lang"] == "zh"
    forged = await browser.post("/lang/en", data={"next": "/account"}, headers=HTML)
    assert forged.status_code == 403
    assert (await browser.get("/api/v1/me")).json()["lang"] == "zh"


async def test_a_page_speaks_one_language_its_rooms_too(browser: httpx.AsyncClient) -> None:
    browser.cookies.set("yaosu_lang", "en")
    assert (await browser.get("/api/v1/me")).json()["lang"] == "en"
    browser.cookies.set("yaosu_lang", "zh")
    assert (await browser.get("/api/v1/me")).json()["lang"] == "zh"


async def test_the_record_of_changes_is_a_page(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/audit?action=sign_in", headers=HTML)
    assert page.status_code == 200
    assert "sign_in" in page.text
    assert page.headers["cache-control"] == "no-store"


async def test_signing_out_needs_the_pages_secret_and_ends_in_the_form(browser: httpx.AsyncClient) -> None:
    csrf = _csrf((await browser.get("/account", headers=HTML)).text)
    assert (await browser.post("/logout", headers=HTML)).status_code == 403
    out = await browser.post("/logout", data={"_csrf": csrf}, headers=HTML)
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert (await browser.get("/users", headers=HTML)).status_code == 303
