"""`yaosu quality …`: periodic checks, the balance sheet and self-check tables from the server's own command line."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from yaosu import settings
from yaosu.db.embedded import database_address
from yaosu.db.engine import Connection, connect
from yaosu.edge.terminal import refusals
from yaosu.papers import docx, pdf, xlsx
from yaosu.quality import balance, checks, commands_work, selfcheck, views
from yaosu.registry.resolver import Registry, load_registry
from yaosu.subject import SYSTEM

T = TypeVar("T")

app = typer.Typer(
    name="quality",
    help="Quality management 质量管理: check, findings, answer, balance, selfcheck, documents, clues.",
    no_args_is_help=True,
)
commands_work.add_to(app)
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]
OrgOption = Annotated[int, typer.Option("--org", min=1, help="Number of the organisation 单位编号.")]
out = Console(width=None if sys.stdout.isatty() else 160)
_RENDER = {".pdf": pdf.render, ".docx": docx.render, ".xlsx": xlsx.render}


def _run(data: Path | None, work: Callable[[Connection, Registry], Awaitable[T]]) -> T:
    """Run `work` in one transaction; a refusal is printed in both languages and exits with 1."""

    async def inside() -> T:
        chosen = settings.load(data=data)
        conn = await connect(database_address(chosen.data, chosen.database_url))
        try:
            async with conn.transaction():
                return await work(conn, await load_registry(conn))
        finally:
            await conn.close()

    with refusals():
        return asyncio.run(inside())


@app.command("check")
def check(org: OrgOption, data: DataOption = None) -> None:
    """Run a periodic check now 立即核查. Exit code 0: every rule holds; 2: some do not, each is listed."""

    async def work(conn: Connection, registry: Registry) -> list[views.Json]:
        number = await checks.run_now(conn, registry, SYSTEM, org)
        found = await checks.get(conn, SYSTEM, number)
        return [views.figure(one, "zh") for one in found["figures"]]

    figures = _run(data, work)
    table = Table("核查内容", "实测", "限值", "结果", "证据")
    for one in figures:
        links = "\n".join(f"{link['text']} {link['href']}" for link in one["links"][:3])
        held = "✓" if one["held"] else "✗"
        table.add_row(one["name"], str(one["value"]), str(one["limit"]), held, links)
    out.print(table)
    if not all(one["held"] for one in figures):
        raise typer.Exit(2)


@app.command("balance")
def sheet(
    org: OrgOption,
    days: Annotated[int, typer.Option("--days", min=1, max=3660, help="Period back from now 天数.")] = 30,
    data: DataOption = None,
) -> None:
    """Compare books, entries and packages 账目核对. Exit code 2 when something does not tie; it is explained."""
    now = datetime.now(UTC)

    async def work(conn: Connection, registry: Registry) -> list[views.Json]:
        lines = await balance.sheet(conn, SYSTEM, org, now - timedelta(days=days), now)
        return [views.balance_line(registry, line, "zh") for line in lines]

    lines = _run(data, work)
    table = Table("药品", "批号", "期初", "入", "出", "期末", "余额", "在架账", "在架单元", "")
    for one in lines:
        figures = [str(one[key]) for key in ("opening", "in", "out", "closing", "balance", "shelf", "units")]
        table.add_row(one["product"], one["batch_no"], *figures, "✓" if one["ties"] else "✗")
    out.print(table)
    for one in lines:
        for reason in one["reasons"]:
            out.print(f"{one['batch_no']}: {reason['text']} {reason['href']}", markup=False, highlight=False)
    if not all(one["ties"] for one in lines):
        raise typer.Exit(2)


@app.command("selfcheck")
def self_check(
    number: Annotated[
        int | None, typer.Argument(min=1, help="Number of a table 自查表编号; left out: list.")
    ] = None,
    org: Annotated[
        int | None, typer.Option("--org", min=1, help="Only this organisation's 单位编号.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--out", help="Write it as .pdf, .docx or .xlsx 导出文件.")
    ] = None,
    data: DataOption = None,
) -> None:
    """List self-check tables, or show and export one 自查自纠对照表."""
    if file is not None and file.suffix not in _RENDER:
        raise typer.BadParameter(".pdf, .docx, .xlsx", param_hint="--out")

    async def many(conn: Connection, registry: Registry) -> None:
        table = Table("编号", "企业", "自查日期", "状态", "签署", "报送")
        for row in await selfcheck.listed(conn, SYSTEM, org=org):
            filed = row["filed_at"].date().isoformat() if row["filed_at"] else ""
            table.add_row(
                str(row["id"]), row["firm"], str(row["checked_on"]), row["state"], row["signed_name"], filed
            )
        out.print(table)

    async def one(conn: Connection, registry: Registry) -> None:
        assert number is not None
        head, rows = await selfcheck.get(conn, SYSTEM, number)
        if file is not None:
            file.write_bytes(_RENDER[file.suffix](selfcheck.paper(head, rows)))
            out.print(str(file), markup=False)
            return
        table = Table("序号", "自查内容", "答复", "证据")
        for line in views.table(head, rows, "zh")["items"]:
            said = "\n".join(item["text"] for item in line["evidence"])
            table.add_row(str(line["n"]), line["text"], line["answer"] or "—", said)
        out.print(table)

    _run(data, many if number is None else one)
