"""A recall shipment told by EPCIS goes up the chain like any other (R-B5, R-E4)."""

from __future__ import annotations

from exchange.epcis.helpers import World, code, document, shipping
from yaosu.stops import service as stops


async def test_recalled_goods_do_not_leave_by_epcis_for_anybody_but_up_the_chain(world: World) -> None:
    cases, _ = await world.goods(2)
    async with world.pool.acquire() as conn, conn.transaction():
        stop = await stops.place(
            conn,
            kind="recall",
            ref=1,
            number="ZH-EP",
            title="装量差异",
            level=2,
            placed_by=world.maker,
            reason="留样检验不合格",
            batches=[],
            codes=[(world.drug_id, code(one)) for one in cases],
        )
    try:
        home = shipping(cases, world.party(world.stranger))
        job = await world.capture(document({**home, "disposition": "recalled"}))
        assert not job["success"]
        assert {e["code"] for e in job["errors"]} == {"epcis_code_refused"}, job["errors"]
        assert all("ZH-EP" in e["title"] and "只能沿供应链退回" in e["title"] for e in job["errors"])
        assert (await world.unit(code(cases[0])))[:2] == ("I", world.maker)
    finally:
        async with world.pool.acquire() as conn:
            await stops.lift(conn, stop, "演示完毕")
