"""`yaosu exception …`: open, read, answer and settle cases from the server's own command line.

Answers are the JSON of the API. Exit code 0 when done, 1 when refused (with the reason printed).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from yaosu import settings
from yaosu.access.visibility import visible
from yaosu.circulation.schemas import org_id
from yaosu.db.embedded import database_address
from yaosu.db.engine import Connection, connect
from yaosu.edge.terminal import refusals
from yaosu.errors import YaosuError
from yaosu.exceptions import clock, opening, record, service, store, views
from yaosu.exceptions.model import Offer, Piece
from yaosu.registry.resolver import Registry, load_registry
from yaosu.settings import Settings
from yaosu.subject import ADMIN, Subject

app = typer.Typer(name="exception", help="Exception cases 异常协查.", no_args_is_help=True)

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]
OrgOption = Annotated[int, typer.Option("--org", min=1, help="Organisation that acts 本单位编号.")]
CaseArgument = Annotated[int, typer.Argument(min=1, help="Number of the case 协查单内部编号.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why 原因.")]
TextOption = Annotated[str, typer.Option("--text", help="What to say 说明.")]

Work = Callable[[Connection, Registry, Subject], Awaitable[Any]]


def _run(data: Path | None, org: int, work: Work) -> None:
    """Run `work` in one transaction and print its answer as JSON; a refusal exits with 1 and changes nothing."""

    async def inside() -> Any:
        chosen = settings.load(data=data)
        conn = await connect(database_address(chosen.data, chosen.database_url))
        try:
            registry = await load_registry(conn)
            card = registry.org(org)
            if card is None:
                raise YaosuError("not_found", {"what": f"#{org}"})
            # sees what the organisation sees, not what the operator sees
            subject = Subject(
                "key", None, org, str(card.type), "", frozenset({ADMIN}), region=card.region, name="cli"
            )
            async with conn.transaction():
                return await work(conn, registry, subject)
        finally:
            await conn.close()

    with refusals():
        answer = asyncio.run(inside())
    text = orjson.dumps(answer, default=str, option=orjson.OPT_INDENT_2).decode()
    sys.stdout.write(text + "\n")


async def _whole(conn: Connection, registry: Registry, subject: Subject, case_id: int) -> dict[str, Any]:
    row = await record.seen(conn, subject, case_id)
    if await service.sync(conn, registry, row) is not None:
        row = await record.seen(conn, subject, case_id)
    return await views.whole(conn, registry, subject, row, "zh")


def _act(data: Path | None, org: int, case_id: int, doing: Work) -> None:
    """Do it and print the case as it is then."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> Any:
        await doing(conn, registry, subject)
        return await _whole(conn, registry, subject, case_id)

    _run(data, org, work)


@app.command(name="list")
def list_cases(
    org: OrgOption,
    state: Annotated[str, typer.Option("--state", help="open or closed 进行中/已结案.")] = "open",
    overdue: Annotated[bool, typer.Option("--overdue", help="Only what is late 仅逾期.")] = False,
    data: DataOption = None,
) -> None:
    """List the organisation's cases 协查单列表."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> Any:
        rows = await store.cases(conn, visible(subject), state=state, overdue=overdue, limit=200)
        return {"items": [views.head(registry, r, "zh") for r in rows]}

    _run(data, org, work)


@app.command(name="open")
def open_case(
    org: OrgOption,
    check: Annotated[int | None, typer.Option("--check", min=1, help="Receipt check 验收核对编号.")] = None,
    quarantine: Annotated[
        list[int] | None, typer.Option("--quarantine", min=1, help="Goods in quarantine 待处理记录编号.")
    ] = None,
    kind: Annotated[str, typer.Option("--kind", help="Kind 异常类别 (list exception_kind).")] = "",
    bill: Annotated[int | None, typer.Option("--bill", min=1, help="Shipment or receipt 单据编号.")] = None,
    seller: Annotated[str, typer.Option("--seller", help="Supplier 供货方: id or 统一社会信用代码.")] = "",
    drug: Annotated[int | None, typer.Option("--drug", min=1, help="Product 产品编号.")] = None,
    batch: Annotated[str, typer.Option("--batch", help="Batch number 批号.")] = "",
    qty: Annotated[int, typer.Option("--qty", min=1, help="Smallest packages 最小包装数.")] = 1,
    note: Annotated[str, typer.Option("--note", help="What was found 情况说明.")] = "",
    data: DataOption = None,
) -> None:
    """Open cases 开立协查: from a receipt check, from quarantine, or for stated goods."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> Any:
        if check is not None:
            kinds = [kind] if kind else []
            return {"cases": await opening.open_check(conn, registry, subject, check, kinds, note)}
        other = org_id(registry, "seller", seller)
        if quarantine:
            made = await opening.open_quarantine(conn, registry, subject, quarantine, kind, other, note)
            return {"cases": made}
        pieces = [Piece(drug, None, batch, "", qty)] if drug is not None else []
        one = await opening.open_report(
            conn, registry, subject, kind=kind, pieces=pieces, bill_id=bill, partner=other, note=note
        )
        return {"cases": [one]}

    _run(data, org, work)


