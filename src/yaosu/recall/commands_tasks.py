"""`yaosu recall draft|task|acknowledge|count|close|finish|cancel`: from the order to the last holder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from yaosu.db.engine import Connection
from yaosu.edge.terminal import DataOption, checked, json_of, lines_of, print_json, read_file
from yaosu.recall import reading, service, tasks
from yaosu.recall.schemas import CountIn, OrderIn, ReasonIn, ScansIn
from yaosu.registry.resolver import Registry
from yaosu.registry.terminal import OrgOption, run_as
from yaosu.subject import Subject

OrderArgument = Annotated[
    int, typer.Argument(min=1, max=2**63 - 1, help="Number of record of the recall 召回单内部编号.")
]
StoreOption = Annotated[
    int | None,
    typer.Option("--store", min=1, help="The task of this store of ours 门店编号; own when left out."),
]


def add_to(app: typer.Typer) -> None:
    """Make the commands of orders and tasks commands of `app`."""
    for command in (draft, task, acknowledge, count, close, finish, cancel):
        app.command()(command)


def _order(org: int, order: int, data: Path | None, act: Any) -> None:
    """Do something with an order and print it as it is then."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> dict[str, Any]:
        number = await act(conn, registry, subject) or order
        return await reading.order(conn, registry, subject, number, "zh")

    print_json(run_as(data, org, work))


def _task(org: int, order: int, store: int | None, data: Path | None, act: Any = None) -> None:
    """Do something with the own task and print it as it is then."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> dict[str, Any]:
        if act is not None:
            await act(conn, registry, subject)
        return await reading.task(conn, registry, subject, order, store, "zh")

    print_json(run_as(data, org, work))


def draft(
    file: Annotated[
        str, typer.Argument(help="JSON of the order, as POST /api/v1/recalls takes it; - for standard input.")
    ],
    org: OrgOption,
    data: DataOption = None,
) -> None:
    """Draft a recall or a drill 起草召回单; a second person approves it in an own session, then `publish`.

    \b
    {"drug_id": 12, "level": 1, "kind": "active", "simulated": false, "title": "…", "reason": "…",
     "contact": "质量部 0531-12345678", "public": true, "batches": ["20260901"], "codes": []}
    """
    content = read_file(file)

    async def act(conn: Connection, registry: Registry, subject: Subject) -> int:
        body = checked(OrderIn, json_of(content))
        return await service.draft(conn, registry, subject, body.draft(registry))

    _order(org, 0, data, act)


def task(order: OrderArgument, org: OrgOption, store: StoreOption = None, data: DataOption = None) -> None:
    """Print the own task in a recall as JSON 本单位召回任务: what the books hold, counted, returned, destroyed."""
    _task(org, order, store, data)


def acknowledge(
    order: OrderArgument, org: OrgOption, store: StoreOption = None, data: DataOption = None
) -> None:
    """Acknowledge a recall 签收; a second time changes nothing."""
    _task(org, order, store, data, lambda c, r, s: tasks.acknowledge(c, s, order, store))


def count(
    order: OrderArgument,
    org: OrgOption,
    counted: Annotated[
        int | None,
        typer.Option("--counted", min=0, help="Found by hand 清点数; scanned codes when left out."),
    ] = None,
    file: Annotated[
        str, typer.Option("--codes", help="Scanned codes, one a line 扫码文件; - for standard input.")
    ] = "",
    sealed: Annotated[int, typer.Option("--sealed", min=0, help="Kept apart on site 就地封存数.")] = 0,
    missing: Annotated[int, typer.Option("--missing", min=0, help="Looked for and not found 未找到数.")] = 0,
    note: Annotated[str, typer.Option("--note", help="Explanation 说明.")] = "",
    store: StoreOption = None,
    data: DataOption = None,
) -> None:
    """Count recalled goods 清点, by hand or from scans; may be repeated until the task is closed.

    Goods go back or are destroyed by `yaosu bill submit` (types 202, 205 and others), which the task follows by itself.
    """
    content = read_file(file) if file else b""

    async def act(conn: Connection, registry: Registry, subject: Subject) -> None:
        body = checked(CountIn, {"counted": counted, "sealed": sealed, "missing": missing, "note": note})
        if file:
            scans = checked(ScansIn, {"codes": lines_of(content)})
            await tasks.start_over(conn, subject, order, store)
            await tasks.scan(conn, registry, subject, order, scans.codes, store)
        await tasks.count(
            conn,
            subject,
            order,
            found=body.counted,
            sealed=body.sealed,
            missing=body.missing,
            note=body.note,
            org=store,
        )

    _task(org, order, store, data, act)


def close(order: OrderArgument, org: OrgOption, store: StoreOption = None, data: DataOption = None) -> None:
    """Close the own task 办结: what the books still hold must be explained by what is sealed or missing."""
    _task(org, order, store, data, lambda c, r, s: tasks.close(c, s, order, store))


def finish(
    order: OrderArgument,
    org: OrgOption,
    reason: Annotated[
        str, typer.Option("--reason", help="Needed while holders are not through or goods are out 原因.")
    ] = "",
    data: DataOption = None,
) -> None:
    """End a recall 结束召回; recalled goods stay stopped."""

    async def act(conn: Connection, registry: Registry, subject: Subject) -> None:
        await service.finish(conn, registry, subject, order, reason)

    _order(org, order, data, act)


def cancel(
    order: OrderArgument,
    org: OrgOption,
    reason: Annotated[str, typer.Option("--reason", help="Why 撤销原因.")],
    data: DataOption = None,
) -> None:
    """Withdraw a recall 撤销召回; a published one's stop is lifted at once and every holder is told."""

    async def act(conn: Connection, registry: Registry, subject: Subject) -> None:
        await service.cancel(conn, registry, subject, order, checked(ReasonIn, {"reason": reason}).reason)

    _order(org, order, data, act)
