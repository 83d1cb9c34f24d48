"""What the HTTP rows share: an open market behind a server, requests, and the comparison with the empty endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

import orjson
import psutil

from yaosu.bench.database import Database, Server, fresh, settle
from yaosu.bench.load import Job, Result, drive, get, post
from yaosu.bench.market import Goods, Market, open_market
from yaosu.bench.measure import Say, Scale
from yaosu.bench.server import EMPTY, Running, serving

SALE_CODES = 3
READS = ("trace.read", "bill.read", "stock.read")
MOST_PER_SECOND = 5_000
"""Requests made ready per second of a measurement; a side that could do more ends early and is counted rightly."""


@dataclass(slots=True)
class Place:
    """A running server and the market behind it."""

    database: Database
    running: Running
    market: Market
    goods: Goods
    keys: dict[int, str]
    """API keys by organisation."""


@asynccontextmanager
async def place(
    server: Server, say: Say, name: str, boxes: int, stores: int, contains: tuple[int, ...]
) -> AsyncIterator[Place]:
    """A market with `boxes` in the maker's stock, and the server in front of it; the caller spreads the goods."""
    async with fresh(server) as database, database.pool.acquire() as conn:
        say(f"{name}: activating {boxes:,} boxes")
        market = await open_market(database, conn, contains, stores)
        goods = await market.activate(boxes, "B1")
        keys = {
            org: await market.key(org, "bill.write", *READS)
            for org in (*market.wholesalers, market.chain, *market.stores)
        }
        async with serving(database) as running:
            yield Place(database, running, market, goods, keys)


async def ready(at: Place) -> None:
    """To be called when the goods are spread, before anything is measured."""
    await settle(at.database.pool)


class Tills:
    """Sales of `SALE_CODES` boxes each, store after store; every box is sold once."""

    def __init__(self, keys: dict[int, str], boxes_of: dict[int, list[str]]) -> None:
        requests: list[str] = []
        most = max(len(boxes) for boxes in boxes_of.values())
        for first in range(0, most - SALE_CODES + 1, SALE_CODES):
            for store, boxes in boxes_of.items():
                codes = boxes[first : first + SALE_CODES]
                if len(codes) == SALE_CODES:
                    requests.append(sale(keys[store], f"LS{len(requests):09d}", codes))
        self._requests = requests
        self._next = 0

    def take(self, count: int) -> list[str]:
        """The next requests, at most `count`; `sent` says how many of them went out."""
        found = self._requests[self._next : self._next + count]
        if not found:
            raise RuntimeError("every box is sold: more boxes in the shops are needed for so many runs")
        return found

    def sent(self, count: int) -> None:
        """So many of the requests last taken were sent."""
        self._next += count


def sale(key: str, bill_no: str, codes: Sequence[str]) -> str:
    """A retail sale (321) as a till posts it."""
    body = {
        "type": 321,
        "bill_no": bill_no,
        "happened_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "codes": codes,
    }
    return post("/api/v1/movements", key, orjson.dumps(body).decode())


def empty_job(at: Place, connections: int, scale: Scale) -> Job:
    """The empty endpoint, asked with the same kind of key."""
    key = next(iter(at.keys.values()))
    return _closed(at, connections, scale, [get(EMPTY, key)], "{}")


def _closed(at: Place, connections: int, scale: Scale, requests: list[str], expect: str) -> Job:
    return Job(
        at.running.host,
        at.running.port,
        connections,
        requests,
        [expect],
        seconds=scale.http_seconds,
        warm_up=scale.http_warm_up,
        cycle=True,
    )


def cycling_job(at: Place, connections: int, scale: Scale, requests: list[str], expect: str) -> Job:
    """Requests that may be repeated."""
    return _closed(at, connections, scale, requests, expect)


def once_job(at: Place, connections: int, scale: Scale, requests: list[str], expect: str) -> Job:
    """Requests each of which is sent at most once."""
    job = _closed(at, connections, scale, requests, expect)
    job.cycle = False
    return job


@dataclass(slots=True)
class Compared:
    """Requests per second at the best number of connections of each side, and latencies there."""

    ours: list[float]
    empty: list[float]
    extra: dict[str, object]


async def compare(
    at: Place,
    scale: Scale,
    runs: int,
    say: Say,
    name: str,
    make: Callable[[int], Job],
    done: Callable[[Job, Result], None],
) -> Compared:
    """Both sides at every number of connections, taking turns; each side counts where it is best."""
    server = psutil.Process(at.running.pid)
    busy: tuple[list[float], list[float]] = ([], [])
    ours: dict[int, list[Result]] = {c: [] for c in scale.connections}
    empty: dict[int, list[Result]] = {c: [] for c in scale.connections}
    for run in range(runs):
        for connections in scale.connections:
            for step in range(2):
                if (run + step) % 2:
                    say(f"{name}: run {run + 1}: {connections} connections")
                    job = make(connections)
                    before = processor_seconds(server)
                    result = await drive(job)
                    busy[0].append((processor_seconds(server) - before) / result.total * 1e6)
                    done(job, result)
                    ours[connections].append(result)
                else:
                    say(f"{name}: run {run + 1}: empty endpoint, {connections} connections")
                    before = processor_seconds(server)
                    result = await drive(empty_job(at, connections, scale))
                    busy[1].append((processor_seconds(server) - before) / result.total * 1e6)
                    empty[connections].append(result)
    best_ours, best_empty = _best(ours), _best(empty)
    return Compared(
        [r.per_second for r in ours[best_ours]],
        [r.per_second for r in empty[best_empty]],
        {
            "connections": best_ours,
            "connections_baseline": best_empty,
            "p50_ms": median(r.p50_ms for r in ours[best_ours]),
            "p99_ms": median(r.p99_ms for r in ours[best_ours]),
            "server_process_us_per_request": {"ours": median(busy[0]), "baseline": median(busy[1])},
            "by_connections": {
                str(c): {
                    "ours": median(r.per_second for r in ours[c]),
                    "baseline": median(r.per_second for r in empty[c]),
                }
                for c in scale.connections
            },
        },
    )


def processor_seconds(process: psutil.Process) -> float:
    """Processor time the process has used."""
    used = process.cpu_times()
    return float(used.user + used.system)


def _best(results: dict[int, list[Result]]) -> int:
    return max(results, key=lambda c: median(r.per_second for r in results[c]))
