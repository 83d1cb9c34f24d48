"""Row `pallet`: shipping a full pallet against shipping one box."""

from __future__ import annotations

from statistics import median

from yaosu.bench.database import Server, fresh, settle
from yaosu.bench.market import open_market
from yaosu.bench.measure import Row, Say, Scale

PER_CASE = 200


async def measure(server: Server, scale: Scale, runs: int, say: Say) -> Row:
    """Milliseconds of one shipping bill (201), committed; median of the bills of each run, taking turns."""
    contains = (10, 20, scale.pallet_boxes // PER_CASE)
    async with fresh(server) as database, database.pool.acquire() as conn:
        say(f"pallet: activating a pallet of {scale.pallet_boxes:,} boxes and one more case")
        market = await open_market(database, conn, contains)
        goods = await market.activate(scale.pallet_boxes + PER_CASE, "B1")
        here, there = market.wholesalers
        pallet, box = goods.pallets[:1], goods.boxes[-1:]
        for codes in (pallet, box):
            await market.pass_on(market.maker, here, codes)
        held = await conn.fetchval(
            "SELECT qty FROM unit WHERE drug_id = $1 AND code = $2", market.drug_id, pallet[0]
        )
        if held != scale.pallet_boxes:
            raise RuntimeError(f"the pallet holds {held} boxes")
        await settle(database.pool)
        times: tuple[list[float], list[float]] = ([], [])
        for run in range(runs + 1):
            say(f"pallet: {'warm-up' if not run else f'run {run}'}")
            seconds: tuple[list[float], list[float]] = ([], [])
            for n in range(scale.pallet_bills):
                turns = ((0, pallet), (1, box)) if n % 2 else ((1, box), (0, pallet))
                for side, codes in turns:
                    seconds[side].append(await market.ship(here, there, codes))
                    await market.receive(there, here, codes)
                here, there = there, here
            if run:
                for side in (0, 1):
                    times[side].append(median(seconds[side]) * 1000)
    return Row(
        "pallet",
        "ms",
        times[0],
        times[1],
        work=f"ship a pallet of {scale.pallet_boxes:,} boxes (201), committed",
        against="ship one loose box (201), committed",
        extra={"bills_per_run": scale.pallet_bills},
    )
