"""A hospital through the gateway: receives, uses, sends back, destroys, and asks (R-C1, R-D1, R-X10, D10)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
import pytest_asyncio

from circulation.helpers import Goods
from exchange.top.client import TopClient, around_today, rows
from exchange.top.world import World, bill_time, make_world
from yaosu.circulation.write import unpack_body

pytestmark = pytest.mark.asyncio(loop_scope="module")

Y = "alibaba.alihealth.drugtrace.top.yljg."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(client: httpx.AsyncClient) -> AsyncIterator[World]:
    async with make_world(client) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def his(world: World) -> TopClient:
    return await world.client(world.market.hospital)


async def shipped(world: World) -> tuple[Goods, str]:
    """Two cases on their way to the hospital, and the seller's number."""
    goods = await world.goods(world.market.wholesaler)
    number = world.number("XS")
    await world.market.ship(world.market.wholesaler, world.market.hospital, goods.cases, bill_no=number)
    return goods, number


async def moved(
    world: World, his: TopClient, type: int, codes: list[str], **changed: str
) -> dict[str, object]:
    """An inbound or outbound bill of the hospital with the wholesaler."""
    me, firm = await world.alias(world.market.hospital), await world.alias(world.market.wholesaler)
    sender, receiver = (firm, me) if type < 200 else (me, firm if type == 202 else me)
    bill = {
        "bill_code": world.number("H"), "bill_time": bill_time(timedelta(minutes=3)), "bill_type": str(type),
        "physic_type": "3", "ref_user_id": me.ref_ent_id, "from_user_id": sender.ent_id,
        "to_user_id": receiver.ent_id, "trace_codes": ",".join(codes), "client_type": "2", **changed,
    }  # fmt: skip
    return await his.ok(Y + "uploadinoutbill", bill)


async def stocked(world: World, his: TopClient) -> Goods:
    goods, _ = await shipped(world)
    answer = await moved(world, his, 102, goods.cases)
    assert answer["response_success"] is True, answer
    return goods


async def test_goods_are_used_on_a_patient_known_by_the_hospitals_own_number(
    world: World, his: TopClient
) -> None:
    goods = await stocked(world, his)
    me = await world.alias(world.market.hospital)
    use = {"bill_code": world.number("SY"), "bill_time": bill_time(timedelta(minutes=1)), "bill_type": "323",
           "ref_user_id": me.ref_ent_id, "trace_codes": goods.boxes[0], "user_name": "ZY0012345",
           "medic_doctor": "李医师", "medic_dispenser": "王药师", "network_bill_flag": "0"}  # fmt: skip
    answer = await his.ok(Y + "uploadretail", use)
    assert answer["response_success"] is True, answer
    async with world.app.pool.acquire() as conn:
        header = await conn.fetchval("SELECT header FROM bill WHERE id = $1", int(answer["model"]))
    assert header["doctor"] == "李医师" and "ZY0012345" not in str(header)
    assert (await world.market.status(goods.boxes[0]))[0] == "S"
    no = await his.ok(Y + "uploadretail", {**use, "bill_code": world.number(), "bill_type": "322",
                                           "trace_codes": goods.boxes[1]})  # fmt: skip
    assert no["response_success"] is False, "a vaccination takes vaccines"


async def test_a_hospitals_older_client_writes_321_for_what_is_323_now(world: World, his: TopClient) -> None:
    goods = await stocked(world, his)
    me = await world.alias(world.market.hospital)
    use = {"bill_code": world.number("SY"), "bill_time": bill_time(timedelta(minutes=1)), "bill_type": "321",
           "ref_user_id": me.ref_ent_id, "trace_codes": goods.boxes[0]}  # fmt: skip
    answer = await his.ok(Y + "uploadretail", use)
    assert answer["response_success"] is True, answer
    begin, end = around_today()
    asked = {"ref_ent_id": me.ref_ent_id, "begin_date": begin, "end_date": end, "bill_type": "321",
             "bill_code": use["bill_code"], "page": "1", "page_size": "20"}  # fmt: skip
    found = rows((await his.ok(Y + "query.billstatus", asked))["result"]["model"]["result_list"])
    assert [(r["bill_code"], r["bill_type"]) for r in found] == [(use["bill_code"], "323")]


