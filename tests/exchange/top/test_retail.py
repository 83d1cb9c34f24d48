"""A pharmacy works through the gateway as with the incumbent: receives, sells, asks (R-B6, R-C1, R-C2, R-X10)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
import pytest_asyncio

from circulation.helpers import Goods
from exchange.top.client import TopClient, around_today, rows
from exchange.top.world import World, bill_time, make_world
from yaosu.circulation import delegations
from yaosu.circulation.write import unpack_body

pytestmark = pytest.mark.asyncio(loop_scope="module")

L = "alibaba.alihealth.drugtrace.top.lsyd."
ID_CARD, NAME, PHONE = "11010519491231002X", "欧阳试验", "13800138000"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(client: httpx.AsyncClient) -> AsyncIterator[World]:
    async with make_world(client) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def till(world: World) -> TopClient:
    return await world.client(world.market.pharmacy)


async def shipped(world: World, **more: int) -> Goods:
    """Cases on their way from the wholesaler to the pharmacy."""
    goods = await world.goods(world.market.wholesaler, **more)
    await world.market.ship(world.market.wholesaler, world.market.pharmacy, goods.cases)
    return goods


async def stocked(world: World, **more: int) -> Goods:
    """Cases in the pharmacy's stock."""
    goods = await world.goods(world.market.wholesaler, **more)
    await world.market.pass_on(world.market.wholesaler, world.market.pharmacy, goods.cases)
    return goods


async def receipt(world: World, codes: list[str], **changed: str) -> dict[str, str]:
    """The fields of a purchase receipt (102)."""
    me, seller = await world.alias(world.market.pharmacy), await world.alias(world.market.wholesaler)
    return {
        "bill_code": world.number("RK"), "bill_time": bill_time(), "bill_type": "102", "physic_type": "3",
        "ref_user_id": me.ref_ent_id, "from_user_id": seller.ent_id, "to_user_id": me.ent_id,
        "oper_ic_code": "12345678", "oper_ic_name": "收货员", "trace_codes": ",".join(codes), "client_type": "2",
        **changed,
    }  # fmt: skip


async def sale(world: World, codes: list[str], **changed: str) -> dict[str, str]:
    """The fields of a sale (321)."""
    me = await world.alias(world.market.pharmacy)
    return {
        "bill_code": world.number("LS"), "bill_time": bill_time(timedelta(minutes=2)), "bill_type": "321",
        "ref_user_id": me.ref_ent_id, "trace_codes": ",".join(codes), **changed,
    }  # fmt: skip


async def status_of(world: World, till: TopClient, bill: dict[str, str]) -> list[dict[str, str]]:
    """What the status query says of a bill."""
    begin, end = around_today()
    answer = await till.ok(
        L + "query.billstatus",
        {"ref_ent_id": bill["ref_user_id"], "begin_date": begin, "end_date": end, "bill_type": "A",
         "bill_code": bill["bill_code"], "page": "1", "page_size": "10"},
    )  # fmt: skip
    assert answer["result"]["response_success"] is True
    found: list[dict[str, str]] = rows(answer["result"]["model"]["result_list"])
    assert answer["result"]["model"]["total_num"] == len(found)
    return found


async def test_goods_are_announced_received_and_sold(world: World, till: TopClient) -> None:
    goods = await shipped(world)
    before = await world.market.stock(world.market.pharmacy)
    bill = await receipt(world, goods.cases)
    answer = await till.ok(L + "uploadinoutbill", bill)
    assert answer["response_success"] is True and answer["msg_code"] == "SUCCESS"
    assert "operation_info_map" not in answer
    assert await world.market.stock(world.market.pharmacy) == before + 20
    (state,) = await status_of(world, till, bill)
    assert (state["result_type"], state["sub_process_flag"]) == ("3", "51")
    assert state["store_inout_seq_no"] == answer["model"]
    sold = await till.ok(L + "uploadretail", await sale(world, goods.boxes[:2]))
    assert sold["response_success"] is True
    assert await world.market.status(goods.boxes[0]) == ("S", world.market.pharmacy, None)
    await world.market.conserved()


