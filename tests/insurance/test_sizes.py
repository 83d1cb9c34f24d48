"""Messages of every size (R-C7): one row, a hundred, a thousand; a hundred codes in each of a hundred rows."""

from __future__ import annotations

import time

import pytest

from insurance.helpers import Scene, stocked
from insurance.sending import Sender, sale


@pytest.mark.parametrize("rows", [1, 100, 1000])
async def test_a_batch_of_every_size_is_taken_row_by_row(scene: Scene, shop: Sender, rows: int) -> None:
    codes = [f"83857{rows:04d}{n:011d}" for n in range(rows)]
    listed = [sale(f"B{rows}-{n}", [code]) for n, code in enumerate(codes)]
    # the first, one in the middle and the last are wrong
    wrong = sorted({0, rows // 2, rows - 1}) if rows > 1 else []
    for n in wrong:
        listed[n]["manu_date"] = "2026-13-01"
    message = shop.message("3505A", {"selinfoDetail": listed})
    began = time.perf_counter()
    answer = await shop.post(message, "3505A")
    print(f"{rows} rows: {time.perf_counter() - began:.2f} s")
    assert answer["infcode"] == "0", answer["err_msg"]
    bad = answer["output"].get("selinfoErrDetail", [])
    assert [r["row"] - 1 for r in bad] == wrong
    assert [r["fixmedins_bchno"] for r in bad] == [f"B{rows}-{n}" for n in wrong]
    kept = await scene.conn.fetchval(
        "SELECT count(*) FROM insurance_report WHERE starts_with(key, $1)", f"B{rows}-"
    )
    assert kept == rows - len(wrong)
    # sent again whole, after mending: what was taken is a repeat, the mended rows are new
    for n in wrong:
        listed[n]["manu_date"] = "2026-01-01"
    again = await shop.send("3505A", {"selinfoDetail": listed})
    assert "selinfoErrDetail" not in again["output"]
    assert await scene.conn.fetchval(
        "SELECT count(*) FROM insurance_report WHERE starts_with(key, $1)", f"B{rows}-"
    ) == rows  # fmt: skip


async def test_a_hundred_codes_in_each_of_a_hundred_rows_are_one_call(scene: Scene, shop: Sender) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    listed = [sale(f"H{r}", [f"8385{r:05d}{n:011d}" for n in range(100)]) for r in range(99)]
    listed.append(sale("H99", goods.boxes[:100]))
    answer = await shop.send("3505A", {"selinfoDetail": listed})
    assert answer["infcode"] == "0", answer["err_msg"]
    assert "失败0条" in answer["output"]["result"]["msgRslt"]
    assert await scene.conn.fetchval("SELECT count(*) FROM insurance_settlement") >= 10_000
    states = {r["state"] for box in goods.boxes[:100:20] for r in await scene.rows(box)}
    assert states == {"S"}


async def test_what_is_beyond_the_limits_is_refused_whole_with_the_limit(shop: Sender) -> None:
    many = [sale(f"L{n}", []) for n in range(1001)]
    assert "yibao_rows_many" in (await shop.send("3505A", {"selinfoDetail": many}))["err_msg"]
    row = sale("L1", [f"83857930{n:012d}" for n in range(101)])
    assert "yibao_codes_many" in (await shop.send("3505", {"selinfo": row}))["err_msg"]
    none = await shop.send("3505A", {"selinfoDetail": []})
    assert "yibao_node_shape" in none["err_msg"]
