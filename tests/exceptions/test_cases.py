"""Cases between buyer and seller: opened from what does not match, settled by agreement (R-B3, R-B4, R-B5, R-X3)."""

from __future__ import annotations

import io
from decimal import Decimal

import pytest
from PIL import Image

from access.helpers import make_org as bare_org
from access.helpers import subject_of
from exceptions.helpers import SETTINGS, Desk, desk
from yaosu.access.visibility import visible
from yaosu.errors import YaosuError
from yaosu.exceptions import clock, opening, record, service, store
from yaosu.exceptions.model import Offer, Piece
from yaosu.exceptions.photos import EDGE_MAX, redrawn

__all__ = ["desk"]


async def test_one_click_opens_a_case_for_what_is_missing_and_tells_the_seller(desk: Desk) -> None:
    check_id = await desk.short_delivery()
    (case_id,) = await desk.open("pharmacy", check_id, note="外箱完好，少一盒")
    view = await desk.case("wholesaler", case_id)
    assert (view["kind"], view["qty"], view["state"]) == ("short", 1, "open")
    assert view["items"][0]["batch_no"] == desk.goods.batch_no
    assert view["notice_no"] and view["receipt_no"]
    assert await desk.news("wholesaler") == ["notice_exception_opened"]
    assert await desk.news("pharmacy") == []


async def test_the_same_click_twice_gives_the_same_case(desk: Desk) -> None:
    check_id = await desk.short_delivery()
    assert await desk.open("pharmacy", check_id) == await desk.open("pharmacy", check_id)


async def test_goods_that_came_later_are_no_longer_missing(desk: Desk) -> None:
    check_id = await desk.short_delivery()
    box = desk.goods.boxes[2]
    await desk.market.move(102, desk.market.pharmacy, [box], from_org=desk.market.wholesaler)
    await desk.refused("exception_nothing_open", desk.open("pharmacy", check_id))


async def test_goods_in_dispute_do_not_leave_quarantine_until_the_case_closes(desk: Desk) -> None:
    market = desk.market
    check_id, box = await desk.stranger_in_quarantine()
    assert (await market.status(box))[0] == "Q"
    (case_id,) = await desk.open("pharmacy", check_id)
    held = await market.move(6, market.pharmacy, [box], header={"reason_text": "核对无误"})
    assert [r.verdict for r in held.results] == ["exception_open"]
    assert held.results[0].params is not None
    number = (await desk.case("pharmacy", case_id))["case_no"]
    assert held.results[0].params["case"] == number
    offer = await service.propose(
        desk.conn, market.registry, desk.of("wholesaler"), case_id, Offer("accepted_as_is", "同批同品")
    )
    await service.answer(desk.conn, market.registry, desk.of("pharmacy"), case_id, offer, accept=True)
    view = await desk.case("pharmacy", case_id)
    assert (view["state"], view["resolution"], view["may"]["next"]) == ("closed", "accepted_as_is", [6])
    freed = await market.move(6, market.pharmacy, [box], header={"reason_text": "协查结案放行"})
    assert freed.status == "accepted"
    assert (await market.status(box))[0] == "I"
    assert (await desk.case("pharmacy", case_id))["goods"][0]["closed_no"] == freed.bill_no
    await market.conserved()


async def test_strangers_see_no_case_and_cannot_speak_in_it(desk: Desk) -> None:
    (case_id,) = await desk.open("pharmacy", await desk.short_delivery())
    registry = desk.market.registry
    for who in ("other", "hospital", "maker"):
        await desk.refused("not_found", record.seen(desk.conn, desk.of(who), case_id))
        await desk.refused("not_found", service.say(desk.conn, registry, desk.of(who), case_id, "?"))
        assert await store.cases(desk.conn, visible(desk.of(who))) == []


