"""What the circulation room's commands share: options, the database with a committer, who acts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from yaosu import settings
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.committer import Committer
from yaosu.circulation.issued import Issued
from yaosu.db.embedded import database_address
from yaosu.db.engine import Pool, open_pool
from yaosu.errors import YaosuError
from yaosu.registry.resolver import Registry, load_registry
from yaosu.subject import ADMIN, Subject

T = TypeVar("T")
err = Console(stderr=True)

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]
OrgOption = Annotated[int, typer.Option("--org", min=1, help="Organisation that submits 上传单位编号.")]


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

    try:
        return asyncio.run(inside())
    except YaosuError as error:
        for lang in ("zh", "en"):
            answer = error.as_json(lang)
            err.print(f"{answer['message']} {answer['next']}", markup=False)
        for finding in error.findings:
            err.print(f"  {finding.where}: {finding.text('zh')} / {finding.text('en')}", markup=False)
        raise typer.Exit(1) from error


def subject_of(registry: Registry, org: int) -> Subject:
    """The software itself, acting for `org`; refused (`not_found`) when there is none."""
    card = registry.org(org)
    if card is None:
        raise YaosuError("not_found", {"what": f"#{org}"})
    return Subject(
        "system", None, org, str(card.type), "admin", frozenset({ADMIN}), region=card.region, name="cli"
    )