async def test_goods_go_back_and_are_destroyed_with_the_gap_in_the_papers_visible(
    world: World, his: TopClient
) -> None:
    goods = await stocked(world, his)
    back = await moved(world, his, 202, goods.boxes[:2], return_reason_code="5", return_reason_des="近效期")
    assert back["response_success"] is True, back
    assert (await world.market.status(goods.boxes[0]))[0] == "O"
    gone = await moved(world, his, 205, goods.boxes[2:3])
    assert gone["response_success"] is True, gone
    async with world.app.pool.acquire() as conn:
        header = await conn.fetchval("SELECT header FROM bill WHERE id = $1", int(str(gone["model"])))
    assert header["reason"] == "4"
    assert header["executer_name"] == header["superviser_name"] == "未提供"
    named = await moved(
        world,
        his,
        205,
        goods.boxes[3:4],
        cancel_reason_code="2",
        executer_name="甲员",
        superviser_name="乙员",
        executer_code="11010519491231002X",
        superviser_code="A1234567",
    )
    assert named["response_success"] is True, named
    async with world.app.pool.acquire() as conn:
        row = await conn.fetchrow(
            "SELECT b.header, b.part, s.body FROM bill b JOIN submission s ON s.id = b.submission_id "
            "WHERE b.id = $1",
            int(str(named["model"])),
        )
    header = row["header"]
    assert b"11010519491231002X" not in unpack_body(row["body"], row["part"]) + str(header).encode()
    assert header["executer_code"].endswith("002X"), "masked, so that it can still be compared"
    assert (header["reason"], header["executer_name"], header["superviser_name"]) == ("2", "甲员", "乙员")


async def test_what_is_on_its_way_can_be_read_before_it_is_received(world: World, his: TopClient) -> None:
    goods, number = await shipped(world)
    me, firm = await world.alias(world.market.hospital), await world.alias(world.market.wholesaler)
    begin, end = around_today()
    asked = {"ref_ent_id": me.ref_ent_id, "begin_date": begin, "end_date": end, "bill_code": number,
             "page": "1", "page_size": "10"}  # fmt: skip
    listed = (await his.ok(Y + "listupout", asked))["result"]["model"]
    (row,) = rows(listed["result_list"])
    assert (row["bill_code"], row["status"], row["code_count"]) == (number, "1", 20)
    assert (row["from_ref_user_id"], row["to_user_id"]) == (firm.ref_ent_id, me.ent_id)
    assert row["produce_batch_no"] == goods.batch_no
    detail = await his.ok(
        Y + "listupout.detail",
        {"ref_ent_id": me.ref_ent_id, "bill_code": number, "from_ref_user_id": firm.ref_ent_id,
         "to_ref_user_id": me.ref_ent_id},
    )  # fmt: skip
    (line,) = rows(detail["result"]["model"]["drug_infos_dto_list"])
    codes = {c["code"]: c for c in rows(line["code_info_list_dto_list"])}
    assert set(codes) == set(goods.cases)
    assert {c["code_level"] for c in codes.values()} == {"2"}, "1 is the smallest package here (§2.5)"
    relation = await his.ok(
        Y + "query.relation",
        {"ref_ent_id": me.ref_ent_id, "des_ref_ent_id": me.ref_ent_id, "code": ",".join(goods.cases)},
    )
    trees = rows(relation["result"]["model_list"])
    inside = {c["code"] for t in trees for c in rows(t["code_relation_list"])}
    assert inside == {*goods.cases, *goods.boxes}
    (case, *_), box = goods.cases, goods.boxes[0]
    levels = {
        c["code"]: (c["code_level"], c["code_pack_level"])
        for t in trees
        for c in rows(t["code_relation_list"])
    }
    assert (levels[case], levels[box]) == (("2", "2"), ("3", "1")), (
        "display counts from the largest of three levels"
    )
    up = await his.ok(Y + "query.upbillcode", {"ref_ent_id": me.ref_ent_id, "code": box})
    (bill,) = rows(up["result"]["model_list"])
    assert (bill["bill_code"], bill["from_user_id"]) == (number, firm.ent_id)
    await moved(world, his, 102, goods.cases)
    (row,) = rows((await his.ok(Y + "listupout", asked))["result"]["model"]["result_list"])
    assert row["status"] == "2"