async def test_a_regulator_of_the_region_reads_the_case_and_takes_no_part(desk: Desk) -> None:
    (case_id,) = await desk.open("pharmacy", await desk.short_delivery())
    near = await subject_of(desk.conn, await bare_org(desk.conn, 110, "370000"), "regulator")
    far = await subject_of(desk.conn, await bare_org(desk.conn, 110, "110000"), "regulator")
    assert (await record.seen(desk.conn, near, case_id))["id"] == case_id
    await desk.refused("not_found", record.seen(desk.conn, far, case_id))
    await desk.refused("forbidden", service.say(desk.conn, desk.market.registry, near, case_id, "请说明"))


async def test_the_first_answer_of_the_other_side_stops_the_answer_clock(desk: Desk) -> None:
    (case_id,) = await desk.open("pharmacy", await desk.short_delivery())
    registry = desk.market.registry
    await service.say(desk.conn, registry, desk.of("pharmacy"), case_id, "请查")
    assert (await desk.case("pharmacy", case_id))["answered_at"] is None
    await service.say(desk.conn, registry, desk.of("wholesaler"), case_id, "正在核对装箱记录")
    view = await desk.case("pharmacy", case_id)
    assert view["answered_at"] is not None
    assert [e["what"] for e in view["entries"]] == ["opened", "message", "message"]
    assert await desk.news("pharmacy") == ["notice_exception_message"]


async def test_goods_sent_settle_a_shortage_once_their_bill_is_named(desk: Desk) -> None:
    market, registry = desk.market, desk.market.registry
    (case_id,) = await desk.open("pharmacy", await desk.short_delivery())
    seller, buyer = desk.of("wholesaler"), desk.of("pharmacy")
    offer = await service.propose(desk.conn, registry, seller, case_id, Offer("sent", "今日补发"))
    await desk.refused(
        "exception_not_sent", service.answer(desk.conn, registry, buyer, case_id, offer, accept=True)
    )
    elsewhere = await market.ship(market.wholesaler, market.hospital, desk.goods.boxes[12:13])
    await desk.refused(
        "exception_bill_unfit", service.link(desk.conn, registry, seller, case_id, elsewhere.bill_no)
    )
    again = await market.ship(market.wholesaler, market.pharmacy, desk.goods.boxes[13:14])
    await service.link(desk.conn, registry, seller, case_id, again.bill_no)
    await service.answer(desk.conn, registry, buyer, case_id, offer, accept=True)
    view = await desk.case("wholesaler", case_id)
    assert (view["state"], view["resolution"]) == ("closed", "sent")
    assert view["proposals"][0]["bill"]["bill_no"] == again.bill_no
    check = await desk.conn.fetchval("SELECT state FROM receipt_check WHERE id = $1", view["check_id"])
    assert check == "closed"


async def test_the_sellers_correction_shows_up_in_the_case_by_itself(desk: Desk) -> None:
    market, registry = desk.market, desk.market.registry
    boxes = desk.goods.boxes[10:13]
    sent = await market.ship(market.wholesaler, market.pharmacy, boxes)
    case_id = await opening.open_report(
        desk.conn,
        registry,
        desk.of("pharmacy"),
        kind="short",
        pieces=[Piece(desk.goods.drug_id, None, desk.goods.batch_no, "", 1)],
        bill_id=sent.bill_id,
    )
    seller, buyer = desk.of("wholesaler"), desk.of("pharmacy")
    offer = await service.propose(
        desk.conn, registry, seller, case_id, Offer("corrected", "多录一盒，已更正")
    )
    await desk.refused(
        "exception_not_corrected", service.answer(desk.conn, registry, buyer, case_id, offer, accept=True)
    )
    corrected = await market.move(
        201, market.wholesaler, boxes[:2], to_org=market.pharmacy, bill_no=sent.bill_no, revision=2
    )
    assert corrected.status == "accepted"
    await clock.tick(desk.conn, SETTINGS)
    await clock.tick(desk.conn, SETTINGS)
    view = await desk.case("pharmacy", case_id)
    assert [e["what"] for e in view["entries"]].count("correction") == 1
    assert view["proposals"][0]["bill"]["revision"] == 2
    assert await desk.news("pharmacy") == ["notice_exception_proposal", "notice_exception_corrected"]
    await service.answer(desk.conn, registry, buyer, case_id, offer, accept=True)
    assert (await desk.case("pharmacy", case_id))["resolution"] == "corrected"


