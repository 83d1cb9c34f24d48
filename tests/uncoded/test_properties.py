"""Whatever is done to uncoded stock in whatever order: never below nothing, never more out of a lot than in, and
n boxes that get codes become n units (R-C8, R-D1, D4)."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from circulation.helpers import activate
from uncoded.helpers import Shop, make_shop
from yaosu.circulation import service as circulation
from yaosu.db.engine import Pool
from yaosu.errors import YaosuError
from yaosu.uncoded import counts, ends
from yaosu.uncoded.model import Item

pytestmark = pytest.mark.asyncio(loop_scope="module")
STEPS = 120
BATCHES = ("PB-1", "PB-2", "PB-3")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(pool: Pool) -> AsyncIterator[Shop]:
    async with make_shop(pool) as made:
        yield made


class Model:
    """What should be left, kept beside the real thing."""

    def __init__(self) -> None:
        self.left: dict[int, int] = {}
        self.batch: dict[int, str] = {}
        self.coded = 0
        self.bills: list[tuple[int, int, int]] = []
        """Bills that may be voided: bill id, lot, quantity."""


async def _step(shop: Shop, dice: random.Random, model: Model, codes: dict[str, list[str]]) -> None:
    who = shop.who(shop.pharmacy)
    action = dice.choice(
        ["open", "sell", "sell", "return", "lose", "supplement", "supplement", "count", "void"]
    )
    if action == "open" or not model.left:
        batch, qty = dice.choice(BATCHES), dice.randint(1, 12)
        made = await shop.open(shop.pharmacy, qty, items=(Item(shop.drug_id, batch, qty),))
        (lot_id,) = made.lot_ids
        model.left[lot_id], model.batch[lot_id] = qty, batch
        return
    lot_id = dice.choice(sorted(model.left))
    left = model.left[lot_id]
    qty = dice.randint(1, 9)
    if action == "void":
        if model.bills:
            bill_id, of_lot, taken = model.bills.pop(dice.randrange(len(model.bills)))
            await circulation.void(
                shop.pool, shop.doors.committer, shop.doors.registry, who, bill_id, "录入错误", b"{}"
            )
            model.left[of_lot] += taken
        return
    if action == "count":
        counted = max(0, left - dice.randint(0, 2))
        await counts.verify(shop.doors, who, lot_id, counted, "甲", "乙", "盘点差异")
        model.left[lot_id] = counted
        return
    scanned: list[str] = []
    if action == "supplement":
        free = codes[model.batch[lot_id]]
        scanned, qty = free[:qty], len(free[:qty])
        if not scanned:
            return
    try:
        if action == "sell":
            result = await ends.sell(shop.doors, who, lot_id, qty, "JS", "historical")
        elif action == "return":
            result = await ends.give_back(shop.doors, who, lot_id, qty, "退回")
        elif action == "lose":
            result = await ends.lose(shop.doors, who, lot_id, qty, "破损")
        else:
            result = await ends.supplement(shop.doors, who, lot_id, scanned, notice="SHIP-ALL")
    except YaosuError as refused:
        assert refused.code == "uncoded_not_enough" and qty > left
        return
    assert qty <= left, "more came out of a lot than was in it"
    assert result.status == "accepted", [(r.code, r.verdict) for r in result.results]
    assert result.qty == qty
    model.left[lot_id] -= qty
    if action == "supplement":
        codes[model.batch[lot_id]] = codes[model.batch[lot_id]][qty:]
        model.coded += qty
    else:
        model.bills.append((result.bill_id, lot_id, qty))


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_order_of_events_breaks_the_account(shop: Shop, seed: int) -> None:
    dice, model = random.Random(seed), Model()
    codes: dict[str, list[str]] = {}
    async with shop.pool.acquire() as conn:
        market = shop.market
        market.conn = conn
        known = await conn.fetchval("SELECT count(*) FROM batch")
        if not known:
            for batch in BATCHES:
                goods = await activate(market, cases=4, per_case=10, batch_no=batch)
                await market.pass_on(market.maker, shop.supplier, goods.cases)
            every = [r["code"] for r in await conn.fetch("SELECT code FROM unit WHERE level = 2")]
            await market.ship(shop.supplier, shop.pharmacy, every, bill_no="SHIP-ALL")
        rows = await conn.fetch(
            """
            SELECT t.batch_no, u.code FROM unit u JOIN batch t ON t.drug_id = u.drug_id AND t.id = u.batch_id
            WHERE u.level = 1 AND u.parent IS NOT NULL ORDER BY u.code"""
        )
        for row in rows:
            codes.setdefault(row["batch_no"], []).append(row["code"])
        units = await market.stock(shop.pharmacy)
        before = {lot.id for lot in await shop.book(shop.pharmacy)}
        for step in range(STEPS):
            await _step(shop, dice, model, codes)
            lowest = await conn.fetchval("SELECT min(qty) FROM balance WHERE status = 'U'")
            assert lowest is None or lowest >= 0, f"seed {seed} step {step}"
            if step % 10 == 9:
                book = {lot.id: lot for lot in await shop.book(shop.pharmacy)}
                found = {lot_id: book[lot_id].left for lot_id in model.left}
                assert found == model.left, f"seed {seed} step {step}"
                assert sum(lot.left for lot in book.values()) == await shop.left(shop.pharmacy)
                assert all(0 <= lot.left <= lot.entered for lot in book.values())
        assert await market.stock(shop.pharmacy) == units + model.coded
        assert model.coded > 0 and before.isdisjoint(model.left)
        await market.conserved()
