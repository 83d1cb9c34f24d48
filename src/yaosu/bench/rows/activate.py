"""Row `activate`: a relation file with every check, ledger and log, against COPY of the same codes."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import AsyncIterator
from pathlib import Path

from yaosu.bench.database import Server, fresh
from yaosu.bench.market import MASTER, open_market
from yaosu.bench.measure import Row, Say, Scale, interleave, spread
from yaosu.bench.relation_file import write_relation
from yaosu.db.engine import Connection
from yaosu.production import activation

CONTAINS = (10, 20)
"""1 : 10 : 200; a million boxes are 1,105,000 codes."""
PLAIN = 'CREATE TABLE {} (code text COLLATE "C" PRIMARY KEY)'


async def _lines(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk


def _write_lists(relation: Path, in_order: Path, ordered: Path) -> int:
    """The codes of a relation file, one per line, in the file's order and sorted; how many."""
    with relation.open() as file:
        codes = [line[15:35] + "\n" for line in file if line.startswith("<Code ")]
    in_order.write_text("".join(codes))
    ordered.write_text("".join(sorted(codes)))
    return len(codes)


async def _copy(conn: Connection, table: str, path: Path) -> float:
    await conn.execute("CHECKPOINT")
    begun = time.perf_counter()
    async with conn.transaction():
        await conn.copy_to_table(table, source=_lines(path), format="text")
    return time.perf_counter() - begun


async def measure(server: Server, scale: Scale, runs: int, say: Say) -> Row:
    """Codes per second; both sides durable, each run with new codes on tables that grow alike."""
    async with fresh(server) as database, database.pool.acquire() as conn:
        market = await open_market(database, conn, CONTAINS)
        relation, in_order, ordered = (
            server.folder / name for name in ("relation.xml", "codes.txt", "sorted.txt")
        )
        await conn.execute(PLAIN.format("bench_plain"))
        await conn.execute(PLAIN.format("bench_sorted"))
        codes = 0

        async def before(run: int) -> None:
            nonlocal codes
            say(f"activate: run {run + 1}: issuing {scale.boxes:,} box codes and writing the file")
            levels = await market.request_codes(scale.boxes)
            await asyncio.to_thread(write_relation, relation, levels, CONTAINS, f"B{run}")
            codes = await asyncio.to_thread(_write_lists, relation, in_order, ordered)

        async def ours(run: int) -> float:
            say(f"activate: run {run + 1}: activating {codes:,} codes")
            await conn.execute("CHECKPOINT")
            begun = time.perf_counter()
            async with conn.transaction():
                done = await activation.activate(
                    conn, market.subject(market.maker), relation, market.registry, MASTER
                )
            seconds = time.perf_counter() - begun
            if done.codes != codes or done.boxes != scale.boxes:
                raise RuntimeError(f"{done.codes} of {codes} codes activated")
            return codes / seconds

        async def plain(run: int) -> float:
            return codes / await _copy(conn, "bench_plain", in_order)

        async def plain_sorted(run: int) -> float:
            return codes / await _copy(conn, "bench_sorted", ordered)

        mine, copied, copied_sorted = await interleave(runs, ours, plain, plain_sorted, before=before)
    for path in (relation, in_order, ordered):
        path.unlink()
    return Row(
        "activate",
        "codes/s",
        mine,
        copied,
        work=f"relation file of {scale.boxes:,} boxes, 1:10:200, {codes:,} codes issued here, durable",
        against="COPY of the same codes, in the file's order, into a table with one primary key column, durable",
        extra={
            "copy_of_sorted_codes": spread(copied_sorted),
            "codes": codes,
            "resident_mb_max": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        },
    )
