"""What the rows of the ways in share: the same bills through the native API and through another door of one server.

Requests are made and signed before a run and sent by the same load generator; both sides take turns. At the end the
ledger says whether every package really moved: what was only answered is not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from urllib.parse import urlencode

import psutil

from yaosu.bench.http import Place, processor_seconds
from yaosu.bench.load import Job, drive, post
from yaosu.bench.measure import Row, Say
from yaosu.exchange.top import keys, signing
from yaosu.exchange.top.aliases import Alias, Aliases
from yaosu.exchange.top.fields import CHINA
from yaosu.exchange.top.keys import Sealing
from yaosu.settings import master_secret

NATIVE = "/api/v1/movements"
LONGEST_S = 240.0
"""A side that takes longer than this is not measured."""
AGO = timedelta(minutes=3)
"""How long ago the bills say they happened."""


@dataclass(frozen=True, slots=True)
class Requests:
    """One run of one side."""

    texts: Sequence[str]
    expect: str
    status: int = 200


Side = Callable[[Sequence[Sequence[str]], str], Requests]
"""Makes the requests for sets of codes; takes a prefix for bill numbers that nobody used."""


@dataclass(frozen=True, slots=True)
class Contest:
    """What is measured: `per_run` sets of codes through each side, over so many connections."""

    id: str
    unit: str
    work: str
    sets: Sequence[Sequence[str]]
    per_run: int
    connections: int
    per_set: float
    """How much one set counts in `unit`."""
    native_text: str = "the same bills through POST /api/v1/movements of the same server"


async def measured(at: Place, say: Say, runs: int, what: Contest, other: Side, native: Side) -> Row:
    """Both sides taking turns, a warm-up first; every set of codes is used once."""
    server = psutil.Process(at.running.pid)
    speeds: tuple[list[float], list[float]] = ([], [])
    busy: tuple[list[float], list[float]] = ([], [])
    slowest: tuple[list[float], list[float]] = ([], [])
    unused = iter(what.sets)
    for run in range(runs + 1):
        for step in range(2):
            which = (run + step) % 2
            say(f"{what.id}: {'warm-up' if not run else f'run {run}'}, {('other', 'native')[which]}")
            sets = [next(unused) for _ in range(what.per_run)]
            made = (other, native)[which](sets, f"{'WN'[which]}{run}")
            job = Job(
                at.running.host,
                at.running.port,
                what.connections,
                list(made.texts),
                [made.expect],
                seconds=LONGEST_S,
                status=made.status,
            )
            before = processor_seconds(server)
            result = await drive(job)
            if result.answers != len(made.texts):
                raise RuntimeError(f"{result.answers} of {len(made.texts)} requests were answered in time")
            if run:
                speeds[which].append(result.per_second * what.per_set * what.per_run / len(made.texts))
                busy[which].append((processor_seconds(server) - before) / what.per_run * 1e3)
                slowest[which].append(result.p50_ms)
    return Row(
        what.id,
        what.unit,
        speeds[0],
        speeds[1],
        work=what.work,
        against=what.native_text,
        extra={
            "connections": what.connections,
            "server_process_ms_per_bill": {"ours": median(busy[0]), "baseline": median(busy[1])},
            "p50_ms": {"ours": median(slowest[0]), "baseline": median(slowest[1])},
        },
    )


def china(at: datetime) -> str:
    """A time as the incumbent's interfaces and files write it."""
    return at.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True, slots=True)
class TopProgram:
    """A client of the gateway: form in the body, hmac-sha256, JSON."""

    app_key: str
    secret: str
    names: Mapping[int | None, Alias]

    def call(self, method: str, business: Mapping[str, str], at: datetime) -> str:
        """A signed call, as it goes over the wire."""
        params = {
            "method": method,
            "app_key": self.app_key,
            "timestamp": china(at),
            "format": "json",
            "v": "2.0",
            "sign_method": "hmac-sha256",
            **business,
        }
        text = signing.text_of(params).encode()
        params["sign"] = signing.sign(self.secret, "hmac-sha256", text)
        media = "application/x-www-form-urlencoded;charset=utf-8"
        return post("/router/rest", "", urlencode(params), media)


def master_of(at: Place) -> bytes:
    """The master secret of the server."""
    return master_secret(at.database.folder / "server")


async def top_program(at: Place, org: int, role: str) -> TopProgram:
    """A program of an organisation with a key of its own."""
    master, market = master_of(at), at.market
    names = await Aliases(master).of(at.database.pool, [org, *market.wholesalers, *market.stores])
    async with market.conn.transaction():
        made, secret = await keys.add(
            market.conn, market.registry, Sealing(master), market.subject(org), "bench", role
        )
    return TopProgram(made.app_key, secret, names)
