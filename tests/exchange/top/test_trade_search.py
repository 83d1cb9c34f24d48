"""A wholesaler reads its bills, what upstream sent, corrects, takes back and says no (§2.7, R-B1, R-B2, R-X3)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio

from exchange.top.client import CHINA
from exchange.top.reading import CALLED, Caller, of_modules
from exchange.top.world import World, bill_time, make_world
from yaosu.db.engine import Pool

pytestmark = pytest.mark.asyncio(loop_scope="module")
TODAY = datetime.now(UTC).astimezone(CHINA)
DAYS = {
    "begin_date": (TODAY - timedelta(days=1)).strftime("%Y-%m-%d"),
    "end_date": (TODAY + timedelta(days=1)).strftime("%Y-%m-%d"),
}
PAGE = {"page": 1, "page_size": 50}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(client: httpx.AsyncClient, pool: Pool) -> AsyncIterator[World]:
    async with make_world(client) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def us(world: World) -> Caller:
    return Caller(await world.client(world.market.wholesaler))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ref(world: World) -> str:
    return (await world.alias(world.market.wholesaler)).ref_ent_id


def wes(method: str) -> dict[str, object]:
    return {"license_token": "token"} if ".wes." in method else {}


async def shipped(world: World, codes: list[str], number: str, receiver: int | None = None) -> int:
    """A shipment of the wholesaler; our id of it."""
    m = world.market
    done = await m.move(201, m.wholesaler, codes, to_org=receiver or m.pharmacy, bill_no=number)
    assert done.bill_id
    return done.bill_id


STATUS = [
    "drug.kyt.searchstatus",
    "drug.msc.bill.searchstatus",
    "drug.kyt.wes.searchstatus",
    "drug.kyt.scqy.searchstatus",
    "drug.kyt.dr.searchstatus",
    "drug.kyt.specia.vaccin.searchstatus",
]


@pytest.mark.parametrize("method", STATUS)
async def test_the_status_of_a_bill_says_whole_partly_or_not(
    world: World, us: Caller, ref: str, method: str
) -> None:
    m = world.market
    whole, partly, none = world.number("OK"), world.number("PT"), world.number("NO")
    goods = await world.goods(m.wholesaler)
    await shipped(world, [goods.cases[0]], whole)
    await shipped(world, [goods.cases[1], "83857939999999999999"], partly)
    base = {"bill_time": bill_time(), "bill_type": 201, "physic_type": 3, "ref_user_id": ref, "oper_ic_code": "1",
            "oper_ic_name": "李四", "client_type": 2, "from_user_id": ref,
            "to_user_id": (await world.alias(m.pharmacy)).ent_id}  # fmt: skip
    await us.refused("drug.msc.uploadinoutbill", bill_code=none, trace_codes="83857939999999999999", **base)
    found = {}
    for number in (whole, partly, none):
        answer = await us.result(
            method, ref_ent_id=ref, bill_type="AO", bill_code=number, **DAYS, **PAGE, **wes(method)
        )
        (row,) = answer["model"]["result_list"]
        assert (row["bill_code"], row["bill_type"], row["ref_user_id"]) == (number, "201", ref)
        assert row["from_user_name"] and row["to_user_name"] and row["from_ref_user_id"] == ref
        found[number] = row
    assert [found[n]["result_type"] for n in (whole, partly, none)] == ["3", "3", "4"]
    if "sub_process_flag" in found[whole]:
        assert (found[whole]["sub_process_flag"], found[partly]["sub_process_flag"]) == ("51", "52")
    assert "不是" in found[none]["process_info"] or "未" in found[none]["process_info"]
    failed = await us.result(
        method, ref_ent_id=ref, bill_type="A", deal_status="4", bill_code=none, **DAYS, **PAGE, **wes(method)
    )
    assert [r["bill_code"] for r in failed["model"]["result_list"]] == [none]
    waiting = await us.result(
        method, ref_ent_id=ref, bill_type="A", deal_status="0", **DAYS, **PAGE, **wes(method)
    )
    assert waiting["model"]["total_num"] == 0


@pytest.mark.parametrize(
    "method", ["drug.msc.listbillprocesspartsuccess", "drug.kyt.wes.listbillprocesspartsuccess"]
)
async def test_what_was_not_processed_is_listed_with_the_reason(
    world: World, us: Caller, ref: str, method: str
) -> None:
    goods = await world.goods(world.market.wholesaler)
    number = world.number("PX")
    await shipped(world, [goods.cases[0], goods.cases[0], "83857939999999999999"], number)
    answer = await us(method, ref_ent_id=ref, bill_code=number, **PAGE, **wes(method))
    assert answer["response_success"] is True and answer["model"]["total_num"] == 2
    kinds = {row["code"]: row for row in answer["model"]["result"]}
    assert kinds[goods.cases[0]]["error_code"] == "3"
    assert all(r["process_status_reason_desc"] and r["last_process_date_desc"] for r in kinds.values())
    one = await us(method, ref_ent_id=ref, bill_code=number, error_code="3", **PAGE, **wes(method))
    assert [r["code"] for r in one["model"]["result"]] == [goods.cases[0]]
    missing = await us.refused(method, ref_ent_id=ref, bill_code="nobody", **PAGE, **wes(method))
    assert missing["msg_code"] == "FAIL_BIZ_NO_PAT_INFO"


SEARCH = ["drug.kyt.searchbill", "drug.msc.searchbill", "drug.kyt.wes.searchbill"]


@pytest.mark.parametrize("method", SEARCH)
async def test_bills_are_found_by_day_kind_number_and_partner(
    world: World, us: Caller, ref: str, method: str
) -> None:
    m = world.market
    goods = await world.goods(m.wholesaler, cases=3)
    numbers = [world.number("SB") for _ in range(3)]
    for number, case in zip(numbers, goods.cases, strict=True):
        await shipped(world, [case], number, m.hospital)
    hospital = (await world.alias(m.hospital)).ent_id
    asked = {"ref_ent_id": ref, "auth_ref_user_id": ref, "bill_type": "AO", "partner_id_recv": hospital,
             **DAYS, **wes(method)}  # fmt: skip
    answer = await us.result(method, **asked, cur_page=1, page_size=2)
    total = answer["model"]["total_num"]
    assert total >= 3 and len(answer["model"]["result_list"]) == 2
    first = answer["model"]["result_list"][0]
    assert first["bill_code"] == numbers[2] and first["bill_type_name"] == "销售出库"
    assert first["to_user_id"] == hospital and first["bill_id"].isdigit()
    again = await us.result(method, **asked, cur_page=2, page_size=2)
    assert again["model"]["result_list"][0]["bill_code"] == numbers[0]
    one = await us.result(method, **asked, bill_code=numbers[1], cur_page=1, page_size=2)
    assert one["model"]["total_num"] == 1
    none = await us.result(method, **(asked | {"bill_type": "AI"}), cur_page=1, page_size=2)
    assert none["model"]["total_num"] == 0
    odd = await us.error(method, **(asked | {"bill_type": "XX"}), cur_page=1, page_size=2)
    assert odd["code"] == 41
    stranger = (await world.alias(m.other)).ref_ent_id
    error = await us.error(method, **(asked | {"auth_ref_user_id": stranger}), cur_page=1, page_size=2)
    assert error["sub_code"] == "isv.ent-no-auth"


@pytest.mark.parametrize("method", ["drug.msc.query.billcount", "drug.wes.query.billcount"])
async def test_bills_are_counted_by_type(world: World, us: Caller, ref: str, method: str) -> None:
    token = {"license_token": "t"} if "wes" in method else {}
    before = {r["bill_type"]: r["count"] for r in
              (await us.result(method, ref_ent_id=ref, **DAYS, **token))["model_list"]}  # fmt: skip
    goods = await world.goods(world.market.wholesaler)
    await shipped(world, goods.cases, world.number("CT"))
    after = (await us.result(method, ref_ent_id=ref, **DAYS, **token))["model_list"]
    counts = {r["bill_type"]: r["count"] for r in after}
    key = next(r["bill_type"] for r in after if r["bill_type_name"] == "销售出库")
    assert counts[key] == before.get(key, 0) + 1


DETAIL = [
    "drug.kyt.searchbill.detail",
    "drug.kyt.query.code.relation.from.billcode",
    "drug.kyt.query.druginfo.from.billcode",
    "drug.kyt.query.specia.vaccin.billcode",
    "drug.msc.searchbill.detail",
    "drug.kyt.wes.searchbill.detail",
    "drug.msc.billout.detailwithcodes",
]


@pytest.mark.parametrize("method", DETAIL)
async def test_a_bill_has_its_goods_in_packages_and_preparation_units(
    world: World, us: Caller, ref: str, method: str
) -> None:
    m = world.market
    goods = await world.goods(m.wholesaler)
    number = world.number("DT")
    await shipped(world, [goods.cases[0], goods.boxes_of(1)[0]], number)
    answer = await us.result(method, ref_ent_id=ref, bill_code=number, show_code="1", **wes(method))
    model = answer["model"]
    assert (model["bill_code"], model["bill_type"], model["bill_type_name"]) == (number, "201", "销售出库")
    (line,) = model["bill_chk_in_out_detail_list_d_t_o_list"]
    assert line["product_batch_no"] == goods.batch_no and line["product_code"] == "8385793"
    assert line["prod_code"].startswith("8385793") and len(line["prod_code"]) == 10
    assert (line["min_pkg_count"], line["min_preparations_count"]) == ("11", str(11 * 24))
    assert line["expired_date"] == "2059-12-31" and line["drug_ent_base_info_id"] == str(m.drug_id)
    codes = {c["code"]: c for c in line.get("code_and_parent_list", ())}
    if codes:
        # here 1 is the largest package: of three levels the case is the second, the box the third (§2.5)
        assert codes[goods.cases[0]]["code_level"] == "2"
        assert codes[goods.boxes_of(1)[0]]["code_level"] == "3"
        assert codes[goods.boxes_of(1)[0]]["parent_code"] == goods.cases[1]
    if "codes" in model:
        codes = model["codes"] if isinstance(model["codes"], list) else model["codes"].split(",")
        assert set(codes) == {goods.cases[0], goods.boxes_of(1)[0]}
    missing = await us.refused(method, ref_ent_id=ref, bill_code="nobody", show_code="1", **wes(method))
    assert missing["msg_code"] == "FAIL_BIZ_NO_PAT_INFO"


async def test_a_receipt_has_its_goods_and_codes(world: World, us: Caller, ref: str) -> None:
    m = world.market
    goods = await world.goods(m.maker)
    await m.ship(m.maker, m.wholesaler, goods.cases)
    number = world.number("RC")
    await m.move(102, m.wholesaler, goods.cases, from_org=m.maker, bill_no=number)
    model = (await us.result("drug.msc.billin.detailwithcode", ref_ent_id=ref, bill_code=number))["model"]
    (line,) = model["bill_chk_in_out_detail_list_d_t_o_list"]
    assert {c["code"] for c in line["code_and_parent_list"]} == set(goods.cases)
    assert {c["has_parent_code"] for c in line["code_and_parent_list"]} == {"N"}
    out = await us.refused("drug.msc.billout.detailwithcodes", ref_ent_id=ref, bill_code=number)
    assert out["msg_code"] == "FAIL_BIZ_NO_PAT_INFO"


async def test_a_store_lists_its_bills(world: World) -> None:
    m = world.market
    till = Caller(await world.client(m.pharmacy))
    goods = await world.goods(m.pharmacy)
    number = world.number("ST")
    await m.move(321, m.pharmacy, [goods.boxes[0]], bill_no=number)
    own = (await world.alias(m.pharmacy)).ref_ent_id
    asked = {"ref_ent_id": own, "start_date": DAYS["begin_date"], "end_date": DAYS["end_date"], **PAGE}
    rows = (await till.result("drug.kyt.storebilllist", bill_status="A", **asked))["model"]["result_list"]
    row = next(r for r in rows if r["bill_code"] == number)
    assert row["data_type"] == "321" and row["result_type"] == "3"
    failed = await till.result("drug.kyt.storebilllist", bill_status="4", **asked)
    assert failed["model"]["total_num"] == 0


# -- upstream -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["drug.kyt.listupout", "drug.kyt.wes.listupout"])
async def test_upstreams_shipments_are_listed_until_and_after_they_are_received(
    world: World, us: Caller, ref: str, method: str
) -> None:
    m = world.market
    goods = await world.goods(m.maker)
    number = world.number("UP")
    await m.ship(m.maker, m.wholesaler, goods.cases, bill_no=number)
    asked = {"ref_ent_id": ref, "bill_code": number, **DAYS, **PAGE, **wes(method)}
    (row,) = (await us.result(method, status="1", **asked))["model"]["result_list"]
    assert (row["bill_code"], row["status"], row["code_count"], row["prepn_count"]) == (number, "1", 20, 480)
    assert row["produce_batch_no"] == goods.batch_no and row["to_ref_user_id"] == ref
    assert row["from_user_id"] == (await world.alias(m.maker)).ent_id and row["bill_out_id"] > 0
    assert row["produce_date_format"] == "2026-01-01" and row["physic_name"]
    assert (await us.result(method, status="2", **asked))["model"]["total_num"] == 0
    await m.move(102, m.wholesaler, goods.cases, from_org=m.maker)
    (row,) = (await us.result(method, status="2", **asked))["model"]["result_list"]
    assert row["status"] == "2"
    other = await us.result(method, **(asked | {"from_user_id": (await world.alias(m.other)).ent_id}))
    assert other["model"]["total_num"] == 0


@pytest.mark.parametrize("method", ["drug.msc.query.upoutbillcount", "drug.wes.query.upoutbillcount"])
async def test_upstreams_bills_are_counted(world: World, us: Caller, ref: str, method: str) -> None:
    token = {"license_token": "t"} if "wes" in method else {}
    goods = await world.goods(world.market.maker)
    await world.market.ship(world.market.maker, world.market.wholesaler, goods.cases)
    rows = (await us.result(method, ref_ent_id=ref, **DAYS, **token))["model_list"]
    assert {r["bill_type_name"] for r in rows} >= {"销售出库"} and all(r["count"] for r in rows)


@pytest.mark.parametrize("method", ["drug.bill.upbill.detail.withcode", "drug.kyt.wes.upbill.detailwithcode"])
async def test_an_upstream_bill_has_its_codes_with_level_one_the_smallest(
    world: World, us: Caller, ref: str, method: str
) -> None:
    m = world.market
    goods = await world.goods(m.maker)
    number = world.number("UD")
    await m.ship(m.maker, m.wholesaler, [goods.cases[0], *goods.boxes_of(1)], bill_no=number)
    maker = await world.alias(m.maker)
    asked = {"ref_ent_id": ref, "bill_code": number, "from_ref_user_id": maker.ref_ent_id, "to_ref_user_id": ref,
             **wes(method)}  # fmt: skip
    model = (await us.result(method, **asked))["model"]
    assert (model["ent_send_id"], model["ent_recv_id"]) == (maker.ref_ent_id, ref)
    (drug,) = model["drug_infos_dto_list"]
    assert (drug["least_pkg_amount"], drug["least_prepn_amount"]) == ("20", "480")
    levels = {c["code"]: (c["code_level"], c["pkg_amount"]) for c in drug["code_info_list_dto_list"]}
    # the other meaning of code_level: 1 is the smallest here (§2.5)
    assert levels[goods.cases[0]] == ("2", "10") and levels[goods.boxes_of(1)[0]] == ("1", "1")
    stranger = await us.refused(method, **(asked | {"bill_code": "nobody"}))
    assert stranger["msg_code"] == "FAIL_BIZ_NO_PAT_INFO"


async def test_corrected_and_withdrawn_upstream_bills_are_told(world: World, us: Caller, ref: str) -> None:
    m = world.market
    goods = await world.goods(m.maker)
    number, gone = world.number("CH"), world.number("CH")
    first = await m.ship(m.maker, m.wholesaler, goods.cases, bill_no=number)
    when = {"happened_at": datetime.now(UTC) - timedelta(minutes=30)}
    assert first.revision == 1
    await m.move(201, m.maker, goods.cases[:1], to_org=m.wholesaler, bill_no=number, revision=2, **when)
    await m.ship(m.maker, m.wholesaler, goods.cases[1:], bill_no=gone)
    await m.move(201, m.maker, [], to_org=m.wholesaler, bill_no=gone, revision=2, void=True, **when)
    days = {"begin_oper_date": DAYS["begin_date"], "end_oper_date": DAYS["end_date"]}
    model = (
        await us.result("drug.kyt.wes.queryupoutbilllog", ref_ent_id=ref, license_token="t", **days, **PAGE)
    )["model"]
    assert {number, gone} <= {r["bill_code"] for r in model["result_list"]}
    assert model["total_num"] == len(model["result_list"])


@pytest.mark.parametrize("how", [1, 2, 3])
async def test_goods_of_upstream_are_rejected_whole_by_batch_or_by_code(
    world: World, us: Caller, ref: str, how: int
) -> None:
    m = world.market
    goods = await world.goods(m.maker)
    number = world.number("RJ")
    await m.ship(m.maker, m.wholesaler, goods.cases, bill_no=number)
    (row,) = (
        await us.result("drug.kyt.wes.listupout", ref_ent_id=ref, license_token="t", bill_code=number, **PAGE)
    )["model"]["result_list"]
    asked = {"ref_ent_id": ref, "license_token": "t", "bill_out_id": row["bill_out_id"], "operate_type": how,
             "operator": "王五", "contact": "13800000000", "reject_reason": "包装破损"}  # fmt: skip
    if how == 2:
        asked["bill_detail_ids"] = row["bill_detail_id"]
    if how == 3:
        asked["codes"] = goods.cases[0]
    for _ in range(2):  # saying it twice changes nothing more
        answer = await us("drug.kyt.wes.billpartialreject", **asked)
        assert answer["response_success"] is True, answer
    # on the way back to the maker; what was not rejected is still on its way to us
    assert (await m.status(goods.cases[0]))[2] == m.maker
    assert (await m.status(goods.cases[1]))[2] == (m.wholesaler if how == 3 else m.maker)
    check = await m.conn.fetchrow(
        "SELECT c.outcome, b.header FROM receipt_check c JOIN bill b ON b.id = c.receipt_bill "
        "WHERE c.notice_bill = $1", int(row["bill_out_id"]),
    )  # fmt: skip
    assert (
        check is not None and check["outcome"] == "refused" and check["header"]["reason_text"] == "包装破损"
    )
    missing = await us.refused("drug.kyt.wes.billpartialreject", **(asked | {"bill_out_id": 10**9}))
    assert missing["msg_code"] == "FAIL_BIZ_NO_PAT_INFO"
    await m.conserved()


async def test_direct_shipments_of_our_goods_are_listed(world: World, us: Caller, ref: str) -> None:
    m = world.market
    goods = await world.goods(m.other)
    number = world.number("ZD")
    await m.move(207, m.other, goods.cases, to_org=m.hospital, direct_org=m.wholesaler, bill_no=number)
    found = await us.result("drug.kyt.destbill.list", ref_ent_id=ref, bill_code=number, **DAYS)
    (row,) = found["model_list"]
    assert (row["bill_code"], row["status"]) == (number, "2") and row["dest_ent_name"]


async def test_how_far_a_shipment_was_verified(world: World, us: Caller, ref: str) -> None:
    m = world.market
    goods = await world.goods(m.wholesaler)
    number = world.number("BC")
    await shipped(world, goods.cases, number)
    asked = {"ref_ent_id": ref, "ower_ref_ent_id": ref, "bill_code": number, "bill_type": 201}
    model = (await us.result("drug.kyt.dr.billcheck", **asked))["model"]
    assert (model["matched_count"], model["matched_rate_show"]) == (0, "0%")
    await m.move(102, m.pharmacy, goods.cases[:1], from_org=m.wholesaler)
    model = (await us.result("drug.kyt.dr.billcheck", **asked))["model"]
    states = {r["code"]: r["code_is_matched"] for r in model["detail_info_list"]}
    assert states == {goods.cases[0]: "1", goods.cases[1]: "0"} and model["matched_rate_show"] == "50%"
    missing = await us("drug.kyt.dr.billcheck", **(asked | {"bill_type": 202}))
    assert missing["result"]["msg_code"] == "FAIL_BIZ_NO_PAT_INFO"


# -- corrections --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["drug.code.kyt.wes.delbillinfo", "drug.kyt.scqy.delbillinfo"])
async def test_a_bill_is_taken_back_unless_its_goods_moved_on(
    world: World, us: Caller, ref: str, method: str
) -> None:
    m = world.market
    goods = await world.goods(m.wholesaler)
    number = world.number("DL")
    await shipped(world, goods.cases, number)
    asked = {"ref_ent_id": ref, "bill_code": number, "delete_reason": "录错", "mobile_phone": "13800000000",
             **wes(method)}  # fmt: skip
    answer = await us.result(method, **asked)
    assert number in answer["models"]
    assert await m.status(goods.cases[0]) == ("I", m.wholesaler, None)
    gone = await us.refused(method, **asked)
    assert gone["msg_code"] == "FAIL_BIZ_NO_PAT_INFO"
    kept = world.number("DL")
    await shipped(world, goods.cases, kept)
    await m.move(102, m.pharmacy, goods.cases, from_org=m.wholesaler)
    await m.move(321, m.pharmacy, [goods.boxes[0]])
    refused = await us.refused(method, **(asked | {"bill_code": kept}))
    assert refused["msg_code"] == "FAIL_BIZ_BILL_DELETE_ERROR"
    assert goods.cases[0] in refused["msg_info"] or goods.boxes[0] in refused["msg_info"]
    await m.conserved()


async def test_a_store_corrects_and_deletes_its_bills(world: World) -> None:
    m = world.market
    till = Caller(await world.client(m.pharmacy))
    goods = await world.goods(m.pharmacy)
    number = world.number("UB")
    sold = await m.move(321, m.pharmacy, goods.boxes[:2], bill_no=number)
    own = (await world.alias(m.pharmacy)).ref_ent_id
    asked = {"ref_ent_id": own, "ic_code": "1", "bill_id": sold.bill_id, "bill_type": 321}
    changed = await till("drug.kyt.updatebillcode", code_list=goods.boxes[0], **asked)
    assert changed["response_success"] is True, changed
    assert (await m.status(goods.boxes[0]))[0] == "S"
    assert await m.status(goods.boxes[1]) == ("I", m.pharmacy, None)
    now = await m.conn.fetchval("SELECT id FROM bill WHERE bill_no = $1 AND revision = 2", number)
    noted = await till(
        "drug.kyt.updatebillinfo", note="补记", **(asked | {"bill_id": now, "bill_code": number})
    )
    assert noted["response_success"] is True, noted
    now = await m.conn.fetchval("SELECT id FROM bill WHERE bill_no = $1 AND revision = 3", number)
    renamed = await till.refused(
        "drug.kyt.updatebillinfo", **(asked | {"bill_id": now, "bill_code": "other"})
    )
    assert "单据号不能更改" in renamed["msg_info"]
    done = await till("drug.kyt.storebilldelete", **(asked | {"bill_id": now}))
    assert done["response_success"] is True
    assert await m.status(goods.boxes[0]) == ("I", m.pharmacy, None)
    await m.conserved()


@pytest.mark.parametrize("method", ["drug.msc.retail.searchbill", "drug.kyt.wes.retail.searchbill"])
async def test_sales_are_searched_apart_from_other_bills(world: World, us: Caller, method: str) -> None:
    m = world.market
    goods = await world.goods(m.pharmacy)
    sale, back, moved = world.number("LS"), world.number("TH"), world.number("PS")
    await m.move(321, m.pharmacy, goods.boxes[:2], bill_no=sale)
    await m.move(116, m.pharmacy, goods.boxes[:1], bill_no=back)
    await m.move(203, m.pharmacy, goods.boxes[5:6], bill_no=moved, to_org=m.store)
    shop, own = Caller(await world.client(m.pharmacy)), (await world.alias(m.pharmacy)).ref_ent_id
    found = {}
    for asked in ("A", "AI", "AO", "321"):
        answer = await shop.result(
            method, ref_ent_id=own, auth_ref_user_id=own, bill_type=asked, cur_page=1, page_size=50, **DAYS,
            **wes(method)
        )  # fmt: skip
        rows = answer["model"]["result_list"]
        found[asked] = {r["bill_code"] for r in rows} & {sale, back, moved}
        assert {r["ref_user_id"] for r in rows} == {own}
    assert found == {"A": {sale, back}, "AI": {back}, "AO": {sale}, "321": {sale}}


async def test_upstreams_bills_are_found_by_the_day_they_changed(world: World) -> None:
    m = world.market
    goods = await world.goods(m.wholesaler)
    number = world.number("UP")
    await shipped(world, goods.cases[:1], number)
    shop, own = Caller(await world.client(m.pharmacy)), (await world.alias(m.pharmacy)).ref_ent_id
    for shift, seen in ((0, {number}), (-3, set())):
        begin, end = (f"{TODAY + timedelta(days=shift + n):%Y-%m-%d}" for n in (-1, 1))
        answer = await shop.result(
            "drug.kyt.wes.listupout", ref_ent_id=own, license_token="t", mod_date_begin=begin, mod_date_end=end,
            bill_code=number, **PAGE
        )  # fmt: skip
        rows = answer["model"]["result_list"]
        assert {r["bill_code"] for r in rows} == seen
        assert all(r["mod_date"] and r["bill_upload_time"] and r["crt_date"] for r in rows)


async def test_every_question_about_bills_was_asked() -> None:
    done = of_modules("methods_trade_search", "methods_trade_upstream", "methods_trade_change")
    # pharmacies and hospitals ask the same of the same code by names of their own, tried elsewhere
    assert {name for name in done if "lsyd" not in name and "yljg" not in name} <= CALLED
