"""Row `sale_http`: a sale of three boxes over HTTP, against the empty endpoint of the same server."""

from __future__ import annotations

from yaosu.bench import http
from yaosu.bench.database import Server
from yaosu.bench.load import Job, Result
from yaosu.bench.measure import Row, Say, Scale

CONTAINS = (10, 20)
PER_CASE = 200
SOLD = "SELECT coalesce(sum(qty), 0)::bigint FROM balance WHERE status = 'S'"


async def measure(server: Server, scale: Scale, runs: int, say: Say) -> Row:
    """Sales per second. Every box is sold out of its middle package in its case, in its own pharmacy."""
    stores = scale.stores
    per_store = scale.store_boxes // stores // PER_CASE * PER_CASE
    async with http.place(server, say, "sale_http", per_store * stores, stores, CONTAINS) as at:
        market, goods = at.market, at.goods
        say(f"sale_http: {stores} pharmacies receive their cases")
        wholesaler = market.wholesalers[0]
        await market.pass_on(market.maker, wholesaler, goods.cases)
        boxes_of = {}
        for n, store in enumerate(market.stores):
            cases = per_store // PER_CASE
            await market.pass_on(wholesaler, store, goods.cases[n * cases : (n + 1) * cases])
            boxes_of[store] = goods.boxes[n * per_store : (n + 1) * per_store]
        await http.ready(at)
        tills = http.Tills(at.keys, boxes_of)
        most = int((scale.http_seconds + scale.http_warm_up) * http.MOST_PER_SECOND)
        sent = 0

        def make(connections: int) -> Job:
            return http.once_job(at, connections, scale, tills.take(most), '"status":"accepted"')

        def done(job: Job, result: Result) -> None:
            nonlocal sent
            tills.sent(result.sent)
            sent += result.sent

        found = await http.compare(at, scale, runs, say, "sale_http", make, done)
        sold = await market.conn.fetchval(SOLD)
        if sold != sent * http.SALE_CODES:
            raise RuntimeError(f"{sent} sales were answered, but {sold} boxes are sold in the ledger")
    return Row(
        "sale_http",
        "sales/s",
        found.ours,
        found.empty,
        work=f"POST a sale (321) of {http.SALE_CODES} boxes out of their case, durable, {stores} pharmacies",
        against="GET an empty JSON endpoint of the same server, same middleware, key and load generator",
        extra={**found.extra, "sales": sent},
    )