async def test_codes_that_cannot_move_are_left_out_listed_and_can_be_asked_for(
    world: World, till: TopClient
) -> None:
    goods = await stocked(world)
    box, case = goods.boxes[15], goods.cases[0]
    bill = await sale(world, [goods.boxes[0], goods.boxes[0], "8385", box, case, goods.boxes[3]])
    answer = await till.ok(L + "uploadretail", bill)
    assert answer["response_success"] is True, answer
    errors = json.loads(answer["operation_info_map"]["code_check_error_info"])
    assert errors["1"] == "8385"
    assert goods.boxes[0] in errors["3"]
    assert errors["6"].split(",")[0].endswith(f"{case}(上级)")
    (state,) = await status_of(world, till, bill)
    assert (state["result_type"], state["sub_process_flag"]) == ("3", "52")
    asked = {
        "ref_ent_id": bill["ref_user_id"],
        "bill_code": bill["bill_code"],
        "page": "1",
        "page_size": "50",
    }
    listed = await till.ok(L + "listbillprocesspartsuccess", asked)
    found = rows(listed["model"]["result"])
    assert listed["model"]["total_num"] == len(found) == sum(len(v.split(",")) for v in errors.values())
    assert all(f["process_status_reason_desc"] and f["error_code_desc"] for f in found)
    only = await till.ok(L + "listbillprocesspartsuccess", {**asked, "error_code": "1"})
    assert [f["code"] for f in rows(only["model"]["result"])] == ["8385"]


async def test_whole_or_nothing_where_it_is_asked_for(world: World, till: TopClient) -> None:
    goods = await stocked(world)
    bill = await sale(world, [*goods.boxes[:3], "12345"], ignore_part_success_flag="1")
    before = await world.market.stock(world.market.pharmacy, "S")
    answer = await till.ok(L + "uploadretail", bill)
    assert (answer["response_success"], answer["msg_code"]) == (False, "BILL_DECODE_ERROR")
    assert "12345" in answer["msg_info"]
    assert await world.market.stock(world.market.pharmacy, "S") == before
    (state,) = await status_of(world, till, bill)
    assert state["result_type"] == "4" and "12345" in state["process_info"]
    good = await till.ok(L + "uploadretail", {**bill, "trace_codes": ",".join(goods.boxes[:3])})
    assert good["response_success"] is True, "a bill of which nothing moved does not use its number up"
    (state,) = await status_of(world, till, bill)
    assert (state["result_type"], state["sub_process_flag"]) == ("3", "51")


async def test_an_upload_of_which_nothing_moved_says_why_and_is_remembered(
    world: World, till: TopClient
) -> None:
    elsewhere = await world.goods(world.market.wholesaler)
    bill = await sale(world, elsewhere.boxes[:2])
    answer = await till.ok(L + "uploadretail", bill)
    assert answer["response_success"] is False
    assert answer["msg_code"] == "FAIL_BIZ_NOT_CURRENT_OPERATE_CODE"
    listed = await till.ok(
        L + "listbillprocesspartsuccess",
        {"ref_ent_id": bill["ref_user_id"], "bill_code": bill["bill_code"], "page": "1", "page_size": "10"},
    )
    assert {f["code"] for f in rows(listed["model"]["result"])} == set(elsewhere.boxes[:2])


async def test_a_box_sold_before_is_a_repeated_flow(world: World, till: TopClient) -> None:
    goods = await stocked(world)
    await till.ok(L + "uploadretail", await sale(world, goods.boxes[:1]))
    answer = await till.ok(L + "uploadretail", await sale(world, goods.boxes[:1]))
    assert answer["msg_code"] == "FAIL_BIZ_BILL_DUPLICATE_UPLOAD_BILLCODE_REPEAT_CODE"
    assert json.loads(answer["operation_info_map"]["code_check_error_info"]) == {"7": goods.boxes[0]}


async def test_a_number_in_use_takes_no_other_content(world: World, till: TopClient) -> None:
    goods = await stocked(world)
    bill = await sale(world, goods.boxes[:1])
    await till.ok(L + "uploadretail", bill)
    other = await till.ok(L + "uploadretail", {**bill, "trace_codes": goods.boxes[1]})
    assert (other["response_success"], other["msg_code"]) == (False, "BILL_FILE_NAME_DUPLICATE_UPLOAD")
    # clients in service look for these words
    assert other["msg_info"].startswith("该单据号已存在") and "：已登记" in other["msg_info"]
    (state,) = await status_of(world, till, bill)
    assert state["result_type"] == "3", "the refused repeat changes nothing of the bill"


