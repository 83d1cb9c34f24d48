"""`yaosu user …`: accounts and keys from the server's own command line.

For whoever runs the platform: the first operator account, organisations' first administrators, and help for
somebody locked out. Passwords are asked for or read from standard input, never taken from the command line,
where every user of the machine could read them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.table import Table

from yaosu import settings
from yaosu.access import accounts, keys, scopes
from yaosu.db.embedded import database_address
from yaosu.db.engine import Connection, connect
from yaosu.db.migrate import migrate
from yaosu.edge.terminal import out, refusals
from yaosu.subject import SYSTEM

T = TypeVar("T")

app = typer.Typer(
    name="user",
    help="Accounts and API keys 用户与密钥: add, list, disable, reset, key.",
    no_args_is_help=True,
)

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]
OrgOption = Annotated[
    int | None,
    typer.Option("--org", min=1, help="Number of the organisation 单位编号; none for the platform's own."),
]
Login = Annotated[str, typer.Argument(help="User name 用户名, not case-sensitive.")]


def _run(data: Path | None, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run `work` in one transaction; a refusal is printed in both languages and exits with 1."""

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


def _password(generate: bool) -> str:
    """From the terminal, twice; from a pipe, one line; empty to have one made up."""
    if generate:
        return ""
    if sys.stdin.isatty():
        return str(typer.prompt("Password 密码", hide_input=True, confirmation_prompt=True))
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        typer.echo("标准输入中没有密码。 No password on standard input.", err=True)
        raise typer.Exit(2)
    return line


Generate = Annotated[
    bool,
    typer.Option("--generate", help="Make up a first password and print it once 生成并显示一次初始密码."),
]


@app.command("add")
def add(
    login: Login,
    role: Annotated[str, typer.Option("--role", help="Role 角色; see `yaosu user roles`.")] = scopes.OPERATOR,
    org: OrgOption = None,
    name: Annotated[
        str, typer.Option("--name", help="Name shown 显示姓名; the user name unless given.")
    ] = "",
    generate: Generate = False,
    data: DataOption = None,
) -> None:
    """Add an account 新增用户.

    Without --org an operator of the platform is made. The password is asked for, or read as one line from
    standard input:  echo "$PASSWORD" | yaosu user add ops
    """
    password = _password(generate)

    async def work(conn: Connection) -> str:
        _, first = await accounts.create_account(conn, SYSTEM, login, name or login, role, password, org)
        return first

    first = _run(data, work)
    typer.echo(f"已新增用户 {login}。 Account added.")
    if generate:
        typer.echo(first)


@app.command("list")
def list_accounts(org: OrgOption = None, data: DataOption = None) -> None:
    """List the accounts of an organisation, or the operator's 列出用户."""
    found = _run(data, lambda conn: accounts.accounts(conn, SYSTEM, org, limit=10_000))
    table = Table("ID", "用户名 login", "姓名 name", "角色 role", "状态 state")
    for one in found:
        state = "停用 disabled" if not one.active else "锁定 locked" if one.locked_until else "正常 active"
        table.add_row(str(one.id), one.login, one.name, one.role, state)
    out.print(table)


@app.command("disable")
def disable(
    login: Login,
    enable: Annotated[bool, typer.Option("--undo", help="Enable it again 重新启用.")] = False,
    data: DataOption = None,
) -> None:
    """Disable an account and end its sessions 停用用户; --undo enables it again."""

    async def work(conn: Connection) -> None:
        found = await accounts.account_by_login(conn, login)
        await accounts.change_account(conn, SYSTEM, found.id, active=enable)

    _run(data, work)
    typer.echo(f"{'已启用 Enabled' if enable else '已停用 Disabled'}: {login}")


@app.command("reset")
def reset(login: Login, generate: Generate = False, data: DataOption = None) -> None:
    """Set a new first password and unlock 重置密码并解锁; it must be changed at the next sign-in."""
    password = _password(generate)

    async def work(conn: Connection) -> str:
        found = await accounts.account_by_login(conn, login)
        return await accounts.reset_password(conn, SYSTEM, found.id, password)

    first = _run(data, work)
    typer.echo(f"已重置 {login} 的密码。 Password reset.")
    if generate:
        typer.echo(first)


@app.command("key")
def key(
    name: Annotated[str, typer.Argument(help="What the key is for 用途, e.g. ERP.")],
    org: OrgOption = None,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="Permission 权限; repeat. All of the organisation's type if none."),
    ] = None,
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=36_500, help="Days until it ends 有效天数.")
    ] = None,
    data: DataOption = None,
) -> None:
    """Create an API key and print its secret once 新建接口密钥.

    The secret alone goes to standard output, so that a script can take it:  KEY=$(yaosu user key ERP --org 3)
    """

    async def work(conn: Connection) -> tuple[str, str]:
        facts = await accounts.org_facts(conn, org)
        wanted = scope or sorted(scopes.grantable(*(facts.kind if facts else (None, None))))
        until = datetime.now(UTC) + timedelta(days=days) if days else None
        made, secret = await keys.create_key(conn, SYSTEM, name, wanted, until, org)
        return made.prefix, secret

    prefix, secret = _run(data, work)
    typer.echo(f"已新建密钥 {prefix}，仅显示一次。 Key created; shown once.", err=True)
    typer.echo(secret)


@app.command("roles")
def roles() -> None:
    """List roles and the organisation types that have them 列出角色."""
    table = Table("角色 role", "名称", "Name", "单位类型 types", "权限 permissions")
    for role in scopes.permissions().roles.values():
        table.add_row(role.id, role.zh, role.en, " ".join(sorted(role.types)), " ".join(sorted(role.scopes)))
    out.print(table)
