"""`yaosu import` and `yaosu export`: organisations, products and code lists from the server's own command line.

Exit codes: 0 done, 1 refused (the reasons are printed, nothing was registered), 2 wrong use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from yaosu import settings
from yaosu.db.embedded import database_address
from yaosu.db.engine import Connection, connect
from yaosu.db.migrate import migrate
from yaosu.edge.terminal import refusals
from yaosu.registry import exports, imports, sheets
from yaosu.subject import SYSTEM

T = TypeVar("T")

import_app = typer.Typer(
    name="import",
    help="Bulk import 批量导入: organisations or products from XLSX or CSV; all rows or none.",
    no_args_is_help=True,
)
export_app = typer.Typer(
    name="export", help="Export 导出: organisations, products, code lists.", no_args_is_help=True
)

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]
FileArgument = Annotated[
    Path,
    typer.Argument(exists=True, dir_okay=False, readable=True, help="XLSX, or CSV in UTF-8 or GB18030 文件."),
]
OutArgument = Annotated[Path, typer.Argument(help="File to write 输出文件: .xlsx or .csv.")]

errors = Console(stderr=True, highlight=False)


def _run(data: Path | None, work: Callable[[Connection], Awaitable[T]]) -> T:
    async def inside() -> T:
        chosen = settings.load(data=data)
        conn = await connect(database_address(chosen.data, chosen.database_url))
        try:
            await migrate(conn)
            async with conn.transaction():
                return await work(conn)
        finally:
            await conn.close()

    with refusals():
        return asyncio.run(inside())


def _import(kind: str, file: Path, data: Path | None) -> None:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=errors,
    ) as bar:
        task = bar.add_task(f"{kind} {file.name}", total=None)
        count = _run(
            data,
            lambda conn: imports.import_file(
                conn,
                SYSTEM,
                kind,
                file.read_bytes(),
                file.name,
                lambda done, of: bar.update(task, completed=done, total=of),
            ),
        )
    typer.echo(f"{count} 行已导入 rows imported")


@import_app.command("orgs")
def import_orgs(file: FileArgument, data: DataOption = None) -> None:
    """Register the organisations of a file 导入企业机构. Get the columns with `yaosu import template orgs FILE`."""
    _import("orgs", file, data)


@import_app.command("products")
def import_products(file: FileArgument, data: DataOption = None) -> None:
    """Register the products of a file 导入药品: holders and manufacturers must be registered already."""
    _import("products", file, data)


@import_app.command("template")
def template(
    kind: Annotated[str, typer.Argument(help="orgs or products")],
    out: Annotated[Path, typer.Argument(help="XLSX file to write 输出文件.")],
) -> None:
    """Write an empty import file with headings and notes 下载模板."""
    with refusals():
        out.write_bytes(imports.template(kind))
    typer.echo(str(out))


def _export(kind: str, out: Path, data: Path | None) -> None:
    if out.suffix.lower() not in (".csv", ".xlsx"):
        raise typer.BadParameter("the file name must end in .csv or .xlsx 文件名应以 .csv 或 .xlsx 结尾")
    headings, rows = _run(data, lambda conn: exports.table(conn, SYSTEM, kind))
    xlsx = out.suffix.lower() == ".xlsx"
    out.write_bytes(sheets.write_xlsx(kind, headings, rows) if xlsx else sheets.write_csv(headings, rows))
    typer.echo(f"{len(rows)} 行已导出 rows exported: {out}")


@export_app.command("orgs")
def export_orgs(out: OutArgument, data: DataOption = None) -> None:
    """Write all organisations 导出企业机构, with the headings that import takes."""
    _export("orgs", out, data)


@export_app.command("products")
def export_products(out: OutArgument, data: DataOption = None) -> None:
    """Write all products 导出药品, with the headings that import takes."""
    _export("products", out, data)


@export_app.command("code-list")
def export_code_lists(out: OutArgument, data: DataOption = None) -> None:
    """Write all code lists with their sources 导出代码表."""
    _export("code-lists", out, data)
