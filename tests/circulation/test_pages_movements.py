"""Every single movement on its own page, and stock counts from shelf to bills (R-B6)."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from access.helpers import key_headers
from circulation.helpers import activate
from circulation.test_pages import HTML, Place, place
from yaosu.circulation.commands import app

__all__ = ["place"]

PAGES = {
    "/movements/purchase-return": ("采购退货", "202", ("to_org", "header.reason")),
    "/movements/loss": ("报损", "220", ("header.reason", "header.found_by", "header.reason_text")),
    "/movements/damage": ("损坏", "215", ("header.reason", "header.disposal")),
    "/movements/destroy": (
        "销毁",
        "205",
        ("header.reason", "header.executer_name", "header.superviser_name", "header.witness_name"),
    ),
    "/movements/sample": ("抽检", "206", ("header.sampling_no", "header.authority_name")),
    "/movements/scrap": ("报废", "216", ("header.reason", "header.approver_name")),
}


@pytest.mark.parametrize("path", PAGES)
async def test_each_movement_has_a_page_with_its_own_fields(place: Place, path: str) -> None:
    name, number, fields = PAGES[path]
    await place.enter("pharmacy")
    page = (await place.get(path)).text
    assert f"<h1>{name}</h1>" in page
    assert f'name="type" value="{number}"' in page
    for field in fields:
        assert f'name="{field}"' in page, field


async def test_the_entry_page_names_what_each_movement_is_for(place: Place) -> None:
    await place.enter("pharmacy")
    page = (await place.get("/movements")).text
    for path in (*PAGES, "/movements/sales-return", "/consumer-returns", "/count", "/quarantine"):
        assert f'href="{path}"' in page, path
    await place.enter("wholesaler")
    assert 'href="/consumer-returns"' not in (await place.get("/movements")).text


@pytest.mark.parametrize(
    ("who", "path", "status"),
    [
        ("reader", "/movements", 403),
        ("reader", "/movements/destroy", 403),
        ("reader", "/count", 403),
        ("pharmacy", "/movements/everything", 404),
        ("pharmacy", "/count/999999", 404),
        ("pharmacy", "/count/x", 422),
        ("regulator", "/movements", 403),
        ("pharmacy", "/receive/new?type=103", 200),
        ("pharmacy", "/movements/sales-return", 200),
    ],
)
async def test_pages_open_for_those_who_may(place: Place, who: str, path: str, status: int) -> None:
    await place.enter(who)
    assert (await place.get(path)).status_code == status


async def test_goods_in_quarantine_are_brought_into_a_destruction(place: Place) -> None:
    market = place.market
    boxes = (await _stocked(place, "pharmacy", 1))[:2]
    headers = await key_headers(market.conn, market.pharmacy)
    held = await place.client.post(
        "/api/v1/movements",
        headers=headers,
        json={
            "type": 112,
            "bill_no": "FB-1",
            "happened_at": "2026-11-01T08:00:00+08:00",
            "codes": boxes,
        },
    )
    assert held.json()["status"] == "accepted", held.text
    await place.enter("pharmacy")
    page = (await place.get("/movements/destroy")).text
    assert "data-prefill" not in page
    page = (await place.get("/movements/destroy?quarantine=1")).text
    assert all(box in page for box in boxes)


async def _stocked(place: Place, who: str, cases: int) -> list[str]:
    """Fresh boxes that stand with somebody, in `cases` cases of ten; the boxes."""
    market = place.market
    goods = await activate(market, cases=cases)
    await market.pass_on(market.maker, getattr(market, who), goods.cases)
    _goods[goods.boxes[0]] = goods
    return goods.boxes


_goods: dict[str, Any] = {}


async def _count(place: Place, who: str, number: str, codes: list[str], batch_no: str) -> dict[str, Any]:
    headers = await key_headers(place.market.conn, getattr(place.market, who))
    body = {"bill_no": number, "codes": codes, "drug_id": place.market.drug_id, "batch_no": batch_no}
    answer = await place.client.post("/api/v1/counts", headers=headers, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def _confirm(place: Place, who: str, view: dict[str, Any]) -> Any:
    headers = await key_headers(place.market.conn, getattr(place.market, who))
    return await place.client.post(
        f"/api/v1/counts/{view['id']}/confirm",
        headers=headers,
        json={"digest": view["comparison"]["digest"], "reason": "月末盘点"},
    )


async def test_a_count_names_what_is_missing_down_to_the_box(place: Place) -> None:
    market = place.market
    boxes = await _stocked(place, "hospital", 3)
    goods = _goods[boxes[0]]
    # the first case is whole, the second was opened and one box is gone, the third is nowhere
    scanned = [goods.cases[0], *goods.boxes_of(1)[:9]]
    view = await _count(place, "hospital", "PD-A", scanned, goods.batch_no)
    compared = view["comparison"]
    assert (compared["matched"], compared["short"]) == (19, 11)
    assert {m["code"]: m["qty"] for m in compared["missing"]} == {
        goods.boxes_of(1)[9]: 1,
        goods.cases[2]: 10,
    }
    done = await _confirm(place, "hospital", view)
    assert done.status_code == 200, done.text
    assert (done.json()["state"], done.json()["short"], done.json()["over"]) == ("posted", 11, 0)
    assert await market.status(goods.boxes_of(2)[0]) == ("N", market.hospital, None)
    assert await market.status(goods.boxes_of(1)[0]) == ("I", market.hospital, None)
    await market.conserved()
    again = await _confirm(place, "hospital", view)
    assert (again.status_code, again.json()["code"]) == (409, "count_done")


async def test_what_was_written_off_comes_back_by_the_next_count(place: Place) -> None:
    market = place.market
    boxes = await _stocked(place, "other", 1)
    goods = _goods[boxes[0]]
    lost = await _confirm(place, "other", await _count(place, "other", "PD-B", boxes[:9], goods.batch_no))
    assert lost.json()["short"] == 1
    view = await _count(place, "other", "PD-C", boxes, goods.batch_no)
    assert (view["comparison"]["matched"], view["comparison"]["found"]) == (9, 1)
    done = (await _confirm(place, "other", view)).json()
    assert (done["short_bill"], done["over"]) == (None, 1)
    assert await market.status(boxes[9]) == ("I", market.other, None)
    await market.conserved()


async def test_scans_that_are_not_in_stock_are_explained_and_never_booked(place: Place) -> None:
    market = place.market
    boxes = await _stocked(place, "other", 2)
    goods = _goods[boxes[0]]
    shipped, strange = goods.boxes_of(1)[0], (await _stocked(place, "hospital", 1))[0]
    await market.ship(market.other, market.pharmacy, [shipped])
    second = await _stocked(place, "other", 1)
    scans = [goods.cases[0], goods.boxes_of(0)[0], *goods.boxes_of(1), strange, second[0], "垃圾码"]
    view = await _count(place, "other", "PD-D", scans, goods.batch_no)
    compared = view["comparison"]
    why = {e["code"] or e["raw"]: e["verdict"] for e in compared["explained"]}
    assert (compared["matched"], compared["short"], compared["doubled"]) == (19, 0, 1)
    assert why[shipped] == "already_shipped"
    assert why[strange] == "held_elsewhere"
    assert why[second[0]] == "count_out_of_scope"
    assert len(why) == 4
    done = (await _confirm(place, "other", view)).json()
    assert (done["short_bill"], done["over_bill"], done["matched"]) == (None, None, 19)


async def test_a_difference_that_changed_since_it_was_shown_is_not_booked(place: Place) -> None:
    market = place.market
    boxes = await _stocked(place, "hospital", 1)
    goods = _goods[boxes[0]]
    view = await _count(place, "hospital", "PD-E", boxes[:8], goods.batch_no)
    await market.move(323, market.hospital, [boxes[9]])
    refused = await _confirm(place, "hospital", view)
    assert (refused.status_code, refused.json()["code"]) == (409, "count_changed")
    assert await market.status(boxes[8]) == ("I", market.hospital, None)


async def test_a_count_is_its_firms_own_business(place: Place) -> None:
    boxes = await _stocked(place, "hospital", 1)
    goods = _goods[boxes[0]]
    view = await _count(place, "hospital", "PD-F", boxes, goods.batch_no)
    headers = await key_headers(place.market.conn, place.market.other)
    answer = await place.client.get(f"/api/v1/counts/{view['id']}", headers=headers)
    assert answer.status_code == 404
    assert (await place.client.get("/api/v1/counts", headers=headers)).json()["items"] == [] or all(
        i["count_no"] != "PD-F"
        for i in (await place.client.get("/api/v1/counts", headers=headers)).json()["items"]
    )


async def test_the_same_number_with_other_scans_is_refused_and_with_the_same_ones_repeated(
    place: Place,
) -> None:
    boxes = await _stocked(place, "hospital", 1)
    goods = _goods[boxes[0]]
    first = await _count(place, "hospital", "PD-G", boxes, goods.batch_no)
    assert (await _count(place, "hospital", "PD-G", boxes, goods.batch_no))["id"] == first["id"]
    headers = await key_headers(place.market.conn, place.market.hospital)
    body = {"bill_no": "PD-G", "codes": boxes[:1], "drug_id": goods.drug_id}
    answer = await place.client.post("/api/v1/counts", headers=headers, json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "count_number_taken")


async def test_a_person_counts_on_pages_and_confirms_once(place: Place) -> None:
    market = place.market
    boxes = await _stocked(place, "pharmacy", 1)
    goods = _goods[boxes[0]]
    view = await _count(place, "pharmacy", "PD-H", boxes[:9], goods.batch_no)
    token = await place.enter("pharmacy")
    assert "PD-H" in (await place.get("/count")).text
    page = (await place.get(f"/count/{view['id']}")).text
    assert boxes[9] in page
    digest = re.search(r'name="digest" value="([0-9a-f]+)"', page)
    assert digest is not None
    form = {"act": "confirm", "digest": digest.group(1)}
    unsaid = await place.post(f"/count/{view['id']}", token, **form, reason="")
    assert (unsaid.status_code, "请填写差异原因" in unsaid.text) == (422, True)
    done = await place.post(f"/count/{view['id']}", token, **form, reason="货架底部破损丢弃")
    assert done.status_code == 303
    page = (await place.get(f"/count/{view['id']}")).text
    assert "盘亏单" in page
    assert (await market.status(boxes[9]))[0] == "N"


async def test_the_counting_station_speaks_of_the_shelf(place: Place) -> None:
    market = place.market
    boxes = await _stocked(place, "pharmacy", 1)
    await market.move(321, market.pharmacy, [boxes[0]])
    await market.move(220, market.pharmacy, [boxes[1]])
    headers = await key_headers(market.conn, market.pharmacy)
    answer = await place.client.post(
        "/api/v1/counts/check", headers={**headers, **HTML}, json={"codes": [boxes[0], boxes[1], boxes[2]]}
    )
    said = [(r["verdict"], r["severity"]) for r in answer.json()["results"]]
    assert said == [("already_sold", "refused"), ("count_found", "warn"), ("count_matched", "ok")]


async def test_a_shelf_is_counted_from_the_command_line(place: Place, database: str, tmp_path: Path) -> None:
    market = place.market
    boxes = await _stocked(place, "hospital", 1)
    goods = _goods[boxes[0]]
    file = tmp_path / "shelf.txt"
    file.write_text("\n".join(boxes[:7]), "utf-8")

    async def run(*more: str) -> tuple[int, Any]:
        args = ["count", str(file), "--org", str(market.hospital), "--no", "PD-CLI"]
        args += ["--drug", str(market.drug_id), "--batch", goods.batch_no, *more]
        env = {"YAOSU_DATABASE_URL": database, "YAOSU_DATA": str(tmp_path)}
        result = await asyncio.to_thread(CliRunner().invoke, app, args, env=env)
        return result.exit_code, orjson.loads(result.stdout)

    code, looked = await run()
    assert (code, looked["state"], looked["comparison"]["short"]) == (0, "open", 3)
    code, booked = await run("--confirm", "货架破损")
    assert (code, booked["state"], booked["short"]) == (0, "posted", 3)
    assert (await market.status(boxes[8]))[0] == "N"
