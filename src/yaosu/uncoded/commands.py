"""`yaosu uncoded …`: the uncoded account 无码库 from the server's own command line.

The same doors as API and pages. Exit code 0 done, 1 refused with every reason printed, 2 wrong use.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
import typer
from rich.console import Console
from rich.table import Table

from yaosu import settings
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.committer import Committer
from yaosu.circulation.issued import Issued
from yaosu.circulation.model import MovementResult
from yaosu.circulation.views import product_name
from yaosu.db.embedded import database_address
from yaosu.db.engine import open_pool
from yaosu.edge.terminal import read_lines, refusals
from yaosu.errors import YaosuError
from yaosu.papers import docx, pdf, xlsx
from yaosu.registry.resolver import load_registry
from yaosu.subject import ADMIN, Subject
from yaosu.uncoded import counts, ends, imports, intake, paper, requests, service
from yaosu.uncoded.intake import Doors
from yaosu.uncoded.model import Item, Opening
from yaosu.uncoded.schemas import lot_view

T = TypeVar("T")

app = typer.Typer(name="uncoded", help="Goods without codes 无码库.", no_args_is_help=True)
out = Console(width=None if sys.stdout.isatty() else 160)

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]
OrgOption = Annotated[int, typer.Option("--org", min=1, help="Whose account 单位编号.")]
LotArgument = Annotated[int, typer.Argument(min=1, help="Number of the lot 批次编号.")]
QtyOption = Annotated[int, typer.Option("--qty", min=1, help="Smallest packages 最小销售包装数.")]
BillOption = Annotated[str, typer.Option("--bill-no", help="Bill number 单据编号; made when left out.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Reason 原因.")]
Work = Callable[[Doors, Subject], Awaitable[T]]


def _run(data: Path | None, org: int, work: Work[T]) -> T:
    """Run `work` for an organisation; a refusal is printed with every finding and exits with 1."""

    async def inside() -> T:
        chosen = settings.load(data=data)
        pool = await open_pool(database_address(chosen.data, chosen.database_url), size_max=4)
        try:
            async with pool.acquire() as conn:
                registry = await load_registry(conn)
            card = registry.org(org)
            if card is None:
                raise YaosuError("not_found", {"what": f"#{org}"})
            # the account of the machine acts for that organisation only
            scopes = frozenset({ADMIN})
            subject = Subject(
                "key", None, org, str(card.type), "admin", scopes, region=card.region, name="cli"
            )
            committer = Committer(pool, BatchCache(Issued(settings.master_secret(chosen.data))))
            committer.start()
            try:
                return await work(Doors(pool, committer, registry), subject)
            finally:
                await committer.stop()
        finally:
            await pool.close()

    with refusals():
        return asyncio.run(inside())


def _print_json(value: Any) -> None:
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


def _moved(result: MovementResult) -> None:
    answer = result.as_json("zh")
    _print_json(answer)
    if result.status != "accepted":
        raise typer.Exit(1)


@app.command("list")
def list_lots(
    org: OrgOption,
    every: Annotated[bool, typer.Option("--all", help="Used-up lots too 含已清.")] = False,
    text: Annotated[str, typer.Option("--find", help="Product, batch, invoice or place 查找.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data: DataOption = None,
) -> None:
    """Lots of the account 专帐: age, proof, place, what is left; and the dates of the region."""

    async def work(doors: Doors, subject: Subject) -> None:
        async with doors.pool.acquire() as conn, conn.transaction():
            lots = await service.book(conn, doors.registry, subject)
        found = service.chosen(doors.registry, lots, service.Filter(text=text, open=not every))
        day = service.today()
        if as_json:
            _print_json([lot_view(doors.registry, lot, day, draws=True) for lot in found])
            return
        table = Table()
        for name in ("#", "药品 product", "批号 batch", "发票 invoice", "专区 zone", "结存 left", "期限 due"):
            table.add_column(name, overflow="fold")
        for lot in found:
            table.add_row(
                str(lot.id or "缺凭证"),
                product_name(doors.registry, lot.drug_id),
                lot.batch_no,
                f"{lot.invoice_no} {lot.invoice_date or ''}",
                lot.zone,
                f"{lot.left}/{lot.entered}",
                f"{lot.state(day)} {lot.due or ''}",
            )
        out.print(table)
        for one in service.dates(doors.registry, subject):
            out.print(f"{one.date} ({one.days_left:+d}) {one.title} [{one.source}]", markup=False)

    _run(data, org, work)


@app.command("open")
def open_account(
    org: OrgOption,
    drug: Annotated[int, typer.Option("--drug", min=1, help="Product number 产品编号.")],
    batch: Annotated[str, typer.Option("--batch", help="Batch number 生产批号.")],
    qty: QtyOption,
    invoice: Annotated[str, typer.Option("--invoice", help="Invoice number 购货发票号.")],
    bought: Annotated[
        datetime, typer.Option("--bought", formats=["%Y-%m-%d"], help="Date of the invoice 发票日期.")
    ],
    zone: Annotated[str, typer.Option("--zone", help="Place apart 专区货位.")],
    proof: Annotated[
        Path, typer.Option("--proof", exists=True, dir_okay=False, help="PDF, JPG or PNG 凭证.")
    ],
    supplier: Annotated[str, typer.Option("--supplier", help="USCC or name 供货单位.")],
    produced: Annotated[
        datetime | None, typer.Option("--produced", formats=["%Y-%m-%d"], help="生产日期.")
    ] = None,
    expires: Annotated[
        datetime | None, typer.Option("--expires", formats=["%Y-%m-%d"], help="有效期至.")
    ] = None,
    bill_no: BillOption = "",
    data: DataOption = None,
) -> None:
    """Enter goods of one invoice 登记历史库存, with their proof."""

    async def work(doors: Doors, subject: Subject) -> intake.Opened:
        async with doors.pool.acquire() as conn, conn.transaction():
            kept = await service.keep_proof(conn, subject, proof.read_bytes(), proof.name)
        item = Item(
            drug,
            batch,
            qty,
            produced.date() if produced else None,
            expires.date() if expires else None,
        )
        one = Opening(
            invoice_no=invoice,
            invoice_date=bought.date(),
            items=(item,),
            zone=zone,
            proof_id=kept,
            supplier=imports.supplier_id(doors.registry, supplier),
            supplier_name=supplier,
            bill_no=bill_no,
        )
        return await intake.open_account(doors, subject, one)

    made = _run(data, org, work)
    _print_json({"bill_no": made.bill_no, "bill_id": made.bill_id, "lot_ids": made.lot_ids, "qty": made.qty})


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="XLSX or CSV 库存表.")],
    proofs: Annotated[
        list[Path], typer.Option("--proof", exists=True, dir_okay=False, help="Proofs 凭证, repeatable.")
    ],
    org: OrgOption,
    data: DataOption = None,
) -> None:
    """Enter historical stock from a file 批量导入: all rows or none."""

    async def work(doors: Doors, subject: Subject) -> list[intake.Opened]:
        kept = [(p.name, p.read_bytes()) for p in proofs]
        return await imports.import_file(doors, subject, file.read_bytes(), file.name, kept)

    for made in _run(data, org, work):
        out.print(f"{made.bill_no}: {made.qty}")


@app.command("return")
def give_back(
    lot: LotArgument,
    org: OrgOption,
    qty: QtyOption,
    reason: ReasonOption,
    bill_no: BillOption = "",
    data: DataOption = None,
) -> None:
    """Return goods to their supplier 无码退货 (22)."""
    _moved(_run(data, org, lambda d, s: ends.give_back(d, s, lot, qty, reason, bill_no=bill_no)))


@app.command("sell")
def sell(
    lot: LotArgument,
    org: OrgOption,
    qty: QtyOption,
    receipt: Annotated[str, typer.Option("--receipt", help="Settlement or receipt number 结算单号.")],
    reason: ReasonOption = "historical",
    bill_no: BillOption = "",
    data: DataOption = None,
) -> None:
    """Sell or settle goods 无码销售/结算 (23)."""
    _moved(_run(data, org, lambda d, s: ends.sell(d, s, lot, qty, receipt, reason, bill_no=bill_no)))


@app.command("lose")
def lose(
    lot: LotArgument,
    org: OrgOption,
    qty: QtyOption,
    reason: ReasonOption,
    bill_no: BillOption = "",
    data: DataOption = None,
) -> None:
    """Write goods off 无码损耗 (25)."""
    _moved(_run(data, org, lambda d, s: ends.lose(d, s, lot, qty, reason, bill_no=bill_no)))


@app.command("supplement")
def supplement(
    lot: LotArgument,
    file: Annotated[str, typer.Argument(help="Codes, one a line 追溯码; - for standard input.")],
    org: OrgOption,
    notice: Annotated[str, typer.Option("--notice", help="Supplier's shipping bill 出库单号.")] = "",
    bill_no: BillOption = "",
    data: DataOption = None,
) -> None:
    """Scan in supplied codes 补码入库 (24)."""
    with refusals():
        codes = read_lines(file)
    _moved(_run(data, org, lambda d, s: ends.supplement(d, s, lot, codes, notice=notice, bill_no=bill_no)))


@app.command("ask")
def ask(
    lot: LotArgument, org: OrgOption, qty: QtyOption, reason: ReasonOption = "", data: DataOption = None
) -> None:
    """Ask the supplier for codes 申请补码."""

    async def work(doors: Doors, subject: Subject) -> int:
        async with doors.pool.acquire() as conn, conn.transaction():
            return await requests.ask(conn, doors.registry, subject, lot, qty, reason)

    _print_json({"id": _run(data, org, work)})


@app.command("answer")
def answer(
    request: Annotated[int, typer.Argument(min=1, help="Number of the request 申请编号.")],
    org: OrgOption,
    kind: Annotated[str, typer.Option("--kind", help="in_place 就地补码, replaced 换货, declined 不能补码.")],
    ship_bill: Annotated[str, typer.Option("--ship-bill", help="Shipping bill 出库单号.")] = "",
    text: Annotated[str, typer.Option("--text", help="说明.")] = "",
    data: DataOption = None,
) -> None:
    """Answer a request for codes as the supplier 答复补码申请."""
    if kind not in ("in_place", "replaced", "declined"):
        raise typer.BadParameter("in_place, replaced, declined", param_hint="--kind")

    async def work(doors: Doors, subject: Subject) -> None:
        async with doors.pool.acquire() as conn, conn.transaction():
            await requests.answer(conn, doors.registry, subject, request, kind, text, ship_bill)  # type: ignore[arg-type]

    _run(data, org, work)
    out.print(kind)


@app.command("verify")
def verify(
    lot: LotArgument,
    org: OrgOption,
    counted: Annotated[int, typer.Option("--counted", min=0, help="实盘数量.")],
    counter: Annotated[str, typer.Option("--counter", help="盘点人.")],
    checker: Annotated[str, typer.Option("--checker", help="复核人.")],
    explanation: Annotated[str, typer.Option("--explain", help="差异说明.")] = "",
    data: DataOption = None,
) -> None:
    """Record a count by two people 专项核验."""
    made, bill_no = _run(
        data, org, lambda d, s: counts.verify(d, s, lot, counted, counter, checker, explanation)
    )
    _print_json({"id": made, "bill_no": bill_no or None})


@app.command("book")
def book(
    file: Annotated[Path, typer.Argument(help="File to write 文件: .xlsx, .pdf or .docx.")],
    org: OrgOption,
    data: DataOption = None,
) -> None:
    """Write the account as a document 专帐."""
    renders = {".xlsx": xlsx.render, ".pdf": pdf.render, ".docx": docx.render}
    render = renders.get(file.suffix.lower())
    if render is None:
        raise typer.BadParameter(".xlsx .pdf .docx", param_hint="FILE")

    async def work(doors: Doors, subject: Subject) -> bytes:
        async with doors.pool.acquire() as conn, conn.transaction():
            lots = await service.book(conn, doors.registry, subject)
        dates = service.dates(doors.registry, subject)
        made = paper.account(doors.registry, org, lots, dates, service.today(), "zh")
        return await asyncio.to_thread(render, made)

    file.write_bytes(_run(data, org, work))
    out.print(str(file))