async def test_a_credit_needs_its_number_and_amount(desk: Desk) -> None:
    (case_id,) = await desk.open("pharmacy", await desk.short_delivery())
    seller, registry = desk.of("wholesaler"), desk.market.registry
    error = await desk.refused(
        "invalid_request",
        service.propose(desk.conn, registry, seller, case_id, Offer("credited", "折让")),
    )
    assert error.findings[0].where == "credit_no"
    offer = Offer("credited", "折让", amount=Decimal("18.50"), credit_no="HZ-77")
    await service.propose(desk.conn, registry, seller, case_id, offer)
    assert (await desk.case("pharmacy", case_id))["proposals"][0]["amount"] == "18.50"


@pytest.mark.parametrize(
    ("who", "kind"),
    [
        ("pharmacy", "sent"),
        ("pharmacy", "corrected"),
        ("wholesaler", "accepted_as_is"),
        ("pharmacy", "returned"),
    ],
)
async def test_what_settles_a_kind_and_who_may_offer_it_is_a_list(desk: Desk, who: str, kind: str) -> None:
    # missing goods cannot be accepted as they are or returned, and only the seller sends or corrects
    (case_id,) = await desk.open("pharmacy", await desk.short_delivery())
    doing = service.propose(desk.conn, desk.market.registry, desk.of(who), case_id, Offer(kind))
    await desk.refused("exception_resolution_unfit", doing)


async def test_nobody_accepts_an_own_proposal_and_a_refusal_says_why(desk: Desk) -> None:
    (case_id,) = await desk.open("pharmacy", await desk.short_delivery())
    registry, seller, buyer = desk.market.registry, desk.of("wholesaler"), desk.of("pharmacy")
    offer = await service.propose(desk.conn, registry, seller, case_id, Offer("sent"))
    await desk.refused(
        "exception_own_proposal", service.answer(desk.conn, registry, seller, case_id, offer, accept=True)
    )
    await desk.refused(
        "exception_proposal_open", service.propose(desk.conn, registry, seller, case_id, Offer("sent"))
    )
    await desk.refused(
        "invalid_request", service.answer(desk.conn, registry, buyer, case_id, offer, accept=False)
    )
    await service.answer(desk.conn, registry, buyer, case_id, offer, accept=False, text="不需要，请折让")
    view = await desk.case("wholesaler", case_id)
    assert (view["state"], view["proposals"][0]["state"]) == ("open", "declined")
    assert "notice_exception_declined" in await desk.news("wholesaler")


async def test_a_closed_case_does_not_change(desk: Desk) -> None:
    (case_id,) = await desk.open("pharmacy", await desk.short_delivery())
    registry = desk.market.registry
    await desk.refused(
        "exception_not_opener",
        service.withdraw(desk.conn, registry, desk.of("wholesaler"), case_id, "不是我方问题"),
    )
    await service.withdraw(desk.conn, registry, desk.of("pharmacy"), case_id, "实物在箱底")
    assert (await desk.case("wholesaler", case_id))["state"] == "withdrawn"
    await desk.refused(
        "exception_closed", service.say(desk.conn, registry, desk.of("pharmacy"), case_id, "?")
    )


async def test_uncoded_goods_are_reported_up_to_the_holder(desk: Desk) -> None:
    case_id = await opening.open_report(
        desk.conn,
        desk.market.registry,
        desk.of("pharmacy"),
        kind="uncoded",
        pieces=[Piece(desk.goods.drug_id, None, "W-1", "", 10)],
        partner=desk.market.wholesaler,
        note="外包装未见追溯码",
    )
    view = await desk.case("maker", case_id)
    assert view["may"]["role"] == "mah"
    assert view["may"]["offers"] == []
    assert await desk.news("maker") == ["notice_exception_upstream"]
    assert await desk.news("wholesaler") == ["notice_exception_opened"]
    await service.say(desk.conn, desk.market.registry, desk.of("maker"), case_id, "该批未赋码，请退回")


