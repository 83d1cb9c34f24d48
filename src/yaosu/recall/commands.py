"""`yaosu recall …`: list, show, locate, publish, progress and reports from the server's own command line.

Approval is not among them: it takes a second person's account.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
import typer
from rich.console import Console
from rich.table import Table

from yaosu import settings
from yaosu.db.embedded import database_address
from yaosu.db.engine import Connection, connect
from yaosu.edge.terminal import refusals
from yaosu.errors import YaosuError
from yaosu.papers import pdf, xlsx
from yaosu.recall import commands_tasks, locks, reading, service, store_lock, views
from yaosu.registry.resolver import Registry, load_registry
from yaosu.subject import ADMIN, SYSTEM, Subject
from yaosu.trace import service as trace

T = TypeVar("T")

app = typer.Typer(
    name="recall",
    help="Recalls and locks 召回与锁定: draft, publish, locate, acknowledge, count, close, report, lock, release. "
    "Approval takes a second person's own session 批准须由第二人登录办理.",
    no_args_is_help=True,
)
commands_tasks.add_to(app)
out = Console(width=None if sys.stdout.isatty() else 160)

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON 输出 JSON.")]
OrderArgument = Annotated[int, typer.Argument(min=1, help="Number of record of the recall 召回单内部编号.")]
OrgOption = Annotated[int, typer.Option("--org", min=1, help="Organisation that acts 办理单位编号.")]


def _run(data: Path | None, work: Callable[[Connection, Registry], Awaitable[T]]) -> T:
    """Run `work` in one transaction; a refusal is printed with every finding and exits with 1."""

    async def inside() -> T:
        chosen = settings.load(data=data)
        conn = await connect(database_address(chosen.data, chosen.database_url))
        try:
            registry = await load_registry(conn)
            async with conn.transaction():
                return await work(conn, registry)
        finally:
            await conn.close()

    with refusals():
        return asyncio.run(inside())


def _subject(registry: Registry, org: int) -> Subject:
    card = registry.org(org)
    if card is None:
        raise YaosuError("not_found", {"what": f"#{org}"})
    scopes = frozenset({ADMIN})
    return Subject("key", None, org, str(card.type), "admin", scopes, region=card.region, name="cli")


def _json(value: object) -> None:
    sys.stdout.write(orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2).decode() + "\n")


@app.command("list")
def list_(
    running: Annotated[bool, typer.Option("--running", help="Only those in force 仅召回中.")] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Recall orders 召回单, newest first."""

    async def work(conn: Connection, registry: Registry) -> list[dict[str, Any]]:
        states = ["published"] if running else None
        found = await service.listed(conn, SYSTEM, states=states, limit=500)
        return await reading.short(conn, registry, found, "zh")

    rows = _run(data, work)
    if as_json:
        _json(rows)
        return
    table = Table(
        "编号 id", "召回单 number", "级别 level", "状态 state", "药品 product", "批次 batches", "标题 title"
    )
    for o in rows:
        name = o["product"]["name"] if o["product"] else "—"
        drill = "（演练）" if o["simulated"] else ""
        goods = "、".join(o["batches"]) or f"{len(o['codes'])} codes"
        table.add_row(
            str(o["id"]), o["number"], o["level_name"], o["state_name"] + drill, name, goods, o["title"]
        )
    out.print(table)


@app.command()
def show(order: OrderArgument, data: DataOption = None) -> None:
    """Print a recall with figures, measured times and holders as JSON 查看召回."""

    async def work(conn: Connection, registry: Registry) -> dict[str, Any]:
        view = await reading.order(conn, registry, SYSTEM, order, "zh")
        _, view["holders"], _ = await reading.holders(conn, registry, SYSTEM, order, limit=100_000)
        return view

    _json(_run(data, work))


