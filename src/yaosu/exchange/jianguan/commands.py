"""`yaosu jianguan …`: regulator feeds and the receiving side from the server's own command line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.table import Table

from yaosu import settings
from yaosu.db.embedded import database_address
from yaosu.db.engine import open_pool
from yaosu.edge.state import AppState
from yaosu.edge.terminal import DataOption, JsonOption, out, print_json, refusals
from yaosu.exchange.jianguan import held, service
from yaosu.exchange.jianguan.compare import Result
from yaosu.people.keeper import Keeper
from yaosu.registry.resolver import load_registry
from yaosu.settings import master_secret
from yaosu.subject import SYSTEM

T = TypeVar("T")

app = typer.Typer(
    name="jianguan",
    help="Regulator feed 监管数据: feeds, add, reconcile, sources, register.",
    no_args_is_help=True,
)
FeedArgument = Annotated[int, typer.Argument(min=1, max=2**31 - 1, help="Number of the feed 接口编号.")]


def _run(data: Path | None, work: Callable[[AppState], Awaitable[T]]) -> T:
    """Run `work` as the operator; a refusal is explained and exits with 1."""

    async def inside() -> T:
        chosen = settings.load(data=data)
        address = database_address(chosen.data, chosen.database_url)
        pool = await open_pool(address, 3)
        try:
            app_ = AppState(settings=chosen, address=address, pool=pool)
            app_.parts["keeper"] = Keeper(master_secret(chosen.data))
            async with pool.acquire() as conn:
                app_.parts["registry"] = await load_registry(conn)
            return await work(app_)
        finally:
            await pool.close()

    with refusals():
        return asyncio.run(inside())


@app.command()
def feeds(as_json: JsonOption = False, data: DataOption = None) -> None:
    """Feeds: how far numbered, how far held by the regulator 各监管接口进度."""

    async def work(state: AppState) -> list[service.Feed]:
        async with state.pool.acquire() as conn:
            return await service.feeds(conn, SYSTEM)

    found = [f.as_json() for f in _run(data, work)]
    if as_json:
        print_json({"items": found})
        return
    table = Table(
        "#",
        "监管系统 regulator",
        "地区 region",
        "已编号 numbered",
        "对方已存 held",
        "对账 equal",
        "应答 said",
    )
    for one in found:
        last: Any = one["last_check"]
        equal = "—" if last is None else "一致" if last["equal"] else "不一致"
        row = (
            one["id"],
            one["title"],
            one["region"] or "全国",
            one["numbered"],
            one["held"],
            equal,
            one["said"],
        )
        table.add_row(*map(str, row))
    out.print(table)


@app.command()
def add(
    org: Annotated[int, typer.Option("--org", min=1, help="Firm that runs this system 本系统运营单位编号.")],
    source_id: Annotated[
        str, typer.Option("--source-id", help="sourceID given by the regulator 数据来源标识.")
    ],
    key: Annotated[
        str, typer.Option("--key", prompt=True, hide_input=True, help="Key given by the regulator 密钥.")
    ],
    url: Annotated[
        str, typer.Option("--url", help="Address of the regulator 监管系统地址; none: it pulls.")
    ] = "",
    region: Annotated[str, typer.Option("--region", help="Leading digits of GB/T 2260 行政区划.")] = "",
    profile: Annotated[str, typer.Option("--profile", help="List jianguan_profile 接口配置.")] = "national",
    data: DataOption = None,
) -> None:
    """Feed a regulator 新建监管接口."""

    async def work(state: AppState) -> int:
        draft = service.FeedDraft(org, source_id, key, url, profile, region)
        async with state.pool.acquire() as conn, conn.transaction():
            return await service.add(conn, SYSTEM, state.parts["keeper"], draft, state.settings.webhook_hosts)

    out.print(f"#{_run(data, work)}")


@app.command()
def reconcile(
    feed: FeedArgument,
    new_only: Annotated[
        bool, typer.Option("--new-only", help="Only after the last equal range 仅新增部分.")
    ] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Compare both sides, send again what differs 对账. Exit code 1 when they still differ."""

    async def work(state: AppState) -> Result | None:
        return await service.reconcile(state, SYSTEM, feed, not new_only)

    found = _run(data, work)
    if found is None:
        out.print("尚无数据 nothing sent yet")
        return
    if as_json:
        print_json(found.as_json())
    else:
        out.print(f"{found.first}–{found.last}  {'一致 equal' if found.equal else '不一致 differing'}")
        out.print(f"  本方 ours   {found.ours.as_json()}", markup=False)
        out.print(f"  对方 theirs {found.theirs.as_json()}", markup=False)
        if found.differing:
            out.print(
                f"  不同事件 differing {found.differing[:50]}  已重发 resent {found.resent}", markup=False
            )
        for one in found.events:
            words = (one.get("eventType", ""), one.get("billNo", ""), one.get("owner", ""), one["eventID"])
            out.print(f"  #{one['seq']} {one['there']} {' '.join(w for w in words if w)}", markup=False)
    raise typer.Exit(0 if found.equal else 1)


@app.command()
def sources(as_json: JsonOption = False, data: DataOption = None) -> None:
    """Receiving side: sources and their completeness 各数据来源完整性. Exit code 1 when numbers are missing."""

    async def work(state: AppState) -> list[held.Source]:
        async with state.pool.acquire() as conn:
            return await held.sources(conn, SYSTEM)

    found = _run(data, work)
    if as_json:
        print_json({"items": [s.as_json() for s in found]})
    else:
        table = Table("#", "sourceID", "来源 source", "连续至 held to", "缺 missing", "被拒 refused")
        for one in found:
            row = (one.id, one.source_id, one.name, one.contiguous, one.missing, one.refused)
            table.add_row(*map(str, row))
        out.print(table)
    if any(s.missing for s in found):
        raise typer.Exit(1)


@app.command()
def register(
    name: Annotated[str, typer.Argument(help="Name of the trace system 追溯系统名称.")],
    region: Annotated[str, typer.Option("--region", help="Leading digits of GB/T 2260 行政区划.")] = "",
    data: DataOption = None,
) -> None:
    """Receiving side: register a source; prints sourceID and key this once 登记数据来源."""

    async def work(state: AppState) -> tuple[held.Source, str]:
        async with state.pool.acquire() as conn, conn.transaction():
            return await held.register(conn, SYSTEM, state.parts["keeper"], name, region)

    found, key = _run(data, work)
    out.print(f"sourceID {found.source_id}  密钥 key {key}", soft_wrap=True, markup=False)
