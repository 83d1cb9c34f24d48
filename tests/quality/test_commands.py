"""`yaosu quality findings|answer|documents|clue`: what is worked on after a check, from a terminal (R-E2, R-E6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from circulation.helpers import Market, activate, make_market
from yaosu.db.engine import Pool
from yaosu.quality.commands import app

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


async def test_a_clue_goes_to_the_regulator_with_the_trace_evidence_attached(market: Market, do: Do) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.boxes[:1])
    clue = {"kind": "resale", "title": "回流", "text": "整箱出售", "codes": goods.boxes[:1]}
    words = ("clue", "-", "--org", market.wholesaler)
    made = orjson.loads(await do(*words, stdin=orjson.dumps(clue)))
    assert goods.boxes[0] in orjson.dumps(made).decode()
    assert "回流" in await do("clues", "--org", market.wholesaler)
    assert orjson.loads(await do("clues", "--org", market.pharmacy, "--json")) == []
    unknown = orjson.dumps({**clue, "kind": "nothing"})
    assert "quality_clue_kind" in await do(*words, code=1, stdin=unknown)
    assert "malformed_body" in await do(*words, code=1, stdin="{")


async def test_findings_are_listed_and_answered_by_their_own_organisation(market: Market, do: Do) -> None:
    goods = await activate(market)
    # shipped long ago and never received: the check of the receiver finds it
    await market.ship(market.maker, market.wholesaler, goods.boxes[:2])
    await market.conn.execute("UPDATE notice SET shipped_at = now() - interval '60 days'")
    own = ("--org", market.wholesaler)
    await do("check", *own, code=2)
    found = orjson.loads(await do("findings", *own, "--json"))
    assert found, "the check found nothing"
    number = found[0]["id"]
    assert str(number) in await do("findings", *own)
    answered = orjson.loads(await do("answer", number, *own, "--text", "已催收", "--close"))
    assert (answered["state"], answered["history"][-1]["kind"]) == ("closed", "closed")
    assert "quality_finding_closed" in await do("answer", number, *own, "--text", "x", code=1)
    assert "not_found" in await do("answer", number, "--org", market.hospital, "--text", "x", code=1)
    assert "not_found" in await do("document", 99999, *own, code=1)
    assert orjson.loads(await do("documents", *own, "--json")) == []
    assert "not_found" in await do("check", "--org", 99999, code=1)
