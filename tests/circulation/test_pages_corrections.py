"""Corrections and voids on pages: the effects are shown before anybody confirms them (R-X3)."""

from __future__ import annotations

from access.helpers import key_headers
from circulation.helpers import activate
from circulation.test_pages import Place, place

__all__ = ["place"]


async def test_a_bill_that_nobody_built_on_shows_what_voiding_it_restores(place: Place) -> None:
    market = place.market
    goods = await activate(market, cases=1)
    shipped = await market.ship(market.maker, market.wholesaler, goods.cases, bill_no="ZF-1")
    await place.enter("maker")
    page = (await place.get(f"/bills/{shipped.bill_id}/void")).text
    assert goods.cases[0] in page
    assert "没有后续单据依赖本单" in page
    assert "确认作废" in page
    # looking changes nothing
    assert await market.status(goods.cases[0]) == ("O", market.maker, market.wholesaler)


async def test_goods_received_by_another_stand_in_the_way_of_a_void_and_are_named(place: Place) -> None:
    market = place.market
    goods = await activate(market, cases=2)
    shipped = await market.ship(market.maker, market.wholesaler, goods.cases, bill_no="ZF-2")
    await market.move(102, market.wholesaler, goods.cases[:1], from_org=market.maker)
    token = await place.enter("maker")
    page = (await place.get(f"/bills/{shipped.bill_id}/void")).text
    assert "不能作废" in page
    assert goods.cases[0] in page
    assert "确认作废" not in page
    refused = await place.post(f"/bills/{shipped.bill_id}/void", token, reason="发错了")
    assert (refused.status_code, goods.cases[0] in refused.text) == (409, True)


async def test_the_page_of_a_correction_begins_with_what_was_sent_and_asks_for_its_effects(
    place: Place,
) -> None:
    market = place.market
    goods = await activate(market, cases=2)
    header = {"order_code": "DD-7", "to_address": "历下区"}
    shipped = await market.ship(market.maker, market.wholesaler, goods.cases, bill_no="GZ-1", header=header)
    await place.enter("maker")
    page = (await place.get(f"/bills/{shipped.bill_id}/correct")).text
    assert all(case in page for case in goods.cases)
    assert 'data-preview-url="/api/v1/movements/preview"' in page
    assert 'id="effects"' in page
    assert 'name="header.order_code" type="text" value="DD-7"' in page
    assert 'name="revision" value="2"' in page


async def test_the_effects_name_what_is_kept_added_and_removed_and_nothing_is_done(place: Place) -> None:
    market = place.market
    goods = await activate(market, cases=3)
    shipped = await market.ship(market.maker, market.wholesaler, goods.cases[:2], bill_no="GZ-2")
    await market.move(102, market.wholesaler, goods.cases[:1], from_org=market.maker)
    headers = await key_headers(market.conn, market.maker)
    row = await market.conn.fetchrow("SELECT happened_at FROM bill WHERE id = $1", shipped.bill_id)
    assert row is not None
    body = {
        "type": 201,
        "bill_no": "GZ-2",
        "revision": 2,
        "to_org": market.wholesaler,
        "happened_at": row["happened_at"].isoformat(),
        "codes": [goods.cases[0], goods.cases[2]],
    }
    shown = (await place.client.post("/api/v1/movements/preview", headers=headers, json=body)).json()
    assert shown["possible"]
    assert [k["code"] for k in shown["kept"]] == goods.cases[:1]
    assert [a["code"] for a in shown["added"]] == goods.cases[2:]
    assert shown["removed"] == goods.cases[1:2]
    assert (await market.status(goods.cases[2]))[0] == "I"
    done = (await place.client.post("/api/v1/movements", headers=headers, json=body)).json()
    assert done["status"] == "accepted"
    assert await market.status(goods.cases[0]) == ("I", market.wholesaler, None)
    assert await market.status(goods.cases[1]) == ("I", market.maker, None)
    assert await market.status(goods.cases[2]) == ("O", market.maker, market.wholesaler)
    await market.conserved()
