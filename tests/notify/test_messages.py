"""Messages of an organisation: told once, read by its own people, counted without a query per page (R-X2)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import httpx
import pytest

from access.helpers import key_headers, make_account, make_org, subject_of
from yaosu.db.engine import Connection, Pool
from yaosu.errors import YaosuError
from yaosu.notify import service
from yaosu.notify.unread import Unread

KIND = "notice_webhook_given_up"
PARAMS = {"url": "https://erp.example.com/in"}


async def test_the_same_news_is_told_once_and_other_news_again(db: Connection) -> None:
    org = await make_org(db)
    for ref in ("1", "1", "2"):
        await service.tell(db, org, KIND, PARAMS, "/webhooks/1", ref)
    found = await service.messages(db, await subject_of(db, org))
    assert [m.ref for m in found] == ["2", "1"]
    assert "https://erp.example.com/in" in found[0].text("zh")
    assert found[0].next_step("en")


async def test_many_organisations_hear_the_same_news_in_one_statement(db: Connection) -> None:
    orgs = [await make_org(db) for _ in range(5)]
    assert await service.tell_many(db, [*orgs, orgs[0]], KIND, PARAMS, "/webhooks", "9") == 5
    assert await service.tell_many(db, orgs, KIND, PARAMS, "/webhooks", "9") == 0
    events = {(await service.messages(db, await subject_of(db, org)))[0].event for org in orgs}
    assert len(events) == 5


async def test_news_that_nobody_registered_or_that_leads_elsewhere_is_a_defect_of_the_caller(
    db: Connection,
) -> None:
    org = await make_org(db)
    with pytest.raises(ValueError, match="no registered kind"):
        await service.tell(db, org, "not_found", {}, "/", "1")
    for link in ("https://elsewhere.example.com", "//elsewhere.example.com"):
        with pytest.raises(ValueError, match="no page of ours"):
            await service.tell(db, org, KIND, PARAMS, link, "1")


async def test_an_organisation_reads_and_marks_only_its_own_messages(db: Connection) -> None:
    ours, theirs = await make_org(db), await make_org(db)
    await service.tell(db, ours, KIND, PARAMS, "/webhooks/1", "1")
    us, them = await subject_of(db, ours), await subject_of(db, theirs)
    (mine,) = await service.messages(db, us)
    assert await service.messages(db, them) == []
    assert await service.mark_read(db, them, [mine.id]) == []
    with pytest.raises(YaosuError) as refused:
        await service.open_message(db, them, mine.id)
    assert refused.value.http == 404
    assert await service.unread(db, us) == 1
    assert await service.open_message(db, us, mine.id) == "/webhooks/1"
    assert await service.unread(db, us) == 0
    assert await service.messages(db, us, unread=True) == []


async def test_who_may_not_read_bills_may_not_read_messages(db: Connection) -> None:
    us = replace(await subject_of(db, await make_org(db)), scopes=frozenset({"product.read"}))
    with pytest.raises(YaosuError) as refused:
        await service.messages(db, us)
    assert refused.value.http == 403


async def test_the_count_in_the_bar_costs_one_query_for_everybody_who_is_looking(db: Connection) -> None:
    ours, theirs = await make_org(db), await make_org(db)
    now = [0.0]
    unread = Unread(lambda: now[0])
    assert unread.of(ours) is None
    await service.tell(db, ours, KIND, PARAMS, "/webhooks", "1")
    await service.tell(db, theirs, KIND, PARAMS, "/webhooks", "1")
    await unread.refresh(db)
    assert unread.of(ours) == 1
    assert unread.of(theirs) is None
    # what somebody read meanwhile is not overwritten by a count from before
    real: Any = db.fetch

    class Slow:
        async def fetch(self, *given: object) -> object:
            rows = await real(*given)
            unread.put(ours, 0)
            return rows

    await unread.refresh(Slow())  # type: ignore[arg-type]
    assert unread.of(ours) == 0
    await unread.refresh(db)
    assert unread.of(ours) == 1
    # nobody looks for a while: no longer counted
    now[0] = 1000.0
    await unread.refresh(db)
    assert unread.of(ours) is None


async def test_messages_over_the_api_are_paged_filtered_and_marked(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    async with pool.acquire() as conn, conn.transaction():
        org = await make_org(conn)
        for n in range(5):
            await service.tell(conn, org, KIND, PARAMS, "/webhooks", str(n))
        headers = await key_headers(conn, org)
    first = (await client.get("/api/v1/messages", params={"limit": 3}, headers=headers)).json()
    assert [m["ref"] for m in first["items"]] == ["4", "3", "2"]
    assert first["unread"] == 5
    rest = await client.get("/api/v1/messages", params={"limit": 3, "cursor": first["next"]}, headers=headers)
    assert [m["ref"] for m in rest.json()["items"]] == ["1", "0"]
    assert rest.json()["next"] is None
    ids = [m["id"] for m in first["items"]]
    done = await client.post("/api/v1/messages/read", json={"ids": ids}, headers=headers)
    assert done.json() == {"read": sorted(ids)}
    left = (await client.get("/api/v1/messages", params={"unread": True}, headers=headers)).json()
    assert [m["ref"] for m in left["items"]] == ["1", "0"]
    none = (await client.get("/api/v1/messages", params={"kind": "notice_other"}, headers=headers)).json()
    assert none["items"] == []
    kinds = (await client.get("/api/v1/messages/kinds", headers=headers)).json()["items"]
    assert KIND in [k["kind"] for k in kinds]
    assert (await client.get("/api/v1/messages")).status_code == 401


async def signed_in(client: httpx.AsyncClient, pool: Pool, org: int, role: str = "admin") -> str:
    """A browser session of somebody of `org` on the client; the CSRF token."""
    async with pool.acquire() as conn:
        _, login = await make_account(conn, org, role)
    client.cookies.clear()
    page = await client.get("/login")
    token = re.search(r'name="_csrf" value="([^"]*)"', page.text)
    form = {"login": login, "password": "correct-horse-battery", "_csrf": token.group(1) if token else ""}
    answer = await client.post("/login", data=form)
    assert answer.status_code == 303, answer.text
    page = await client.get("/account")
    found = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
    assert found is not None
    return found.group(1)


async def test_the_message_page_shows_opens_and_marks_and_the_bar_knows_the_count(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    async with pool.acquire() as conn, conn.transaction():
        org = await make_org(conn)
        for n in range(2):
            await service.tell(conn, org, KIND, PARAMS, "/stock", str(n))
    csrf = await signed_in(client, pool, org)
    page = await client.get("/messages")
    assert page.text.count("https://erp.example.com/in") >= 2
    # from then on pages know the count by memory
    assert '<b class="tabs-count">2</b>' in (await client.get("/stock")).text
    one = re.search(r'action="/messages/(\d+)/open"', page.text)
    assert one is not None
    opened = await client.post(f"/messages/{one.group(1)}/open", data={"_csrf": csrf})
    assert (opened.status_code, opened.headers["location"]) == (303, "/stock")
    assert '<b class="tabs-count">1</b>' in (await client.get("/stock")).text
    newest = re.search(r'name="up_to" value="(\d+)"', (await client.get("/messages")).text)
    assert newest is not None
    await client.post("/messages/read", data={"_csrf": csrf, "up_to": newest.group(1)})
    assert "没有未读消息" in (await client.get("/messages")).text
    assert "已读" in (await client.get("/messages?show=all")).text
    client.cookies.clear()
