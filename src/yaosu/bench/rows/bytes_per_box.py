"""Row `bytes_per_box`: disk per box after four hops, all tables and indexes."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson

from yaosu.bench.database import Server, fresh
from yaosu.bench.market import Market, open_market
from yaosu.bench.measure import Row, Say, Scale, spread
from yaosu.circulation.apply import apply_group
from yaosu.circulation.model import Movement
from yaosu.circulation.prepare import prepare
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError

PER_CASE = 200
SALE_CODES = 3
MIDDLES_PER_BILL = 60
BATCHES = 4
"""The boxes come in so many relation files: the index of a single one would be fuller than any in use."""
GROUP = 32
"""Sales that share a transaction."""
HOLDER = """
WITH RECURSIVE up AS (
    SELECT drug_id, parent, holder FROM unit WHERE drug_id = $1 AND code = $2
    UNION ALL SELECT u.drug_id, u.parent, u.holder FROM up JOIN unit u ON u.drug_id = up.drug_id AND u.code = up.parent
) SELECT holder FROM up WHERE parent IS NULL"""
# All tables with their toast, and every index on its own.
SIZES = """
SELECT c.relname AS name, CASE WHEN c.relkind = 'i' THEN pg_relation_size(c.oid) ELSE pg_table_size(c.oid) END AS size
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'i', 'm', 'S') AND n.nspname = 'public'"""


async def _sizes(conn: Connection) -> dict[str, int]:
    await conn.execute("VACUUM ANALYZE")
    return {r["name"]: r["size"] for r in await conn.fetch(SIZES)}


async def _sell(market: Market, boxes: list[str]) -> None:
    """Sales of three boxes each; bills that come together share a transaction, as on a busy server (D5)."""
    conn = market.conn
    bills = [boxes[a : a + SALE_CODES] for a in range(0, len(boxes), SALE_CODES)]
    for at in range(0, len(bills), GROUP):
        group = []
        for codes in bills[at : at + GROUP]:
            store = await conn.fetchval(HOLDER, market.drug_id, codes[0])
            movement = Movement(
                type=321,
                bill_no=f"LS{next(market.numbers):09d}",
                owner=store,
                happened_at=datetime.now(UTC),
                codes=codes,
                body=orjson.dumps({"type": 321, "codes": codes, "owner": store}),
            )
            group.append(await prepare(conn, market.registry, market.subject(store), movement))
        async with conn.transaction():
            for outcome in await apply_group(conn, group, market.batches):
                if isinstance(outcome, YaosuError) or outcome.status != "accepted":
                    raise RuntimeError(f"a benchmark's sale was refused: {outcome}")


async def _once(server: Server, scale: Scale, say: Say) -> tuple[dict[str, float], dict[str, float]]:
    """Bytes per box after the hops, and bytes more per box sold singly; by table and index."""
    pallets = scale.disk_pallets
    boxes = scale.pallet_boxes * pallets
    per_pallet = scale.pallet_boxes // PER_CASE
    async with fresh(server) as database, database.pool.acquire() as conn:
        market = await open_market(database, conn, (10, 20, per_pallet), stores=12)
        empty = await _sizes(conn)
        say(f"bytes_per_box: {boxes:,} boxes: activation and four hops")
        goods = await market.activate(boxes // BATCHES, "B1")
        for n in range(2, BATCHES + 1):
            more = await market.activate(boxes // BATCHES, f"B{n}")
            goods.boxes += more.boxes
            goods.middles += more.middles
            goods.cases += more.cases
            goods.pallets += more.pallets
        first, second = market.wholesalers
        cases, middles = goods.cases, goods.middles
        # half of it leaves the maker by pallet, half by case
        await market.pass_on(market.maker, first, goods.pallets[: pallets // 2])
        await market.pass_on(market.maker, first, cases[pallets // 2 * per_pallet :], per_bill=200)
        await market.pass_on(first, second, cases, per_bill=100)
        await market.pass_on(second, market.chain, cases, per_bill=20)
        for n, at in enumerate(range(0, len(middles), MIDDLES_PER_BILL)):
            store = market.stores[n % len(market.stores)]
            await market.pass_on(market.chain, store, middles[at : at + MIDDLES_PER_BILL])
        hopped = await _sizes(conn)
        say(f"bytes_per_box: {scale.disk_sales:,} boxes sold, {SALE_CODES} per bill")
        await _sell(market, goods.boxes[: scale.disk_sales])
        sold = await _sizes(conn)
    per_box = {name: (size - empty.get(name, 0)) / boxes for name, size in hopped.items()}
    per_sold = {name: (size - hopped.get(name, 0)) / scale.disk_sales for name, size in sold.items()}
    return per_box, per_sold


def _largest(parts: dict[str, float]) -> dict[str, float]:
    """What counts for at least a tenth of a byte, largest first."""
    shown = {name: round(size, 1) for name, size in parts.items() if abs(size) >= 0.1}
    return dict(sorted(shown.items(), key=lambda part: -part[1]))


async def measure(server: Server, scale: Scale, runs: int, say: Say) -> Row:
    """Bytes; vacuumed before measuring, as autovacuum would. Sizes repeat exactly but for chance in page splits."""
    totals, sold = [], []
    parts: dict[str, float] = {}
    more: dict[str, float] = {}
    for run in range(runs):
        say(f"bytes_per_box: run {run + 1}")
        parts, more = await _once(server, scale, say)
        totals.append(sum(parts.values()))
        sold.append(sum(more.values()))
    return Row(
        "bytes_per_box",
        "bytes",
        totals,
        None,
        work=f"{scale.disk_pallets * scale.pallet_boxes:,} boxes in {BATCHES} batches activated "
        f"(1:10:200:{scale.pallet_boxes:,}), "
        "stocked (101), and shipped and received maker → wholesaler (half by pallet, half by 200 cases) → wholesaler "
        f"(100 cases) → chain (20 cases) → 12 shops ({MIDDLES_PER_BILL} middle packages a bill)",
        extra={
            "more_per_box_sold_singly": spread(sold),
            "by_part": _largest(parts),
            "more_per_box_sold_singly_by_part": _largest(more),
        },
    )
