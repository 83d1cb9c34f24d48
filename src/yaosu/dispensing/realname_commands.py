"""`yaosu dispense realname …`: the special register and repeated buying from the server's own command line.

Masked unless `--reason` is given, which goes into the audit record like everybody's.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from yaosu import settings
from yaosu.db.embedded import database_address
from yaosu.db.engine import Connection, connect
from yaosu.dispensing import realname_service as service
from yaosu.dispensing import realname_views as views
from yaosu.dispensing.realname_api import facts_of, wanted_of
from yaosu.dispensing.realname_schemas import RegisterIn
from yaosu.edge.pages import CHINA, china
from yaosu.errors import YaosuError
from yaosu.papers import pdf, xlsx
from yaosu.people.keeper import Keeper
from yaosu.people.parts import keeper_for
from yaosu.registry.resolver import Registry, load_registry
from yaosu.subject import ADMIN, Subject

app = typer.Typer(help="Real-name sales 实名购药: register, repeated buying.", no_args_is_help=True)
out = Console()

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]
OrgOption = Annotated[
    int, typer.Option("--org", min=1, help="Whose register 单位编号 (a regulator: its region's).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON 输出 JSON.")]

Work = Callable[[Connection, Registry, Keeper, Subject], Awaitable[None]]


def _run(data: Path | None, org: int, work: Work) -> None:
    async def inside() -> None:
        chosen = settings.load(data=data)
        conn = await connect(database_address(chosen.data, chosen.database_url))
        try:
            async with conn.transaction():
                registry = await load_registry(conn)
                card = registry.org(org)
                if card is None:
                    raise YaosuError("not_found", {"what": f"#{org}"})
                # as that organisation, not as the software: what it may not see is not shown here either
                subject = Subject(
                    "key", None, org, str(card.type), "admin", frozenset({ADMIN}), region=card.region, name="cli",
                    session_id="cli",
                )  # fmt: skip
                await work(conn, registry, keeper_for(chosen), subject)
        finally:
            await conn.close()

    try:
        asyncio.run(inside())
    except YaosuError as error:
        for lang in ("zh", "en"):
            answer = error.as_json(lang)
            out.print(f"{answer['message']} {answer['next']}", markup=False, style="red")
        for finding in error.findings:
            out.print(f"  {finding.where}: {finding.text('zh')} / {finding.text('en')}", markup=False)
        raise typer.Exit(1) from error


@app.command(name="register")
def register_command(
    org: OrgOption,
    since: Annotated[str, typer.Option("--since", help="First day 起始日期 YYYY-MM-DD (30 days ago).")] = "",
    until: Annotated[str, typer.Option("--until", help="Last day 截止日期 YYYY-MM-DD (today).")] = "",
    product: Annotated[str, typer.Option("--product", help="Part of the name 药品名称.")] = "",
    file: Annotated[Path | None, typer.Option("--out", help="Write a .pdf or .xlsx 输出文件.")] = None,
    reason: Annotated[str, typer.Option("--reason", help="Show persons in full, for this reason 理由.")] = "",
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """The special register 实名购药登记专册."""
    if file is not None and file.suffix not in (".pdf", ".xlsx"):
        raise typer.BadParameter("--out: .pdf / .xlsx")
    try:
        first = date.fromisoformat(since) if since else datetime.now(CHINA).date() - timedelta(days=30)
        last = date.fromisoformat(until) if until else None
    except ValueError as error:
        raise typer.BadParameter("--since, --until: YYYY-MM-DD") from error
    asked = RegisterIn(since=first, until=last, product=product)

    async def work(conn: Connection, registry: Registry, keeper: Keeper, subject: Subject) -> None:
        wanted = await wanted_of(conn, registry, keeper, asked)
        assert wanted is not None, "no document was asked for"
        found = await service.whole_register(conn, registry, keeper, subject, wanted, reason or None)
        rows = [views.entry_view(registry, e, "zh") for e in found]
        if file is not None:
            made = views.paper(
                registry, found, facts_of(registry, asked, subject.org_id, "zh"), not reason, "zh"
            )
            content = await asyncio.to_thread(pdf.render if file.suffix == ".pdf" else xlsx.render, made)
            await asyncio.to_thread(file.write_bytes, content)
            out.print(f"{file}: {len(rows)} 行 rows", markup=False)
        elif as_json:
            sys.stdout.write(orjson.dumps(rows, default=str, option=orjson.OPT_INDENT_2).decode() + "\n")
        else:
            _print(rows)

    _run(data, org, work)


def _print(rows: list[dict[str, object]]) -> None:
    table = Table(title=f"实名购药登记专册 · {len(rows)}", title_justify="left")
    for name in (
        "时间 at",
        "药品 product",
        "批号 batch",
        "数量 qty",
        "购买人 buyer",
        "证件 document",
        "单据 bill",
    ):
        table.add_column(name, overflow="fold")
    for r in rows:
        at = r["happened_at"]
        assert isinstance(at, datetime)
        document = f"{r['kind_name']} {r['number']}"
        bill = f"{r['bill_no']}{'（已作废）' if r['taken_back'] else ''}"
        table.add_row(
            china(at), str(r["product"]), str(r["batch_no"]), str(r["qty"]), str(r["name"]), document, bill
        )
    out.print(table)


@app.command(name="repeat")
def repeat_command(org: OrgOption, as_json: JsonOption = False, data: DataOption = None) -> None:
    """Repeated buying 多次购买预警."""

    async def work(conn: Connection, registry: Registry, keeper: Keeper, subject: Subject) -> None:
        found = await service.repeat_buyers(conn, registry, keeper, subject)
        rows = [views.repeat_view(registry, one, "zh") for one in found]
        if as_json:
            sys.stdout.write(orjson.dumps(rows, default=str, option=orjson.OPT_INDENT_2).decode() + "\n")
            return
        table = Table(title=f"多次购买 · {len(rows)}", title_justify="left")
        for name in (
            "购买人 buyer",
            "证件 document",
            "条件 threshold",
            "次数 sales",
            "盒 boxes",
            "单位 shops",
        ):
            table.add_column(name, overflow="fold")
        for r in rows:
            table.add_row(
                r["name"],
                r["number"],
                r["flag_name"],
                str(r["purchases"]),
                str(r["packages"]),
                str(r["shops"]),
            )
        out.print(table)

    _run(data, org, work)
