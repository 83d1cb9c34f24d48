"""`yaosu ledger …`: conservation check, stock and statements from the server's own command line."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from yaosu import settings
from yaosu.db.embedded import database_address
from yaosu.db.engine import Connection, connect
from yaosu.edge.terminal import refusals
from yaosu.ledger import service, tables
from yaosu.ledger.model import StatementLine, StockLine
from yaosu.ledger.sheets import Value
from yaosu.registry.resolver import Registry, load_registry
from yaosu.registry.terminal import acting
from yaosu.subject import SYSTEM

T = TypeVar("T")
CHINA = ZoneInfo("Asia/Shanghai")

app = typer.Typer(
    name="ledger",
    help="The double-entry ledger 账本: check, stock, statement.",
    no_args_is_help=True,
)
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]
DrugOption = Annotated[
    int | None, typer.Option("--drug", min=1, help="Product number 药品编号; all when left out.")
]
Org = Annotated[int, typer.Argument(min=1, help="Number of the organisation 单位编号.")]
# beside a terminal, a table is as wide as its content needs
out = Console(width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True)


def _run(data: Path | None, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run `work` in a read-only transaction; a refusal is printed in both languages and exits with 1."""

    async def inside() -> T:
        chosen = settings.load(data=data)
        conn = await connect(database_address(chosen.data, chosen.database_url))
        try:
            async with conn.transaction(isolation="repeatable_read", readonly=True):
                return await work(conn)
        finally:
            await conn.close()

    with refusals():
        return asyncio.run(inside())


def _day(text: str) -> datetime:
    """A day (its beginning, China time) or a full ISO time."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter("2026-09-30 or 2026-09-30T10:12:31+08:00") from error
    return when if when.tzinfo is not None else when.replace(tzinfo=CHINA)


@app.command("check")
def check(drug: DrugOption = None, data: DataOption = None) -> None:
    """Check conservation 守恒核对: accounts of every batch add up, balances equal their entries, accounts equal units.

    Reads all units, in one consistent reading; safe on a running server. Exit code 0: all agrees; 2: it does not,
    each disagreement is listed.
    """
    bar = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err, transient=True
    )
    with bar:
        bar.add_task("核对账户、分录与单元 checking accounts, entries and units")
        off = _run(data, lambda conn: service.check(conn, drug))
    for one in off:
        out.print(str(one), markup=False, highlight=False)
    if off:
        err.print(f"✗ {len(off)} 处不一致 disagreements", style="red")
        raise typer.Exit(2)
    out.print("✓ 账实相符 the books agree")


@app.command("stock")
def stock(
    org: Org,
    drug: DrugOption = None,
    at: Annotated[str, typer.Option("--at", help="A past moment 历史时点; now when left out.")] = "",
    data: DataOption = None,
) -> None:
    """Stock of an organisation 库存, by product, batch and status, in smallest packages."""
    when = _day(at) if at else None

    async def work(conn: Connection) -> tuple[Registry, list[StockLine]]:
        registry = await load_registry(conn)
        acting(registry, org)
        return registry, await service.whole_stock(conn, SYSTEM, org, drug, None, service.STATUSES, when)

    registry, lines = _run(data, work)
    head, rows = tables.stock_table(registry, lines, "zh")
    _print(head, rows)


@app.command("statement")
def statement(
    org: Org,
    start: Annotated[str, typer.Argument(metavar="FROM", help="Start 起 (excluded).")],
    end: Annotated[str, typer.Argument(metavar="TO", help="End 止 (included).")],
    drug: DrugOption = None,
    data: DataOption = None,
) -> None:
    """进销存 of an organisation between two moments of business time. Exit code 2 when it does not tie."""
    since, until = _day(start), _day(end)

    async def work(conn: Connection) -> tuple[Registry, list[StatementLine]]:
        registry = await load_registry(conn)
        acting(registry, org)
        return registry, await service.statement(conn, SYSTEM, since, until, org, drug)

    registry, lines = _run(data, work)
    head, rows = tables.statement_table(registry, lines, "zh")
    _print(head, rows)
    if not all(line.ties for line in lines):
        err.print("✗ 账目不平 the statement does not tie", style="red")
        raise typer.Exit(2)


def _print(head: list[str], rows: list[list[Value]]) -> None:
    shown = Table(*head)
    for row in rows:
        shown.add_row(*("" if value is None else str(value) for value in row))
    out.print(shown)
