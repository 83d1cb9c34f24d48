"""`yaosu capture`: all codes in pictures, on this machine."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from yaosu import settings
from yaosu.capture import service
from yaosu.db.embedded import database_address
from yaosu.db.engine import connect
from yaosu.edge.terminal import out, refusals
from yaosu.registry.resolver import Registry, load_registry
from yaosu.subject import SYSTEM

app = typer.Typer(name="capture", help="Codes in a picture 照片识码: read.", no_args_is_help=True)

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]


@app.callback()
def _group() -> None:
    """Keeps `read` a command of its own."""


@app.command("read")
def read(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="JPEG or PNG 照片.")
    ],
    marked: Annotated[
        Path | None, typer.Option("--out", help="Write the picture with the codes framed 标注后的照片.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON 以 JSON 输出.")] = False,
    data: DataOption = None,
) -> None:
    """Every code in a picture 识别照片中的全部条码."""

    async def registry() -> Registry:
        chosen = settings.load(data=data)
        conn = await connect(database_address(chosen.data, chosen.database_url))
        try:
            return await load_registry(conn)
        finally:
            await conn.close()

    async def work() -> tuple[Registry, service.Capture]:
        known = await registry()
        return known, await service.capture(known, SYSTEM, file.read_bytes())

    with refusals():
        known, found = asyncio.run(work())
    if marked is not None:
        marked.write_bytes(service.marked(found))
    if as_json:
        out.print_json(json.dumps(service.as_json(known, found, "zh"), ensure_ascii=False))
        return
    table = Table("#", "码 code", "类型 kind", "产品 product", "说明 note")
    for one in service.as_json(known, found, "zh")["symbols"]:  # type: ignore[attr-defined]
        names = "、".join(p["name"] for p in one["products"])
        note = "重复 repeated" if one["repeat"] else one["message"] or ""
        table.add_row(str(one["n"]), one["code"] or one["raw"], one["kind"], names, note)
    out.print(table)
    for copy in service.as_json(known, found, "zh")["copies"]:  # type: ignore[attr-defined]
        out.print(f"[red]{copy['message']}[/red] {copy['next']}")
