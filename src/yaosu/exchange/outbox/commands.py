"""`yaosu exchange`: connections, deliveries and the question why, from the server's own command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from yaosu import settings
from yaosu.db.engine import Connection
from yaosu.edge.pages import china
from yaosu.exchange.outbox import connections, deliveries, service
from yaosu.exchange.outbox.erp import Erp
from yaosu.exchange.outbox.model import Channel
from yaosu.exchange.outbox.why import UPLOADED
from yaosu.exchange.outbox.why import why as explain
from yaosu.people.parts import keeper_for
from yaosu.registry.resolver import Registry
from yaosu.registry.terminal import OrgOption, run_as
from yaosu.subject import Subject

CHINA = ZoneInfo("Asia/Shanghai")

app = typer.Typer(
    name="exchange",
    help="Exchange with other systems 对接与报送: connections, deliveries, why.",
    no_args_is_help=True,
)
out = Console(width=None if sys.stdout.isatty() else 160)
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]
LinkArgument = Annotated[int, typer.Argument(min=1, help="Number of the connection 对接编号.")]
DeliveryArgument = Annotated[int, typer.Argument(min=1, help="Number of the delivery 报送编号.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why 原因; stays on record.")]


def _channels(registry: Registry, data: Path | None) -> Mapping[str, Channel]:
    chosen = settings.load(data=data)
    own = Erp(registry, chosen.webhook_hosts, chosen.public_url).channel()
    return {own.name: own}


def _when(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter("2026-09-30 or 2026-09-30T10:12:31+08:00") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=CHINA)


@app.command("connections")
def list_connections(org: OrgOption, data: DataOption = None) -> None:
    """Connections of an organisation with their counters 列出对接."""

    async def work(
        conn: Connection, registry: Registry, subject: Subject
    ) -> list[tuple[Any, dict[str, int]]]:
        counted = await deliveries.counts(conn, subject)
        return [(one, counted.get(one.id, {})) for one in await connections.listed(conn, subject)]

    table = Table("#", "方式 channel", "名称 title", "地址 URL", "状态 state", "报送 deliveries")
    for one, counted in run_as(data, org, work):
        numbers = " ".join(f"{state}={n}" for state, n in sorted(counted.items()))
        table.add_row(str(one.id), one.channel, one.title, one.url, one.state, numbers)
    out.print(table)


@app.command()
def add(
    org: OrgOption,
    channel: Annotated[str, typer.Argument(help="Channel 方式: erp, top, …")],
    url: Annotated[str, typer.Argument(help="Address 地址.")],
    title: Annotated[str, typer.Option("--title", help="Name 名称.")] = "",
    account: Annotated[
        list[str] | None, typer.Option("--account", help="name=value, not secret 帐号信息.")
    ] = None,
    secret_file: Annotated[
        Path | None, typer.Option("--secrets", help="JSON file with the credentials 密钥文件.", exists=True)
    ] = None,
    data: DataOption = None,
) -> None:
    """Add a connection 添加对接. Credentials come from a file, never from the command line."""
    given = dict(pair.partition("=")[::2] for pair in account or [])
    secret = json.loads(secret_file.read_text("utf-8")) if secret_file is not None else {}
    chosen = settings.load(data=data)

    async def work(conn: Connection, registry: Registry, subject: Subject) -> service.Made:
        known = _channels(registry, data)
        if channel in known:
            return await service.add(
                conn, subject, keeper_for(chosen), known, chosen.webhook_hosts, channel=channel, title=title, url=url,
                account=given, secret=secret,
            )  # fmt: skip
        number = await connections.add(
            conn,
            subject,
            keeper_for(chosen),
            channel,
            title,
            url,
            given,
            secret,
            allowed=chosen.webhook_hosts,
        )
        return service.Made(number)

    made = run_as(data, org, work)
    out.print(
        f"#{made.id}" + (f"  密钥 secret: {made.secret}" if made.secret else ""),
        markup=False,
        highlight=False,
    )


@app.command()
def state(
    org: OrgOption,
    connection: LinkArgument,
    new: Annotated[str, typer.Argument(help="active | held | ended")],
    reason: ReasonOption = "",
    data: DataOption = None,
) -> None:
    """Hold, release or end a connection 暂停、恢复、结束."""
    if new not in ("active", "held", "ended"):
        raise typer.BadParameter("active, held or ended")

    async def work(conn: Connection, registry: Registry, subject: Subject) -> None:
        await connections.set_state(conn, subject, connection, new, reason)

    run_as(data, org, work)
    out.print(f"#{connection} {new}")


@app.command("deliveries")
def list_deliveries(
    org: OrgOption,
    connection: Annotated[
        int | None, typer.Option("--connection", min=1, help="Only of this 对接编号.")
    ] = None,
    todo: Annotated[
        bool, typer.Option("--todo", help="Only those that wait for a person 只看等待处理的.")
    ] = False,
    bill_no: Annotated[str, typer.Option("--bill", help="Bill number 单据号.")] = "",
    data: DataOption = None,
) -> None:
    """To whom what went and what they answered 报送记录."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> list[dict[str, Any]]:
        return await deliveries.listed(
            conn, subject, connection=connection, todo=todo, bill_no=bill_no, limit=100
        )

    table = Table("#", "对接 to", "单据 bill", "状态 state", "回答 answer", "怎么办 next")
    for d in run_as(data, org, work):
        table.add_row(str(d["id"]), d["title"], d["bill_no"] or "", d["state"], d["answer"][:80], d["next"])
    out.print(table)


