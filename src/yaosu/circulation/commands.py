"""`yaosu bill …`: submit, void and show bills from the server's own command line.

The same door as the API: a file holds one movement as JSON, as `POST /api/v1/movements` takes it, or is a plain list
of codes with the header in options. For scripts: exit code 0 when all codes moved, 1 when some or none did.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from yaosu.access.visibility import visible
from yaosu.circulation import commands_counts, service, views
from yaosu.circulation import store_read as store
from yaosu.circulation.commands_common import DataOption, OrgOption, err, run, subject_of
from yaosu.circulation.committer import Committer
from yaosu.circulation.model import MovementResult
from yaosu.circulation.schemas import MovementIn
from yaosu.db.engine import Pool
from yaosu.edge.problem import field_findings
from yaosu.errors import YaosuError
from yaosu.registry.resolver import Registry
from yaosu.subject import SYSTEM

app = typer.Typer(name="bill", help="Bills 单据: submit, void, show, count.", no_args_is_help=True)
app.command()(commands_counts.count)
out = Console()

JsonOption = Annotated[bool, typer.Option("--json", help="Print the answer as JSON 输出 JSON.")]
FileArgument = Annotated[
    str, typer.Argument(help="JSON of one movement, or a list of codes; - for standard input.")
]


def _movement(content: bytes, given: dict[str, Any]) -> MovementIn:
    """The file's movement: JSON, or one code a line with the header from the options."""
    text = content.decode("utf-8-sig")
    if text.lstrip().startswith("{"):
        values = {**orjson.loads(text), **given}
    else:
        values = {"codes": [line.strip() for line in text.splitlines() if line.strip()], **given}
        values.setdefault("happened_at", datetime.now(UTC).isoformat())
    try:
        return MovementIn.model_validate(values)
    except ValidationError as error:
        findings = field_findings(error.errors(), "zh")
        raise YaosuError("invalid_request", {"count": len(findings)}, findings) from error


def _print(result: MovementResult, as_json: bool) -> None:
    answer = result.as_json("zh")
    if as_json:
        sys.stdout.write(orjson.dumps(answer, default=str, option=orjson.OPT_INDENT_2).decode() + "\n")
        return
    table = Table(title=f"{result.bill_no} · {result.status} · {result.qty} 盒", title_justify="left")
    for name in ("追溯码 code", "判定 verdict", "说明 message", "下一步 next"):
        table.add_column(name, overflow="fold")
    for one in result.results[:500]:
        view = one.as_json("zh")
        colour = {"ok": "green", "warn": "yellow", "refused": "red"}[one.severity]
        table.add_row(
            one.code or one.raw, f"[{colour}]{one.verdict}[/]", str(view["message"]), str(view["next"])
        )
    out.print(table)
    if len(result.results) > 500:
        out.print(f"… {len(result.results) - 500} more; use --json for all.")


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
    """Submit one movement 提交单据. Repeating the same bill is safe: it gets the same answer."""
    content = sys.stdin.buffer.read() if file == "-" else _read(Path(file))
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
    _print(result, as_json)
    raise typer.Exit(0 if result.status == "accepted" else 1)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}") from error


@app.command()
def void(
    bill_id: Annotated[int, typer.Argument(min=1, help="Our number of the bill 单据内部编号.")],
    reason: Annotated[str, typer.Option("--reason", help="Why 作废原因.")],
    org: OrgOption,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Void a bill with reversing entries 作废单据; refused when its goods have moved on since."""

    async def work(pool: Pool, registry: Registry, committer: Committer) -> MovementResult:
        subject = subject_of(registry, org)
        return await service.void(pool, committer, registry, subject, bill_id, reason, reason.encode())

    _print(run(data, work), as_json)


@app.command()
def show(
    bill_id: Annotated[int, typer.Argument(min=1, help="Our number of the bill 单据内部编号.")],
    data: DataOption = None,
) -> None:
    """Print a bill with its codes and verdicts as JSON 查看单据."""

    async def work(pool: Pool, registry: Registry, committer: Committer) -> dict[str, Any]:
        sight = visible(SYSTEM)
        async with pool.acquire() as conn:
            head = await store.bill(conn, sight, bill_id)
            if head is None:
                raise YaosuError("not_found", {"what": f"#{bill_id}"})
            view = views.bill_view(registry, head, "zh")
            lines = await store.bill_lines(conn, sight, bill_id, None, 10_000) or []
            notes = await store.bill_notes(conn, sight, bill_id, -1, 10_000) or []
        view["codes"] = [views.line_view(registry, r, "zh") for r in lines]
        view["notes"] = [views.note_view(r, "zh") for r in notes]
        return view

    answer = run(data, work)
    sys.stdout.write(orjson.dumps(answer, default=str, option=orjson.OPT_INDENT_2).decode() + "\n")
