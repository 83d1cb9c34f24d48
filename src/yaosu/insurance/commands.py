"""`yaosu insurance …`: checks, cases, dossiers and institutions from the server's own command line.

Answers are the JSON of the API. Exit code 0 when done, 1 when refused (with the reason printed).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from yaosu import settings
from yaosu.access.scopes import grantable
from yaosu.db.embedded import database_address
from yaosu.db.engine import Connection, connect
from yaosu.edge.terminal import refusals
from yaosu.errors import YaosuError
from yaosu.insurance import (
    cases,
    check,
    dossier,
    dossier_paper,
    institutions,
    remit,
    service,
    views,
)
from yaosu.insurance.model import Act, Line
from yaosu.insurance.weights import Weights
from yaosu.papers import pdf
from yaosu.people.parts import keeper_for
from yaosu.registry.resolver import Registry, load_registry
from yaosu.settings import Settings
from yaosu.stops.service import Memory
from yaosu.subject import Subject
from yaosu.trace.verify import BatchMemory

app = typer.Typer(name="insurance", help="Insurance bureau and institutions 医保核查.", no_args_is_help=True)

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]
OrgOption = Annotated[int, typer.Option("--org", min=1, help="Organisation that acts 本单位编号.")]
InstitutionOption = Annotated[
    str, typer.Option("--institution", help="fixmedins_code 定点机构编号 (for a bureau).")
]
CaseArgument = Annotated[int, typer.Argument(min=1, help="Number of the case 核查单内部编号.")]

Work = Callable[[Connection, Registry, Subject, Settings], Awaitable[Any]]


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
            kind = str(card.type)
            # what the organisation may do and see; an office's own remit, not the regulator's
            scopes = grantable(kind, card.sub_type) - {"supervise.read"}
            subject = Subject("key", None, org, kind, "", scopes, region=card.region, name="cli")
            async with conn.transaction():
                return await work(conn, registry, subject, chosen)
        finally:
            await conn.close()

    with refusals():
        answer = asyncio.run(inside())
    if isinstance(answer, bytes):
        sys.stdout.buffer.write(answer)
        return
    sys.stdout.write(orjson.dumps(answer, default=str, option=orjson.OPT_INDENT_2).decode() + "\n")


@app.command(name="check")
def check_codes(
    codes: Annotated[list[str], typer.Argument(help="Trace codes 追溯码.")],
    org: OrgOption,
    act: Annotated[str, typer.Option("--act", help="Number of the sale 结算或单据号.")] = "",
    billed: Annotated[str, typer.Option("--billed", help="医保编码 billed 结算药品.")] = "",
    qty: Annotated[int, typer.Option("--qty", min=0, help="Quantity 数量 (0: not told).")] = 0,
    split: Annotated[bool, typer.Option("--split", help="拆零.")] = False,
    record: Annotated[bool, typer.Option("--record", help="Settle what is not refused 确认结算.")] = False,
    institution: InstitutionOption = "",
    data: DataOption = None,
) -> None:
    """Check codes before settlement 结算核验."""

    async def work(conn: Connection, registry: Registry, subject: Subject, _: Settings) -> Any:
        subject.require(service.SCOPE)
        one = await remit.institution_for(conn, registry, subject, institution)
        number = act or f"CLI{datetime.now(UTC):%Y%m%d%H%M%S%f}"
        line = Line(1, codes, {"line": f"{number}#1"}, billed, Decimal(qty) if qty else None, split)
        made = Act(number, "settle", datetime.now(UTC), [line], {"doc": number})
        memory = BatchMemory(Memory())
        outcome = await check.check(conn, registry, memory, one, made, record=record)
        return views.outcome_json(outcome, Weights(registry.lists, one.region, made.sold_at), "zh")

    _run(data, org, work)


@app.command(name="cases")
def list_cases(
    org: OrgOption,
    state: Annotated[str, typer.Option("--state", help="open, answered, closed 状态.")] = "",
    overdue: Annotated[bool, typer.Option("--overdue", help="Only what is late 仅逾期.")] = False,
    data: DataOption = None,
) -> None:
    """List cases 核查单列表."""

    async def work(conn: Connection, registry: Registry, subject: Subject, _: Settings) -> Any:
        rows = await cases.listed(
            conn, registry, subject, states=[state] if state else None, overdue=overdue, count=200
        )
        reader = await remit.reader_of(conn, registry, subject)
        return {"items": [views.case_json(registry, r, reader, "zh") for r in rows]}

    _run(data, org, work)


def _act(data: Path | None, org: int, case_id: int, doing: Work | None) -> None:
    """Do it, and print the case as it is then."""

    async def work(conn: Connection, registry: Registry, subject: Subject, chosen: Settings) -> Any:
        if doing is not None:
            await doing(conn, registry, subject, chosen)
        row, reader = await cases.seen(conn, registry, subject, case_id)
        return await views.whole_case(conn, registry, row, reader, "zh")

    _run(data, org, work)


@app.command(name="case")
def show_case(case_id: CaseArgument, org: OrgOption, data: DataOption = None) -> None:
    """Print a case 查看核查单."""
    _act(data, org, case_id, None)


@app.command()
def answer(
    case_id: CaseArgument,
    org: OrgOption,
    text: Annotated[str, typer.Option("--text", help="Explanation 说明.")],
    files: Annotated[
        list[Path] | None, typer.Option("--file", exists=True, dir_okay=False, help="PDF, JPEG, PNG 附件.")
    ] = None,
    data: DataOption = None,
) -> None:
    """Explain a case, with files 提交说明."""

    async def work(conn: Connection, registry: Registry, subject: Subject, _: Settings) -> None:
        await cases.say(conn, registry, subject, case_id, text)
        for path in files or ():
            await cases.attach(conn, registry, subject, case_id, path.name, path.read_bytes())

    _act(data, org, case_id, work)


@app.command()
def close(
    case_id: CaseArgument,
    org: OrgOption,
    result: Annotated[str, typer.Option("--result", help="List insurance_result 结论.")],
    text: Annotated[str, typer.Option("--text", help="Why 依据.")],
    data: DataOption = None,
) -> None:
    """Close a case, as the bureau 办结."""

    async def work(conn: Connection, registry: Registry, subject: Subject, _: Settings) -> None:
        await cases.close(conn, registry, subject, case_id, result, text)

    _act(data, org, case_id, work)


@app.command(name="dossier")
def print_dossier(
    org: OrgOption,
    code: Annotated[str, typer.Argument(help="Trace code 追溯码.")] = "",
    case_id: Annotated[int | None, typer.Option("--case", min=1, help="Of a case 核查单编号.")] = None,
    as_pdf: Annotated[bool, typer.Option("--pdf", help="The paper, to standard output 输出 PDF.")] = False,
    data: DataOption = None,
) -> None:
    """The dossier of a code or case 说明材料."""

    async def work(conn: Connection, registry: Registry, subject: Subject, _: Settings) -> Any:
        memory = BatchMemory(Memory())
        body = await dossier.dossier(conn, registry, memory, subject, code, "zh", case_id)
        return pdf.render(dossier_paper.paper(body)) if as_pdf else body

    _run(data, org, work)


@app.command(name="institutions")
def list_institutions(
    org: OrgOption,
    q: Annotated[str, typer.Option("--q", help="Part of number or name 编号或名称.")] = "",
    data: DataOption = None,
) -> None:
    """Institutions of the bureau's region 定点机构."""

    async def work(conn: Connection, registry: Registry, subject: Subject, _: Settings) -> Any:
        rows = await institutions.listed(conn, registry, subject, 0, q, 500)
        return {"items": [views.institution_json(r) for r in rows]}

    _run(data, org, work)


@app.command()
def register(
    org: OrgOption,
    code: Annotated[str, typer.Option("--code", help="fixmedins_code 机构编号.")],
    name: Annotated[str, typer.Option("--name", help="Name 名称.")],
    region: Annotated[str, typer.Option("--region", help="统筹区代码.")],
    profile: Annotated[str, typer.Option("--profile", help="List yibao_profile 接口配置.")] = "national",
    of: Annotated[int | None, typer.Option("--of", min=1, help="Organisation here 平台单位编号.")] = None,
    public_key: Annotated[str, typer.Option("--public-key", help="Its SM2 public key 机构公钥.")] = "",
    data: DataOption = None,
) -> None:
    """Register an institution and print its keys, this once 登记定点机构."""

    async def work(conn: Connection, registry: Registry, subject: Subject, chosen: Settings) -> Any:
        draft = institutions.Draft(code, name, region, profile, of, public_key)
        keeper = keeper_for(chosen)
        return views.issued_json(await institutions.register(conn, registry, keeper, subject, draft))

    _run(data, org, work)
