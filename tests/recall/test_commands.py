"""`yaosu recall …` from the order to the last holder, beside the pages and the API (R-E1, R-E2, R-X7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from access.helpers import make_account
from circulation.helpers import ALL
from recall.helpers import Market, activate, make_market
from yaosu.db.engine import Pool
from yaosu.recall import service
from yaosu.recall.commands import app
from yaosu.subject import Subject

Do = Callable[..., Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def market(pool: Pool) -> AsyncIterator[Market]:
    async with pool.acquire() as conn:
        made = await make_market(conn)
        yield made
        await made.conserved()


@pytest.fixture
def do(database: str, tmp_path: Path) -> Do:
    """Run a command; its output. The exit code must be `code`."""

    async def run(*words: object, code: int = 0, stdin: str | bytes | None = None) -> str:
        env = {"YAOSU_DATABASE_URL": database, "YAOSU_DATA": str(tmp_path)}
        done = await asyncio.to_thread(CliRunner().invoke, app, [str(w) for w in words], input=stdin, env=env)
        assert done.exit_code == code, (done.output, done.exception)
        return done.stdout + done.stderr

    return run


async def test_a_recall_goes_its_way_from_draft_to_the_last_holder(market: Market, do: Do) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.boxes[:4])
    order = {
        "drug_id": market.drug_id,
        "level": 1,
        "title": "批次召回",
        "reason": "含量不合格",
        "contact": "质量部 0531-1",
        "batches": [goods.batch_no],
    }
    maker = ("--org", market.maker)
    drafted = orjson.loads(await do("draft", "-", *maker, stdin=orjson.dumps(order)))
    number = drafted["id"]
    assert "recall_wrong_state" in await do("publish", number, *maker, code=1)
    account, _ = await make_account(market.conn, market.maker, "admin")
    second = Subject("account", account, market.maker, "1", "admin", ALL)
    await service.approve(market.conn, market.registry, second, number)
    await do("publish", number, *maker)

    buyer = ("--org", market.wholesaler)
    assert "not_found" in await do("task", number, "--org", market.hospital, code=1)
    await do("acknowledge", number, *buyer)
    assert "recall_not_counted" in await do("close", number, *buyer, code=1)
    scans = "\n".join(goods.boxes[:3])
    counted = await do("count", number, *buyer, "--codes", "-", "--missing", 1, stdin=scans)
    assert orjson.loads(counted)["counted"] == 3
    assert "recall_task_unsettled" in await do("close", number, *buyer, code=1)
    await do("count", number, *buyer, "--counted", 3, "--sealed", 3, "--missing", 1)
    await do("close", number, *buyer)
    assert "recall_order_open" in await do("finish", number, *maker, code=1)
    ended = orjson.loads(await do("finish", number, *maker, "--reason", "余量已封存"))
    assert ended["state"] == "finished"


async def test_what_is_wrong_with_an_order_is_named(market: Market, do: Do) -> None:
    order = {
        "drug_id": market.drug_id,
        "level": 1,
        "title": "x",
        "reason": "x",
        "contact": "x",
        "batches": ["NONE"],
    }
    assert "NONE" in await do("draft", "-", "--org", market.maker, code=1, stdin=orjson.dumps(order))
    assert "recall_not_yours" in await do(
        "draft", "-", "--org", market.other, code=1, stdin=orjson.dumps(order)
    )
    assert "malformed_body" in await do("draft", "-", "--org", market.maker, code=1, stdin="{")
    assert "invalid_request" in await do("draft", "-", "--org", market.maker, code=1, stdin="{}")
    assert "not_found" in await do("show", 99999, code=1)
    assert "not_found" in await do("cancel", 99999, "--org", market.maker, "--reason", "x", code=1)
