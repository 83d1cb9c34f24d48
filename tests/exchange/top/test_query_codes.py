"""What the gateway says of codes: product, batch, status, content, way, warnings, settlement (R-B2, R-B10, R-C6)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from exchange.top.reading import CALLED, Caller, of_modules
from exchange.top.world import World, make_world
from registry.helpers import make_product
from yaosu.db.engine import Pool

pytestmark = pytest.mark.asyncio(loop_scope="module")
MADE_UP = "83857930000000000001"
FOREIGN = "99999990000000000001"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(client: httpx.AsyncClient, pool: Pool) -> AsyncIterator[World]:
    async with make_world(client) as made:
        await make_product(
            made.market.conn, made.market.maker, levels=(("盒", 1, "8385001"), ("箱", 10, "8385002")),
            generic_name="条码测试片", links=[("retail_barcode", "6901234567892")],
        )  # fmt: skip
        await made.app.parts["registry"].refresh(made.market.conn)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def us(world: World) -> Caller:
    return Caller(await world.client(world.market.wholesaler))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ref(world: World) -> str:
    return (await world.alias(world.market.wholesaler)).ref_ent_id


LISTS = ["drug.code.kyt.querycode", "drug.code.kyt.yd.querycode", "drug.code.kyt.yy.querycode",
         "drug.code.kyt.dr.querycode", "drug.code.kyt.va.querycode", "drug.code.kyt.specia.vaccin.querycode",
         "drug.code.kyt.wes.querycode",
           "drug.code.kyt.hospitalsenddrugmachine", "drug.code.kyt.smyx.querycode"]  # fmt: skip


@pytest.mark.parametrize("method", LISTS)
async def test_codes_have_product_batch_and_status(world: World, us: Caller, ref: str, method: str) -> None:
    m = world.market
    goods = await world.goods(m.wholesaler)
    await m.pass_on(m.wholesaler, m.pharmacy, [goods.boxes_of(1)[0]])
    await m.move(321, m.pharmacy, [goods.boxes_of(1)[0]])
    codes = [goods.cases[0], goods.boxes_of(1)[0], MADE_UP]
    answer = await us.result(method, ref_ent_id=ref, license_token="t", codes=",".join(codes))
    rows = {r["code"]: r for r in answer["models"]}
    assert list(rows) == codes
    case, sold, none = (rows[c] for c in codes)
    # package_level counts from the smallest: the case is the second of three (§2.5)
    assert (str(case["package_level"]), str(sold["package_level"])) == ("2", "1")
    assert case["code_status_type_d_t_o"]["code_status"] == "I"
    assert sold["code_status_type_d_t_o"]["code_status"] == "O"
    assert none["code_status_type_d_t_o"]["code_status"] == ("B" if ".wes." in method else "E")
    batch = case["code_produce_info_d_t_o"]["produce_info_list"][0]
    assert (batch["batch_no"], batch["expire_date"], batch["pkg_amount"]) == (
        goods.batch_no,
        "20591231",
        "10",
    )
    drug = case["drug_ent_base_d_t_o"]
    assert drug["physic_name"] == "复方测试胶囊" and drug["drug_ent_base_info_id"] == str(m.drug_id)
    assert case["p_user_ent_d_t_o"]["ref_ent_id"] == (await world.alias(m.maker)).ref_ent_id


async def test_dispensing_machines_get_only_codes_that_begin_with_8(
    world: World, us: Caller, ref: str
) -> None:
    goods = await world.goods(world.market.wholesaler)
    answer = await us.result(
        "drug.code.kyt.hospitalsenddrugmachine", ref_ent_id=ref, codes=f"{FOREIGN},ABC,{goods.boxes[0]}"
    )
    assert [r["code"] for r in answer["models"]] == [goods.boxes[0]]
    none = await us.refused("drug.code.kyt.hospitalsenddrugmachine", ref_ent_id=ref, codes=FOREIGN)
    assert none["msg_code"] == "FAIL_BIZ_CODE_FORMAT_ERROR"


INSURANCE = [
    "drug.code.list.code.medical.insurance",
    "drug.code.list.code.supervise",
    "drug.code.list.code.gov",
    "drug.code.list.code.alkali",
    "drug.code.kyt.yq.querycode",
    "drug.code.common.list.codeinfo",
]


@pytest.mark.parametrize("method", INSURANCE)
async def test_bureaus_look_codes_up_and_see_nothing_of_others(
    world: World, us: Caller, ref: str, method: str
) -> None:
    m = world.market
    goods = await world.goods(m.other)
    asked = {
        "code_list": f"{goods.boxes[0]},{FOREIGN}",
        "cert_isv_no": "1",
        "invocation": "formal",
        "terminal_type": "1005100",
        "terminal_name": "药房",
        "bureau_id": "370100",
        "terminal_ent_id": ref,
        "bureau_name": "济南",
        "ref_ent_id": ref,
        "auth_ref_ent_id": ref,
        "search_source": "1",
    }
    answer = await us.result(method, **asked)
    first = answer["models"][0]
    assert first["code"] == goods.boxes[0]
    state = first.get("code_status_type_d_t_o", {})
    assert (
        state.get("code_status", "I") == "I" and "parent_code" not in state
    )  # the holder is nobody's business
    if method != "drug.code.kyt.yq.querycode":
        error = await us.error(method, **(asked | {"invocation": "else"}))
        assert error["code"] == 41


async def test_a_carrier_and_its_principal_look_codes_up(world: World, us: Caller, ref: str) -> None:
    goods = await world.goods(world.market.wholesaler)
    answer = await us.result("drug.kyt.querydruginfo", code_list=goods.boxes[0], wuliu_ref_ent_id=ref)
    assert [r["code"] for r in answer["model"]["info_list"]] == [goods.boxes[0]]


async def test_one_code_with_what_is_in_it(world: World, us: Caller, ref: str) -> None:
    m = world.market
    goods = await world.goods(m.wholesaler)
    found = await us.result("drug.kyt.getcodebaseinfo", ref_ent_id=ref, code=goods.cases[0])
    state = found["code_status_type_d_t_o"]
    assert {c["code"] for c in state["child_codes"]} == set(goods.boxes_of(0))
    assert {str(c["pkg_level"]) for c in state["child_codes"]} == {"1"} and str(found["package_level"]) == "2"
    box = await us.result("drug.kyt.getcodebaseinfo", ref_ent_id=ref, code=goods.boxes[0])
    assert box["code_status_type_d_t_o"]["parent_code"] == goods.cases[0]
    alien = await us.refused("drug.kyt.getcodebaseinfo", ref_ent_id=ref, code=FOREIGN)
    assert alien["msg_code"] == "FAIL_BIZ_CODE_NOT_EXIST"


async def test_the_public_side_of_a_code(world: World, us: Caller, ref: str) -> None:
    goods = await world.goods(world.market.wholesaler)
    found = await us("code.getcodeinfo", ref_ent_id=ref, code=goods.boxes[0])
    assert found["msg_code"] == "1000" and found["model"]["production_batch"] == goods.batch_no
    assert found["model"]["authorizer_ent_info"]["org_code"] and found["model"]["code_status"] == "I"
    for code, said in (("12", "FORMAT_ERROR"), (FOREIGN, "NOT_EXIST"), (MADE_UP, "NOT_ACTIVE")):
        none = await us("code.getcodeinfo", ref_ent_id=ref, code=code)
        assert none["msg_code"] == f"FAIL_BIZ_CODE_{said}" and "model" not in none


@pytest.mark.parametrize("method", ["drug.kyt.querycodeactive", "drug.kyt.wes.querycodeactive"])
async def test_codes_that_are_not_active_come_back(world: World, us: Caller, ref: str, method: str) -> None:
    goods = await world.goods(world.market.wholesaler)
    answer = await us(method, ref_ent_id=ref, license_token="t", codes=f"{goods.boxes[0]},{MADE_UP},x")
    assert answer["response_success"] is True and answer["models"] == [MADE_UP, "x"]


RELATIONS = [
    "drug.kyt.singlerelation",
    "drug.kyt.scqy.singlerelation",
    "drug.kyt.dr.singlerelation",
    "drug.code.kyt.wes.querycoderelation",
    "drug.kyt.yy.querysubcodes",
    "drug.kyt.yb.getcoderelation",
]


@pytest.mark.parametrize("method", RELATIONS)
async def test_what_is_in_a_package_on_both_scales_of_level(
    world: World, us: Caller, ref: str, method: str
) -> None:
    m = world.market
    goods = await world.goods(m.wholesaler)
    asked = {"ref_ent_id": ref, "des_ref_ent_id": ref, "license_token": "t", "code": goods.cases[0],
             "codes": goods.cases[0], "bureau_name": "济南", "terminal_name": "x", "terminal_type": "1005100",
             "invocation": "formal"}  # fmt: skip
    (one,) = await relations(us, method, asked)
    nodes = {n["code"]: n for n in one["code_relation_list"]}
    assert nodes.keys() == {goods.cases[0], *goods.boxes_of(0)}
    case, box = nodes[goods.cases[0]], nodes[goods.boxes[0]]
    # 展示等级 counts from the largest of the ladder, 包装等级 from the smallest (§2.5)
    assert (case["code_level"], case["code_pack_level"]) == ("2", "2")
    assert (box["code_level"], box["code_pack_level"]) == ("3", "1")
    assert box["parent_code"] == goods.cases[0]
    if "box_amount" in one:
        assert (str(one["box_amount"]), str(one["box_status"])) == ("10", "0")
    # goods on their way to us are ours to ask about, without inventing a receipt; other people's are not
    coming = await world.goods(m.maker)
    await m.ship(m.maker, m.wholesaler, coming.cases)
    (one,) = await relations(us, method, asked | {"code": coming.cases[0], "codes": coming.cases[0]})
    assert len(one["code_relation_list"]) == 11
    alien = await world.goods(m.other)
    refused = await us.refused(method, **(asked | {"code": alien.cases[0], "codes": alien.cases[0]}))
    assert refused["msg_code"] == "FAIL_BIZ_NOT_CURRENT_OPERATE_CODE"


async def relations(us: Caller, method: str, asked: dict[str, str]) -> list[dict[str, object]]:
    found = (await us.result(method, **asked))["model_list"]
    rows: list[dict[str, object]] = found[0].get("code_relation_dto_list", found)
    return rows


async def test_small_questions_about_a_code(world: World, us: Caller, ref: str) -> None:
    m = world.market
    goods = await world.goods(m.wholesaler)
    assert (await us("drugcheckcode.checklastfour", code=goods.boxes[0]))["model"] is True
    assert (await us("drugcheckcode.checklastfour", code=MADE_UP))["model"] is False
    barcode = "8385001" + "0" * 13
    assert (await us("drug.getbarcode.bytraccode", trace_code=barcode))["result"]["model"] == "6901234567892"
    none = (await us("drug.getbarcode.bytraccode", trace_code=goods.boxes[0]))["result"]
    assert none["msg_code"] == "FAIL_BIZ_NO_PAT_INFO"
    scan = (
        await us("drug.scan.querycode", code=goods.boxes[0], scan_time="2026-01-01 00:00:00", webchat_id="1")
    )["result"]
    assert scan["model"]["expiry_date"] == "2059-12-31"
    (node,) = (await us("drugcode.nodename.get", ref_ent_id=ref, code=goods.boxes[0]))["model"]
    assert node["name"] == world.app.parts["registry"].org(m.wholesaler).name
    alien = await world.goods(m.other)
    hidden = await us("drugcode.nodename.get", ref_ent_id=ref, code=alien.boxes[0])
    assert hidden["msg_code"] == "FAIL_BIZ_CODE_NO_AUTH"


# -- where it has been --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", ["drug.kyt.query.upbillcode", "drug.kyt.wes.query.upbillcode", "drug.kyt.dr.queryupbillcode"]
)
async def test_a_box_leads_to_the_shipment_of_its_case(
    world: World, us: Caller, ref: str, method: str
) -> None:
    m = world.market
    goods = await world.goods(m.maker)
    number = world.number("UC")
    await m.ship(m.maker, m.wholesaler, goods.cases, bill_no=number)
    answer = await us.result(method, ref_ent_id=ref, license_token="t", code=goods.boxes[3])
    (row,) = answer["model_list"]
    assert (row["bill_code"], row["bill_type"], row["to_ref_user_id"]) == (number, "201", ref)
    assert row["from_user_name"] and row["from_user_id"] == (await world.alias(m.maker)).ent_id
    alien = await world.goods(m.other)
    none = await us.refused(method, ref_ent_id=ref, license_token="t", code=alien.boxes[0])
    assert (none["msg_code"], none["model_list"]) == ("FAIL_BIZ_NO_PAT_INFO", [])
    never = await us.refused(method, ref_ent_id=ref, license_token="t", code="83857939999999999999")
    assert never["model_list"] == [], "its length is what clients look at first"


async def test_our_bills_of_a_code(world: World, us: Caller, ref: str) -> None:
    m = world.market
    goods = await world.goods(m.wholesaler)
    number = world.number("OB")
    await m.ship(m.wholesaler, m.hospital, [goods.cases[0]], bill_no=number)
    rows = (
        await us.result(
            "drug.code.kyt.wes.querycodebillinfo", ref_ent_id=ref, license_token="t", code=goods.boxes[0]
        )
    )["model_list"]
    assert [r["bill_type"] for r in rows] == ["201", "102"] and rows[0]["bill_code"] == number
    found = (await us.result("drug.kyt.codetobill", ref_ent_id=ref, code=goods.boxes[0]))["model"]
    assert [b["bill_type"] for b in found["bill_identity_list"]] == ["201", "102"]
    whole = (await us.result("drug.kyt.getcodebillinfo", ref_ent_id=ref, code=goods.boxes[0]))["model"]
    assert str(whole["package_level"]) == "1"
    assert whole["bill_in_out_d_t_o_s"][0]["bill_code"] == number


async def test_the_way_of_a_code_is_blank_where_nobody_granted_it(world: World, ref: str) -> None:
    m = world.market
    goods = await world.goods(m.wholesaler)
    await m.pass_on(m.wholesaler, m.hospital, [goods.cases[0]])
    maker = Caller(await world.client(m.maker))
    own = (await world.alias(m.maker)).ref_ent_id
    asked = {"ref_ent_id": own, "code": goods.boxes[0]}
    model = (await maker.result("drug.code.kyt.querycodeflow", **asked))["model"]
    assert model["drug_info"]["production_batch"] == goods.batch_no
    first, second, *rest = model["code_query_flows"]
    assert (first["level"], first["authority"], first["ref_ent_id"]) == ("0", "1", own)
    assert second["authority"] == "1" and second["ref_ent_id"] == ref and second["in_type"] == "采购入库"
    assert rest and all(r["authority"] == "0" and "ent_name" not in r for r in rest)
    await m.conn.execute(
        "INSERT INTO data_grant (grantor_org, grantee_org, fields, offered_by, accepted_at) "
        "VALUES ($1, $2, '{flow,parties,bills,codes}', $1, now())", m.wholesaler, m.maker,
    )  # fmt: skip
    model = (await maker.result("drug.code.kyt.querycodeflow", **asked))["model"]
    third = model["code_query_flows"][2]
    assert third["authority"] == "1" and third["ref_ent_id"] == (await world.alias(m.hospital)).ref_ent_id
    told = (await maker("drug.code.advance.bill.flow.direction", code=goods.boxes[0]))["result"]["model"]
    body = told["piats_code_flow_response_d_t_o"]["response_body"]
    assert [f["ent_id"] for f in body["flow_list"]][:2] == [
        (await world.alias(o)).ent_id for o in (m.maker, m.wholesaler)
    ]
    assert body["product_info_list"][0]["product_batch_no"] == goods.batch_no


# -- warnings -----------------------------------------------------------------------------------------


async def test_warnings_have_the_incumbents_six_types(world: World) -> None:
    m = world.market
    till = Caller(await world.client(m.pharmacy))
    own = (await world.alias(m.pharmacy)).ref_ent_id
    goods = await world.goods(m.wholesaler, cases=4)
    used, gone = goods.boxes_of(0)[0], goods.boxes_of(1)[0]
    await m.pass_on(m.wholesaler, m.hospital, [used])
    await m.move(323, m.hospital, [used])
    await m.move(206, m.wholesaler, [gone])
    await m.pass_on(m.wholesaler, m.pharmacy, [goods.cases[3]])
    expected = {used: 2, gone: 1, goods.cases[2]: 3, MADE_UP: 4, FOREIGN: 5, goods.cases[3]: 0}
    for code, kind in expected.items():
        rows = (await till.result("drug.myj.codewarn.getwarninfo", ref_ent_id=own, code=code))["model"]
        assert [r["warning_info_type"] for r in rows] == ([kind] if kind else []), code
        for row in rows:
            assert row["warning_level"] == (2 if kind in (3, 4) else 1) and row["warning_code"] == code
            assert "warning_prov_desc" not in row  # whose terminal it was is not ours to know (D10)
    number = world.number("WB")
    task = (
        await till(
            "drug.myj.codewarn.createcodewarntask", ref_ent_id=own, codes=",".join(expected), bill_code=number
        )
    )["model"]
    listed = (
        await till.result(
            "drug.myj.codewarn.codewarninglist", ref_ent_id=own, task_id=task, page=1, page_size=20
        )
    )["model"]
    assert listed["total_num"] == len(expected)
    states = {r["code"]: r["result_status"] for r in listed["result_list"]}
    assert {c: str(s) for c, s in states.items()} == {c: "2" if k else "1" for c, k in expected.items()}
    odd = next(r for r in listed["result_list"] if r["code"] == used)
    details = (await till.result(
        "drug.myj.codewarn.codewarninginfodetaillist", ref_ent_id=own, code_flow_warning_id=odd["id"],
        page=1, page_size=10))["model"]  # fmt: skip
    assert [d["warning_info_type"] for d in details["result_list"]] == [2]


# -- settlement ---------------------------------------------------------------------------------------


async def test_what_was_settled_is_carried_over_once(world: World) -> None:
    m = world.market
    till = Caller(await world.client(m.pharmacy))
    own = (await world.alias(m.pharmacy)).ref_ent_id
    goods = await world.goods(m.pharmacy)
    method = "drug.code.code.check.medical.insurance"
    asked = {"terminal_ent_id": own, "terminal_id": "1", "terminal_type": "1005100", "bureau_name": "济南",
             "c_type": "1012100", "codes": ",".join(goods.boxes[:2])}  # fmt: skip
    assert (await till.result(method, **asked))["model"] is True
    assert {(await m.status(c))[0] for c in goods.boxes[:2]} == {"S"}
    bills = "SELECT count(*) FROM bill WHERE owner = $1 AND type = 321"
    before = await m.conn.fetchval(bills, m.pharmacy)
    again = await till.result(method, **asked)  # R-C6: the till had sold them already
    assert "未重复更新" in again["msg_info"] and await m.conn.fetchval(bills, m.pharmacy) == before
    back = await till.result(method, **(asked | {"c_type": "1012900", "codes": goods.boxes[0]}))
    assert back["model"] is True and (await m.status(goods.boxes[0]))[0] == "Q"
    alien = await world.goods(m.other)
    refused = await till.refused(method, **(asked | {"codes": alien.boxes[0]}))
    assert refused["msg_code"] == "FAIL_BIZ_CODE_STATUS_ERROR"
    stranger = Caller(await world.client(m.hospital))
    error = await stranger.error(method, **asked)
    assert error["sub_code"] == "isv.ent-no-auth"
    await m.conserved()


async def test_a_hospital_carries_over_what_was_settled(world: World) -> None:
    m = world.market
    ward = Caller(await world.client(m.hospital))
    own = (await world.alias(m.hospital)).ref_ent_id
    goods = await world.goods(m.hospital)
    asked = {"auth_ref_ent_id": own, "ref_ent_id": own, "c_type": "1012100", "codes": goods.boxes[0]}
    assert (await ward.result("drug.code.code.check.hospital", **asked))["model"] is True
    row = await m.conn.fetchval("SELECT type FROM bill WHERE owner = $1 ORDER BY id DESC LIMIT 1", m.hospital)
    assert row == 323 and (await m.status(goods.boxes[0]))[0] == "S"
    wrong = await ward.error("drug.code.code.check.hospital", **(asked | {"c_type": "1"}))
    assert wrong["code"] == 41


async def test_every_question_about_codes_was_asked() -> None:
    done = of_modules(
        "methods_query_codes", "methods_query_flow", "methods_query_warnings", "methods_query_insurance"
    )
    assert {name for name in done if "lsyd" not in name and "yljg" not in name} <= CALLED
