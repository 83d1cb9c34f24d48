"""`yaosu webhook`: subscriptions from the server's own command line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar
from uuid import uuid4
from zoneinfo import ZoneInfo

import typer
from rich.table import Table

from yaosu import settings
from yaosu.db.embedded import database_address
from yaosu.db.engine import Pool, open_pool
from yaosu.edge.terminal import out, refusals
from yaosu.notify import webhooks
from yaosu.notify.model import Webhook
from yaosu.notify.outbox import Delivery, Outcome
from yaosu.registry.resolver import load_registry
from yaosu.registry.terminal import acting
from yaosu.settings import Settings, master_secret
from yaosu.subject import SYSTEM, Subject

T = TypeVar("T")
CHINA = ZoneInfo("Asia/Shanghai")

app = typer.Typer(name="webhook", help="Webhooks 推送订阅: list, add, test, replay.", no_args_is_help=True)
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]
OrgOption = Annotated[int, typer.Option("--org", min=1, help="Number of the organisation 单位编号.")]
HookArgument = Annotated[int, typer.Argument(min=1, help="Number of the webhook 订阅编号.")]


def _run(data: Path | None, org: int, work: Callable[[Pool, Settings], Awaitable[T]]) -> T:
    async def inside() -> T:
        chosen = settings.load(data=data)
        pool = await open_pool(database_address(chosen.data, chosen.database_url), 2)
        try:
            async with pool.acquire() as conn:
                acting(await load_registry(conn), org)
            return await work(pool, chosen)
        finally:
            await pool.close()

    with refusals():
        return asyncio.run(inside())


def _subject(org: int) -> Subject:
    return replace(SYSTEM, org_id=org)


@app.command("list")
def list_(org: OrgOption, data: DataOption = None) -> None:
    """Subscriptions of an organisation 列出订阅."""

    async def work(pool: Pool, chosen: Settings) -> list[Webhook]:
        async with pool.acquire() as conn:
            return await webhooks.listed(conn, _subject(org))

    table = Table("#", "地址 URL", "种类 kinds", "状态 state")
    for one in _run(data, org, work):
        table.add_row(
            str(one.id),
            one.url,
            ", ".join(one.kinds) or "全部 all",
            "推送中 active" if one.active else "暂停 paused",
        )
    out.print(table)


@app.command()
def add(
    org: OrgOption,
    url: Annotated[str, typer.Argument(help="Where to send 接收地址.")],
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Kind of message 消息种类; all when none.")
    ] = None,
    data: DataOption = None,
) -> None:
    """Subscribe an address; prints the secret this once 新建订阅."""

    async def work(pool: Pool, chosen: Settings) -> tuple[int, str]:
        async with pool.acquire() as conn, conn.transaction():
            master = master_secret(chosen.data)
            return await webhooks.add(conn, _subject(org), master, chosen.webhook_hosts, url, kind or [])

    number, secret = _run(data, org, work)
    out.print(f"#{number}  密钥 secret: {secret}", soft_wrap=True, markup=False, highlight=False)


@app.command()
def test(org: OrgOption, webhook: HookArgument, data: DataOption = None) -> None:
    """Send a test delivery now and print the answer 发送测试. Exit code 1 when it was not received."""

    async def work(pool: Pool, chosen: Settings) -> Outcome:
        async with pool.acquire() as conn:
            await webhooks.get(conn, _subject(org), webhook)
        master = master_secret(chosen.data)
        sender = webhooks.Sender(pool, master, chosen.webhook_hosts, chosen.public_url)
        event = uuid4()
        body = {
            "id": str(event), "kind": webhooks.TEST_KIND, "org": org, "ref": "", "link": "/webhooks", "params": {},
            "message": None,
        }  # fmt: skip
        return await sender.send(Delivery(0, org, "webhook", webhook, event, webhooks.TEST_KIND, body, 1))

    answer = _run(data, org, work)
    out.print(f"{answer.status or '—'} {answer.answer}", markup=False)
    raise typer.Exit(0 if answer.state == "processed" else 1)


@app.command()
def replay(
    org: OrgOption,
    webhook: HookArgument,
    from_message: Annotated[
        int | None, typer.Option("--from-message", min=1, help="Message number 消息编号.")
    ] = None,
    since: Annotated[str, typer.Option("--since", help="Day or time 起始时间, e.g. 2026-09-30.")] = "",
    data: DataOption = None,
) -> None:
    """Put messages into the outbox again from any point 重放; the running server sends them."""
    start = None
    if since:
        try:
            start = datetime.fromisoformat(since)
        except ValueError as error:
            raise typer.BadParameter("2026-09-30 or 2026-09-30T10:12:31+08:00") from error
        start = start if start.tzinfo is not None else start.replace(tzinfo=CHINA)

    async def work(pool: Pool, chosen: Settings) -> int:
        total, onward = 0, from_message
        async with pool.acquire() as conn, conn.transaction():
            while True:
                count, onward = await webhooks.replay(conn, _subject(org), webhook, onward, start)
                total += count
                if onward is None:
                    return total

    out.print(f"{_run(data, org, work)} 条已列入发送 messages queued")
