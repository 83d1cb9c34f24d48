"""`yaosu top`: app keys of the 码上放心 gateway, and which of its methods are done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.table import Table

from yaosu import settings
from yaosu.db.embedded import database_address
from yaosu.db.engine import Connection, open_pool
from yaosu.edge.pages import china
from yaosu.edge.terminal import out, refusals
from yaosu.exchange.top import catalogue, keys, partners
from yaosu.exchange.top.aliases import Alias, Aliases
from yaosu.exchange.top.client.gateways import set_gateway
from yaosu.exchange.top.keys import Sealing
from yaosu.registry.resolver import Registry, load_registry
from yaosu.registry.terminal import acting
from yaosu.settings import master_secret
from yaosu.subject import SYSTEM, Subject

T = TypeVar("T")

app = typer.Typer(
    name="top", help="码上放心 (TOP) gateway: app keys, aliases, methods.", no_args_is_help=True
)
key_app = typer.Typer(name="key", help="App keys: list, add, rotate, revoke.", no_args_is_help=True)
app.add_typer(key_app)
partner_app = typer.Typer(
    name="partner",
    help="Firms that clients asked for 往来单位申请: list, accept, refuse.",
    no_args_is_help=True,
)
app.add_typer(partner_app)
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]
OrgOption = Annotated[int, typer.Option("--org", min=1, help="Number of the organisation 单位编号.")]
KeyArgument = Annotated[str, typer.Argument(help="The 8-digit AppKey.")]


def _run(
    data: Path | None, org: int, work: Callable[[Connection, Registry, Sealing, Subject], Awaitable[T]]
) -> T:
    async def inside() -> T:
        chosen = settings.load(data=data)
        pool = await open_pool(database_address(chosen.data, chosen.database_url), 2)
        try:
            async with pool.acquire() as conn, conn.transaction():
                registry = await load_registry(conn)
                acting(registry, org)
                subject = replace(SYSTEM, org_id=org)
                return await work(conn, registry, Sealing(master_secret(chosen.data)), subject)
        finally:
            await pool.close()

    with refusals():
        return asyncio.run(inside())


@key_app.command("list")
def list_keys(org: OrgOption, data: DataOption = None) -> None:
    """App keys of an organisation 列出 AppKey."""

    async def work(
        conn: Connection, registry: Registry, sealing: Sealing, subject: Subject
    ) -> list[keys.TopKey]:
        return await keys.listed(conn, subject)

    table = Table("AppKey", "用途 title", "角色 role", "最近使用 used", "状态 state")
    for one in _run(data, org, work):
        used = china(one.used_at) if one.used_at else "—"
        table.add_row(
            one.app_key, one.title, one.role, used, "已停用 revoked" if one.revoked_at else "有效 active"
        )
    out.print(table)


@key_app.command("add")
def add_key(
    org: OrgOption,
    title: Annotated[str, typer.Option(help="What program uses it 用途.")],
    role: Annotated[str, typer.Option(help="Role whose permissions it has 角色.")] = "warehouse",
    data: DataOption = None,
) -> None:
    """A new app key; its secret is printed this once 新建 AppKey."""

    async def work(
        conn: Connection, registry: Registry, sealing: Sealing, subject: Subject
    ) -> tuple[keys.TopKey, str]:
        return await keys.add(conn, registry, sealing, subject, title, role)

    made, secret = _run(data, org, work)
    out.print(f"app_key {made.app_key}\nsecret  {secret}", highlight=False)


@key_app.command("rotate")
def rotate_key(
    org: OrgOption,
    app_key: KeyArgument,
    keep_hours: Annotated[int, typer.Option(help="How long the old secret stays good 旧密钥保留小时数.")] = 0,
    data: DataOption = None,
) -> None:
    """A new secret, printed this once 换发密钥."""

    async def work(conn: Connection, registry: Registry, sealing: Sealing, subject: Subject) -> str:
        return await keys.rotate(conn, sealing, subject, app_key, keep_hours)

    out.print(f"secret  {_run(data, org, work)}", highlight=False)


@key_app.command("revoke")
def revoke_key(org: OrgOption, app_key: KeyArgument, data: DataOption = None) -> None:
    """End an app key now 停用 AppKey."""

    async def work(conn: Connection, registry: Registry, sealing: Sealing, subject: Subject) -> None:
        await keys.revoke(conn, subject, app_key)

    _run(data, org, work)
    out.print(f"{app_key} 已停用 revoked", highlight=False)


@app.command("alias")
def alias(org: OrgOption, data: DataOption = None) -> None:
    """ent_id and ref_ent_id of an organisation 企业标识."""

    async def inside() -> Alias:
        chosen = settings.load(data=data)
        pool = await open_pool(database_address(chosen.data, chosen.database_url), 2)
        try:
            async with pool.acquire() as conn:
                acting(await load_registry(conn), org)
            return (await Aliases(master_secret(chosen.data)).of(pool, [org]))[org]
        finally:
            await pool.close()

    with refusals():
        found = asyncio.run(inside())
    out.print(f"ref_ent_id {found.ref_ent_id}\nent_id     {found.ent_id}", highlight=False)


@app.command("methods")
def methods(
    write: Annotated[
        Path | None, typer.Option(help="Write the table into this file, between its marks (docs/top.md).")
    ] = None,
) -> None:
    """All published methods: done or not, and why not 接口方法清单."""
    if write is not None:
        write.write_text(catalogue.written(write.read_text("utf-8")), "utf-8")
    else:
        typer.echo(catalogue.table())


def _operator(data: Path | None, work: Callable[[Connection, bytes], Awaitable[T]]) -> T:
    async def inside() -> T:
        chosen = settings.load(data=data)
        pool = await open_pool(database_address(chosen.data, chosen.database_url), 2)
        try:
            async with pool.acquire() as conn, conn.transaction():
                return await work(conn, master_secret(chosen.data))
        finally:
            await pool.close()

    with refusals():
        return asyncio.run(inside())


@partner_app.command("list")
def partner_list(data: DataOption = None) -> None:
    """What waits for audit 待审核的往来单位."""

    async def work(conn: Connection, _: bytes) -> None:
        table = Table("编号", "名称", "统一社会信用代码", "申请单位")
        for row in await partners.waiting(conn, SYSTEM):
            table.add_row(str(row["id"]), row["name"], row["org_code"], str(row["org"]))
        out.print(table)

    _operator(data, work)


@partner_app.command("accept")
def partner_accept(
    number: Annotated[int, typer.Argument(min=1, help="Number of the request 申请编号.")],
    data: DataOption = None,
) -> None:
    """Enter the firm in the directory 审核通过."""

    async def work(conn: Connection, master: bytes) -> None:
        made = await partners.accept(conn, SYSTEM, number, master)
        out.print(f"org {made.id} {made.name}", markup=False)

    _operator(data, work)


@partner_app.command("refuse")
def partner_refuse(
    number: Annotated[int, typer.Argument(min=1, help="Number of the request 申请编号.")],
    reason: Annotated[str, typer.Argument(help="Why 原因.")],
    data: DataOption = None,
) -> None:
    """Say no, with the reason 审核不通过."""

    async def work(conn: Connection, _: bytes) -> None:
        await partners.refuse(conn, SYSTEM, number, reason)

    _operator(data, work)


@app.command("gateway")
def gateway(
    system: Annotated[int, typer.Argument(min=1, help="Number of the trace system 追溯系统编号.")],
    url: Annotated[str, typer.Argument(help="Its address for customers' calls 接口地址, …/router/rest.")],
    data: DataOption = None,
) -> None:
    """Enter where a trace system answers 登记接口地址; what connections fetch is believed from there only."""

    async def work(conn: Connection, _: bytes) -> None:
        await set_gateway(conn, SYSTEM, system, url)

    _operator(data, work)