async def test_principals_of_upstream_filter_and_a_sender_must_be_named(world: World, his: TopClient) -> None:
    _, number = await shipped(world)
    me, firm = await world.alias(world.market.hospital), await world.alias(world.market.wholesaler)
    begin, end = around_today()
    asked = {"ref_ent_id": me.ref_ent_id, "begin_date": begin, "end_date": end, "ass_en_id": firm.ent_id,
             "page": "1", "page_size": "10"}  # fmt: skip
    assert (await his.ok(Y + "listupout", asked))["result"]["model"]["total_num"] == 0
    error = await his.error(
        Y + "listupout.detail",
        {"ref_ent_id": me.ref_ent_id, "bill_code": number, "to_ref_user_id": me.ref_ent_id},
    )
    assert error["code"] == 40


async def test_a_code_tells_its_product_to_all_and_its_holder_to_whom_it_concerns(
    world: World, his: TopClient
) -> None:
    mine, theirs = await stocked(world, his), await world.goods(world.market.wholesaler)
    me = await world.alias(world.market.hospital)
    asked = {"ref_ent_id": me.ref_ent_id, "codes": f"{mine.boxes[0]},{theirs.boxes[0]},12345"}
    answer = await his.ok(Y + "query.codedetail", asked)
    own, other, none = rows(answer["result"]["models"])
    assert own["code_status_type_d_t_o"]["code_status"] == "I"
    assert own["package_level"] == "1"
    (batch,) = rows(own["code_produce_info_d_t_o"]["produce_info_list"])
    assert batch["batch_no"] == mine.batch_no
    maker = await world.alias(world.market.maker)
    assert other["p_user_ent_d_t_o"]["ref_ent_id"] == maker.ref_ent_id, "the maker is printed on the box"
    holder = await world.alias(world.market.wholesaler)
    assert holder.ref_ent_id not in str(other) and holder.ent_id not in str(other)
    assert none["code_status_type_d_t_o"]["code_status"] == "E"
    refused = await his.ok(
        Y + "query.relation",
        {"ref_ent_id": me.ref_ent_id, "des_ref_ent_id": me.ref_ent_id, "code": theirs.cases[0]},
    )
    assert refused["result"]["response_success"] is False
    assert refused["result"]["msg_code"] == "FAIL_BIZ_NOT_CURRENT_OPERATE_CODE"
    stranger = await world.client(world.market.other)
    alias = await world.alias(world.market.other)
    blank = await stranger.ok(
        Y + "query.upbilldetail", {"ref_ent_id": alias.ref_ent_id, "bill_code": "H00001"}
    )
    assert blank["result"]["response_success"] is False


async def test_drugs_are_found_by_name_with_their_codes_by_level(world: World, his: TopClient) -> None:
    me = await world.alias(world.market.hospital)
    product = world.market.registry.product(world.market.drug_id)
    assert product is not None
    asked = {
        "ref_ent_id": me.ref_ent_id,
        "physic_name": product.generic_name[:2],
        "page": "1",
        "page_size": "10",
    }
    listed = (await his.ok(Y + "getdruglist", asked))["result"]["model"]
    (row,) = rows(listed["result_list"])
    assert (row["physic_name"], row["drug_ent_base_info_id"]) == (product.generic_name, str(product.id))
    table = (await his.ok(Y + "drugtable", asked))["result"]["model"]
    (sub,) = rows(rows(table["result_list"])[0]["sub_type_list"])
    prefixes = {p["code_level"]: p["code_prefix"] for p in rows(sub["code_res_list"])}
    assert prefixes == {str(lv.level): lv.identifier for lv in product.levels}
    none = (await his.ok(Y + "drugtable", {**asked, "approval_licence_no": "国药准字X"}))["result"]["model"]
    assert none["total_num"] == 0


async def test_the_list_of_key_drugs_comes_by_a_link_that_ends(world: World, his: TopClient) -> None:
    me = await world.alias(world.market.hospital)
    answer = await his.ok(Y + "getkeyflagdruginfo.downloadurl", {"ref_ent_id": me.ref_ent_id})
    path = answer["result"]["model"]["url"].removeprefix("http://test")
    fetched = await world.http.get(path)
    assert fetched.status_code == 200
    assert fetched.content.startswith("\ufeff药品标识码,".encode())
    until, _, seal = path.rsplit("/", 1)[1].partition("-")
    for forged in (f"{int(until) + 1}-{seal}", f"{int(until) - 9999}-{seal}", "x", "1-1"):
        refused = await world.http.get(f"/top/key-drugs/{forged.removesuffix('.csv')}.csv")
        assert refused.status_code == 404
