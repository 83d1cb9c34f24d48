"""`yaosu code …`: code requests, downloads, relation files, from the server's own command line.

For whoever runs the platform or a maker's own server: it acts for the organisation named, with every permission of
it. Exit codes: 0 done, 1 refused with the reasons printed, 2 wrong use of the command.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from yaosu import settings
from yaosu.db.embedded import database_address
from yaosu.db.engine import Connection, connect
from yaosu.db.migrate import migrate
from yaosu.edge.terminal import refusals
from yaosu.errors import Finding, YaosuError
from yaosu.production import activation, download, requests
from yaosu.production.answers import activation_answer, check_answer
from yaosu.registry.resolver import Registry, load_registry
from yaosu.settings import Settings
from yaosu.subject import Subject

T = TypeVar("T")
SHOWN = 50
PHASES = {
    "read": "读取 read",
    "check": "校验 check",
    "write": "写入 write",
    "keep": "归档 keep",
}

app = typer.Typer(
    name="code",
    help="Trace codes 追溯码: request, download, validate, activate, whose.",
    no_args_is_help=True,
)
console = Console(stderr=True)

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]
OrgOption = Annotated[
    int, typer.Option("--org", min=1, help="Number of the organisation acted for 单位编号.")
]
FileArgument = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="Relation file 关联关系文件.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON 以 JSON 输出.")]


def _run(
    data: Path | None, org: int, work: Callable[[Connection, Subject, Registry, Settings], Awaitable[T]]
) -> T:
    """Run `work` in one transaction; a refusal is printed in both languages and exits with 1."""

    async def inside() -> T:
        chosen = settings.load(data=data)
        conn = await connect(database_address(chosen.data, chosen.database_url))
        try:
            await migrate(conn)
            async with conn.transaction():
                registry = await load_registry(conn)
                card = registry.org(org)
                if card is None:
                    raise YaosuError("org_not_found")
                subject = Subject(
                    "system", org_id=org, org_type=str(card.type), scopes=frozenset({"*"}), name="cli"
                )
                return await work(conn, subject, registry, chosen)
        finally:
            await conn.close()

    with refusals():
        return asyncio.run(inside())


def _table(findings: list[Finding]) -> None:
    """The first findings with place, problem and next step."""
    table = Table(show_lines=False)
    for heading in ("位置 place", "问题 problem", "下一步 next step"):
        table.add_column(heading, overflow="fold")
    for one in findings[:SHOWN]:
        table.add_row(one.where, f"{one.text('zh')}\n[dim]{one.code}[/dim]", one.next_step("zh"))
    console.print(table)
    if len(findings) > SHOWN:
        console.print(f"… 另有 {len(findings) - SHOWN} 处 more")


def _bar() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


def _watch(bar: Progress) -> activation.Progress:
    task = bar.add_task(PHASES["read"], total=None)

    def show(done: int, total: int, phase: str) -> None:
        bar.update(task, description=PHASES.get(phase, phase), completed=done, total=total or None)

    return show


@app.command("request")
def request_command(
    org: OrgOption,
    product: Annotated[int, typer.Option("--product", min=1, help="Number of the product 药品编号.")],
    level: Annotated[
        list[str],
        typer.Option(
            "--level", help="LEVEL=COUNT, repeatable 级别=数量, e.g. --level 1=10000 --level 2=1000."
        ),
    ],
    purpose: Annotated[str, typer.Option(help="What for 用途.")] = "",
    ref: Annotated[
        str, typer.Option(help="Your own number; repeating it gives the same request 自编申请单号.")
    ] = "",
    data: DataOption = None,
) -> None:
    """Request trace codes 申请追溯码. Prints the request's number."""
    counts: dict[int, int] = {}
    for text in level:
        left, _, right = text.partition("=")
        if not (left.isascii() and left.isdigit() and right.isascii() and right.isdigit()):
            typer.echo(f"--level {text}: LEVEL=COUNT", err=True)
            raise typer.Exit(2)
        counts[int(left)] = counts.get(int(left), 0) + int(right)

    async def work(conn: Connection, subject: Subject, registry: Registry, _: Settings) -> int:
        made = await requests.create(conn, subject, registry, product, counts, purpose, ref)
        return made.id

    typer.echo(_run(data, org, work))


