"""`yaosu epcis …`: capture a document, ask for events, say whose a GLN is, from the server's own command line."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar
from uuid import uuid4

import orjson
import typer
from rich.console import Console

from yaosu import settings
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.issued import Issued
from yaosu.db.embedded import database_address
from yaosu.db.engine import Connection, connect
from yaosu.edge.terminal import refusals
from yaosu.errors import YaosuError
from yaosu.exchange.epcis import capture as capturing
from yaosu.exchange.epcis import parties, web, writing
from yaosu.exchange.epcis.acting import Tools
from yaosu.exchange.epcis.answering import Answering
from yaosu.exchange.epcis.query import Parser
from yaosu.exchange.epcis.vocabulary import PREFIX, YAOSU
from yaosu.registry.resolver import load_registry
from yaosu.settings import Settings, master_secret
from yaosu.subject import ADMIN, Subject

T = TypeVar("T")

app = typer.Typer(
    name="epcis",
    help="GS1 EPCIS 2.0: capture documents 采集, query events 查询, GLNs of organisations 单位的 GLN.",
    no_args_is_help=True,
)
out = Console(width=None if sys.stdout.isatty() else 160)

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]
OrgOption = Annotated[int, typer.Option("--org", min=1, help="Organisation that acts 办理单位编号.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON 输出 JSON.")]
XmlOption = Annotated[bool, typer.Option("--xml", help="Write XML 输出 XML.")]


def _run(data: Path | None, work: Callable[[Connection, Settings], Awaitable[T]]) -> T:
    """Run `work` in one transaction; a refusal is printed with every finding and exits with 1."""

    async def inside() -> T:
        chosen = settings.load(data=data)
        conn = await connect(database_address(chosen.data, chosen.database_url))
        try:
            async with conn.transaction():
                return await work(conn, chosen)
        finally:
            await conn.close()

    with refusals():
        return asyncio.run(inside())


async def _subject(conn: Connection, org: int) -> Subject:
    registry = await load_registry(conn)
    card = registry.org(org)
    if card is None:
        raise YaosuError("not_found", {"what": f"org {org}"})
    return Subject(
        "account", None, org, str(card.type), "admin", frozenset([ADMIN]), region=card.region, name="cli"
    )


@app.command()
def capture(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="EPCIS document, JSON-LD or XML.")
    ],
    org: OrgOption,
    proceed: Annotated[bool, typer.Option("--proceed", help="Keep what is right 部分成功.")] = False,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Capture a document 采集一份文件; exits with 1 when anything in it is wrong."""
    body = file.read_bytes()
    media = "xml" if body.lstrip()[:1] == b"<" else "json"

    async def work(conn: Connection, chosen: Settings) -> capturing.Outcome:
        subject = await _subject(conn, org)
        master = master_secret(chosen.data)
        folder = chosen.data / "incoming"
        folder.mkdir(0o700, parents=True, exist_ok=True)
        tools = Tools(await load_registry(conn), BatchCache(Issued(master)), master, folder)
        document = capturing.read(body, media)
        behaviour = "proceed" if proceed else "rollback"
        return await capturing.work_off(conn, tools, subject, uuid4(), behaviour, document)  # type: ignore[arg-type]

    outcome = _run(data, work)
    if json:
        answer = {
            "success": outcome.success,
            "events": outcome.events,
            "captured": outcome.captured,
            "errors": [p.as_json("en") for p in outcome.errors],
            "warnings": [p.as_json("en") for p in outcome.warnings],
        }
        typer.echo(orjson.dumps(answer).decode())
    else:
        out.print(f"事件 events {outcome.events} · 已采集 captured {outcome.captured}")
        for problem in (*outcome.errors, *outcome.warnings):
            out.print(f"  {problem.instance}: {problem.finding.text('zh')} / {problem.finding.text('en')}")
    if not outcome.success:
        raise typer.Exit(1)


@app.command()
def query(
    org: OrgOption,
    parameter: Annotated[
        list[str] | None, typer.Argument(help="SimpleEventQuery parameters, e.g. EQ_bizStep=shipping.")
    ] = None,
    per_page: Annotated[
        int, typer.Option("--per-page", min=1, max=1000, help="Events at once 每页事件数.")
    ] = 100,
    epc_format: Annotated[
        str, typer.Option("--epc-format", help=", ".join(writing.EPC_FORMATS))
    ] = writing.DIGITAL_LINK,
    xml: XmlOption = False,
    data: DataOption = None,
) -> None:
    """Ask for events 查询事件; prints an EPCISQueryDocument."""
    given: dict[str, object] = {}
    for one in parameter or ():
        name, eq, value = one.partition("=")
        if not eq:
            raise typer.BadParameter(one)
        given[name] = value

    async def work(conn: Connection, chosen: Settings) -> bytes:
        subject = await _subject(conn, org)
        registry = await load_registry(conn)
        if epc_format not in writing.EPC_FORMATS:
            raise YaosuError("epcis_header_value", {"name": "GS1-EPC-Format", "given": epc_format[:40]})
        found = await Answering(conn, subject, registry, Parser({PREFIX: YAOSU}).read(given)).page(
            per_page, ""
        )
        style = await web.style(conn, registry, epc_format, writing.URN)
        if xml:
            return writing.xml_document(found.events, style)
        return orjson.dumps(writing.json_document(found.events, style), option=orjson.OPT_INDENT_2)

    typer.echo(_run(data, work).decode())


@app.command()
def party(
    gln: Annotated[str, typer.Argument(help="GLN, SGLN, PGLN or Digital Link.")],
    means: Annotated[int, typer.Argument(min=1, help="Organisation it means 所指单位编号.")],
    org: OrgOption,
    data: DataOption = None,
) -> None:
    """Say which organisation a GLN means 登记 GLN 所指单位."""

    async def work(conn: Connection, chosen: Settings) -> str:
        subject = await _subject(conn, org)
        return await parties.put_party(conn, subject, await load_registry(conn), gln, means)

    out.print(f"{_run(data, work)} → {means}")
