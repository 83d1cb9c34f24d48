"""`yaosu ledger …`: exit codes that scripts can use, figures that people can read."""

from __future__ import annotations

import asyncio

import pytest
from typer.testing import CliRunner

from circulation.helpers import activate, make_market
from yaosu.db.engine import connect
from yaosu.ledger.commands import app

runner = CliRunner()


@pytest.fixture(scope="module")
def maker(database: str) -> int:
    """A maker with 20 boxes in stock on the module's database."""

    async def seed() -> int:
        conn = await connect(database)
        market = await make_market(conn)
        await activate(market, batch_no="CLI-1")
        await conn.close()
        return market.maker

    return asyncio.run(seed())


def test_the_check_says_that_the_books_agree_and_when_they_do_not(
    database: str, maker: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YAOSU_DATABASE_URL", database)
    sound = runner.invoke(app, ["check"])
    assert sound.exit_code == 0, sound.output
    assert "账实相符" in sound.output

    async def tamper(by: int) -> None:
        conn = await connect(database)
        await conn.execute("UPDATE balance SET qty = qty + $1 WHERE status = 'I'", by)
        await conn.close()

    asyncio.run(tamper(1))
    off = runner.invoke(app, ["check"])
    asyncio.run(tamper(-1))
    assert off.exit_code == 2
    assert "unbalanced" in off.output
    assert "entries" in off.output


def test_stock_and_statement_are_printed(database: str, maker: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YAOSU_DATABASE_URL", database)
    monkeypatch.setenv("COLUMNS", "200")
    stock = runner.invoke(app, ["stock", str(maker)])
    assert stock.exit_code == 0, stock.output
    assert "CLI-1" in stock.output
    statement = runner.invoke(app, ["statement", str(maker), "2025-01-01", "2999-01-01"])
    assert statement.exit_code == 0, statement.output
    assert "赋码激活 20" in statement.output


def test_a_wrong_period_is_refused_in_both_languages(
    database: str, maker: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YAOSU_DATABASE_URL", database)
    assert runner.invoke(app, ["statement", str(maker), "2026-02-01", "2026-01-01"]).exit_code == 1
    assert runner.invoke(app, ["statement", str(maker), "yesterday", "today"]).exit_code == 2
