"""`yaosu quality findings|answer|documents|clue|clues`: what checks found, controlled documents, clues (R-E6).

Approving and signing are not among them: they take a person's own session.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from yaosu.db.engine import Connection
from yaosu.edge.pages import china
from yaosu.edge.terminal import DataOption, JsonOption, checked, json_of, out, print_json, read_file
from yaosu.quality import checks, clues, documents, views
from yaosu.quality.schemas import ClueIn, SaidIn
from yaosu.registry.resolver import Registry
from yaosu.registry.terminal import OrgOption, run_as
from yaosu.subject import Subject

Rows = list[dict[str, Any]]


def add_to(app: typer.Typer) -> None:
    """Make these commands of `app`."""
    app.command()(findings)
    app.command()(answer)
    app.command("documents")(list_documents)
    app.command("document")(show_document)
    app.command("clues")(list_clues)
    app.command("clue")(send_clue)


def _print(rows: Rows, as_json: bool, *columns: tuple[str, str]) -> None:
    if as_json:
        print_json(rows)
        return
    table = Table(*(title for _, title in columns))
    for row in rows:
        cells = (row.get(name) for name, _ in columns)
        table.add_row(*(china(c) if isinstance(c, datetime) else str(c or "") for c in cells))
    out.print(table)


def findings(
    org: OrgOption,
    closed: Annotated[bool, typer.Option("--closed", help="Closed ones instead 已关闭的.")] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """List what periodic checks found 问题清单, with owner and deadline."""
    states = ("closed",) if closed else ("open", "answered")

    async def work(conn: Connection, registry: Registry, subject: Subject) -> Rows:
        rows = await checks.findings(conn, subject, states, limit=200)
        return [views.finding(registry, r, "zh") for r in rows]

    columns = (("id", "#"), ("name", "内容 rule"), ("state", "状态 state"), ("due_at", "期限 due"))
    _print(run_as(data, org, work), as_json, *columns)


def answer(
    finding: Annotated[int, typer.Argument(min=1, max=2**63 - 1, help="Number of the finding 问题编号.")],
    org: OrgOption,
    text: Annotated[str, typer.Option("--text", help="What was found and done 原因与措施.")],
    close: Annotated[bool, typer.Option("--close", help="And close it, for this reason 同时关闭.")] = False,
    data: DataOption = None,
) -> None:
    """Answer a finding 答复问题; the next check closes it when the rule holds, --close does so now."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> dict[str, Any]:
        said = checked(SaidIn, {"text": text}).text
        await checks.answer(conn, subject, finding, said)
        if close:
            await checks.close(conn, subject, finding, said)
        row, events = await checks.finding(conn, subject, finding)
        return {**views.finding(registry, row, "zh"), "history": [views.event(e) for e in events]}

    print_json(run_as(data, org, work))


def list_documents(org: OrgOption, as_json: JsonOption = False, data: DataOption = None) -> None:
    """List controlled documents 受控文件. They are written and approved by people in their own sessions."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> Rows:
        return [views.document_head(r) for r in await documents.listed(conn, subject)]

    columns = (
        ("id", "#"),
        ("number", "编号 number"),
        ("title", "名称 title"),
        ("version", "版本 version"),
        ("effective_on", "施行 from"),
    )
    _print(run_as(data, org, work), as_json, *columns)


def show_document(
    document: Annotated[int, typer.Argument(min=1, max=2**63 - 1, help="Number of record 文件内部编号.")],
    org: OrgOption,
    data: DataOption = None,
) -> None:
    """Print a controlled document with its versions as JSON 查看受控文件."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> dict[str, Any]:
        return views.document(*await documents.get(conn, subject, document))

    print_json(run_as(data, org, work))


def list_clues(org: OrgOption, as_json: JsonOption = False, data: DataOption = None) -> None:
    """List clues 线索: those reported, or for a regulator those of its region."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> Rows:
        return [views.clue_head(registry, r, "zh") for r in await clues.listed(conn, subject)]

    columns = (("id", "#"), ("kind_name", "类别 kind"), ("title", "标题 title"), ("state", "状态 state"))
    _print(run_as(data, org, work), as_json, *columns)


def send_clue(
    file: Annotated[
        str, typer.Argument(help="JSON, as POST /api/v1/quality/clues takes it; - for standard input.")
    ],
    org: OrgOption,
    data: DataOption = None,
) -> None:
    """Report a clue to the regulator 上报线索, with the trace evidence of the codes and bills it names.

    \b
    {"kind": "…", "title": "…", "text": "…", "codes": ["8385…"], "bills": [4711]}
    Kinds 类别: list quality_clue_kind, see `yaosu export code-list FILE`.
    """
    content = read_file(file)

    async def work(conn: Connection, registry: Registry, subject: Subject) -> dict[str, Any]:
        body = checked(ClueIn, json_of(content))
        made = await clues.send(
            conn, registry, subject, body.kind, body.title, body.text, body.codes, body.bills
        )
        return views.clue(registry, await clues.get(conn, subject, made), "zh")

    print_json(run_as(data, org, work))
