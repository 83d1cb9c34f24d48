"""Row `recall_locate`: where a recalled batch is, by holder; a big batch against a small one."""

from __future__ import annotations

import time
from statistics import median

from yaosu.bench.database import Server, fresh, settle
from yaosu.bench.market import Market, open_market
from yaosu.bench.measure import Row, Say, Scale
from yaosu.bench.relation_file import MADE
from yaosu.subject import Subject
from yaosu.trace import service

NEIGHBOURS = 30
"""Other batches in the same table, each with as many holders."""
TRAVELLING = 300
"""Shipments of each batch that are under way."""

BATCH = """
INSERT INTO batch (drug_id, batch_no, maker, produced_on, expires_on)
VALUES ($1, $2, $3, $4, $4::date + 700) RETURNING id"""
HOLDERS = """
INSERT INTO org (uscc, name, name_norm, type, region)
SELECT 'BENCH' || lpad(n::text, 13, '0'), '持有单位' || n, '持有单位' || n, 4, '370102'
FROM generate_series(1, $1::int) AS n RETURNING id"""
OFFICE = """
INSERT INTO org (uscc, name, name_norm, type, region)
VALUES ('BENCHOFFICE0000000', '测量省药监局', '测量省药监局', 110, '370000') RETURNING id"""
SHIPMENTS = """
WITH made AS (
    INSERT INTO bill (owner, submitter, from_org, to_org, type, lines, qty, happened_at, submission_id, bill_no,
        content_hash, leaf, drug_ids)
    SELECT $3::int, $3::int, $3::int, org, 201, 1, 2, now(), 0, 'S' || $2::int || '-' || n, '', '', ARRAY[$1::int]
    FROM unnest($4::int[]) WITH ORDINALITY AS h(org, n) RETURNING id, to_org
), told AS (
    INSERT INTO notice (to_org, bill_id, from_org, shipped_at, expected)
    SELECT to_org, id, $3::int, now(), 2 FROM made
)
INSERT INTO notice_line (drug_id, bill_id, batch_id, expected) SELECT $1::int, id, $2::int, 2 FROM made"""


def spread_boxes(boxes: int, holders: int) -> list[int]:
    """Boxes of each holder: everybody has one, nine tenths of the rest fall off as 1/n, the last part is left over."""
    weights = [1 / n for n in range(1, holders + 1)]
    part = 0.9 * (boxes - holders) / sum(weights)
    return [1 + int(part * weight) for weight in weights]


async def _batch(market: Market, batch_no: str, boxes: int, holders: list[int]) -> None:
    conn, drug_id, maker = market.conn, market.drug_id, market.maker
    batch_id = await conn.fetchval(BATCH, drug_id, batch_no, maker, MADE)
    held = spread_boxes(boxes, len(holders))
    # a third of the holders have sold theirs; what nobody holds is still with the maker
    rows = [
        (qty, drug_id, batch_id, org, "I" if n % 3 else "S")
        for n, (org, qty) in enumerate(zip(holders, held, strict=True))
    ]
    rows += [(boxes - sum(held), drug_id, batch_id, maker, "I"), (-boxes, drug_id, batch_id, maker, "P")]
    await conn.copy_records_to_table(
        "balance", records=rows, columns=("qty", "drug_id", "batch_id", "org", "status")
    )
    await conn.execute(SHIPMENTS, drug_id, batch_id, maker, holders[:TRAVELLING])
    total = await conn.fetchval(
        "SELECT sum(qty)::bigint FROM balance WHERE drug_id = $1 AND batch_id = $2 AND status <> 'P'",
        drug_id,
        batch_id,
    )
    if total != boxes or min(row[0] for row in rows[:-1]) < 1:
        raise RuntimeError(f"{total} of {boxes} boxes spread")


async def measure(server: Server, scale: Scale, runs: int, say: Say) -> Row:
    """Milliseconds of one complete answer of `trace.where`, every holder listed; median of each run."""
    async with fresh(server) as database, database.pool.acquire() as conn:
        say(f"recall_locate: spreading {2 + NEIGHBOURS} batches over {scale.holders:,} holders")
        market = await open_market(database, conn, (10, 20))
        async with conn.transaction():
            holders = [r[0] for r in await conn.fetch(HOLDERS, scale.holders)]
            for n in range(NEIGHBOURS):
                await _batch(market, f"N{n}", scale.recall_small, holders)
            await _batch(market, "BIG", scale.recall_big, holders)
            await _batch(market, "SMALL", scale.recall_small, holders)
        await market.registry.refresh(conn, full=True)
        await settle(database.pool)
        subject = Subject(
            "account",
            None,
            await conn.fetchval(OFFICE),
            "110",
            "regulator",
            frozenset({"supervise.read", "trace.read"}),
            region="370000",
            name="bench",
        )
        listed: dict[str, int] = {}

        async def once(batch_no: str) -> float:
            begun = time.perf_counter()
            async with conn.transaction():
                found = await service.where(conn, market.registry, subject, market.drug_id, batch_no)
            seconds = time.perf_counter() - begun
            items = found["items"]
            assert isinstance(items, list)
            listed[batch_no] = len(items)
            return seconds

        times: dict[str, list[float]] = {"BIG": [], "SMALL": []}
        for run in range(runs + 1):
            seconds: dict[str, list[float]] = {"BIG": [], "SMALL": []}
            for n in range(scale.recall_calls):
                for batch_no in ("BIG", "SMALL") if n % 2 else ("SMALL", "BIG"):
                    seconds[batch_no].append(await once(batch_no))
            if run:
                for name, found in seconds.items():
                    times[name].append(median(found) * 1000)
    return Row(
        "recall_locate",
        "ms",
        times["BIG"],
        times["SMALL"],
        work=f"where are the {scale.recall_big:,} boxes of a batch, by holder and status, and what is "
        "under way; asked by the province's drug office, which sees every holder",
        against=f"the same question for {scale.recall_small:,} boxes with the same number of holders",
        extra={"holders_listed": listed["BIG"], "holders_listed_baseline": listed["SMALL"]},
        aim_also=median(times["BIG"]) < 1000,
    )
