"""`yaosu dispense narcotics …`: books, registers, ampoules and counts of a hospital from the server's command line.

Reading only: what is done with narcotics needs two people in their own sessions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.table import Table

from yaosu import settings
from yaosu.access.visibility import visible
from yaosu.db.embedded import database_address
from yaosu.db.engine import Connection, connect
from yaosu.dispensing import narcotics_register as registers
from yaosu.dispensing import narcotics_service as service
from yaosu.dispensing import narcotics_views as views
from yaosu.dispensing import store_narcotics as store
from yaosu.dispensing.narcotics_deps import moment
from yaosu.edge.pages import china
from yaosu.edge.terminal import out, refusals
from yaosu.errors import YaosuError
from yaosu.papers import pdf, xlsx
from yaosu.people import service as people
from yaosu.people.keeper import Keeper
from yaosu.people.parts import keeper_for
from yaosu.registry.resolver import Registry, load_registry
from yaosu.subject import ADMIN, Subject

app = typer.Typer(
    help="Narcotics in hospitals 麻精药品: books, registers, ampoules, counts. Reading only: dispensing, hand-over and "
    "destruction take two people, each in an own session 只读；发放、交接、销毁须双人各自登录办理.",
    no_args_is_help=True,
)
NEWEST = 2**62

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]
OrgOption = Annotated[int, typer.Option("--org", min=1, help="The hospital 医疗机构编号.")]
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
                # as the hospital, not as the software: what it may not see is not shown here either
                subject = Subject(
                    "key", None, org, str(card.type), "admin", frozenset({ADMIN}), region=card.region, name="cli",
                    session_id="cli",
                )  # fmt: skip
                await work(conn, registry, keeper_for(chosen), subject)
        finally:
            await conn.close()

    with refusals():
        asyncio.run(inside())


def _table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    table = Table(title=title)
    for column in columns:
        table.add_column(column, overflow="fold")  # a number cut short is none
    for row in rows:
        table.add_row(*row)
    out.print(table)


@app.command(name="stock")
def stock_command(org: OrgOption, data: DataOption = None, as_json: JsonOption = False) -> None:
    """What the books of the hospital and its places say now 在账."""

    async def work(conn: Connection, registry: Registry, keeper: Keeper, subject: Subject) -> None:
        orgs = [one.id for one in registry.family_of(org)]
        held = await service.booked(conn, subject, registry, orgs)
        found = [
            {"place": views.place_view(registry, place), **views.booked_view(registry, one, "zh")}
            for place, lines in sorted(held.items())
            for one in lines
        ]
        if as_json:
            typer.echo(orjson.dumps(found, default=str).decode())
            return
        rows = [
            [
                f["place"]["name"],
                f["product"]["name"],
                f["batch_no"],
                f"{f['units']} {f['product']['unit']}",
                str(f["packages"]),
                str(f["opened"]),
            ]
            for f in found
        ]
        _table("在账 Stock", ["场所", "药品", "批号", "在账", "盒", "已开封"], rows)

    _run(data, org, work)


@app.command(name="register")
def register_command(
    org: OrgOption,
    drug: Annotated[int, typer.Option("--drug", min=1, help="Product 药品编号 (drug_id).")],
    place: Annotated[int | None, typer.Option("--place", min=1, help="One place 场所编号.")] = None,
    whole: Annotated[bool, typer.Option("--whole", help="The hospital and all of its places 全院.")] = False,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day 从.")
    ] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day 至.")] = None,
    file: Annotated[Path | None, typer.Option("--out", help="Write .pdf or .xlsx 输出文件.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """专用账册 of one product: printed, or as a file to hand to an inspector. Patients are masked."""
    if file is not None and file.suffix.lower() not in (".pdf", ".xlsx"):
        raise typer.BadParameter("the file name must end in .pdf or .xlsx 文件名应以 .pdf 或 .xlsx 结尾")

    async def work(conn: Connection, registry: Registry, keeper: Keeper, subject: Subject) -> None:
        now = datetime.now(UTC)
        start = moment(first.date() if first else None, now - timedelta(days=30))
        end = min(moment(last.date() if last else None, now, after=True), now)
        found = await registers.register(conn, subject, registry, place or org, drug, start, end, whole)
        persons = [line.patient for line in found.lines if line.patient]
        patients = await people.shown(conn, keeper, subject, persons)
        if file is not None:
            paper = registers.paper(found, registry, patients, "cli")
            file.write_bytes((pdf if file.suffix.lower() == ".pdf" else xlsx).render(paper))
            out.print(str(file), markup=False)
        elif as_json:
            view = views.register_view(registry, found, patients, "zh")
            typer.echo(orjson.dumps(view, default=str).decode())
        else:
            rows = registers.in_words(found, registry, patients)
            _table("专用账册", list(registers.COLUMNS["zh"]), rows)
            out.print(f"期初 {found.opening} 收入 {found.received} 支出 {found.issued} 期末 {found.closing}")

    _run(data, org, work)


@app.command(name="due")
def due_command(org: OrgOption, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Empty ampoules and used patches still to come back 应回收空安瓿、废贴."""

    async def work(conn: Connection, registry: Registry, keeper: Keeper, subject: Subject) -> None:
        found = await service.due(conn, subject)
        patients = await people.shown(conn, keeper, subject, [d.patient for d in found])
        seen = [views.due_view(registry, d, patients, "zh") for d in found]
        if as_json:
            typer.echo(orjson.dumps(seen, default=str).decode())
            return
        rows = [
            [
                d["place"]["name"],
                d["prescription"],
                d["product"]["name"],
                d["batch_no"],
                str(d["due"]),
                str(d["open"]),
                china(d["happened_at"]),
            ]
            for d in seen
        ]
        _table("应回收 Due", ["场所", "处方号", "药品", "批号", "应回收", "未交回", "时间"], rows)

    _run(data, org, work)


@app.command(name="counts")
def counts_command(
    org: OrgOption,
    differences: Annotated[
        bool, typer.Option("--differences", help="Only those that differ 只看差异.")
    ] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Counts at change of shift 交接班清点, the latest first."""

    async def work(conn: Connection, registry: Registry, keeper: Keeper, subject: Subject) -> None:
        rows = await store.counts(conn, visible(subject), None, NEWEST, 200)
        found = [views.count_view(registry, r, "zh") for r in rows]
        if differences:
            found = [c for c in found if c["difference"]]
        if as_json:
            typer.echo(orjson.dumps(found, default=str).decode())
            return
        lines = [
            [
                china(c["happened_at"]),
                c["place"]["name"],
                c["shift"],
                c["product"]["name"],
                c["batch_no"],
                *(str(c[name]) for name in ("counted", "booked", "difference")),
                c["note"],
            ]
            for c in found
        ]
        _table("清点 Counts", ["时间", "场所", "班次", "药品", "批号", "实点", "账面", "差异", "说明"], lines)

    _run(data, org, work)
