"""A pallet of cartons moves by its own code, and everything in it through two logistics levels (D3, R-X4)."""

from __future__ import annotations

import pytest
import pytest_asyncio

from circulation.helpers import make_market
from circulation.nested import Stack, label, make_stack
from yaosu.circulation.model import MovementResult
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.stops import service as stops


@pytest_asyncio.fixture(loop_scope="module")
async def stack(db: Connection) -> Stack:
    return await make_stack(await make_market(db))


def said(result: MovementResult) -> list[str]:
    return [r.verdict for r in result.results]


async def test_the_pallets_code_moves_every_box(stack: Stack) -> None:
    market = stack.market
    assert await stack.holds(stack.pallet) == [31, 10]
    shipped = await market.ship(market.maker, market.wholesaler, [stack.pallet])
    assert shipped.qty == 41 and shipped.results[0].qty == 41
    for code in (stack.one.boxes_of(0)[0], stack.loose, stack.two.boxes_of(0)[3], stack.mixed, stack.side):
        assert await market.status(code) == ("O", market.maker, market.wholesaler)
    got = await market.move(102, market.wholesaler, [stack.pallet], from_org=market.maker)
    assert got.status == "accepted" and got.qty == 41
    (check,) = got.checks
    assert check["outcome"] == "matched", check
    assert await market.status(stack.loose) == ("I", market.wholesaler, None)
    assert await market.stock(market.wholesaler) == 41
    await stack.counted()


async def test_a_delivery_is_received_piece_by_piece_out_of_the_pallet(stack: Stack) -> None:
    market = stack.market
    await market.ship(market.maker, market.wholesaler, [stack.pallet])
    first = await market.move(102, market.wholesaler, [stack.mixed], from_org=market.maker)
    assert said(first) == ["taken_out"] and first.qty == 21
    assert first.checks[0]["outcome"] == "part", first.checks
    assert await stack.holds(stack.pallet) == [20, 0]
    again = await market.move(102, market.wholesaler, [stack.mixed], from_org=market.maker)
    assert said(again) == ["already_in_stock"]
    # one box of the plain carton, then the carton without it, and the rest of the pallet
    for codes in ([stack.one.boxes_of(1)[0]], [stack.plain], [stack.pallet]):
        got = await market.move(102, market.wholesaler, codes, from_org=market.maker)
        assert got.status == "accepted", said(got)
    assert got.checks[0]["outcome"] == "matched", got.checks
    assert await market.stock(market.wholesaler) == 41
    await stack.counted()


async def test_a_package_and_the_pallet_around_it_are_one_scan_too_many(stack: Stack) -> None:
    market = stack.market
    result = await market.move(
        201, market.maker, [stack.loose, stack.mixed, stack.pallet], to_org=market.wholesaler
    )
    assert said(result) == ["inside_scanned_package", "inside_scanned_package", "accepted"]
    assert result.results[0].params == {"package": stack.mixed}
    assert result.results[1].params == {"package": stack.pallet}


async def test_cartons_and_boxes_leave_the_pallet_by_being_shipped(stack: Stack) -> None:
    market = stack.market
    box = stack.two.boxes_of(0)[0]
    one = await market.ship(market.maker, market.other, [box, stack.plain])
    assert said(one) == ["taken_out", "taken_out"]
    assert one.results[0].params == {"package": stack.two.cases[0]}
    assert await stack.holds(stack.pallet) == [21, 9] and await stack.holds(stack.mixed) == [11, 9]
    await market.pass_on(market.maker, market.wholesaler, [stack.pallet])
    assert await market.stock(market.wholesaler) == 30
    await stack.counted()