@pytest.mark.parametrize("side", ["from_user_id", "to_user_id", "ref_user_id"])
async def test_a_wrong_side_posts_to_nobody(world: World, till: TopClient, side: str) -> None:
    goods = await shipped(world, cases=1)
    stranger = await world.alias(world.market.hospital)
    before = {org: await world.market.stock(org) for org in (world.market.pharmacy, world.market.hospital)}
    bill = await receipt(world, goods.cases, **{side: stranger.ref_ent_id})
    answer = await till.call(L + "uploadinoutbill", bill)
    if side == "ref_user_id":
        assert answer["error_response"]["sub_code"] == "isv.ent-no-auth"
    elif side == "to_user_id":
        assert answer["response_success"] is False
    else:
        # they are in hand and did not come from there: recorded, kept apart in quarantine, listed (R-B4)
        assert goods.cases[0] in answer["operation_info_map"]["code_check_error_info"]
    assert {org: await world.market.stock(org) for org in before} == before
    unknown = await till.call(L + "uploadinoutbill", {**bill, side: "9" * 18})
    assert unknown["error_response"]["code"] == 15


async def test_ids_of_either_form_in_any_field_name_the_same_parties(world: World, till: TopClient) -> None:
    goods = await shipped(world, cases=1)
    me, seller = await world.alias(world.market.pharmacy), await world.alias(world.market.wholesaler)
    swapped = {"ref_user_id": me.ent_id, "from_user_id": seller.ref_ent_id, "to_user_id": me.ref_ent_id}
    answer = await till.ok(L + "uploadinoutbill", await receipt(world, goods.cases, **swapped))
    assert answer["response_success"] is True
    async with world.app.pool.acquire() as conn:
        row = await conn.fetchrow("SELECT owner, from_org FROM bill WHERE id = $1", int(answer["model"]))
    assert tuple(row) == (world.market.pharmacy, world.market.wholesaler)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"bill_type": "102"}, "FAIL_BIZ_PARAM_BILL_TYPE_ERROR"),
        ({"bill_type": "999"}, "FAIL_BIZ_PARAM_BILL_TYPE_ERROR"),
        ({"bill_type": "323"}, "FAIL_BIZ_PARAM_BILL_TYPE_ERROR"),
        ({"bill_time": "2007-01-01 00:00:00"}, "FAIL_BIZ_PARAM_BILL_TIME_BEFORE_ERROR"),
        ({"bill_time": "2099-01-01 00:00:00"}, "FAIL_BIZ_PARAM_BILL_TIME_AFTER_ERROR"),
        ({"trace_codes": ",,,"}, "FAIL_BIZ_PARAM_CODE_COUNT_ERROR"),
    ],
)
async def test_what_is_wrong_with_a_head_has_a_code_and_words(
    world: World, till: TopClient, changed: dict[str, str], code: str
) -> None:
    answer = await till.ok(L + "uploadretail", {**await sale(world, ["1"]), **changed})
    assert (answer["response_success"], answer["msg_code"]) == (False, code)
    assert answer["msg_info"]


async def test_more_codes_than_the_incumbent_took_are_taken(world: World, till: TopClient) -> None:
    codes = [f"8385793{n:013d}" for n in range(10_050)]
    answer = await till.ok(L + "uploadretail", await sale(world, codes))
    assert answer["msg_code"] == "FAIL_BIZ_CODE_NOT_ACTIVE"
    assert len(json.loads(answer["operation_info_map"]["code_check_error_info"])["5"].split(",")) == 10_050


# -- persons ------------------------------------------------------------------------------------------


async def everything_stored(world: World, bill_id: int) -> bytes:
    """All that the database holds of a bill in the open: header, notes, and the submission's body."""
    async with world.app.pool.acquire() as conn:
        row = await conn.fetchrow(
            "SELECT b.header::text, b.part, s.body FROM bill b JOIN submission s ON s.id = b.submission_id "
            "WHERE b.id = $1",
            bill_id,
        )
        audit = await conn.fetch("SELECT details::text FROM audit")
    kept: bytes = (row["header"] or "").encode() + unpack_body(row["body"], row["part"])
    return kept + "".join(r[0] for r in audit).encode()


async def test_a_buyer_is_registered_encrypted_and_stands_nowhere_in_the_open(
    world: World, till: TopClient
) -> None:
    goods = await stocked(world)
    person = {"customer_id_type": "1", "customer_id": ID_CARD, "user_name": NAME, "user_tel": PHONE}
    bill = await sale(world, goods.boxes[:1], **person)
    answer = await till.ok(L + "uploadretail", bill)
    assert answer["response_success"] is True
    stored = await everything_stored(world, int(answer["model"]))
    for secret in (ID_CARD, NAME, PHONE):
        assert secret.encode() not in stored
    assert b"enc:v1:" in stored, "the submission as received is kept, sealed"
    again = await till.ok(L + "uploadretail", bill)
    assert (again["model"], again["msg_info"]) == (answer["model"], "单据重复")


