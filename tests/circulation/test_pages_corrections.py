"""Corrections and voids on pages: the effects are shown before anybody confirms them (R-X3)."""

from __future__ import annotations

import re
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
        quantities=[Quantity(market.drug_id, "WP-1", 7, date(2025, 1, 1), date(2058, 1, 1))],
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


async def test_goods_without_codes_are_corrected_by_quantity_once_the_effect_was_seen(place: Place) -> None:
    market = place.market
    dates = date(2025, 1, 1), date(2058, 1, 1)
    entry = await market.move(
        21,
        market.pharmacy,
        [],
        bill_no="WM-P",
        header={"invoice_no": "FP-1", "invoice_date": "2025-01-01"},
        quantities=[Quantity(market.drug_id, "WP-2", 10, *dates)],
    )
    sold = [Quantity(market.drug_id, "WP-2", 3)]
    header = {"invoice_no": "FP-1", "invoice_date": "2025-01-01"}
    await market.move(23, market.pharmacy, [], bill_no="WS-P", header=header, quantities=sold)
    token = await place.enter("pharmacy")
    path = f"/bills/{entry.bill_id}/correct"
    page = (await place.get(path)).text
    assert 'value="WP-2"' in page and 'value="2058-01-01"' in page and "确认更正" not in page
    form = {
        "d_0": str(market.drug_id),
        "b_0": "WP-2",
        "q_0": "2",
        "p_0": "2025-01-01",
        "e_0": "2058-01-01",
        "h_invoice_no": "FP-2",
        "h_invoice_date": "2025-01-01",
        "reason": "数错",
    }
    blocked = await place.post(path, token, **form)
    assert blocked.status_code == 200
    assert all(t in blocked.text for t in ("不能这样更正", "WS-P（3）", "至少 3")), blocked.text
    assert "确认更正" not in blocked.text
    form["q_0"] = "12"
    form |= {"d_1": str(market.drug_id), "b_1": "WP-3", "q_1": "1", "p_1": "2025-01-01", "e_1": "2058-01-01"}
    shown = await place.post(path, token, **form)
    assert "确认更正" in shown.text and "WP-3" in shown.text and 'value="FP-2"' in shown.text
    query = (
        "SELECT coalesce(sum(x.qty), 0)::int FROM balance x JOIN batch b ON b.drug_id = x.drug_id "
        "AND b.id = x.batch_id WHERE x.org = $1 AND x.status = 'U' AND b.batch_no = $2"
    )
    assert await market.conn.fetchval(query, market.pharmacy, "WP-2") == 7
    done = await place.post(path, token, confirm="1", **form)
    assert done.status_code == 303, done.text
    assert [await market.conn.fetchval(query, market.pharmacy, b) for b in ("WP-2", "WP-3")] == [9, 1]
    row = await market.conn.fetchrow(
        "SELECT header, revision FROM bill WHERE bill_no = 'WM-P' AND status = 'A'"
    )
    assert (row["header"]["invoice_no"], row["header"]["correct_reason"], row["revision"]) == (
        "FP-2",
        "数错",
        2,
    )
    wrong = await place.post(f"/bills/{done.headers['location'].split('/')[-1]}/correct", token, reason="")
    assert wrong.status_code == 422 and "请填写更正原因" in wrong.text


async def test_parts_of_a_box_are_corrected_on_the_page(place: Place) -> None:
    market = place.market
    goods = await activate(market, cases=1, per_case=3)
    await market.pass_on(market.maker, market.hospital, goods.cases)
    box, whole = goods.boxes[:2]
    bill = await market.move(323, market.hospital, [box, whole], parts={box: 6})
    await market.move(323, market.hospital, [box], parts={box: 2})
    token = await place.enter("hospital")
    path = f"/bills/{bill.bill_id}/correct"
    page = (await place.get(path)).text
    order = sorted([box, whole])
    n, other = order.index(box), order.index(whole)
    assert f'name="u_{n}" type="number" value="6"' in page and f'name="k_{other}"' in page
    form = {f"u_{n}": "4", "reason": "多登记"}
    shown = await place.post(path, token, **form)
    told = " ".join(re.sub("<[^>]*>", " ", shown.text).split())
    assert "确认更正" in told and "6 → 4" in told and f"{whole[7:]} — 1 已售出 在库" in told, told
    done = await place.post(path, token, confirm="1", **form)
    assert done.status_code == 303, done.text
    assert await market.conn.fetchval("SELECT unit_left FROM split_pack WHERE code = $1", box) == 18
    assert (await market.status(whole))[0] == "I"
