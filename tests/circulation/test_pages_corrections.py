"""Corrections and voids on pages: the effects are shown before anybody confirms them (R-X3)."""

from __future__ import annotations

from datetime import date

from access.helpers import key_headers
from circulation.helpers import activate
from circulation.test_pages import Place, place
from yaosu.circulation.model import Quantity

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


async def test_voiding_a_part_shows_what_comes_back_and_that_the_box_stays_open_for_others(
    place: Place,
) -> None:
    market = place.market
    goods = await activate(market, cases=1, per_case=2)
    await market.pass_on(market.maker, market.hospital, goods.cases)
    box = goods.boxes[0]
    first = await market.move(323, market.hospital, [box], parts={box: 6})
    await market.move(323, market.hospital, [box], parts={box: 18})
    token = await place.enter("hospital")
    page = (await place.get(f"/bills/{first.bill_id}/void")).text
    row = page[page.index(f"/trace?code={box}") :].split("</tr>")[0]
    assert [one in row for one in ("已售出", "拆零中", "退回 6", "剩余 6")] == [True] * 4, row
    assert "确认作废" in page
    done = await place.post(f"/bills/{first.bill_id}/void", token, reason="登记错误")
    assert done.status_code == 303
    assert (await market.status(box))[0] == "D"
    assert await market.conn.fetchval("SELECT unit_left FROM split_pack WHERE code = $1", box) == 6


async def test_voiding_goods_without_codes_shows_what_leaves_the_account(place: Place) -> None:
    market = place.market
    header = {"invoice_no": "FP-1", "invoice_date": "2025-01-01"}
    entry = await market.move(
        21,
        market.pharmacy,
        [],
        header=header,
        quantities=[Quantity(market.drug_id, "WP-1", 7, date(2025, 1, 1), date(2028, 1, 1))],
    )
    await place.enter("pharmacy")
    page = (await place.get(f"/bills/{entry.bill_id}/void")).text
    assert "WP-1" in page and "本单没有追溯码" not in page and "确认作废" in page


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