async def test_a_name_without_a_document_is_not_kept(world: World, till: TopClient) -> None:
    goods = await stocked(world)
    bill = await sale(world, goods.boxes[:1], user_name=NAME, user_tel=PHONE, user_agent="代办试验")
    answer = await till.ok(L + "uploadretail", bill)
    assert answer["response_success"] is True
    stored = await everything_stored(world, int(answer["model"]))
    for secret in (NAME, PHONE, "代办试验"):
        assert secret.encode() not in stored
    assert b"user_name=%2A%2A%2A" in stored


@pytest.mark.parametrize("number", ["110105194912310021", "1", "not a number"])
async def test_a_document_that_cannot_be_right_is_refused_without_repeating_it(
    world: World, till: TopClient, number: str
) -> None:
    goods = await stocked(world)
    person = {"customer_id_type": "1", "customer_id": number, "user_name": NAME}
    answer = await till.ok(L + "uploadretail", await sale(world, goods.boxes[:1], **person))
    assert answer["response_success"] is False
    assert number not in json.dumps(answer, ensure_ascii=False) or len(number) < 3


async def test_an_identity_card_read_as_a_code_is_kept_nowhere(world: World, till: TopClient) -> None:
    goods = await stocked(world)
    answer = await till.ok(L + "uploadretail", await sale(world, [goods.boxes[0], ID_CARD]))
    assert (
        answer["response_success"] is True and "***" in answer["operation_info_map"]["code_check_error_info"]
    )
    assert ID_CARD.encode() not in await everything_stored(world, int(answer["model"]))
    async with world.app.pool.acquire() as conn:
        notes = await conn.fetch("SELECT code, raw FROM bill_note WHERE bill_id = $1", int(answer["model"]))
    assert [(n["code"], n["raw"]) for n in notes] == [("", "***")]
    alone = await till.ok(L + "uploadretail", await sale(world, [ID_CARD]))
    assert alone["response_success"] is False and ID_CARD not in str(alone)
    async with world.app.pool.acquire() as conn:
        kept = await conn.fetch("SELECT reason, codes::text AS codes FROM top_refusal")
    assert not any(ID_CARD in row["reason"] + row["codes"] for row in kept)


async def test_goods_come_back_from_a_customer(world: World, till: TopClient) -> None:
    goods = await stocked(world)
    await till.ok(L + "uploadretail", await sale(world, goods.boxes[:1]))
    back = await sale(world, goods.boxes[:1], bill_type="116", bill_time=bill_time(timedelta(seconds=20)))
    answer = await till.ok(L + "uploadretail", back)
    assert answer["response_success"] is True, answer
    assert (await world.market.status(goods.boxes[0]))[0] == "Q"


# -- in others' names ---------------------------------------------------------------------------------


async def test_headquarters_upload_for_a_store(world: World, till: TopClient) -> None:
    store = world.market.store
    goods = await world.goods(world.market.wholesaler)
    await world.market.pass_on(world.market.wholesaler, store, goods.cases)
    alias = await world.alias(store)
    answer = await till.ok(
        L + "uploadretail", await sale(world, goods.boxes[:1], ref_user_id=alias.ref_ent_id)
    )
    assert answer["response_success"] is True
    assert await world.market.status(goods.boxes[0]) == ("S", store, None)


async def test_an_agent_uploads_for_its_principal_as_far_as_the_delegation_goes(world: World) -> None:
    market = world.market
    goods = await stocked(world)
    agent = await world.client(market.other)
    me = await world.alias(market.pharmacy)
    bill = await sale(world, goods.boxes[:1])
    assert (await agent.error(L + "uploadretail", bill))["sub_code"] == "isv.ent-no-auth"
    async with world.app.pool.acquire() as conn, conn.transaction():
        registry, scope = world.app.parts["registry"], delegations.Scope(kinds=("in",))
        made = await delegations.offer(
            conn, registry, market.subject(market.pharmacy), market.pharmacy, market.other, scope
        )
        await delegations.answer(conn, registry, market.subject(market.other), made, accept=True)
    beyond = await agent.ok(L + "uploadretail", bill)
    assert (beyond["response_success"], beyond["msg_code"]) == (False, "FAIL_BIZ_CODE_NO_AUTH")
    arriving = await shipped(world, cases=1)
    within = await agent.ok(L + "uploadinoutbill", await receipt(world, arriving.cases))
    assert within["response_success"] is True, within
    async with world.app.pool.acquire() as conn:
        row = await conn.fetchrow("SELECT owner, submitter FROM bill WHERE id = $1", int(within["model"]))
    assert tuple(row) == (market.pharmacy, market.other)
    assert me.ref_ent_id == bill["ref_user_id"]