async def test_unactivated_goods_in_quarantine_open_a_case_that_the_holder_sees(desk: Desk) -> None:
    market = desk.market
    code = f"{market.prefixes[0]}9999999991234"
    got = await market.move(102, market.pharmacy, [code], from_org=market.wholesaler)
    assert got.results[0].verdict in ("not_activated", "never_issued")
    ids = [
        r["id"] for r in await desk.conn.fetch("SELECT id FROM quarantine WHERE org = $1", market.pharmacy)
    ]
    await desk.refused(
        "exception_no_goods",
        opening.open_quarantine(desk.conn, market.registry, desk.of("hospital"), ids),
    )
    (case_id,) = await opening.open_quarantine(desk.conn, market.registry, desk.of("pharmacy"), ids)
    assert "notice_exception_upstream" in await desk.news("maker")
    await desk.refused(
        "exception_goods_held",
        opening.open_quarantine(desk.conn, market.registry, desk.of("pharmacy"), ids),
    )
    assert (await desk.case("maker", case_id))["items"][0]["code"] == code


async def test_the_owner_suspends_sale_and_resumes_it_with_a_reason(desk: Desk) -> None:
    market, registry = desk.market, desk.market.registry
    (case_id,) = await desk.open("pharmacy", await desk.short_delivery())
    buyer, sold = desk.of("pharmacy"), desk.goods.boxes[0]
    await service.suspend(desk.conn, registry, buyer, case_id, "批号存疑")
    stopped = await market.move(321, market.pharmacy, [sold])
    assert [r.verdict for r in stopped.results] == ["suspended"]
    # another owner's goods of the batch are not touched
    free = await market.move(201, market.wholesaler, desk.goods.boxes[15:16], to_org=market.hospital)
    assert free.status == "accepted"
    await desk.refused("exception_suspended", service.suspend(desk.conn, registry, buyer, case_id, "再次"))
    await service.lift(desk.conn, registry, buyer, case_id, "核对无误")
    assert (await market.move(321, market.pharmacy, [sold])).status == "accepted"
    assert [s["lift_reason"] for s in (await desk.case("wholesaler", case_id))["suspensions"]] == ["核对无误"]


async def _age(desk: Desk, case_id: int, hours: int) -> None:
    await desk.conn.execute(
        "UPDATE exception_case SET opened_at = opened_at - $2 * interval '1 hour', "
        "answer_due = answer_due - $2 * interval '1 hour', resolve_due = resolve_due - $2 * interval '1 hour', "
        "next_at = next_at - $2 * interval '1 hour' WHERE id = $1",
        case_id,
        hours,
    )
    await clock.tick(desk.conn, SETTINGS)


async def test_the_clock_reminds_and_then_tells_holder_and_regulator(desk: Desk) -> None:
    (case_id,) = await desk.open("pharmacy", await desk.short_delivery())
    city = await bare_org(desk.conn, 110, "370100")
    province = await bare_org(desk.conn, 110, "370000")
    for sub_type in (1102, 1103):
        other = await bare_org(desk.conn, 110, "370100")
        await desk.conn.execute("UPDATE org SET sub_type = $2 WHERE id = $1", other, sub_type)
    await _age(desk, case_id, 21)
    assert await desk.news("wholesaler") == ["notice_exception_opened", "notice_exception_answer_soon"]
    await _age(desk, case_id, 4)
    assert (await desk.news("wholesaler"))[-1] == "notice_exception_answer_overdue"
    assert (await desk.case("pharmacy", case_id))["overdue"]
    await _age(desk, case_id, 24 * 6)
    assert (await desk.case("maker", case_id))["level"] == 1
    await _age(desk, case_id, 24 * 6)
    view = await desk.case("pharmacy", case_id)
    assert view["level"] == 2
    told = {
        r["org"]
        for r in await desk.conn.fetch("SELECT org FROM message WHERE kind = 'notice_exception_regulator'")
    }
    # the closest drug regulator of the parties' region: not every one above it, nor health and insurance beside it
    assert told == {desk.market.pharmacy, desk.market.wholesaler, city}
    assert province not in told
    before = len(view["entries"])
    await _age(desk, case_id, 24 * 30)
    assert len((await desk.case("pharmacy", case_id))["entries"]) == before