async def test_a_carton_with_one_product_spent_still_moves(stack: Stack) -> None:
    market = stack.market
    await market.pass_on(market.maker, market.other, [stack.two.cases[0]])
    assert await stack.holds(stack.mixed) == [11, 0]
    await market.pass_on(market.maker, market.wholesaler, [stack.pallet])
    assert await market.stock(market.wholesaler) == 31
    await stack.counted()
    # the product comes back into a carton on the pallet
    box = stack.two.boxes_of(1)[0]
    await market.pass_on(market.maker, market.wholesaler, [box])
    await stack.pack(market.wholesaler, stack.plain, box)
    assert await market.status(box) == ("I", market.wholesaler, None)
    assert await stack.holds(stack.pallet) == [31, 1] and await stack.holds(stack.plain) == [10, 1]
    await stack.counted()
    # and its rest leaves the pallet as it is
    await stack.unpack(market.wholesaler, stack.mixed)
    await market.pass_on(market.wholesaler, market.other, [stack.mixed])
    assert await market.stock(market.other) == 21
    await stack.counted()


async def test_boxes_are_sold_out_of_both_containers_and_containers_are_not_sold(stack: Stack) -> None:
    market = stack.market
    await market.pass_on(market.maker, market.wholesaler, [stack.pallet])
    await market.pass_on(market.wholesaler, market.pharmacy, [stack.pallet])
    refused = await market.move(321, market.pharmacy, [stack.pallet, stack.mixed])
    assert said(refused) == ["logistics_not_used", "logistics_not_used"]
    sold = await market.move(321, market.pharmacy, [stack.loose, stack.two.boxes_of(0)[0]])
    assert sold.status == "accepted"
    assert await stack.holds(stack.mixed) == [10, 9] and await stack.holds(stack.pallet) == [30, 9]
    back = await market.move(116, market.pharmacy, [stack.loose])
    assert back.status == "accepted"
    await stack.counted()


async def test_a_carton_goes_back_to_the_seller(stack: Stack) -> None:
    market = stack.market
    await market.pass_on(market.maker, market.wholesaler, [stack.pallet])
    sent = await market.move(202, market.wholesaler, [stack.mixed], to_org=market.maker)
    assert said(sent) == ["taken_out"]
    got = await market.move(103, market.maker, [stack.mixed], from_org=market.wholesaler)
    assert got.status == "accepted"
    # the rest of the pallet is turned away at the next buyer's door
    await market.ship(market.wholesaler, market.pharmacy, [stack.pallet])
    refused = await market.move(
        102, market.pharmacy, [stack.pallet], from_org=market.wholesaler, rejects=[stack.pallet]
    )
    assert said(refused) == ["rejected_by_you"]
    home = await market.move(103, market.wholesaler, [stack.pallet], from_org=market.pharmacy)
    assert home.status == "accepted", said(home)
    assert await market.stock(market.wholesaler) == 20
    await stack.counted()


async def test_a_shipment_is_taken_back_and_corrected(stack: Stack) -> None:
    market = stack.market
    shipped = await market.ship(market.maker, market.wholesaler, [stack.pallet])
    await market.move(201, market.maker, [], bill_no=shipped.bill_no, revision=2, void=True)
    assert await market.status(stack.loose) == ("I", market.maker, None)
    await stack.counted()
    shipped = await market.ship(market.maker, market.wholesaler, [stack.mixed, stack.plain])
    corrected = await market.move(
        201, market.maker, [stack.plain], bill_no=shipped.bill_no, revision=2, to_org=market.wholesaler
    )
    assert corrected.status == "accepted" and corrected.qty == 10
    assert await market.status(stack.loose) == ("I", market.maker, None)
    await stack.counted()


async def test_a_shipment_whose_label_is_gone_is_not_taken_back(stack: Stack) -> None:
    market = stack.market
    shipped = await market.ship(market.maker, market.wholesaler, [stack.pallet, stack.one.cases[4]])
    await market.move(102, market.wholesaler, [stack.pallet, stack.one.cases[4]], from_org=market.maker)
    await stack.unpack(market.wholesaler, stack.pallet, whole=True)
    assert await stack.holds(stack.pallet) == []
    for more in ({"void": True}, {"to_org": market.other}):
        codes = [] if "void" in more else [stack.one.cases[4]]
        with pytest.raises(YaosuError) as refused:
            async with market.conn.transaction():
                await market.move(201, market.maker, codes, bill_no=shipped.bill_no, revision=2, **more)
        assert refused.value.code == "later_fact"
        assert stack.pallet in {f.where for f in refused.value.findings}
    await stack.counted()


