"""Running a command for one organisation: it may do what the organisation may, and sees what it sees."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from yaosu import settings
from yaosu.db.embedded import database_address
from yaosu.db.engine import Connection, connect
from yaosu.edge.terminal import refusals
from yaosu.errors import YaosuError
from yaosu.registry.resolver import Registry, load_registry
from yaosu.subject import ADMIN, Subject

T = TypeVar("T")
Work = Callable[[Connection, Registry, Subject], Awaitable[T]]

OrgOption = Annotated[int, typer.Option("--org", min=1, help="Organisation acted for 办理单位编号.")]


def acting(registry: Registry, org: int) -> Subject:
    """Somebody of `org` who may do everything there, and no more; refused (`not_found`) when there is none."""
    card = registry.org(org)
    if card is None:
        raise YaosuError("not_found", {"what": f"单位 organisation #{org}"})
    return Subject(
        "key", None, org, str(card.type), "admin", frozenset({ADMIN}), region=card.region, name="cli"
    )


def run_as(data: Path | None, org: int, work: Work[T]) -> T:
    """Run `work` in one transaction for `org`; a refusal is explained, changes nothing and exits with 1."""

    async def inside() -> T:
        chosen = settings.load(data=data)
        conn = await connect(database_address(chosen.data, chosen.database_url))
        try:
            async with conn.transaction():
                registry = await load_registry(conn)
                return await work(conn, registry, acting(registry, org))
        finally:
            await conn.close()

    with refusals():
        return asyncio.run(inside())
