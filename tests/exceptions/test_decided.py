"""Goods of a settled case stay out of stock where it was settled without them, until a later case decides otherwise
(R-B4): by API, by page, and whatever becomes of the receipt that brought them into quarantine."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from exceptions.test_http import HTML, Street, street

__all__ = ["street"]

REASON = {"reason_text": "复核合格"}


async def quarantined(street: Street, n: int = 1) -> tuple[str, list[str]]:
    """Boxes that came with another delivery than they were announced on; the receipt's number and those boxes."""
    market = street.market
    boxes = street.some(n + 1)
    sent = await market.ship(market.wholesaler, market.pharmacy, boxes[:1])
    await market.ship(market.wholesaler, market.pharmacy, boxes[1:])
    got = await market.move(
        102, market.pharmacy, boxes, from_org=market.wholesaler, notice=sent.bill_no, bill_no=f"SH-{boxes[0]}"
    )
    assert [r.quarantined for r in got.results] == [False, *[True] * n]
    return got.bill_no, boxes[1:]


async def ids(street: Street, boxes: list[str]) -> list[int]:
    rows = await street.market.conn.fetch(
        "SELECT id FROM quarantine WHERE code = ANY($1) AND closed_at IS NULL ORDER BY id", boxes
    )
    return [r["id"] for r in rows]


async def settle(street: Street, boxes: list[str], kind: str) -> str:
    """A case about them, settled; its number."""
    made = await street.api("pharmacy", "POST", "/exceptions", quarantine_ids=await ids(street, boxes))
    assert made.status_code == 201, made.text
    case = made.json()["cases"][0]
    offered = await street.api("wholesaler", "POST", f"/exceptions/{case}/proposals", kind=kind, text="同意")
    assert offered.status_code == 200, offered.text
    offer = offered.json()["proposals"][0]["id"]
    done = await street.api("pharmacy", "POST", f"/exceptions/{case}/proposals/{offer}/answer", accept=True)
    assert (done.status_code, done.json()["state"]) == (200, "closed")
    return str(done.json()["case_no"])


async def bill(street: Street, type: int, boxes: list[str], number: str, **more: Any) -> httpx.Response:
    body: dict[str, Any] = {"type": type, "bill_no": number, "codes": boxes, "header": REASON, **more}
    body.setdefault("happened_at", "2026-11-01T09:00:00+08:00")
    return await street.api("pharmacy", "POST", "/movements", **body)


async def test_goods_that_were_to_be_returned_are_not_released_and_the_case_is_named(street: Street) -> None:
    _, boxes = await quarantined(street, 2)
    number = await settle(street, boxes, "returned")
    refused = await bill(street, 6, boxes, f"FX-{boxes[0]}")
    assert refused.json()["status"] == "refused", refused.text
    for one in refused.json()["results"]:
        assert one["verdict"] == "exception_decided" and number in one["message"] and one["next"]
    checked = await street.api("pharmacy", "POST", "/movements/check", context={"type": 6}, codes=boxes)
    assert {r["verdict"] for r in checked.json()["results"]} == {"exception_decided"}
    # as it was settled they can go
    market = street.market
    back = await bill(street, 202, boxes[:1], f"TH-{boxes[0]}", to_org=market.wholesaler)
    assert back.json()["status"] == "accepted", back.text


async def test_the_quarantine_page_says_so_and_refuses_too(street: Street) -> None:
    _, boxes = await quarantined(street)
    number = await settle(street, boxes, "returned")
    token = await street.enter("pharmacy")
    page = await street.client.get("/quarantine", headers=HTML)
    assert number in page.text and "不得放行" in page.text
    form = {"way": "release", "bill_no": f"FP-{boxes[0]}", "ids": await ids(street, boxes), "_csrf": token}
    answer = await street.client.post("/quarantine/dispose", data={**form, **REASON}, headers=HTML)
    assert answer.status_code == 200 and f"按异常协查 {number} 的处理结果" in answer.text


async def test_losing_them_and_finding_them_again_is_no_way_round(street: Street) -> None:
    _, boxes = await quarantined(street, 2)
    number = await settle(street, boxes[:1], "returned")
    lost = await bill(street, 214, boxes, f"PK-{boxes[0]}")
    assert lost.json()["status"] == "accepted", lost.text
    found = await bill(street, 111, boxes, f"PY-{boxes[0]}")
    assert [r["verdict"] for r in found.json()["results"]] == ["exception_decided", "back_to_quarantine"]
    assert number in found.json()["results"][0]["message"]
    assert (await street.market.status(boxes[0]))[0] == "N"
    destroyed = await bill(
        street,
        205,
        boxes[:1],
        f"XH-{boxes[0]}",
        header={**REASON, "reason": "1", "executer_name": "执行", "superviser_name": "监督"},
    )
    assert destroyed.json()["status"] == "accepted", destroyed.text


async def test_a_new_case_about_them_decides_anew(street: Street) -> None:
    _, boxes = await quarantined(street)
    first = await settle(street, boxes, "returned")
    # a case that is withdrawn decides nothing
    made = await street.api("pharmacy", "POST", "/exceptions", quarantine_ids=await ids(street, boxes))
    opened = made.json()["cases"][0]
    during = await bill(street, 6, boxes, f"FW-{boxes[0]}")
    assert {r["verdict"] for r in during.json()["results"]} <= {"exception_open", "exception_decided"}
    gone = await street.api("pharmacy", "POST", f"/exceptions/{opened}/withdraw", reason="开错了")
    assert gone.status_code == 200, gone.text
    still = await bill(street, 6, boxes, f"FW2-{boxes[0]}")
    assert first in still.json()["results"][0]["message"]
    await settle(street, boxes, "accepted_as_is")
    free = await bill(street, 6, boxes, f"FW3-{boxes[0]}")
    assert free.json()["status"] == "accepted", free.text


@pytest.mark.parametrize("settled", [False, True])
async def test_the_receipt_is_not_voided_or_corrected_to_get_at_them(street: Street, settled: bool) -> None:
    receipt, boxes = await quarantined(street)
    if settled:
        number = await settle(street, boxes, "returned")
        code = "exception_decided"
    else:
        made = await street.api("pharmacy", "POST", "/exceptions", quarantine_ids=await ids(street, boxes))
        case = made.json()["cases"][0]
        number = (await street.api("pharmacy", "GET", f"/exceptions/{case}")).json()["case_no"]
        code = "exception_open"
    head = await street.market.conn.fetchrow("SELECT * FROM bill WHERE bill_no = $1", receipt)
    assert head is not None
    void = await street.api("pharmacy", "POST", f"/bills/{head['id']}/void", reason="重新收货")
    assert (void.status_code, void.json()["code"]) == (409, "later_fact"), void.text
    assert [(f["code"], f["params"]) for f in void.json()["findings"]] == [(code, {"case": number})]
    again = await bill(
        street,
        102,
        boxes,
        receipt,
        revision=2,
        from_org=street.market.wholesaler,
        happened_at=head["happened_at"].isoformat(),
    )
    assert (again.status_code, again.json()["code"]) == (409, "later_fact"), again.text
    assert (await street.market.status(boxes[0]))[0] == "Q"