@app.command("download")
def download_command(
    org: OrgOption,
    request_id: Annotated[int, typer.Argument(min=1, help="Number of the request 申请单编号.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; default standard output.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="txt, csv, xml, each also with .zip.")] = "txt",
    level: Annotated[
        int | None, typer.Option(min=1, max=9, help="Only this package level 只要该级别.")
    ] = None,
    start: Annotated[int, typer.Option(min=0, help="First code of the level, 0 = first.")] = 0,
    count: Annotated[int | None, typer.Option(min=1, help="How many from there.")] = None,
    data: DataOption = None,
) -> None:
    """Download the codes of a request 下载码包."""

    async def work(conn: Connection, subject: Subject, registry: Registry, chosen: Settings) -> int:
        found = await requests.get(conn, subject, request_id)
        body = download.stream(found, settings.master_secret(chosen.data), form, level, start, count)
        await requests.mark_downloaded(conn, subject, found, f"cli {form}")
        size = 0
        with _bar() as bar:
            task = bar.add_task("下载 download (KB)", total=None)
            target = out.open("wb") if out is not None else sys.stdout.buffer
            try:
                for piece in body:
                    target.write(piece)
                    size += len(piece)
                    bar.update(task, completed=size >> 10)
            finally:
                if out is not None:
                    target.close()
        return size

    size = _run(data, org, work)
    if out is not None:
        console.print(f"{out}: {size:,} B")


@app.command("validate")
def validate_command(
    file: FileArgument, org: OrgOption, as_json: JsonOption = False, data: DataOption = None
) -> None:
    """Check a relation file without activating it 校验关联关系文件. Exit 1 when anything is wrong."""

    async def work(
        conn: Connection, subject: Subject, registry: Registry, chosen: Settings
    ) -> activation.Check:
        master = settings.master_secret(chosen.data)
        with _bar() as bar:
            return await activation.check(
                conn, subject, file, registry, master, file.name, progress=_watch(bar)
            )

    found = _run(data, org, work)
    if as_json:
        typer.echo(json.dumps(check_answer(found, "zh"), ensure_ascii=False, default=str))
    else:
        for one in found.notes.kept[:SHOWN]:
            console.print(f"{one.where} {one.text('zh')}", style="yellow")
        if not found.ok:
            _table(found.errors.kept)
        said = found.summary()
        console.print(
            f"{said['codes']:,} 码 codes · {said['boxes']:,} 盒 boxes · {found.errors.total:,} 处问题 problems"
        )
    if not found.ok:
        raise typer.Exit(1)


@app.command("activate")
def activate_command(
    file: FileArgument,
    org: OrgOption,
    stock_in: Annotated[bool, typer.Option("--stock-in", help="Also post the 生产入库 (101).")] = False,
    bill_no: Annotated[str, typer.Option(help="Bill number; empty: made from the file 单据号.")] = "",
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Activate a relation file, all of it or nothing 激活关联关系文件."""

    async def work(
        conn: Connection, subject: Subject, registry: Registry, chosen: Settings
    ) -> activation.Activation:
        options = activation.Options(file.name, bill_no, stock_in)
        master = settings.master_secret(chosen.data)
        with _bar() as bar:
            return await activation.activate(
                conn, subject, file, registry, master, options, progress=_watch(bar)
            )

    done = _run(data, org, work)
    if as_json:
        typer.echo(json.dumps(activation_answer(done), ensure_ascii=False, default=str))
    else:
        again = "（此前已激活 activated before）" if done.repeated else ""
        console.print(f"{done.bill_no}: {done.codes:,} 码 codes · {done.boxes:,} 盒 boxes {again}")


@app.command("whose")
def whose_command(
    code: Annotated[str, typer.Argument(help="Trace code 追溯码.")], org: OrgOption, data: DataOption = None
) -> None:
    """Was this code issued here, in which request, as which number 该码是否由本系统发出. Exit 1 when it was not."""

    async def work(
        conn: Connection, subject: Subject, registry: Registry, chosen: Settings
    ) -> requests.Origin:
        master = settings.master_secret(chosen.data)
        return await requests.whose(conn, subject, master, code, tuple(registry.customs))

    found = _run(data, org, work)
    if not found.issued:
        typer.echo(f"{found.code}: 未发出 not issued here")
        raise typer.Exit(1)
    if found.request_id is None:
        typer.echo(f"{found.code}: 由本系统为另一单位发出 issued here to another organisation")
    else:
        typer.echo(
            f"{found.code}: 申请单 request {found.request_id}, 级别 level {found.level}, 序号 number {found.number}"
        )
