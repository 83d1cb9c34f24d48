"""`yaosu webhook` and `yaosu grant` do what pages and API do."""

from __future__ import annotations

import re
from pathlib import Path

import asyncpg
import orjson
import pytest
from typer.testing import CliRunner

from access.helpers import make_org
from notify.helpers import receiving
from registry.helpers import make_org as make_real_org
from registry.helpers import make_product
from yaosu.db.engine import Pool
from yaosu.grants.commands import app as grant
from yaosu.notify.commands import app as webhook
from yaosu.notify.commands_messages import app as message
from yaosu.notify.service import tell


@pytest.fixture
def here(database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YAOSU_DATABASE_URL", database)
    monkeypatch.setenv("YAOSU_DATA", str(tmp_path))
    monkeypatch.setenv("YAOSU_WEBHOOK_HOSTS", "127.0.0.1")


async def _do(app: object, *words: object, code: int = 0) -> str:
    """The output of a command, run beside the loop that the receiver lives on."""
    import asyncio

    done = await asyncio.to_thread(CliRunner().invoke, app, [str(w) for w in words])  # type: ignore[arg-type]
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


async def test_a_webhook_is_added_listed_tested_and_replayed(pool: Pool, here: None) -> None:
    async with pool.acquire() as conn:
        org = await make_org(conn)
    async with receiving() as receiver:
        made = await _do(webhook, "add", "--org", org, receiver.url)
        number = re.search(r"#(\d+)", made)
        assert number is not None and "whs_" in made
        listed = await _do(webhook, "list", "--org", org)
        assert "127.0.0.1" in listed and "whs_" not in listed
        assert "200" in await _do(webhook, "test", "--org", org, number.group(1))
        assert receiver.got[0].headers["yaosu-event-kind"] == "webhook_test"
    await _do(webhook, "test", "--org", org, number.group(1), code=1)
    assert "0" in await _do(webhook, "replay", "--org", org, number.group(1), "--since", "2026-01-01")
    await _do(webhook, "add", "--org", org, "http://10.0.0.1/in", code=1)
    await _do(webhook, "replay", "--org", org + 1, number.group(1), code=1)


async def test_a_grant_and_a_group_go_their_way_from_the_command_line(pool: Pool, here: None) -> None:
    async with pool.acquire() as conn, conn.transaction():
        maker, wholesaler = await make_real_org(conn), await make_real_org(conn, 2)
        hospital, clinic = await make_real_org(conn, 3), await make_real_org(conn, 3)
        drug = await make_product(conn, maker)
    sides = ("--grantor", wholesaler, "--grantee", maker)
    made = (await _do(grant, "offer", "--org", maker, *sides, "--field", "parties")).strip().lstrip("#")
    assert "offered" in await _do(grant, "list", "--org", wholesaler)
    await _do(grant, "accept", "--org", maker, made, code=1)
    assert "in_force" in await _do(grant, "accept", "--org", wholesaler, made)
    assert "谁" not in await _do(grant, "reads", "--org", wholesaler)
    await _do(grant, "withdraw", "--org", wholesaler, made)
    group = (await _do(grant, "group", "create", "--org", hospital, "县医共体")).strip().lstrip("#")
    await _do(grant, "group", "invite", "--org", hospital, group, clinic)
    await _do(grant, "group", "accept", "--org", clinic, group)
    await _do(grant, "group", "drug", "--org", hospital, group, drug, "--reason", "urgent")
    assert "县医共体" in await _do(grant, "group", "list", "--org", clinic)
    async with pool.acquire() as conn:
        states = await conn.fetchrow("SELECT withdrawn_at FROM data_grant WHERE id = $1", int(made))
    assert isinstance(states, asyncpg.Record) and states["withdrawn_at"] is not None


async def test_messages_are_listed_filtered_and_marked_as_read(pool: Pool, here: None) -> None:
    async with pool.acquire() as conn, conn.transaction():
        org, other = await make_real_org(conn), await make_real_org(conn, 2)
        for number in ("1", "2"):
            await tell(conn, org, "notice_grant_offered", {"name": "某公司"}, "/grants", number)
    found = orjson.loads(await _do(message, "list", "--org", org, "--unread", "--json"))
    assert [one["ref"] for one in found] == ["2", "1"]
    assert await _do(message, "read", "--org", other, found[0]["id"]) == "—\n"
    assert str(found[0]["id"]) in await _do(message, "read", "--org", org, found[0]["id"])
    (left,) = orjson.loads(await _do(message, "list", "--org", org, "--unread", "--json"))
    assert left["ref"] == "1"
    assert "某公司" in await _do(message, "list", "--org", org)
    assert orjson.loads(await _do(message, "list", "--org", other, "--json")) == []
    assert "notice_grant_offered" in await _do(message, "kinds")
    assert "not_found" in await _do(message, "list", "--org", 99999, code=1)
