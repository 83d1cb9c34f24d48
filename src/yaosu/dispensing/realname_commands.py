"""`yaosu dispense realname …`: sales to named persons, the special register and repeated buying from the command line.

Persons come in by a file or standard input, never by an option, where every user of the machine and the shell's history
would keep them; nothing of them is printed again. The register is masked unless `--reason` is given, which goes into
the audit record like everybody's.
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
from rich.table import Table

from yaosu import settings
from yaosu.circulation.commands_common import print_result, run
from yaosu.circulation.committer import Committer
from yaosu.circulation.model import MovementResult
from yaosu.db.embedded import database_address
from yaosu.db.engine import Connection, Pool, connect
from yaosu.dispensing import realname_service as service
from yaosu.dispensing import realname_views as views
from yaosu.dispensing.realname_api import facts_of, wanted_of
from yaosu.dispensing.realname_schemas import RegisterIn, SaleIn
from yaosu.edge.pages import CHINA, china
from yaosu.edge.terminal import checked, json_of, out, read_file, refusals
from yaosu.errors import YaosuError
from yaosu.papers import pdf, xlsx
from yaosu.people.keeper import Keeper
from yaosu.people.parts import keeper_for
from yaosu.registry.resolver import Registry, load_registry
from yaosu.registry.terminal import acting
from yaosu.subject import ADMIN, Subject

app = typer.Typer(help="Real-name sales 实名购药: sell, register, repeat.", no_args_is_help=True)

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

    with refusals():
        asyncio.run(inside())


@app.command(name="sell")
def sell_command(
    file: Annotated[
        str, typer.Argument(help="JSON of the sale with the person 销售及购买人; - for standard input.")
    ],
    org: Annotated[int, typer.Option("--org", min=1, help="The shop or hospital 销售单位编号.")],
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Sell to a named person 实名销售: registers the person, then records the sale, in one step.

    The file is the JSON of POST /api/v1/dispensing/sales. It is kept encrypted; nothing of the person is printed.
    Remove the file afterwards, or pass it by standard input. Repeating the same file is safe.

    \b
    {"type": 321, "bill_no": "LS-1", "happened_at": "2026-09-30T10:12:31+08:00", "codes": ["8385…"],
     "person": {"kind": "1", "number": "…", "name": "…", "phone": "…"},
     "agent": {…}, "prescription": {"no": "CF-1", "doctor": "…"}, "second_person": "…"}
    """
    content = read_file(file)

    async def work(pool: Pool, registry: Registry, committer: Committer) -> tuple[MovementResult, int | None]:
        subject = acting(registry, org)
        body = checked(SaleIn, json_of(content))
        movement = body.movement(registry, org, content)
        keeper = keeper_for(settings.load(data=data))
        person = body.person.given() if body.person else None
        agent = body.agent.given() if body.agent else None
        return await service.sell(pool, committer, registry, keeper, subject, movement, person, agent)

    result, person_id = run(data, work)
    print_result(result, as_json, person_id=person_id)
    raise typer.Exit(0 if result.status == "accepted" else 1)


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
        back = f"（冲正第{r['corrects_revision']}版 {r['reason']}）" if r["corrects"] else ""
        bill = f"{r['bill_no']}{'（已冲正）' if r['taken_back'] else back}"
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