@app.command()
def show(org: OrgOption, delivery: DeliveryArgument, data: DataOption = None) -> None:
    """One delivery with every attempt, word for word 逐次往来."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> dict[str, Any]:
        return await deliveries.get(conn, subject, delivery)

    found = run_as(data, org, work)
    out.print(
        f"#{found['id']} {found['title']} {found['key']}: {found['text']} {found['next']}", markup=False
    )
    for t in reversed(found["tries"]):
        at = china(datetime.fromisoformat(t["at"]), True)
        out.print(
            f"{t['n']:>3} {at} {t['what']} {t['state']} {t['status'] or '—'} {t['answer']}", markup=False
        )


@app.command()
def retry(org: OrgOption, delivery: DeliveryArgument, data: DataOption = None) -> None:
    """Try a delivery again now 立即重试."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> None:
        await deliveries.retry(conn, subject, delivery)

    run_as(data, org, work)
    out.print(f"#{delivery} pending")


@app.command("retry-all")
def retry_all(
    org: OrgOption,
    connection: LinkArgument,
    refused: Annotated[bool, typer.Option("--refused", help="Also what they refused 含被拒绝的.")] = False,
    data: DataOption = None,
) -> None:
    """Try everything of a connection again that waits for a person 全部重试."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> int:
        return await deliveries.retry_all(conn, subject, connection, refused)

    out.print(f"{run_as(data, org, work)} 条将重试 deliveries to be tried again")


@app.command("give-up")
def give_up(
    org: OrgOption, delivery: DeliveryArgument, reason: ReasonOption, data: DataOption = None
) -> None:
    """Owe a delivery no longer, with a reason 放弃报送."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> None:
        await deliveries.give_up(conn, subject, delivery, reason)

    run_as(data, org, work)
    out.print(f"#{delivery} given_up")


@app.command()
def backfill(
    org: OrgOption,
    connection: LinkArgument,
    since: Annotated[str, typer.Option("--since", help="Day or time 起始时间, e.g. 2026-09-30.")],
    data: DataOption = None,
) -> None:
    """Send everything recorded from a date on 补报; nothing goes twice. The running server sends it."""
    begin = _when(since)

    async def work(conn: Connection, registry: Registry, subject: Subject) -> int:
        return await deliveries.backfill(conn, subject, connection, begin)

    out.print(f"{run_as(data, org, work)} 张单据已列入补报 bills queued")


@app.command()
def why(
    org: OrgOption, code: Annotated[str, typer.Argument(help="Trace code 追溯码.")], data: DataOption = None
) -> None:
    """Why a code was not uploaded 这个码为什么没有上传. Exit code 0: it was; 2: it was not, the reason is printed."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> dict[str, Any]:
        found = await explain(conn, subject, registry, _channels(registry, data), code)
        return found.as_json("zh")

    found = run_as(data, org, work)
    out.print(f"{found['code']} {found['product']} {found['home']}", markup=False)
    out.print(f"{found['answer']['text']} {found['answer']['next']}", markup=False)
    for one in found["connections"]:
        out.print(f"- {one['title']}：{one['text']}", markup=False)
    raise typer.Exit(0 if found["answer"]["code"] in UPLOADED else 2)
