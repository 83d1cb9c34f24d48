"""`yaosu grant`: data grants, who read what, and medical groups, from the server's own command line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

import typer
from rich.table import Table

from yaosu import settings
from yaosu.db.embedded import database_address
from yaosu.db.engine import Connection, connect
from yaosu.edge.pages import china, last_moment
from yaosu.edge.terminal import out, refusals
from yaosu.errors import YaosuError
from yaosu.grants import groups as telling
from yaosu.grants import service
from yaosu.grants.model import Terms
from yaosu.grants.views import grant_json, read_json
from yaosu.registry import groups
from yaosu.registry.resolver import Registry, load_registry
from yaosu.subject import SYSTEM, Subject

T = TypeVar("T")
CHINA = ZoneInfo("Asia/Shanghai")

app = typer.Typer(
    name="grant", help="Data grants 数据授权: list, offer, accept, withdraw, reads.", no_args_is_help=True
)
group_app = typer.Typer(
    name="group",
    help="Medical groups 医联体/医共体: list, create, invite, accept, drug.",
    no_args_is_help=True,
)
app.add_typer(group_app)

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]
OrgOption = Annotated[int, typer.Option("--org", min=1, help="Acting organisation 办理单位编号.")]
GrantArgument = Annotated[int, typer.Argument(min=1, help="Number of the grant 授权编号.")]
GroupArgument = Annotated[int, typer.Argument(min=1, help="Number of the group 医联体编号.")]
Work = Callable[[Connection, Registry, Subject], Awaitable[T]]


def _run(data: Path | None, org: int, work: Work[T]) -> T:
    """`work` in one transaction; a refusal is printed in both languages and exits with 1."""

    async def inside() -> T:
        chosen = settings.load(data=data)
        conn = await connect(database_address(chosen.data, chosen.database_url))
        try:
            async with conn.transaction():
                registry = await load_registry(conn)
                card = registry.org(org)
                if card is None:
                    raise YaosuError("not_found", {"what": f"#{org}"})
                return await work(conn, registry, replace(SYSTEM, org_id=org, org_type=str(card.type)))
        finally:
            await conn.close()

    with refusals():
        return asyncio.run(inside())


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise typer.BadParameter("2026-09-30") from error


def _until(text: object) -> str:
    return last_moment(datetime.fromisoformat(str(text))) if text else "长期 no end"


@app.command("list")
def list_(org: OrgOption, data: DataOption = None) -> None:
    """Grants given and held 列出授权."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> list[dict[str, object]]:
        return [grant_json(registry, g) for g in await service.listed(conn, registry, subject, limit=10_000)]

    table = Table("#", "授权方 grantor", "被授权方 grantee", "字段 fields", "截止 until", "状态 state")
    for one in _run(data, org, work):
        fields = one["fields"]
        table.add_row(
            str(one["id"]), str(dict(one["grantor"])["name"]), str(dict(one["grantee"])["name"]),  # type: ignore[call-overload]
            ", ".join(fields if isinstance(fields, list) else []), _until(one["until"]), str(one["state"]),
        )  # fmt: skip
    out.print(table)


@app.command()
def offer(
    org: OrgOption,
    grantor: Annotated[int, typer.Option("--grantor", min=1, help="Whose records 授权方.")],
    grantee: Annotated[int, typer.Option("--grantee", min=1, help="Who may see them 被授权方.")],
    field: Annotated[list[str] | None, typer.Option("--field", help="flow, parties, bills, codes.")] = None,
    drug: Annotated[list[int] | None, typer.Option("--drug", help="Product 药品编号; all when none.")] = None,
    until: Annotated[str, typer.Option("--until", help="Last day 截止日期.")] = "",
    data: DataOption = None,
) -> None:
    """Propose a grant to the other side 邀请或提出授权."""
    last = _day(until)
    end = datetime.combine(last + timedelta(days=1), datetime.min.time(), CHINA) if last else None
    terms = Terms(tuple(drug) if drug else None, frozenset(field or ["flow"]), end)

    async def work(conn: Connection, registry: Registry, subject: Subject) -> int:
        return await service.offer(conn, registry, subject, grantor, grantee, terms)

    out.print(f"#{_run(data, org, work)}")


