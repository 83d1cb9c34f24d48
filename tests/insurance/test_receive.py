"""The bureau's address (R-C7, R-F6): the published calls, field by field; who calls; repeats; what is stored."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest

from insurance.helpers import OTHER_YIBAO, Scene, register, stocked
from insurance.sending import PATH, Sender, back, bought, sale
from yaosu.insurance import desk
from yaosu.insurance.model import CHINA
from yaosu.people.keeper import Keeper


async def test_a_sale_is_taken_in_once_and_the_answer_is_signed(scene: Scene, shop: Sender) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    message = shop.message("3505", {"selinfo": sale("A1", goods.boxes[:2])})
    first = await shop.post(message, "3505")
    assert (first["infcode"], first["output"]["result"]["retRslt"], first["warn_msg"]) == ("0", "1", "")
    assert first["inf_refmsgid"] == message["msgid"]
    assert first["signtype"] == "SM2"
    again = await shop.post(message, "3505")
    assert again["output"] == first["output"]
    # the same record in a new message is a repeat too
    other = await shop.send("3505", {"selinfo": message["input"]["selinfo"]})
    assert other["output"]["result"] == {"retRslt": "1", "msgRslt": "重复上传，已按首次处理"}
    for code in goods.boxes[:2]:
        (row,) = await scene.rows(code)
        assert row["state"] == "S"
    changed = await shop.send("3505", {"selinfo": sale("A1", goods.boxes[2:3])})
    assert changed["infcode"] == "-1"
    assert "insurance_in_key_used" in changed["err_msg"]
    other_content = dict(
        shop.message("3505", {"selinfo": sale("A2", goods.boxes[3:4])}, number=message["msgid"])
    )
    refused = await shop.post(other_content, "3505")
    assert "insurance_in_msgid_used" in refused["err_msg"]


@pytest.mark.parametrize("written", ["utf-8-sig", "gb18030"])
async def test_a_call_in_an_older_charset_or_with_a_mark_in_front_is_read(
    scene: Scene, shop: Sender, keeper: Keeper, written: str
) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    message = shop.message("3505", {"selinfo": sale(f"G-{written}", goods.boxes[:1])})
    raw = orjson.dumps(message).decode().encode(written)
    answer = await shop.post(raw, "3505")
    assert (answer["infcode"], answer["output"]["result"]["retRslt"]) == ("0", "1"), answer
    row = await scene.conn.fetchrow("SELECT * FROM insurance_message WHERE msgid = $1", message["msgid"])
    assert row is not None
    assert desk.opened(keeper, row["institution"], row["msgid"], row["body"]) == raw, "kept as it came"


async def test_what_is_stored_names_no_person_and_the_call_itself_is_sealed(
    scene: Scene, shop: Sender, keeper: Keeper
) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    message = shop.message("3505", {"selinfo": sale("P1", goods.boxes[:1])})
    await shop.post(message, "3505")
    row = await scene.conn.fetchrow("SELECT * FROM insurance_message WHERE msgid = $1", message["msgid"])
    report = await scene.conn.fetchrow("SELECT * FROM insurance_report WHERE key = 'P1'")
    assert row is not None
    assert report is not None
    stored = orjson.dumps([dict(report)["data"], row["answer"]]).decode() + repr(bytes(row["body"]))
    for secret in ("王某某", "370102199001011234", "3700001", "张医师", "李药师"):
        assert secret not in stored
    assert report["person"] is not None
    # as received, byte for byte, for whoever holds the key
    sealed = desk.opened(keeper, row["institution"], row["msgid"], row["body"])
    assert orjson.loads(sealed) == message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"med_list_codg": ""}, "yibao_field_missing"),
        ({"fixmedins_bchno": "x" * 31}, "yibao_field_long"),
        ({"sel_retn_time": "2026/01/01"}, "yibao_field_form"),
        ({"sel_retn_cnt": "1.23456"}, "yibao_field_form"),
        ({"sel_retn_cnt": "一盒"}, "yibao_field_form"),
        ({"trdn_flag": "2"}, "yibao_field_value"),
        ({"rtal_docno": " "}, "yibao_field_missing"),
        ({"drugtracinfo": [{"drug_trac_codg": "9" * 101}]}, "yibao_field_long"),
        ({"drugtracinfo": [{"drug_trac_codg": "1"}, {"drug_trac_codg": "1"}]}, "yibao_code_twice"),
        ({"psn_name": {"a": 1}}, "yibao_field_form"),
    ],
)
async def test_each_wrong_field_is_refused_with_field_and_reason(
    shop: Sender, change: dict[str, Any], said: str
) -> None:
    answer = await shop.send("3505", {"selinfo": sale("F1", ["83857930000123456789"], **change)})
    assert answer["infcode"] == "-1"
    assert said in answer["err_msg"]
    (name,) = change
    assert f"input.selinfo.{name}" in answer["err_msg"]
    assert answer["output"]["result"]["retRslt"] == "0"


async def test_a_batch_takes_its_good_rows_and_names_the_others(scene: Scene, shop: Sender) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    rows = [
        sale("G1", goods.boxes[:1]),
        sale("G2", goods.boxes[1:2], rtal_docno=""),
        sale("G3", goods.boxes[2:3]),
    ]
    answer = await shop.send("3505A", {"selinfoDetail": rows})
    assert answer["infcode"] == "0"
    assert answer["output"]["result"] == {"retRslt": "1", "msgRslt": "共3条，成功2条，失败1条"}
    (bad,) = answer["output"]["selinfoErrDetail"]
    assert (bad["row"], bad["fixmedins_bchno"], bad["retRslt"]) == (2, "G2", "0")
    assert "input.selinfoDetail[1].rtal_docno" in bad["msgRslt"]
    assert [len(await scene.rows(code)) for code in goods.boxes[:3]] == [1, 0, 1]
    none = await shop.send("3505A", {"selinfoDetail": [sale("G4", [], med_list_codg="")]})
    assert none["infcode"] == "-1"
    shape = await shop.send("3505A", {"selinfoDetail": {}})
    assert "yibao_node_shape" in shape["err_msg"]


async def test_purchases_stock_and_returns_are_taken_in_and_3513_gives_back_what_was_sold(
    scene: Scene, shop: Sender
) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    box = goods.boxes[0]
    assert (await shop.send("3503", {"purcinfo": bought("K1", [box])}))["infcode"] == "0"
    shared = (
        "med_list_codg",
        "fixmedins_hilist_id",
        "fixmedins_hilist_name",
        "rx_flag",
        "manu_date",
        "expy_end",
    )
    count = {k: v for k, v in bought("K2", [box]).items() if k in shared}
    count |= {"fixmedins_bchno": "K2", "invdate": "2026-03-01", "inv_cnt": "5"}
    assert (await shop.send("3501", {"invinfo": count}))["infcode"] == "0"
    await shop.send("3505", {"selinfo": sale("K3", [box])})
    query = {"psn_cert_type": "01", "drug_trac_codg": box}
    (found,) = (await shop.send("3513", {"data": query}))["output"]["data"]
    assert (found["drug_trac_codg"], found["fixmedins_bchno"], found["mdtrt_id"]) == (box, "K3", "MK3")
    assert "王某某" not in str(found)
    mine = await shop.send("3513", {"data": {**query, "psn_no": "3700001"}})
    nobody = await shop.send("3513", {"data": {**query, "psn_no": "999"}})
    assert (mine["output"]["recordCounts"], nobody["output"]["recordCounts"]) == (1, 0)
    taken = await shop.send("3506", {"selinfo": back("K4", [box], medins_prod_sel_no="K3")})
    assert taken["infcode"] == "0", taken
    assert [r["state"] for r in await scene.rows(box)] == ["B"]
    again = await shop.send("3506", {"selinfo": back("K5", [box])})
    assert "insurance_in_nothing_to_return" in again["err_msg"]
    # the return was wrong: withdrawn, the sale counts again
    deleted = await shop.send("3507", {"data": {"fixmedins_bchno": "K4", "inv_data_type": "4"}})
    assert deleted["infcode"] == "0"
    assert [r["state"] for r in await scene.rows(box)] == ["S"]
    await shop.send("3507", {"data": {"fixmedins_bchno": "K3", "inv_data_type": "4"}})
    assert [r["state"] for r in await scene.rows(box)] == ["W"]
    gone = await shop.send("3507", {"data": {"fixmedins_bchno": "K3", "inv_data_type": "4"}})
    assert "insurance_in_nothing_to_delete" in gone["err_msg"]


async def test_a_settlement_with_codes_is_answered_code_by_code(
    scene: Scene, ward: Sender, shop: Sender
) -> None:
    goods = await stocked(scene, scene.market.hospital)
    await shop.send("3505", {"selinfo": sale("Z1", goods.boxes[5:6])})

    async def settle(visit: str, codes: list[str], fee: str) -> dict[str, Any]:
        rows = [
            {"feedetl_sn": fee, "drug_trac_codg": c, "trdn_flag": "0", "min_prcunt_type": "1"} for c in codes
        ]
        return await ward.send("2207", {"data": {"mdtrt_id": visit, "psn_no": "1"}, "drug_trac_info": rows})

    fee = {"feedetl_sn": "F1", "med_list_codg": "XA02BCT040A001010100001", "cnt": "2"}
    assert (await ward.send("2204", {"feedetail": [fee]}))["infcode"] == "0"
    good = await settle("V1", goods.boxes[:2], "F1")
    assert good["infcode"] == "0"
    assert [r["retRslt"] for r in good["output"]["drug_trac_result"]] == ["1", "1"]
    # the fee line bills another drug
    await ward.send(
        "2204", {"feedetail": [{**fee, "feedetl_sn": "F2", "med_list_codg": OTHER_YIBAO, "cnt": "1"}]}
    )
    swapped = await settle("V2", goods.boxes[2:3], "F2")
    assert swapped["infcode"] == "-1"
    assert "疑似串换" in swapped["err_msg"]
    twice = await settle("V3", goods.boxes[5:6], "F3")
    assert "疑似回流药" in twice["err_msg"]
    assert [r["retRslt"] for r in twice["output"]["drug_trac_result"]] == ["0"]
    # taken back, the box may be settled again
    undone = await ward.send("2208", {"data": {"mdtrt_id": "V1", "setl_id": "X", "psn_no": "1"}})
    assert undone["infcode"] == "0"
    assert (await settle("V4", goods.boxes[:1], "F4"))["infcode"] == "0"
    nothing = await ward.send("2208", {"data": {"mdtrt_id": "V1", "setl_id": "X"}})
    assert "insurance_settlement_ended" in nothing["err_msg"]


async def test_who_is_not_genuine_is_refused_in_the_protocols_own_form(
    scene: Scene, shop: Sender, ward: Sender
) -> None:
    body = {"selinfo": sale("N1", ["83857930000123456789"])}
    message = shop.message("3505", body)
    forged = {**message, "input": {"selinfo": {**body["selinfo"], "sel_retn_cnt": "9"}}}
    cases = [
        (forged, "yibao_signature_wrong"),
        ({**message, "cainfo": ""}, "yibao_signature_missing"),
        ({**message, "signtype": "SM3"}, "yibao_signature_missing"),
        ({**message, "fixmedins_code": "H37010200001"}, "insurance_in_unknown_institution"),
        ({**message, "fixmedins_code": "X"}, "insurance_in_unknown_institution"),
        ({**message, "fixmedins_code": 7}, "insurance_in_unknown_institution"),
    ]
    for wrong, code in cases:
        answer = await shop.post(wrong, "3505")
        assert (answer["infcode"], code in answer["err_msg"]) == ("-1", True), answer
    # the hospital's own, well-signed words in the pharmacy's name
    as_shop = ward.message("3505", body, fixmedins_code="P37010200002")
    assert "unknown_institution" in (await ward.post(as_shop, "3505"))["err_msg"]
    # not even with the gateway's word left out; and the answer is for the pharmacy's keys
    raw = await ward.client.post(PATH.format(infno="3505"), json=as_shop)
    assert "yibao_signature_wrong" in raw.json()["err_msg"]
    late = shop.message("3505", body, at=datetime.now(CHINA) - timedelta(hours=1))
    assert (await shop.post(late, "3505"))["infcode"] == "9000"


async def test_malformed_oversized_and_foreign_calls_are_refused_in_the_protocols_own_form(
    shop: Sender,
) -> None:
    for raw in (b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a":' * 50 + b"1" + b"}" * 50):
        answer = await shop.post(raw, "3505")
        assert (answer["infcode"], "yibao_message_invalid" in answer["err_msg"]) == ("-1", True)
    large = await shop.post(b'{"a":"' + b"x" * (5 << 20) + b'"}', "3505")
    assert "insurance_in_too_large" in large["err_msg"]
    assert "yibao_infno_unknown" in (await shop.send("9999", {}))["err_msg"]
    # address and head disagree
    message = shop.message("3505", {"selinfo": {}})
    assert "yibao_infno_unknown" in (await shop.post(message, "3503"))["err_msg"]
    empty = await shop.send("3505", {"selinfo": {}}, opter="")
    assert "yibao_head_missing" in empty["err_msg"]
    assert "yibao_node_missing" in (await shop.send("3505", {"other": 1}))["err_msg"]


async def test_gateway_signatures_hold_once(scene: Scene, client: httpx.AsyncClient) -> None:
    issued = await register(scene, None, "H37010200077", profile="fsi")
    one = Sender(issued, client, "", "", "csb")
    query = {"data": {"psn_cert_type": "01"}}
    message, headers = one.message("3513", query), one.headers()
    assert (await one.post(message, "3513", headers))["infcode"] == "0"
    assert "insurance_in_replayed" in (await one.post(message, "3513", headers))["err_msg"]
    upload, headers = one.message("3503", {"purcinfo": bought("Q1", [])}), one.headers()
    first = await one.post(upload, "3503", headers)
    # a lost answer: the very same again is answered the same
    assert (await one.post(upload, "3503", headers))["output"] == first["output"]
    changed = one.message("3503", {"purcinfo": bought("Q2", [])})
    assert "insurance_in_replayed" in (await one.post(changed, "3503", headers))["err_msg"]
    wrong = {**one.headers(), "x-tif-signature": "0" * 64}
    assert "yibao_signature_wrong" in (await one.post(message, "3513", wrong))["err_msg"]
    old = {**one.headers(), "x-tif-timestamp": "1"}
    assert (await one.post(message, "3513", old))["infcode"] == "-1"


async def test_an_encrypted_profile_is_read_and_answered_encrypted(
    scene: Scene, client: httpx.AsyncClient
) -> None:
    issued = await register(scene, None, "H37010200088", profile="shanxi")
    one = Sender(issued, client, "SM2", "SM4")
    message = one.message("3503", {"purcinfo": bought("E1", [])})
    assert isinstance(message["input"], str)
    assert (await one.post(message, "3503"))["output"]["result"]["retRslt"] == "1"
    broken = {**message, "input": message["input"][:-2]}
    assert "yibao_cipher_wrong" in (await one.post(broken, "3503"))["err_msg"]


async def test_an_unsigned_profile_and_another_bureaus_region_are_not_registered(scene: Scene) -> None:
    from yaosu.errors import YaosuError

    with pytest.raises(YaosuError, match="no signature"):
        await register(scene, None, "H37010200090", profile="plain")
    with pytest.raises(YaosuError, match="not in your remit"):
        await register(scene, None, "H65010200090", region="650100")
    with pytest.raises(YaosuError, match="registered already"):
        await register(scene, None, "P37010200002")


async def test_an_ended_institution_is_not_received(scene: Scene, client: httpx.AsyncClient) -> None:
    from yaosu.insurance import institutions

    issued = await register(scene, None, "H37010200099")
    one = Sender(issued, client)
    assert (await one.send("3503", {"purcinfo": bought("W1", [])}))["infcode"] == "0"
    await institutions.end(scene.conn, scene.market.registry, scene.officer(), issued.institution.id)
    assert "unknown_institution" in (await one.send("3503", {"purcinfo": bought("W2", [])}))["err_msg"]


async def test_a_profile_with_sign_in_demands_the_number_of_the_day(
    scene: Scene, client: httpx.AsyncClient, shop: Sender
) -> None:
    issued = await register(scene, None, "H37010200033", profile="signin")
    one = Sender(issued, client)
    report = {"purcinfo": bought("I1", [])}
    assert "insurance_in_not_signed_in" in (await one.send("3503", report))["err_msg"]
    assert (
        "insurance_in_not_signed_in" in (await one.send("3513", {"data": {"psn_cert_type": "01"}}))["err_msg"]
    )
    missing = await one.send("9001", {"signIn": {"mac": "00-16-3E-00-00-01", "ip": "10.0.0.8"}})
    assert "input.signIn.opter_no" in missing["err_msg"]
    assert "yibao_node_missing" in (await one.send("9001", {}))["err_msg"]
    entry = {"opter_no": "1001", "mac": "00-16-3E-00-00-01", "ip": "10.0.0.8"}
    message = one.message("9001", {"signIn": entry})
    made = (await one.post(message, "9001"))["output"]["signinoutb"]
    assert 0 < len(made["sign_no"]) <= 30
    # a repeat gets the same number
    assert (await one.post(message, "9001"))["output"]["signinoutb"] == made
    assert (await one.send("3503", report, sign_no=made["sign_no"]))["infcode"] == "0"
    # another institution's number is none
    others = (await shop.send("9001", {"signIn": entry}))["output"]["signinoutb"]["sign_no"]
    wrong = await one.send("3503", {"purcinfo": bought("I2", [])}, sign_no=others)
    assert "insurance_in_not_signed_in" in wrong["err_msg"]
    await scene.conn.execute("UPDATE insurance_sign SET day = day - 1 WHERE sign_no = $1", made["sign_no"])
    old = await one.send("3503", {"purcinfo": bought("I3", [])}, sign_no=made["sign_no"])
    assert "insurance_in_not_signed_in" in old["err_msg"]
    fresh = (await one.send("9001", {"signIn": entry}))["output"]["signinoutb"]["sign_no"]
    gone = await one.send("9002", {"signOut": {"sign_no": fresh, "opter_no": "1001"}})
    assert (gone["infcode"], "sign_time" in gone["output"]["signoutoutb"]) == ("0", True)
    assert (await one.send("9002", {"signOut": {"sign_no": fresh}}))["infcode"] == "-1"
    ended = await one.send("3503", {"purcinfo": bought("I4", [])}, sign_no=fresh)
    assert "insurance_in_not_signed_in" in ended["err_msg"]
    # where nobody demands it, nothing changes
    assert (await shop.send("3503", {"purcinfo": bought("I5", [])}))["infcode"] == "0"


async def test_a_fee_line_of_a_whole_box_and_an_opened_one_keeps_them_apart(
    scene: Scene, ward: Sender
) -> None:
    goods = await stocked(scene, scene.market.hospital)
    whole, opened = goods.boxes[:2]

    def row(code: str, split: str) -> dict[str, str]:
        return {"feedetl_sn": "MX1", "drug_trac_codg": code, "trdn_flag": split, "min_prcunt_type": "1"}

    fee = {"feedetl_sn": "MX1", "med_list_codg": "XA02BCT040A001010100001", "cnt": "1.5"}
    assert (await ward.send("2204", {"feedetail": [fee]}))["infcode"] == "0"
    rows = [row(whole, "0"), row(opened, "1")]
    answer = await ward.send("2207", {"data": {"mdtrt_id": "MXV", "psn_no": "1"}, "drug_trac_info": rows})
    assert answer["infcode"] == "0", answer["err_msg"]
    assert [(await scene.rows(code))[0]["split"] for code in (whole, opened)] == [False, True]


async def test_a_query_without_end_and_one_that_ends_before_it_begins(shop: Sender) -> None:
    query = {"psn_cert_type": "01", "begndate": "2026-01-01", "enddate": "9999-12-31"}
    assert (await shop.send("3513", {"data": query}))["infcode"] == "0"
    back = await shop.send("3513", {"data": {**query, "enddate": "2025-12-31"}})
    assert "yibao_field_order" in back["err_msg"]
    early = await shop.send("3513", {"data": {**query, "begndate": "0001-01-01"}})
    assert "yibao_field_form" in early["err_msg"]