async def test_a_stopped_box_stops_every_container_around_it(stack: Stack) -> None:
    market, conn = stack.market, stack.market.conn
    box = stack.two.boxes_of(0)[0]

    async def stop(codes: list[tuple[int, str]], batches: list[tuple[int, int]]) -> int:
        return await stops.place(
            conn, kind="lock", ref=1, number="T", title="锁定", level=None, placed_by=market.maker, reason="",
            batches=batches, codes=codes,
        )  # fmt: skip

    one = await stop([(stack.two.drug_id, box)], [])
    for code in (stack.pallet, stack.mixed, box):
        assert said(await market.move(201, market.maker, [code], to_org=market.wholesaler)) == ["locked"]
    # what is not stopped leaves
    await market.ship(market.maker, market.wholesaler, [stack.plain, stack.loose])
    await stops.lift(conn, one, "解除")
    # a carton stopped by its label holds everything in it, also what was taken out since
    rows = [(stack.one.drug_id, stack.mixed), (stack.two.drug_id, stack.mixed)]
    two = await stop(rows, [])
    for code in (stack.pallet, stack.mixed, box, stack.two.cases[0], stack.one.boxes_of(0)[5]):
        assert said(await market.move(201, market.maker, [code], to_org=market.wholesaler)) == ["locked"]
    await market.ship(market.maker, market.wholesaler, [stack.side])
    await stops.lift(conn, two, "解除")
    # a batch deep inside
    three = await stop([], [(stack.two.drug_id, stack.two.batch_id)])
    assert said(await market.move(201, market.maker, [stack.pallet], to_org=market.wholesaler)) == ["locked"]
    await stops.lift(conn, three, "解除")
    await market.ship(market.maker, market.wholesaler, [stack.pallet])
    four = await stop([], [(stack.two.drug_id, stack.two.batch_id)])
    # received into quarantine, as far as it is stopped goods' container
    got = await market.move(102, market.wholesaler, [stack.pallet], from_org=market.maker)
    assert said(got) == ["locked"] and got.results[0].quarantined
    assert await market.status(box) == ("Q", market.wholesaler, None)
    await stops.lift(conn, four, "解除")
    await stack.counted()


async def test_packing_of_stopped_cartons_is_refused(stack: Stack) -> None:
    market = stack.market
    await stops.place(
        market.conn, kind="lock", ref=1, number="T", title="锁定", level=None, placed_by=market.maker, reason="",
        batches=[], codes=[(stack.two.drug_id, stack.two.boxes_of(0)[0])],
    )  # fmt: skip
    for call in (
        stack.unpack(market.maker, stack.mixed),
        stack.unpack(market.maker, stack.pallet, whole=True),
        stack.pack(market.maker, stack.mixed, stack.one.boxes_of(4)[0]),
    ):
        with pytest.raises(YaosuError) as refused:
            async with market.conn.transaction():
                await call
        assert {f.code for f in refused.value.findings} == {"pack_stopped"}
    await stack.unpack(market.maker, stack.plain)


async def test_a_carton_of_somebody_else_is_not_packed_or_shipped(stack: Stack) -> None:
    market = stack.market
    await market.pass_on(market.maker, market.wholesaler, [stack.mixed])
    wrong = await market.move(201, market.maker, [stack.mixed], to_org=market.other)
    assert said(wrong) == ["held_elsewhere"]
    for call in (
        stack.pack(market.maker, stack.pallet, stack.mixed),
        stack.unpack(market.maker, stack.mixed, whole=True),
    ):
        with pytest.raises(YaosuError) as refused:
            async with market.conn.transaction():
                await call
        assert {f.code for f in refused.value.findings} == {"pack_not_held"}
    # the buyer builds a pallet of its own around it
    await stack.pack(market.wholesaler, label(), stack.mixed)
    await stack.counted()
