"""Calls that arrive together share a transaction, and nobody answers for a neighbour (D5, R-C7)."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from insurance.helpers import Scene, register, stocked
from insurance.sending import Sender, back, bought, sale
from yaosu.errors import YaosuError
from yaosu.insurance import institutions, store_message
from yaosu.people.keeper import Keeper


async def _transactions(scene: Scene, keys: list[str]) -> int:
    """In how many transactions these records were written."""
    found = await scene.conn.fetchval(
        "SELECT count(DISTINCT xmin::text) FROM insurance_report WHERE key = ANY($1::text[])", keys
    )
    return int(found)


async def test_calls_at_once_share_a_transaction_and_each_has_its_own_answer(
    scene: Scene, shop: Sender, ward: Sender
) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    sales = [shop.send("3505", {"selinfo": sale(f"T{n}", goods.boxes[3 * n : 3 * n + 3])}) for n in range(12)]
    wrong = shop.send("3505", {"selinfo": sale("T90", goods.boxes[50:51], trdn_flag="7")})
    purchase = ward.send("3503", {"purcinfo": bought("T91", goods.boxes[60:61])})
    *answers, refused, kept = await asyncio.gather(*sales, wrong, purchase)
    assert [a["infcode"] for a in answers] == ["0"] * 12
    assert (refused["infcode"], kept["infcode"]) == ("-1", "0")
    assert "yibao_field_value" in refused["err_msg"]
    keys = [*(f"T{n}" for n in range(12)), "T91"]
    assert await _transactions(scene, keys) < 13
    for code in goods.boxes[:36]:
        (row,) = await scene.rows(code)
        assert row["state"] == "S"
    # each message is kept with its own answer and its own record
    paired = await scene.conn.fetch(
        "SELECT r.key, m.kept, m.rows FROM insurance_report r JOIN insurance_message m ON m.id = r.message_id "
        "WHERE r.key = ANY($1::text[])",
        keys,
    )
    assert {(r["kept"], r["rows"]) for r in paired} == {(True, 1)}
    assert len(paired) == 13


async def test_one_box_and_one_number_at_once_count_once(scene: Scene, shop: Sender, ward: Sender) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    box = goods.boxes[0]
    message = shop.message("3505", {"selinfo": sale("U1", [box])})
    calls = [shop.post(message, "3505") for _ in range(4)]
    calls += [shop.send("3505", {"selinfo": message["input"]["selinfo"]}) for _ in range(3)]
    calls += [ward.send("3505", {"selinfo": sale(f"U2{n}", [box])}) for n in range(3)]
    answers = await asyncio.gather(*calls)
    assert [a["infcode"] for a in answers] == ["0"] * 10
    states = sorted(r["state"] for r in await scene.rows(box))
    assert states == ["D", "D", "D", "S"]
    reports = await scene.conn.fetchval("SELECT count(*) FROM insurance_report WHERE key = 'U1'")
    assert reports == 1
    # the same number for something else, at once: one of them stands
    other = [shop.send("3505", {"selinfo": sale("U3", [goods.boxes[n]])}) for n in (1, 2, 3)]
    codes = sorted(a["infcode"] for a in await asyncio.gather(*other))
    assert codes == ["-1", "-1", "0"]


async def test_a_sale_its_return_and_its_deletion_at_once_leave_a_state_that_one_order_explains(
    scene: Scene, shop: Sender
) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    for n, box in enumerate(goods.boxes[:6]):
        answers = await asyncio.gather(
            shop.send("3505", {"selinfo": sale(f"V{n}", [box])}),
            shop.send("3506", {"selinfo": back(f"W{n}", [box], medins_prod_sel_no=f"V{n}")}),
            shop.send("3507", {"data": {"fixmedins_bchno": f"V{n}", "inv_data_type": "4"}}),
        )
        ok = tuple(a["infcode"] == "0" for a in answers)
        (row,) = await scene.rows(box)
        # taken back or withdrawn only by who was told that it was
        assert row["state"] == {
            (True, False, False): "S", (True, True, False): "B", (True, False, True): "W", (True, True, True): "B"
        }[ok]  # fmt: skip


async def test_a_call_that_cannot_be_written_fails_alone(
    scene: Scene, shop: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = store_message.add_reports

    async def failing(conn: Any, rows: Any, codes: Any) -> None:
        await written(conn, rows, codes)
        if any(r["key"] == "X5" for r in rows):
            raise YaosuError("too_busy") if len(rows) == 1 else ConnectionResetError

    monkeypatch.setattr(store_message, "add_reports", failing)
    goods = await stocked(scene, scene.market.pharmacy)
    calls = [shop.send("3505", {"selinfo": sale(f"X{n}", [goods.boxes[n]])}) for n in range(8)]
    answers = await asyncio.gather(*calls)
    assert [a["infcode"] for a in answers] == ["0"] * 5 + ["-1"] + ["0"] * 2
    assert [len(await scene.rows(box)) for box in goods.boxes[:8]] == [1, 1, 1, 1, 1, 0, 1, 1]
    monkeypatch.undo()
    # nothing of it stayed: sent again it is taken in
    assert (await shop.send("3505", {"selinfo": sale("X5", [goods.boxes[5]])}))["infcode"] == "0"


async def test_keys_renewed_by_another_server_hold_at_once_and_the_old_ones_never_again(
    scene: Scene, client: httpx.AsyncClient, keeper: Keeper
) -> None:
    issued = await register(scene, None, "H37010200066")
    old = Sender(issued, client)
    assert (await old.send("3503", {"purcinfo": bought("R1", [])}))["infcode"] == "0"
    renewed = await institutions.renew(
        scene.conn, scene.market.registry, keeper, scene.officer(), issued.institution.id
    )
    message = old.message("3503", {"purcinfo": bought("R2", [])})
    answer = await Sender(renewed, client).post(message, "3503")
    assert "yibao_signature_wrong" in answer["err_msg"]
    new = Sender(renewed, client)
    assert (await new.send("3503", {"purcinfo": bought("R3", [])}))["infcode"] == "0"
    again = await institutions.renew(
        scene.conn, scene.market.registry, keeper, scene.officer(), issued.institution.id
    )
    # the server remembers the second keys and meets the third, in both kinds of transactions
    newest = Sender(again, client)
    assert (await newest.send("3513", {"data": {"psn_cert_type": "01"}}))["infcode"] == "0"
    assert (
        "yibao_signature_wrong" in (await newest.post(new.message("3513", {"data": {}}), "3513"))["err_msg"]
    )


async def test_what_is_signed_with_remembered_keys_is_not_taken_in_after_they_ended(
    scene: Scene, client: httpx.AsyncClient
) -> None:
    issued = await register(scene, None, "H37010200055")
    one = Sender(issued, client)
    assert (await one.send("3503", {"purcinfo": bought("E1", [])}))["infcode"] == "0"
    # another server ends it: this one still remembers
    await institutions.end(scene.conn, scene.market.registry, scene.officer(), issued.institution.id)
    for infno, body in (
        ("3503", {"purcinfo": bought("E2", [])}),
        ("3513", {"data": {"psn_cert_type": "01"}}),
    ):
        assert "unknown_institution" in (await one.send(infno, body))["err_msg"]
    assert await scene.conn.fetchval("SELECT count(*) FROM insurance_report WHERE key = 'E2'") == 0
