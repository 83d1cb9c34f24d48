"""Row `verify_http`: verify one code four levels deep over HTTP, against the empty endpoint of the same server."""

from __future__ import annotations

from random import Random

from yaosu.bench import http
from yaosu.bench.database import Server
from yaosu.bench.load import Job, Result, get
from yaosu.bench.measure import Row, Say, Scale

PER_CASE = 200
ASKED = 20_000
"""Different boxes that are asked about, at most."""


async def measure(server: Server, scale: Scale, runs: int, say: Say) -> Row:
    """Answers per second on boxes in middle packages in cases on one pallet, asked by its holder."""
    contains = (10, 20, scale.pallet_boxes // PER_CASE)
    async with http.place(server, say, "verify_http", scale.pallet_boxes, 1, contains) as at:
        market, goods = at.market, at.goods
        wholesaler = market.wholesalers[0]
        await market.pass_on(market.maker, wholesaler, goods.pallets)
        await http.ready(at)
        boxes = list(goods.boxes)
        Random(1).shuffle(boxes)  # noqa: S311 - which box is asked first is no secret
        requests = [get(f"/api/v1/codes/{box}", at.keys[wholesaler]) for box in boxes[:ASKED]]
        expect = f'"inside":{{"code":"{goods.pallets[0]}"'

        def make(connections: int) -> Job:
            return http.cycling_job(at, connections, scale, requests, expect)

        def done(job: Job, result: Result) -> None:
            pass

        found = await http.compare(at, scale, runs, say, "verify_http", make, done)
    return Row(
        "verify_http",
        "answers/s",
        found.ours,
        found.empty,
        work="GET the verdict on a box in a middle package in a case on a pallet, asked by its holder",
        against="GET an empty JSON endpoint of the same server, same middleware, key and load generator",
        extra=found.extra,
    )