def _picture(form: str, size: tuple[int, int] = (60, 40)) -> bytes:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "TAKEN AT HOME"
    Image.new("RGB", size, (200, 30, 30)).save(out, form, exif=exif)
    return out.getvalue()


@pytest.mark.parametrize(("form", "media"), [("JPEG", "image/jpeg"), ("PNG", "image/png")])
async def test_a_photograph_is_drawn_anew_and_shown_to_the_parties_only(
    desk: Desk, form: str, media: str
) -> None:
    (case_id,) = await desk.open("pharmacy", await desk.short_delivery())
    content = _picture(form) + b"<script>alert(1)</script>"
    assert b"TAKEN AT HOME" in content
    photo_id = await service.attach(
        desk.conn, desk.market.registry, desk.of("pharmacy"), case_id, "外箱", content
    )
    kept = await service.photo(desk.conn, desk.of("wholesaler"), case_id, photo_id)
    assert kept[0] == media
    assert b"script" not in kept[1]
    assert b"TAKEN AT HOME" not in kept[1]
    assert Image.open(io.BytesIO(kept[1])).size == (60, 40)
    await desk.refused("not_found", service.photo(desk.conn, desk.of("other"), case_id, photo_id))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "photo_unreadable"),
        (b"<svg onload=alert(1)>", "photo_unreadable"),
        (b"GIF89a" + b"\x00" * 40, "photo_unreadable"),
        (_picture("JPEG")[:100], "photo_unreadable"),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * 60, "photo_unreadable"),
        (b"\xff\xd8\xff" + b"\x00" * (5 * 1024 * 1024), "photo_too_large"),
    ],
)
def test_what_is_no_picture_is_refused(content: bytes, code: str) -> None:
    with pytest.raises(YaosuError) as caught:
        redrawn(content)
    assert caught.value.code == code


def test_a_large_photograph_is_made_smaller_and_a_bomb_is_not_decoded() -> None:
    assert max(redrawn(_picture("JPEG", (4000, 1000))).width, 0) == EDGE_MAX
    out = io.BytesIO()
    Image.new("1", (9000, 9000)).save(out, "PNG")
    with pytest.raises(YaosuError) as caught:
        redrawn(out.getvalue())
    assert caught.value.code == "photo_too_large"


async def test_a_check_closes_with_its_last_mismatch_and_settled_ones_are_not_opened_again(
    desk: Desk,
) -> None:
    market, registry = desk.market, desk.market.registry
    boxes, strange = desk.goods.boxes[3:6], f"{desk.market.prefixes[0]}9999999991234"
    sent = await market.ship(market.wholesaler, market.pharmacy, boxes[:2])
    await market.ship(market.wholesaler, market.pharmacy, boxes[2:])
    got = await market.move(
        102, market.pharmacy, [*boxes, strange], from_org=market.wholesaler, notice=sent.bill_no
    )
    check_id = next(int(str(c["id"])) for c in got.checks if c["outcome"] == "mismatch")
    state = "SELECT state FROM receipt_check WHERE id = $1"
    (over,) = await desk.open("pharmacy", check_id, kinds=["over"])
    await service.withdraw(desk.conn, registry, desk.of("pharmacy"), over, "按另一单收货")
    assert await desk.conn.fetchval(state, check_id) == "open"
    (unknown,) = await desk.open("pharmacy", check_id)
    assert (await desk.case("pharmacy", unknown))["kind"] in ("not_activated", "unknown")
    await service.withdraw(desk.conn, registry, desk.of("pharmacy"), unknown, "误扫其他条码")
    assert await desk.conn.fetchval(state, check_id) == "closed"
    await desk.refused("exception_nothing_open", desk.open("pharmacy", check_id))
    (again,) = await desk.open("pharmacy", check_id, kinds=["over"])
    assert again not in (over, unknown)