@app.command()
def accept(org: OrgOption, grant: GrantArgument, data: DataOption = None) -> None:
    """Accept a proposal 接受."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> str:
        return (await service.accept(conn, registry, subject, grant)).state

    out.print(_run(data, org, work))


@app.command()
def withdraw(org: OrgOption, grant: GrantArgument, data: DataOption = None) -> None:
    """End a grant at once 撤回."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> None:
        await service.withdraw(conn, registry, subject, grant)

    _run(data, org, work)
    out.print("已撤回 withdrawn")


@app.command()
def reads(
    org: OrgOption,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many 最多条数.")] = 50,
    data: DataOption = None,
) -> None:
    """Who read the organisation's records 谁看过本单位数据."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> list[dict[str, object]]:
        found = await service.reads(conn, registry, subject, limit=limit)
        return [read_json(registry, one, "zh") for one in found]

    table = Table("时间 at", "查看单位 reader", "内容 what")
    for one in _run(data, org, work):
        reader = one["reader"]
        name = reader["name"] if isinstance(reader, dict) else "—"
        table.add_row(china(datetime.fromisoformat(str(one["at"])), True), str(name), str(one["what"]))
    out.print(table)


@group_app.command("list")
def group_list(org: OrgOption, data: DataOption = None) -> None:
    """Groups of a hospital 列出医联体."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> list[groups.Group]:
        return await groups.listed(conn, subject)

    table = Table("#", "名称 name", "牵头 lead", "成员 members", "目录 drugs")
    for one in _run(data, org, work):
        members = sum(m.state == "member" for m in one.members)
        table.add_row(
            str(one.id),
            one.name,
            str(one.lead),
            str(members),
            str(sum(d.ended_at is None for d in one.drugs)),
        )
    out.print(table)


@group_app.command("create")
def group_create(
    org: OrgOption,
    name: Annotated[str, typer.Argument(help="Name 名称.")],
    kind: Annotated[str, typer.Option("--kind", help="Code list care_group_kind.")] = "county",
    data: DataOption = None,
) -> None:
    """Found a group; the acting hospital leads it 新建."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> int:
        return await groups.create(conn, registry, subject, name, kind)

    out.print(f"#{_run(data, org, work)}")


@group_app.command("invite")
def group_invite(
    org: OrgOption,
    group: GroupArgument,
    hospital: Annotated[int, typer.Argument(min=1, help="Hospital to ask 医疗机构编号.")],
    data: DataOption = None,
) -> None:
    """Ask a hospital to join 邀请成员."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> None:
        await telling.invite(conn, registry, subject, group, hospital)

    _run(data, org, work)
    out.print("已邀请 asked")


@group_app.command("accept")
def group_accept(org: OrgOption, group: GroupArgument, data: DataOption = None) -> None:
    """Join a group 接受邀请."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> None:
        await telling.accept(conn, registry, subject, group)

    _run(data, org, work)
    out.print("已加入 joined")


@group_app.command("drug")
def group_drug(
    org: OrgOption,
    group: GroupArgument,
    drug: Annotated[int, typer.Argument(min=1, help="Product 药品编号.")],
    reason: Annotated[str, typer.Option("--reason", help="urgent or short 急需/短缺.")] = "short",
    since: Annotated[str, typer.Option("--from", help="First day 起.")] = "",
    until: Annotated[str, typer.Option("--to", help="Last day 止.")] = "",
    data: DataOption = None,
) -> None:
    """List a drug that members may transfer 列入可调剂目录."""
    first, last = _day(since) or datetime.now(CHINA).date(), _day(until)

    async def work(conn: Connection, registry: Registry, subject: Subject) -> int:
        return await groups.add_drug(conn, registry, subject, group, drug, reason, first, last)

    out.print(f"#{_run(data, org, work)}")
