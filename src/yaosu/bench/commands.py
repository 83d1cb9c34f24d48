"""`yaosu bench`."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer
from rich.console import Console

from yaosu.bench.measure import FULL, SMALL, Row, Say, Scale

T = TypeVar("T")

ROWS = (
    "activate",
    "box_bill",
    "sale_http",
    "verify_http",
    "verify_p99_ms",
    "pallet",
    "recall_locate",
    "issue",
    "bytes_per_box",
    "parse",
    "way_top",
    "way_top_retail",
    "way_epcis",
    "way_file",
    "way_yibao",
)
"""Every row of design §5, in its order; below them every way in against the native API."""
WIDTH = 160
"""Columns of the table where there is no terminal to ask."""
RUNS_MIN = 3
"""Fewer runs have no median worth the name."""


async def measure(
    names: Sequence[str], scale: Scale, runs: int, database_url: str, say: Say
) -> tuple[list[Row], dict[str, str], dict[str, object]]:
    """The rows named, one after the other; why others could not be measured; the content of the JSON file."""
    from yaosu.bench import report
    from yaosu.bench.database import Server, running
    from yaosu.bench.rows import (
        activate,
        box_bill,
        bytes_per_box,
        issue,
        pallet,
        parse,
        recall_locate,
        sale_http,
        verify_http,
        verify_p99,
        ways_bills,
        ways_sales,
    )

    measures: dict[str, Callable[[Server, Scale, int, Say], Awaitable[Row]]] = {
        "activate": activate.measure,
        "box_bill": box_bill.measure,
        "sale_http": sale_http.measure,
        "verify_http": verify_http.measure,
        "verify_p99_ms": verify_p99.measure,
        "pallet": pallet.measure,
        "recall_locate": recall_locate.measure,
        "issue": issue.measure,
        "bytes_per_box": bytes_per_box.measure,
        "parse": parse.measure,
        "way_top": ways_bills.top,
        "way_top_retail": ways_sales.top,
        "way_epcis": ways_bills.epcis,
        "way_file": ways_bills.file,
        "way_yibao": ways_sales.yibao,
    }
    begun, load = time.monotonic(), os.getloadavg()[0]
    say("starting the database")
    with running(database_url) as server:
        rows, failed = [], {}
        for name in names:
            try:
                rows.append(await measures[name](server, scale, runs, say))
            except Exception as error:
                # the figures of the other rows are still worth having; the command ends with 1
                failed[name] = f"{type(error).__name__}: {error}"
        return rows, failed, report.as_json(rows, failed, server, scale, time.monotonic() - begun, load)


async def _until_told(work: Coroutine[object, object, T]) -> T:
    """`work`, cancelled by SIGTERM: its database is stopped and its folder removed as at every end."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


def add_to(app: typer.Typer) -> None:
    """Mount the command."""
    app.command()(bench)


def bench(
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file 结果写入文件.")
    ] = None,
    rows: Annotated[
        str, typer.Option("--rows", help="Only these rows, separated by commas 只测这些项目.")
    ] = "",
    boxes: Annotated[
        int | None,
        typer.Option(
            "--boxes", min=200, max=20_000_000, help="Boxes in the relation file of row `activate` 激活盒数."
        ),
    ] = None,
    scale: Annotated[
        Literal["full", "small"],
        typer.Option("--scale", help="full: the sizes of the design; small: all rows within a minute 规模."),
    ] = "full",
    runs: Annotated[
        int, typer.Option("--runs", min=RUNS_MIN, max=50, help="Runs of each row; medians are shown 次数.")
    ] = RUNS_MIN,
) -> None:
    """Measure every number of the design with its baseline 性能测量.

    Runs on an embedded PostgreSQL in a temporary folder that is removed afterwards, or on the server that
    YAOSU_DATABASE_URL names, in databases of its own that are dropped afterwards. Ours and the baseline take turns, so
    that whatever else the machine does hits both. Full sizes take about ten minutes on two cores.
    """
    import uvloop

    from yaosu.bench import report

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    names = [name.strip() for name in rows.split(",") if name.strip()] or list(ROWS)
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        console.print(
            f"没有这些项目 no such rows: {', '.join(unknown)}; 可选 known: {', '.join(ROWS)}", style="red"
        )
        raise typer.Exit(2)
    chosen = FULL if scale == "full" else SMALL
    if boxes is not None:
        chosen = replace(chosen, boxes=boxes)
    url = os.environ.get("YAOSU_DATABASE_URL", "")
    with console.status("…") as status:

        def say(line: str) -> None:
            if console.is_terminal:
                status.update(line)
            else:
                console.print(line, highlight=False)

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                found, failed, content = runner.run(_until_told(measure(names, chosen, runs, url, say)))
            except asyncio.CancelledError:
                raise typer.Exit(128 + signal.SIGTERM) from None
    report.show(console, found)
    for name, reason in failed.items():
        console.print(f"{name}: 未能测量 not measured: {reason}", style="red", highlight=False)
    if json is not None:
        report.write(json, content)
        console.print(f"→ {json}")
    if failed:
        raise typer.Exit(1)
