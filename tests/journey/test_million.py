"""A relation file of a million boxes activates; a pallet of it ships, is received, and a box is sold out of its case.

Right at each step: history, stock, conservation (issue 2, «It is done when»; R-A5, B1, B2, C1, X4, X5). The number of
boxes can be made smaller with YAOSU_TEST_BOXES.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from yaosu.bench.database import Database
from yaosu.bench.market import CONTAINS, open_market
from yaosu.db.engine import Pool
from yaosu.ledger import service as ledger
from yaosu.trace import service as trace

BOXES = int(os.environ.get("YAOSU_TEST_BOXES", "1000000"))
PALLET = 48_000
MEMORY_MB_MAX = 1024


@pytest.mark.slow
async def test_a_million_boxes_from_activation_to_the_sale_of_one(
    pool: Pool, database: str, tmp_path: Path
) -> None:
    async with pool.acquire() as conn:
        market = await open_market(Database(database, pool, tmp_path), conn, CONTAINS)
        goods = await market.activate(BOXES, "B1000000")
        maker, first, chain = market.maker, market.wholesalers[0], market.chain
        store = market.stores[0]

        async def stock(org: int) -> int:
            lines = await ledger.whole_stock(conn, market.subject(org), org, statuses=["I"])
            return sum(line.qty for line in lines)

        async def story(org: int, code: str) -> list[tuple[int, str]]:
            answer = await trace.history(conn, market.registry, market.subject(org), code, "zh")
            return [(e["bill_type"], e["certainty"]) for e in answer["events"]]

        assert await stock(maker) == BOXES
        assert len(goods.boxes) == BOXES
        pallet, case = goods.pallets[0], goods.cases[3]
        box = goods.boxes[3 * 200 + 7]

        await market.ship(maker, first, [pallet])
        assert (await stock(maker), await stock(first)) == (BOXES - PALLET, 0)
        await market.receive(first, maker, [pallet])
        assert await stock(first) == PALLET

        await market.pass_on(first, chain, [case])
        await market.move(203, chain, [case], to_org=store)
        await market.move(104, store, [case], from_org=chain)
        assert (await stock(first), await stock(chain), await stock(store)) == (PALLET - 200, 0, 200)

        await market.move(321, store, [box])
        assert await stock(store) == 199
        assert (await story(store, box))[-1] == (321, "observed")
        told = await story(maker, box)
        # the maker sees what it did itself, also to the pallet around the box
        assert (201, "inferred") in told
        seen = await story(store, box)
        assert (104, "inferred") in seen and (321, "observed") in seen
        again = await story(store, goods.boxes[3 * 200 + 8])
        assert (321, "observed") not in again and (104, "inferred") in again

        await ledger.assert_conserved(conn)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    # the whole test process, which also holds the million codes it made
    assert peak_mb < 2 * MEMORY_MB_MAX
