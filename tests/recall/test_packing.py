"""Recalled and locked packages are not packed, unpacked, replaced or cancelled (R-E4)."""

from __future__ import annotations

import pytest

from recall.helpers import activate, draft_of, make_market, published, who
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.production import packing

SSCC = "(00)006141411234567890"


async def test_stopped_packages_stay_as_they_are_and_others_come_out_from_beside_them(
    db: Connection,
) -> None:
    market = await make_market(db)
    goods = await activate(market, cases=4, pallets=1)
    maker, registry = who(market, market.maker), market.registry
    await published(market, db, draft_of(goods, batch_nos=(), codes=(goods.cases[0],)))

    async def refused(call: object) -> set[str]:
        with pytest.raises(YaosuError) as found:
            async with db.transaction():
                await call  # type: ignore[misc]
        return {f.code for f in found.value.findings}

    case, box = goods.cases[0], goods.boxes_of(0)[0]
    assert await refused(packing.unpack(db, maker, registry, [case])) == {"pack_stopped"}
    assert await refused(packing.unpack(db, maker, registry, [box])) == {"pack_stopped"}
    assert await refused(packing.unpack(db, maker, registry, [case], whole=True)) == {"pack_stopped"}
    assert await refused(packing.pack(db, maker, registry, SSCC, [case])) == {"pack_stopped"}
    assert await refused(packing.pack(db, maker, registry, SSCC, [goods.pallets[0]])) == {"pack_stopped"}
    assert await refused(packing.void(db, maker, registry, [box], "破损")) == {"pack_stopped"}
    done = await packing.unpack(db, maker, registry, [goods.cases[1]])
    assert done.qty == 10
    await market.conserved()
