"""App keys: made, rotated and revoked on the page and from the command line; sealed, scoped, on record (R-X10)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from access.helpers import PASSWORD, make_account, subject_of
from exchange.top.client import TopClient
from exchange.top.world import World, bill_time, make_world
from yaosu.access import accounts, service
from yaosu.access import keys as api_keys
from yaosu.errors import YaosuError
from yaosu.exchange.top import catalogue, commands, keys
from yaosu.subject import Subject

pytestmark = pytest.mark.asyncio(loop_scope="module")
ACTIVE = "alibaba.alihealth.drugtrace.top.lsyd.querycodeactive"
RETAIL = "alibaba.alihealth.drugtrace.top.lsyd.uploadretail"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(client: httpx.AsyncClient) -> AsyncIterator[World]:
    async with make_world(client) as made:
        yield made


async def asks(world: World, till: TopClient) -> bool:
    """Whether a call with this key is answered."""
    me = await world.alias(world.market.pharmacy)
    answer = await till.call(ACTIVE, {"ref_ent_id": me.ref_ent_id, "codes": "1"})
    return "error_response" not in answer


async def test_a_rotated_key_has_two_good_secrets_for_a_while_or_one(world: World) -> None:
    till = await world.client(world.market.pharmacy)
    subject, sealing = world.market.subject(world.market.pharmacy), world.app.parts["top.sealing"]
    async with world.app.pool.acquire() as conn, conn.transaction():
        new = await keys.rotate(conn, sealing, subject, till.app_key, keep_hours=1)
    world.app.parts["top.keys"].forget(till.app_key)
    assert await asks(world, till)
    assert await asks(world, TopClient(world.http, till.app_key, new))
    async with world.app.pool.acquire() as conn, conn.transaction():
        newest = await keys.rotate(conn, sealing, subject, till.app_key)
    world.app.parts["top.keys"].forget(till.app_key)
    assert not await asks(world, TopClient(world.http, till.app_key, new))
    assert await asks(world, TopClient(world.http, till.app_key, newest))


async def test_a_revoked_key_and_one_of_an_abolished_firm_are_refused(world: World) -> None:
    till = await world.client(world.market.pharmacy)
    assert await asks(world, till)
    async with world.app.pool.acquire() as conn, conn.transaction():
        await keys.revoke(conn, world.market.subject(world.market.pharmacy), till.app_key)
    world.app.parts["top.keys"].forget(till.app_key)
    assert (await till.error(ACTIVE, {}))["code"] == 29
    gone = await world.client(world.market.other)
    async with world.app.pool.acquire() as conn:
        await conn.execute("UPDATE org SET status = 0 WHERE id = $1", world.market.other)
    assert (await gone.error(ACTIVE, {}))["code"] == 29


async def test_secrets_are_sealed_to_their_key_and_never_stored_open(world: World) -> None:
    first, second = await world.client(world.market.pharmacy), await world.client(world.market.pharmacy)
    async with world.app.pool.acquire() as conn:
        sealed = await conn.fetchval("SELECT secret FROM top_key WHERE app_key = $1", first.app_key)
        rows = await conn.fetch("SELECT details::text FROM audit WHERE action LIKE 'top_key.%'")
    assert first.secret.encode() not in bytes(sealed)
    assert rows and not any(first.secret in row[0] for row in rows)
    with pytest.raises(YaosuError) as refused:
        world.app.parts["top.sealing"].open(second.app_key, sealed)
    assert refused.value.code == "top_key_unreadable"


async def test_nobody_manages_anothers_keys_or_gives_more_than_held(world: World) -> None:
    till = await world.client(world.market.pharmacy)
    stranger = world.market.subject(world.market.hospital)
    async with world.app.pool.acquire() as conn:
        for work in (
            keys.rotate(conn, world.app.parts["top.sealing"], stranger, till.app_key),
            keys.revoke(conn, stranger, till.app_key),
        ):
            with pytest.raises(YaosuError) as refused:
                await work
            assert refused.value.code == "not_found"
        assert till.app_key not in {k.app_key for k in await keys.listed(conn, stranger)}


async def key_of(world: World, maker: Subject, role: str) -> TopClient:
    """A key that this account answers for."""
    app = world.app
    async with app.pool.acquire() as conn, conn.transaction():
        made, secret = await keys.add(
            conn, app.parts["registry"], app.parts["top.sealing"], maker, "收银程序", role
        )
    return TopClient(world.http, made.app_key, secret)


async def test_a_key_never_does_more_than_the_account_behind_it_may_today(world: World) -> None:
    shop, me = world.market.pharmacy, await world.alias(world.market.pharmacy)
    sale = {"ref_user_id": me.ref_ent_id, "bill_code": "K-1", "bill_time": bill_time(), "bill_type": "321",
            "trace_codes": "83857930000000000001"}  # fmt: skip
    async with world.app.pool.acquire() as conn:
        chief, maker = await subject_of(conn, shop), await subject_of(conn, shop)
        assert maker.account_id is not None
        till = await key_of(world, maker, "sales")
        assert "error_response" not in await till.call(RETAIL, sale)
        await accounts.change_account(conn, chief, maker.account_id, role="reader")
        assert (await till.error(RETAIL, sale))["code"] == 11, "at once on this server"
        assert await asks(world, till), "asking is still in the role"
        (shown,) = (k for k in await keys.listed(conn, chief) if k.app_key == till.app_key)
        assert (shown.maker, shown.maker_active, shown.narrowed) == (maker.name, True, True)
        await accounts.change_account(conn, chief, maker.account_id, active=False)
        gone = await till.error(ACTIVE, {})
        assert (gone["code"], gone["sub_code"]) == (29, "isv.appkey-disabled")
        async with conn.transaction():
            await keys.take_over(conn, chief, till.app_key)
        world.app.parts["top.keys"].forget(till.app_key)
        assert "error_response" not in await till.call(RETAIL, sale), "the secret stays the same"


async def test_nobody_takes_over_a_key_that_may_more_or_is_somebody_elses(world: World) -> None:
    shop = world.market.pharmacy
    async with world.app.pool.acquire() as conn:
        chief = await subject_of(conn, shop)
        till = await key_of(world, chief, "admin")
        clerk = Subject("account", 1, shop, "4", "", frozenset({"key.manage", "bill.read"}))
        program = Subject("key", None, shop, "4", "", chief.scopes, session_id="none")
        stranger = await subject_of(conn, world.market.hospital)
        for who, code in (
            (clerk, "scope_beyond"),
            (program, "key_needs_account"),
            (stranger, "not_found"),
        ):
            with pytest.raises(YaosuError) as refused:
                await keys.take_over(conn, who, till.app_key)
            assert refused.value.code == code


async def test_a_key_made_by_a_program_stands_under_the_account_behind_that(world: World) -> None:
    shop = world.market.pharmacy
    async with world.app.pool.acquire() as conn:
        chief, maker = await subject_of(conn, shop), await subject_of(conn, shop)
        assert maker.account_id is not None
        _, first = await api_keys.create_key(conn, maker, "ERP", sorted(maker.scopes))
        program = (await service.authenticate_key(conn, first)).subject
        till = await key_of(world, program, "sales")
        assert await asks(world, till)
        await accounts.change_account(conn, chief, maker.account_id, active=False)
        assert (await till.error(ACTIVE, {}))["sub_code"] == "isv.appkey-disabled"


async def test_the_page_makes_rotates_and_revokes(world: World, client: httpx.AsyncClient) -> None:
    org = world.market.pharmacy
    async with world.app.pool.acquire() as conn:
        _, login = await make_account(conn, org, "admin")
    signed = await client.post("/login", data={"login": login, "password": PASSWORD})
    assert signed.status_code == 303
    page = (await client.get("/top")).text
    alias = await world.alias(org)
    assert alias.ent_id in page and alias.ref_ent_id in page and "/router/rest" in page
    token = re.search(r'name="_csrf" value="([^"]+)"', page)
    assert token is not None
    csrf = {"_csrf": token.group(1)}
    made = (await client.post("/top/keys", data={"title": "收银程序", "role": "sales", **csrf})).text
    number, secret = re.search(r"AppKey (\d{8})", made), re.search(r'data-copy="([0-9a-f]{32})"', made)
    assert number is not None and secret is not None and "收银程序" in made
    assert secret.group(1) != alias.ref_ent_id
    assert secret.group(1) not in (await client.get("/top")).text
    wrong = await client.post("/top/keys", data={"title": "", "role": "sales", **csrf})
    assert wrong.status_code == 422
    rotated = (await client.post(f"/top/keys/{number.group(1)}/rotate", data=csrf)).text
    assert "旧密钥有效至" in rotated

    def row(page: str) -> str:
        (found,) = re.findall(rf"<tr>\s*<td><code>{number.group(1)}.*?</tr>", page, re.DOTALL)
        return str(found)

    assert login in row(rotated) and "接管" not in row(rotated)
    async with world.app.pool.acquire() as conn:
        other, _ = await make_account(conn, org, "reader")
        await conn.execute("UPDATE top_key SET made_by = $2 WHERE app_key = $1", number.group(1), other)
    assert "部分权限失效" in row((await client.get("/top")).text)
    taken = await client.post(f"/top/keys/{number.group(1)}/take-over", data=csrf)
    assert taken.status_code == 303 and login in row((await client.get("/top")).text)
    ended = await client.post(f"/top/keys/{number.group(1)}/revoke", data=csrf)
    assert ended.status_code == 303
    assert "已停用" in (await client.get("/top")).text
    await client.post("/logout", data=csrf)
    client.cookies.clear()


async def test_the_table_of_methods_in_the_document_is_the_table_of_the_code() -> None:
    text = (Path(__file__).parents[3] / "docs" / "top.md").read_text("utf-8")
    assert catalogue.written(text) == text, "run: yaosu top methods --write docs/top.md"
    entries = catalogue.entries()
    assert len(entries) == 336
    assert [e.name for e in entries if not e.done and not e.why] == []


async def test_the_command_prints_the_table_and_refuses_in_words(tmp_path: Path) -> None:
    shown = CliRunner().invoke(commands.app, ["methods"])
    assert shown.exit_code == 0
    assert "| `alibaba.alihealth.drugtrace.top.lsyd.uploadretail` | T | yes |" in shown.stdout
    copy = tmp_path / "top.md"
    copy.write_text(f"# x\n\n{catalogue.START}\nold\n{catalogue.END}\nend\n")
    assert CliRunner().invoke(commands.app, ["methods", "--write", str(copy)]).exit_code == 0
    assert copy.read_text() == f"# x\n\n{catalogue.table()}\nend\n"
