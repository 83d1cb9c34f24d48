"""`yaosu person …`: the keys of personal data, and retention, from the server's own command line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from yaosu import settings
from yaosu.db.embedded import database_address
from yaosu.db.engine import Connection, connect
from yaosu.edge.terminal import refusals
from yaosu.people import service
from yaosu.people.keeper import Keeper
from yaosu.people.parts import keeper_for
from yaosu.registry.resolver import load_registry
from yaosu.subject import SYSTEM

app = typer.Typer(help="Personal data 个人信息: keys and retention.", no_args_is_help=True)
out = Console()

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]


def _run(data: Path | None, work: Callable[[Connection, Keeper], Awaitable[None]]) -> None:
    async def inside() -> None:
        chosen = settings.load(data=data)
        conn = await connect(database_address(chosen.data, chosen.database_url))
        try:
            await work(conn, keeper_for(chosen))
        finally:
            await conn.close()

    with refusals():
        asyncio.run(inside())


@app.command(name="rekey")
def rekey_command(data: DataOption = None) -> None:
    """Begin a new key and write everything anew under it 更换加密密钥并重新加密.

    Safe while the server runs, and safe to repeat after an interruption. The match of persons does not change.
    """

    async def work(conn: Connection, keeper: Keeper) -> None:
        async with conn.transaction():
            key_id = await service.new_key(conn, SYSTEM)
        total = 0
        while True:
            async with conn.transaction():
                done = await service.rekey(conn, keeper, SYSTEM)
            if not done:
                break
            total += done
        out.print(
            f"密钥 {key_id} 已启用，重新加密 {total} 条。 Key {key_id} in use, {total} ciphers written anew."
        )

    _run(data, work)


@app.command(name="erase")
def erase_command(data: DataOption = None) -> None:
    """Erase persons whose retention has ended now 立即清除保存期满的个人信息. The worker does it every hour."""

    async def work(conn: Connection, keeper: Keeper) -> None:
        now = datetime.now(UTC)
        async with conn.transaction():
            erased = await service.erase_unused(conn, now)
            erased += await service.erase_due(conn, await load_registry(conn), now)
        out.print(f"已清除 {erased} 人，数量记录保留。 {erased} persons erased; quantities remain.")

    _run(data, work)
