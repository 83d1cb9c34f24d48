"""`yaosu xietong …`: the coordination platform and its clients from the server's own command line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.table import Table

from yaosu import settings
from yaosu.db.embedded import database_address
from yaosu.db.engine import Connection, connect
from yaosu.edge.terminal import DataOption, JsonOption, out, print_json, refusals
from yaosu.errors import YaosuError
from yaosu.exchange.xietong import client, hub, hub_restored, views
from yaosu.exchange.xietong.envelope import CHINA
from yaosu.exchange.xietong.hub import SystemDraft
from yaosu.exchange.xietong.resolve import Home, Resolver, from_registry
from yaosu.people.keeper import Keeper
from yaosu.registry.resolver import load_registry
from yaosu.settings import Settings, master_secret
from yaosu.subject import SYSTEM

T = TypeVar("T")

app = typer.Typer(
    name="xietong",
    help="Coordination platform 协同平台: systems, rules, connections, resolve.",
    no_args_is_help=True,
)


def _run(data: Path | None, work: Callable[[Connection, Settings], Awaitable[T]]) -> T:
    """Run `work` in one transaction as the operator; a refusal is explained and exits with 1."""

    async def inside() -> T:
        chosen = settings.load(data=data)
        conn = await connect(database_address(chosen.data, chosen.database_url))
        try:
            async with conn.transaction():
                return await work(conn, chosen)
        finally:
            await conn.close()

    with refusals():
        return asyncio.run(inside())


def _keeper(chosen: Settings) -> Keeper:
    return Keeper(master_secret(chosen.data))


@app.command()
def systems(as_json: JsonOption = False, data: DataOption = None) -> None:
    """Trace systems that take part, with their mailboxes 参与的追溯系统."""

    async def work(conn: Connection, chosen: Settings) -> list[hub.System]:
        return await hub.systems(conn, SYSTEM)

    found = _run(data, work)
    if as_json:
        print_json({"items": [s.as_json() for s in found]})
        return
    table = Table("#", "app_id", "系统 system", "状态 state", "信箱 mailbox", "被拒 refused")
    for one in found:
        table.add_row(
            str(one.id), one.app_id, one.name, one.state, f"{one.taken}/{one.box}", str(one.refused)
        )
    out.print(table)


@app.command()
def register(
    name: Annotated[str, typer.Argument(help="Name of the trace system 追溯系统名称.")],
    operator: Annotated[str, typer.Option("--operator", help="Who runs it 运营单位.")] = "",
    usc_id: Annotated[str, typer.Option("--usc-id", help="统一社会信用代码 of the operator.")] = "",
    query_url: Annotated[str, typer.Option("--query-url", help="Public query page 公众查询地址.")] = "",
    resolver_url: Annotated[str, typer.Option("--resolver-url", help="Resolver 解析地址.")] = "",
    receive_url: Annotated[
        str, typer.Option("--receive-url", help="Where events are pushed 接收地址; none: it pulls.")
    ] = "",
    data: DataOption = None,
) -> None:
    """Register a trace system; prints app_id and key this once 登记追溯系统."""

    async def work(conn: Connection, chosen: Settings) -> tuple[hub.System, str]:
        draft = SystemDraft(name, operator, usc_id, resolver_url, query_url, receive_url)
        return await hub.register(conn, SYSTEM, _keeper(chosen), draft)

    system, key = _run(data, work)
    out.print(f"app_id {system.app_id}  密钥 key {key}", soft_wrap=True, markup=False)


@app.command()
def restored(data: DataOption = None) -> None:
    """After the platform's database was restored from a backup: tell every system 平台从备份恢复后通知各系统."""

    async def work(conn: Connection, chosen: Settings) -> int:
        return await hub_restored.tell(conn)

    out.print(f"{_run(data, work)} 个系统已通知 systems told")


@app.command("connect")
def connect_(
    url: Annotated[str, typer.Argument(help="Address of the platform 协同平台地址.")],
    org: Annotated[int, typer.Option("--org", min=1, help="Firm that runs this system 本系统运营单位编号.")],
    app_id: Annotated[str, typer.Option("--app-id", help="app_id given by the platform.")],
    key: Annotated[
        str, typer.Option("--key", prompt=True, hide_input=True, help="Key given by the platform 密钥.")
    ],
    since: Annotated[
        str, typer.Option("--since", help="Tell what was recorded from this day on 补报起始日.")
    ] = "",
    data: DataOption = None,
) -> None:
    """Take part in a platform from now on 接入协同平台; with --since also from before."""
    begin = _day(since) if since else None

    async def work(conn: Connection, chosen: Settings) -> int:
        return await client.connect(
            conn, SYSTEM, _keeper(chosen), org, url, app_id, key, allowed=chosen.webhook_hosts, since=begin
        )

    out.print(f"#{_run(data, work)}")


