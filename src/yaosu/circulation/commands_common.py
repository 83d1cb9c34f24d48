"""What the circulation room's commands share: options, the database with a committer, who acts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from yaosu import settings
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.committer import Committer
from yaosu.circulation.issued import Issued
from yaosu.db.embedded import database_address
from yaosu.db.engine import Pool, open_pool
from yaosu.edge.terminal import DataOption, JsonOption, err, refusals
from yaosu.errors import YaosuError
from yaosu.registry.resolver import Registry, load_registry
from yaosu.subject import ADMIN, Subject

__all__ = ["DataOption", "JsonOption", "OrgOption", "err", "run", "subject_of"]

T = TypeVar("T")

OrgOption = Annotated[int, typer.Option("--org", min=1, help="Organisation acted for 办理单位编号.")]


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


def subject_of(registry: Registry, org: int) -> Subject:
    """Somebody of `org` who may do everything there, and no more; refused (`not_found`) when there is none."""
    card = registry.org(org)
    if card is None:
        raise YaosuError("not_found", {"what": f"单位 organisation #{org}"})
    return Subject(
        "key", None, org, str(card.type), "admin", frozenset({ADMIN}), region=card.region, name="cli"
    )