@app.command()
def show(case_id: CaseArgument, org: OrgOption, data: DataOption = None) -> None:
    """Print a case with its whole record as JSON 查看协查单."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> Any:
        return await _whole(conn, registry, subject, case_id)

    _run(data, org, work)


@app.command()
def say(case_id: CaseArgument, org: OrgOption, text: TextOption, data: DataOption = None) -> None:
    """Ask or answer 提问或答复."""
    _act(data, org, case_id, lambda c, r, s: service.say(c, r, s, case_id, text))


@app.command()
def attach(
    case_id: CaseArgument,
    file: Annotated[Path, typer.Argument(help="JPEG or PNG file 照片文件.", exists=True, dir_okay=False)],
    org: OrgOption,
    title: Annotated[str, typer.Option("--title", help="What it shows 照片说明.")] = "",
    data: DataOption = None,
) -> None:
    """Add a photograph as evidence 上传照片."""
    content = file.read_bytes()
    _act(data, org, case_id, lambda c, r, s: service.attach(c, r, s, case_id, title, content))


@app.command()
def propose(
    case_id: CaseArgument,
    kind: Annotated[
        str, typer.Argument(help="corrected, sent, returned, credited, accepted_as_is 处理方式.")
    ],
    org: OrgOption,
    text: TextOption = "",
    bill_no: Annotated[str, typer.Option("--bill-no", help="The seller's bill it rests on 依据单号.")] = "",
    amount: Annotated[str, typer.Option("--amount", help="Credited amount 折让金额.")] = "",
    credit_no: Annotated[str, typer.Option("--credit-no", help="Credit note 折让单号.")] = "",
    data: DataOption = None,
) -> None:
    """Propose a resolution 提出处理方案."""
    try:
        money = Decimal(amount) if amount else None
    except InvalidOperation as error:
        raise typer.BadParameter(amount) from error
    offer = Offer(kind, text, bill_no, money, credit_no)
    _act(data, org, case_id, lambda c, r, s: service.propose(c, r, s, case_id, offer))


async def _open_proposal(conn: Connection, subject: Subject, case_id: int) -> int:
    await record.seen(conn, subject, case_id)
    row = await conn.fetchrow(store.OPEN_PROPOSAL, case_id)
    if row is None:
        raise YaosuError("exception_no_proposal")
    return int(row["id"])


@app.command()
def accept(case_id: CaseArgument, org: OrgOption, text: TextOption = "", data: DataOption = None) -> None:
    """Accept the open proposal and close the case 接受方案并结案."""

    async def doing(conn: Connection, registry: Registry, subject: Subject) -> None:
        proposal = await _open_proposal(conn, subject, case_id)
        await service.answer(conn, registry, subject, case_id, proposal, accept=True, text=text)

    _act(data, org, case_id, doing)


@app.command()
def decline(case_id: CaseArgument, org: OrgOption, text: TextOption, data: DataOption = None) -> None:
    """Decline the open proposal with the reason 不同意方案."""

    async def doing(conn: Connection, registry: Registry, subject: Subject) -> None:
        proposal = await _open_proposal(conn, subject, case_id)
        await service.answer(conn, registry, subject, case_id, proposal, accept=False, text=text)

    _act(data, org, case_id, doing)


@app.command()
def link(
    case_id: CaseArgument,
    bill_no: Annotated[str, typer.Argument(help="The seller's bill 出库单号.")],
    org: OrgOption,
    data: DataOption = None,
) -> None:
    """Name the bill the own proposal rests on 关联单据."""
    _act(data, org, case_id, lambda c, r, s: service.link(c, r, s, case_id, bill_no))


@app.command()
def withdraw(case_id: CaseArgument, org: OrgOption, reason: ReasonOption, data: DataOption = None) -> None:
    """Withdraw a case opened by mistake 撤回协查."""
    _act(data, org, case_id, lambda c, r, s: service.withdraw(c, r, s, case_id, reason))


@app.command()
def suspend(
    case_id: CaseArgument,
    org: OrgOption,
    reason: ReasonOption,
    codes_only: Annotated[
        bool, typer.Option("--codes-only", help="Only the scans of the case 仅所涉追溯码.")
    ] = False,
    data: DataOption = None,
) -> None:
    """Suspend own sale of the goods in question 暂停销售."""

    async def doing(conn: Connection, registry: Registry, subject: Subject) -> None:
        await service.suspend(conn, registry, subject, case_id, reason, "codes" if codes_only else "batches")

    _act(data, org, case_id, doing)


@app.command()
def lift(case_id: CaseArgument, org: OrgOption, reason: ReasonOption, data: DataOption = None) -> None:
    """Resume own sale 恢复销售."""
    _act(data, org, case_id, lambda c, r, s: service.lift(c, r, s, case_id, reason))


@app.command()
def tick(data: DataOption = None) -> None:
    """Act on what is due now 处理到期事项; the worker does so every minute."""

    async def inside() -> None:
        chosen: Settings = settings.load(data=data)
        conn = await connect(database_address(chosen.data, chosen.database_url))
        try:
            async with conn.transaction():
                await clock.tick(conn, chosen)
        finally:
            await conn.close()

    with refusals():
        asyncio.run(inside())