@app.command()
def backfill(
    connection: Annotated[int, typer.Argument(min=1, help="Number of the connection 对接编号.")],
    since: Annotated[str, typer.Option("--since", help="Day, e.g. 2026-09-30 起始日.")] = "",
    state: Annotated[str, typer.Option("--state", help="paused or running 暂停或继续.")] = "",
    data: DataOption = None,
) -> None:
    """Tell a platform what was recorded from a day on 补报; without --since: how it stands."""
    begin = _day(since) if since else None
    if state not in ("", "paused", "running"):
        raise typer.BadParameter("paused, running")

    async def work(conn: Connection, chosen: Settings) -> dict[str, Any] | None:
        if begin is not None:
            await client.backfill(conn, SYSTEM, connection, begin)
        if state:
            await client.backfill_state(conn, SYSTEM, connection, state)
        found = next((s for s in await client.standings(conn, SYSTEM) if s.link.id == connection), None)
        if found is None:
            raise YaosuError("not_found", {"what": "对接"})
        return found.backfill.as_json() if found.backfill else None

    print_json(_run(data, work) or {})


def _day(text: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), time(), CHINA)
    except ValueError:
        raise typer.BadParameter("YYYY-MM-DD") from None


def _counts(states: Mapping[str, int]) -> str:
    return ", ".join(f"{state} {count}" for state, count in states.items()) or "—"


@app.command()
def status(as_json: JsonOption = False, data: DataOption = None) -> None:
    """How this trace system stands with its platforms 备案与收发情况. Exit code 1 when something is refused."""

    async def work(conn: Connection, chosen: Settings) -> list[client.Standing]:
        return await client.standings(conn, SYSTEM)

    found = _run(data, work)
    if as_json:
        print_json({"items": [s.as_json() for s in found]})
    else:
        table = Table("#", "平台 platform", "备案 filed", "收件 inbox", "应答 said")
        for one in found:
            filed = "  ".join(f"{kind}: {_counts(states)}" for kind, states in one.filed.items())
            table.add_row(str(one.link.id), one.link.title, filed, _counts(one.inbox), one.said)
        out.print(table)
    if any(s.inbox.get("refused") or any(v.get("refused") for v in s.filed.values()) for s in found):
        raise typer.Exit(1)


def _rows(title: str, columns: dict[str, str], items: list[dict[str, Any]]) -> None:
    table = Table(*columns.values(), title=title, title_justify="left")
    for item in items:
        table.add_row(*(str(item.get(name, "") or "") for name in columns))
    out.print(table)


@app.command()
def filed(
    connection: Annotated[
        int, typer.Argument(min=1, max=2**31 - 1, help="Number of the connection 对接编号.")
    ],
    only: Annotated[str, typer.Option("--only", help="due, filed or refused 仅某一状态.")] = "",
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """What is filed with a platform, with its answers 备案明细."""

    async def work(conn: Connection, chosen: Settings) -> list[dict[str, Any]]:
        return await views.filed(conn, SYSTEM, connection, only, 1000)

    found = _run(data, work)
    if as_json:
        print_json({"items": found})
    else:
        _rows(
            "备案 filed",
            {"kind": "类别", "key": "标识", "state": "状态", "filing_no": "备案号", "said": "应答"},
            found,
        )


@app.command()
def inbox(
    connection: Annotated[
        int, typer.Argument(min=1, max=2**31 - 1, help="Number of the connection 对接编号.")
    ],
    only: Annotated[str, typer.Option("--only", help="waiting, done, partly or refused 仅某一状态.")] = "",
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """What other systems told us and what became of it 收到的事件."""

    async def work(conn: Connection, chosen: Settings) -> list[dict[str, Any]]:
        return await views.inbox(conn, SYSTEM, connection, only, None, 200)

    found = _run(data, work)
    if as_json:
        print_json({"items": found})
    else:
        columns = {
            "id": "#",
            "sub_type": "子类型",
            "usc_id": "企业",
            "state": "状态",
            "bill_id": "单据",
            "said": "说明",
        }
        _rows("收件 inbox", columns, found)


@app.command()
def retry(
    event: Annotated[int, typer.Argument(min=1, max=2**63 - 1, help="Number in the inbox 事件编号.")],
    data: DataOption = None,
) -> None:
    """Book an event again; the running server does it 重新处理."""

    async def work(conn: Connection, chosen: Settings) -> None:
        await views.retry(conn, SYSTEM, event)

    _run(data, work)
    out.print(f"#{event} 已列入处理 queued")


@app.command()
def resolve(
    code: Annotated[str, typer.Argument(help="Trace code 追溯码.")],
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """The home of a code 追溯码归属. Exit code 1 when nobody filed it."""

    async def work(conn: Connection, chosen: Settings) -> Home:
        resolver = Resolver()
        await resolver.refresh(conn)
        found = resolver.resolve(code) or from_registry(await load_registry(conn), code)
        if found is None:
            raise YaosuError("xietong_resolve_unknown", {"code": code[:60]})
        return found

    found = _run(data, work)
    if as_json:
        print_json(found.as_json())
    else:
        out.print(f"{found.code}  {found.system}  {found.query_url}", markup=False)