@app.command()
def locate(
    drug: Annotated[int, typer.Argument(min=1, help="Product number 药品编号.")],
    batch: Annotated[str, typer.Argument(help="Batch number 生产批号.")],
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Find every holder of a batch in the ledger 定位 (R-X7); nothing is stopped and nobody is told."""

    async def work(conn: Connection, registry: Registry) -> tuple[dict[str, Any], float]:
        begun = time.perf_counter()
        found: Any = await trace.where(conn, registry, SYSTEM, drug, batch)
        return found, (time.perf_counter() - begun) * 1000

    found, ms = _run(data, work)
    if as_json:
        _json({**found, "located_ms": round(ms, 1)})
        return
    table = Table("单位 holder", "状态 status", "盒 packages", title=f"{ms:,.0f} ms", title_justify="left")
    for one in found["items"]:
        table.add_row(one["holder"]["name"] if one["holder"] else "—", one["status"], f"{one['qty']:,}")
    for one in found["on_the_way"]:
        ends = [one[end]["name"] if one[end] else "—" for end in ("from", "to")]
        table.add_row(" → ".join(ends), "O", f"{one['qty']:,}")
    out.print(table)


@app.command()
def publish(order: OrderArgument, org: OrgOption, data: DataOption = None) -> None:
    """Publish an approved recall 发布: stop, locate, tasks and notices in one transaction."""

    async def work(conn: Connection, registry: Registry) -> dict[str, Any]:
        done = await service.publish(conn, registry, _subject(registry, org), order)
        return await reading.order(conn, registry, SYSTEM, done.id, "zh")

    view = _run(data, work)
    times = view["times"]
    out.print(
        f"{view['number']} {view['title']}: {times['holders']} 家 holders, 定位 located {times['located_ms']} ms",
        markup=False,
    )


@app.command()
def report(
    order: OrderArgument,
    file: Annotated[Path, typer.Argument(help="Where to write it; .pdf or .xlsx.")],
    data: DataOption = None,
) -> None:
    """Write the progress or summary report 进展/总结报告 to a file."""
    if file.suffix not in (".pdf", ".xlsx"):
        raise typer.BadParameter(".pdf / .xlsx")

    async def work(conn: Connection, registry: Registry) -> bytes:
        paper = await reading.summary(conn, registry, SYSTEM, order)
        return pdf.render(paper) if file.suffix == ".pdf" else xlsx.render(paper)

    file.write_bytes(_run(data, work))
    out.print(str(file), markup=False)


@app.command("locks")
def locks_(
    released: Annotated[bool, typer.Option("--released", help="Released ones too 含已解除.")] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Locks and suspensions 停售与锁定."""

    async def work(conn: Connection, registry: Registry) -> list[dict[str, Any]]:
        found = await locks.listed(conn, SYSTEM, None if released else True, limit=500)
        goods = await store_lock.goods(conn, [lock.id for lock in found])
        return [views.lock_view(registry, lock, goods[lock.id], "zh") for lock in found]

    rows = _run(data, work)
    if as_json:
        _json(rows)
        return
    table = Table("编号 id", "number", "类型 kind", "药品 product", "批次 batches", "码 codes", "原因 reason")
    for row in rows:
        name = row["product"]["name"] if row["product"] else "—"
        table.add_row(
            str(row["id"]),
            row["number"],
            row["kind_name"],
            name,
            "、".join(row["batches"]),
            str(len(row["codes"])),
            f"{row['reason_name']} {row['reason_text']}",
        )
    out.print(table)


@app.command()
def lock(
    drug: Annotated[int, typer.Argument(min=1, help="Product number 药品编号.")],
    org: OrgOption,
    reason: Annotated[str, typer.Option("--reason", help="Code of list lock_reason 原因代码.")],
    batch: Annotated[list[str] | None, typer.Option("--batch", help="Batch number 批号; repeat.")] = None,
    code: Annotated[list[str] | None, typer.Option("--code", help="Trace code 追溯码; repeat.")] = None,
    text: Annotated[str, typer.Option("--text", help="Explanation 说明.")] = "",
    own: Annotated[bool, typer.Option("--own", help="Only the own sale 仅暂停本单位销售 (R-B5).")] = False,
    data: DataOption = None,
) -> None:
    """Lock goods or suspend their sale 锁定/暂停销售."""

    async def work(conn: Connection, registry: Registry) -> str:
        made = await locks.place(
            conn,
            registry,
            _subject(registry, org),
            kind="suspension" if own else "lock",
            drug_id=drug,
            batch_nos=batch or [],
            codes=code or [],
            reason=reason,
            reason_text=text,
        )
        return (await locks.shown(conn, SYSTEM, made)).number

    out.print(_run(data, work), markup=False)


@app.command()
def release(
    lock_id: Annotated[int, typer.Argument(min=1, help="Number of record of the lock 内部编号.")],
    org: OrgOption,
    reason: Annotated[str, typer.Option("--reason", help="Why 解除理由.")],
    data: DataOption = None,
) -> None:
    """Release goods 解除."""

    async def work(conn: Connection, registry: Registry) -> str:
        done = await locks.release(conn, registry, _subject(registry, org), lock_id, reason)
        return done.number

    out.print(_run(data, work), markup=False)
