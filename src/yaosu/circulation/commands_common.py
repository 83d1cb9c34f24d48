"""What the circulation room's commands share: options, the database with a committer, who acts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from yaosu import settings
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.committer import Committer
from yaosu.circulation.issued import Issued
from yaosu.db.embedded import database_address
from yaosu.db.engine import Pool, open_pool
from yaosu.edge.terminal import DataOption, JsonOption, err, refusals
from yaosu.registry.resolver import Registry, load_registry
from yaosu.registry.terminal import OrgOption
from yaosu.registry.terminal import acting as subject_of

__all__ = ["DataOption", "JsonOption", "OrgOption", "err", "run", "subject_of"]

T = TypeVar("T")


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
