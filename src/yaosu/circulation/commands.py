"""`yaosu bill …`: submit, void and show bills from the server's own command line.

The same door as the API: a file holds one movement as JSON, as `POST /api/v1/movements` takes it, or is a plain list
of codes with the header in options. For scripts: exit code 0 when all codes moved, 1 when some or none did.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from yaosu.access.visibility import visible
from yaosu.circulation import commands_counts, commands_lists, commands_revise, service, views
from yaosu.circulation import store_read as store
from yaosu.circulation.commands_common import (
    DataOption,
    JsonOption,
    OrgOption,
    err,
    print_result,
    run,
    subject_of,
)
from yaosu.circulation.committer import Committer
from yaosu.circulation.model import MovementResult
from yaosu.circulation.schemas import MovementIn
from yaosu.db.engine import Pool
from yaosu.edge.terminal import checked, json_of, lines_of, print_json, read_file
from yaosu.errors import YaosuError
from yaosu.registry.resolver import Registry
from yaosu.subject import SYSTEM

app = typer.Typer(
    name="bill", help="Bills 单据: submit, correct, void, show, list, count.", no_args_is_help=True
)
commands_revise.add_to(app)
commands_lists.add_to(app)
app.command()(commands_counts.count)

FileArgument = Annotated[
    str, typer.Argument(help="JSON of one movement, or codes one a line 文件; - for standard input.")
]
BillArgument = Annotated[
    int, typer.Argument(min=1, max=2**63 - 1, help="Our number of the bill 单据内部编号.")
]


def _movement(content: bytes, given: dict[str, Any]) -> MovementIn:
    """The file's movement: JSON, or one code a line with the header from the options."""
    if content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{":
        values = {**json_of(content), **given}
    else:
        values = {"codes": lines_of(content), **given}
        values.setdefault("happened_at", datetime.now(UTC).isoformat())
    return checked(MovementIn, values)


@app.command()
def submit(
    file: FileArgument,
    org: OrgOption,
    type_: Annotated[int | None, typer.Option("--type", help="Bill type 单据类型, e.g. 201.")] = None,
    bill_no: Annotated[str | None, typer.Option("--bill-no", help="Bill number 单据编号.")] = None,
    to_org: Annotated[
        str | None, typer.Option("--to", help="Receiver 收货方: id or 统一社会信用代码.")
    ] = None,
    from_org: Annotated[
        str | None, typer.Option("--from", help="Sender 发货方: id or 统一社会信用代码.")
    ] = None,
    notice: Annotated[
        str | None, typer.Option("--notice", help="Seller's bill number 上游单号 (receipts).")
    ] = None,
    atomic: Annotated[bool, typer.Option("--atomic", help="One refused code refuses the bill 整单.")] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Submit one movement 提交单据: ship, receive, sell, use, return, lose, destroy, count, hand on …

    The file is the JSON of POST /api/v1/movements, or a list of codes with the header in options. Repeating the same
    bill is safe: it gets the same answer. `yaosu bill types` lists the types and what each of them needs.
    Exit code 0: all codes moved; 1: some or none did, with the reason for each.

    \b
    Examples 示例 (JSON; each also has "bill_no" and "happened_at"):
    购进退货 purchase return   {"type": 202, "to_org": 3, "codes": ["8385…"], "header": {"reason": "1"}}
    拒收 refusal on arrival    {"type": 102, "from_org": 3, "notice": "XS-1",
                                "codes": ["8385…"], "rejects": ["8385…"]}
    顾客退货 consumer return    {"type": 116, "codes": ["8385…"], "parts": {"8385…": 6}}
    拆零损耗 split loss         {"type": 8, "codes": ["8385…"], "parts": {"8385…": 2},
                                "header": {"reason_text": "破碎"}}
    销毁 destruction           {"type": 205, "codes": ["8385…"], "header": {"reason": "1",
                                "executer_name": "张三", "superviser_name": "李四"}}
    无码退货 uncoded return     {"type": 22, "to_org": 3, "codes": [],
                                "quantities": [{"drug_id": 7, "batch_no": "B1", "qty": 40}]}
    直调 direct shipment       {"type": 207, "to_org": 9, "direct_org": 3, "codes": ["8385…"]}
    实名销售 real-name sale     {"type": 321, "person_id": 815, "codes": ["8385…"]}; to register the person in the same
                               step: yaosu dispense realname sell
    """
    content = read_file(file)
    options = {"type": type_, "bill_no": bill_no, "to_org": to_org, "from_org": from_org, "notice": notice}
    given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    if atomic:
        given["mode"] = "atomic"

    async def work(pool: Pool, registry: Registry, committer: Committer) -> MovementResult:
        subject = subject_of(registry, org)
        movement = _movement(content, given).movement(registry, org, content)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=err, transient=True) as progress:
            progress.add_task(f"{len(movement.codes)} 个追溯码 codes …", total=None)
            return await service.submit(pool, committer, registry, subject, movement)

    result = run(data, work)
    print_result(result, as_json)
    raise typer.Exit(0 if result.status == "accepted" else 1)


@app.command()
def show(
    bill_id: BillArgument,
    org: Annotated[
        int | None, typer.Option("--org", min=1, help="As this organisation sees it 以该单位的视角.")
    ] = None,
    data: DataOption = None,
) -> None:
    """Print a bill as JSON 查看单据: head, revisions, codes, verdicts, uncoded goods, parts, kept codes."""

    async def work(pool: Pool, registry: Registry, committer: Committer) -> dict[str, Any]:
        sight = visible(SYSTEM if org is None else subject_of(registry, org))
        async with pool.acquire() as conn:
            head = await store.bill(conn, sight, bill_id)
            if head is None:
                raise YaosuError("not_found", {"what": f"单据 bill #{bill_id}"})
            view = views.bill_view(registry, head, "zh")
            revisions = await store.revisions(conn, sight, head["owner"], head["bill_no"])
            lines = await store.bill_lines(conn, sight, bill_id, None, 10_000) or []
            notes = await store.bill_notes(conn, sight, bill_id, -1, 10_000) or []
            quantities = await store.bill_quantities(conn, sight, bill_id) or []
            parts, kept = await store.bill_parts(conn, sight, bill_id, 10_000) or ([], [])
        view["revisions"] = [views.bill_view(registry, r, "zh") for r in revisions]
        view["codes"] = [views.line_view(registry, r, "zh") for r in lines]
        view["notes"] = [views.note_view(r, "zh") for r in notes]
        view["quantities"] = [views.quantity_view(registry, r) for r in quantities]
        view["parts"], view["kept"] = [dict(r) for r in parts], [dict(r) for r in kept]
        return view

    print_json(run(data, work))
