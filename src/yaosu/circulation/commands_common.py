"""What the circulation room's commands share: options, the database with a committer, who acts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from rich.table import Table

from yaosu import settings
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.committer import Committer
from yaosu.circulation.issued import Issued
from yaosu.circulation.model import MovementResult
from yaosu.db.embedded import database_address
from yaosu.db.engine import Pool, open_pool
from yaosu.edge.terminal import DataOption, JsonOption, err, out, print_json, refusals
from yaosu.registry.resolver import Registry, load_registry
from yaosu.registry.terminal import OrgOption
from yaosu.registry.terminal import acting as subject_of

__all__ = ["DataOption", "JsonOption", "OrgOption", "err", "print_result", "run", "subject_of"]

T = TypeVar("T")
SHOWN_MAX = 500
"""Codes printed in a table; --json prints all."""


def run(data: Path | None, work: Callable[[Pool, Registry, Committer], Awaitable[T]]) -> T:
    """Run `work` on the database; a refusal is printed with every finding and exits with 1."""

    async def inside() -> T:
        chosen = settings.load(data=data)
        pool = await open_pool(database_address(chosen.data, chosen.database_url), size_max=4)
        try:
            async with pool.acquire() as conn:
                registry = await load_registry(conn)
            committer = Committer(pool, BatchCache(Issued(settings.master_secret(chosen.data))))
            committer.start()
            try:
                return await work(pool, registry, committer)
            finally:
                await committer.stop()
        finally:
            await pool.close()

    with refusals():
        return asyncio.run(inside())


def print_result(result: MovementResult, as_json: bool, **more: object) -> None:
    """The answer to a submission, as a table or as the JSON of the API; `more` goes into the JSON."""
    answer = {**result.as_json("zh"), **more}
    if as_json:
        print_json(answer)
        return
    title = f"#{result.bill_id or '—'} {result.bill_no} · {result.status} · {result.qty} 盒 boxes"
    table = Table(title=title, title_justify="left")
    for name in ("追溯码 code", "判定 verdict", "说明 message", "下一步 next"):
        table.add_column(name, overflow="fold")
    for one in result.results[:SHOWN_MAX]:
        view = one.as_json("zh")
        colour = {"ok": "green", "warn": "yellow", "refused": "red"}[one.severity]
        table.add_row(
            one.code or one.raw, f"[{colour}]{one.verdict}[/]", str(view["message"]), str(view["next"])
        )
    out.print(table)
    if len(result.results) > SHOWN_MAX:
        out.print(f"… {len(result.results) - SHOWN_MAX} more; use --json for all.")
