"""`yaosu message …`: what an organisation was told, from the server's own command line."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from yaosu.db.engine import Connection
from yaosu.edge.pages import china
from yaosu.edge.terminal import DataOption, JsonOption, out, print_json
from yaosu.notify import service
from yaosu.notify.model import Message
from yaosu.registry.resolver import Registry
from yaosu.registry.terminal import OrgOption, run_as
from yaosu.subject import Subject

app = typer.Typer(
    name="message", help="Messages of an organisation 消息: list, read, kinds.", no_args_is_help=True
)


@app.command("list")
def list_(
    org: OrgOption,
    unread: Annotated[bool, typer.Option("--unread", help="Only what nobody has read 仅未读.")] = False,
    kind: Annotated[str, typer.Option("--kind", help="One kind 消息种类; see `yaosu message kinds`.")] = "",
    before: Annotated[
        int | None, typer.Option("--before", min=1, max=2**63 - 1, help="Older than this message 早于此消息.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many 最多条数.")] = 50,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """List messages, newest first 消息列表. Reading them here leaves them unread."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> list[Message]:
        return await service.messages(conn, subject, before=before, unread=unread, kind=kind, limit=limit)

    found = run_as(data, org, work)
    if as_json:
        print_json([one.as_json("zh") for one in found])
        return
    table = Table("#", "时间 at", "内容 text", "下一步 next", "页面 page", "状态 state")
    for one in found:
        state = "已读 read" if one.read_at else "未读 unread"
        table.add_row(str(one.id), china(one.at), one.text("zh"), one.next_step("zh"), one.link, state)
    out.print(table)


@app.command()
def read(
    org: OrgOption,
    ids: Annotated[list[int], typer.Argument(min=1, max=2**63 - 1, help="Numbers of messages 消息编号.")],
    data: DataOption = None,
) -> None:
    """Mark messages as read 标为已读; prints those that were not before."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> list[int]:
        return await service.mark_read(conn, subject, ids)

    out.print(" ".join(str(one) for one in run_as(data, org, work)) or "—", markup=False)


@app.command()
def kinds(as_json: JsonOption = False) -> None:
    """List every kind of message there is 消息种类; what a webhook can subscribe to."""
    found: list[dict[str, Any]] = list(service.kinds())
    if as_json:
        print_json(found)
        return
    table = Table("种类 kind", "内容", "Text")
    for one in found:
        table.add_row(one["kind"], one["zh"], one["en"])
    out.print(table)
