"""The gateway's protocol: ways to send, signatures, answers in JSON and XML, every error (interfaces §2.1, R-X10)."""

from __future__ import annotations

import gzip
import re
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import urlencode

import httpx
import pytest
import pytest_asyncio

from exchange.top.client import TopClient, china_now, from_xml, rows, signature
from exchange.top.world import World, bill_time, make_world
from yaosu.exchange.top.fields import published

pytestmark = pytest.mark.asyncio(loop_scope="module")

L = "alibaba.alihealth.drugtrace.top.lsyd."
ACTIVE = L + "querycodeactive"
STATUS = L + "query.billstatus"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(client: httpx.AsyncClient) -> AsyncIterator[World]:
    async with make_world(client) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def key(world: World) -> TopClient:
    return await world.client(world.market.pharmacy)


@pytest.fixture
def till(key: TopClient) -> TopClient:
    """The pharmacy's program as it is set up at first."""
    return TopClient(key.http, key.app_key, key.secret)


async def question(world: World) -> dict[str, str]:
    """The smallest question of a pharmacy: which of these codes are not active."""
    me = await world.alias(world.market.pharmacy)
    return {"ref_ent_id": me.ref_ent_id, "codes": "83857930000000000001"}


# -- how it is sent -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["form", "query", "split", "multipart"])
@pytest.mark.parametrize("how", ["md5", "hmac", "hmac-sha256"])
async def test_every_way_of_sending_is_understood_with_every_signature(
    world: World, till: TopClient, way: str, how: str
) -> None:
    till.way, till.sign_method = way, how
    answer = await till.ok(ACTIVE, await question(world))
    assert answer["response_success"] is True
    assert rows(answer["models"]) == ["83857930000000000001"]
    assert answer["request_id"]


@pytest.mark.parametrize("path", ["/router/rest", "/top/router/rest", "/router/rest/"])
async def test_published_paths_lead_to_the_gateway(world: World, till: TopClient, path: str) -> None:
    till.path = path
    await till.ok(ACTIVE, await question(world))


async def test_chinese_values_sign_over_utf8(world: World, till: TopClient) -> None:
    me = await world.alias(world.market.pharmacy)
    query = {"ref_ent_id": me.ref_ent_id, "ent_name": "没有（这家）公司 & Co+", "page_size": "5", "page": "1"}
    for way in ("form", "query", "split", "multipart"):
        till.way = way
        answer = await till.ok(L + "query.listparts", query)
        assert answer["result"]["model"]["total_num"] == 0


async def test_a_form_in_gbk_is_read_when_it_says_so(world: World, till: TopClient) -> None:
    me = await world.alias(world.market.pharmacy)
    query = {"ref_ent_id": me.ref_ent_id, "ent_name": "没有这家公司", "page_size": "5", "page": "1"}
    params = till.params(L + "query.listparts", query)
    for charset in ("gbk", "GB18030"):
        answer = await till.http.post(
            "/router/rest",
            content=urlencode(params, encoding="gbk").encode(),
            headers={"content-type": f"application/x-www-form-urlencoded; charset={charset}"},
        )
        assert "error_response" not in answer.json(), answer.text
    wrong = await till.http.post(
        "/router/rest?format=json",
        content=urlencode(params, encoding="gbk").encode(),
        headers={"content-type": "application/x-www-form-urlencoded; charset=utf-8"},
    )
    assert "<code>47</code>" in wrong.text


async def test_a_compressed_body_is_opened_within_the_limit(world: World, till: TopClient) -> None:
    params = till.params(ACTIVE, await question(world))
    headers = {"content-type": "application/x-www-form-urlencoded", "content-encoding": "gzip"}
    good = await till.http.post(
        "/router/rest", content=gzip.compress(urlencode(params).encode()), headers=headers
    )
    assert "error_response" not in good.json()
    bomb = gzip.compress(b"a=" + b"0" * (65 * 2**20))
    refused = await till.http.post("/router/rest", content=bomb, headers=headers)
    assert refused.status_code == 200
    assert from_xml(refused.text)["error_response"]["sub_code"] == "isv.body-too-large"
    broken = await till.http.post("/router/rest", content=b"\x1f\x8bnonsense", headers=headers)
    assert from_xml(broken.text)["error_response"]["code"] == "47"


async def test_a_parameter_with_an_empty_value_may_be_signed_or_not(world: World, till: TopClient) -> None:
    business = {**await question(world), "session": "", "oper": ""}
    await till.ok(ACTIVE, business)
    params = till.params(ACTIVE, business, sign=None)
    signed = {k: v for k, v in params.items() if v}
    params["sign"] = signature(signed, till.secret, "md5")
    answer = (await till.send(params)).json()
    assert "error_response" not in answer


async def test_a_lower_case_signature_is_the_same_signature(world: World, till: TopClient) -> None:
    params = till.params(ACTIVE, await question(world))
    params["sign"] = params["sign"].lower()
    assert "error_response" not in (await till.send(params)).json()


# -- how it is answered -------------------------------------------------------------------------------


async def test_the_answer_is_xml_unless_json_is_asked_for(world: World, till: TopClient) -> None:
    answer = await till.raw(ACTIVE, await question(world), format=None)
    assert answer.headers["content-type"].startswith("text/xml")
    root = "alibaba_alihealth_drugtrace_top_lsyd_querycodeactive_response"
    assert answer.text.startswith(f'<?xml version="1.0" encoding="utf-8" ?><{root}>')
    assert '<models list="true"><string>83857930000000000001</string></models>' in answer.text
    assert "<response_success>true</response_success>" in answer.text


async def test_simplify_takes_off_the_wrapper_and_the_item_names(world: World, till: TopClient) -> None:
    till.simplify = True
    answer = await till.call(ACTIVE, await question(world))
    assert answer["models"] == ["83857930000000000001"]
    assert set(answer) == {"models", "msg_code", "msg_info", "response_success", "request_id"}
    error = (await till.raw(ACTIVE, {})).text
    assert error.startswith('{"error_response":{"code":40,'), "clients cut it out by position"


async def test_xml_escapes_what_xml_cannot_hold(world: World, till: TopClient) -> None:
    till.format = "xml"
    odd = "<b>&\"'\x01]]>"
    error = await till.error(ACTIVE, {"ref_ent_id": odd, "codes": "1"})
    assert "<b>&\"'\ufffd]]>" in error["sub_msg"]


async def test_a_large_answer_is_compressed_for_who_takes_it(world: World, till: TopClient) -> None:
    me = await world.alias(world.market.pharmacy)
    many = ",".join(f"8385793{n:013d}" for n in range(1500))
    answer = await till.raw(ACTIVE, {"ref_ent_id": me.ref_ent_id, "codes": many})
    assert answer.headers["content-encoding"] == "gzip"
    assert len(rows(answer.json()[next(iter(answer.json()))]["models"])) == 1500


# -- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "code"),
    [
        ({"method": None}, 21),
        ({"method": "alibaba.alihealth.no.such"}, 22),
        ({"format": "yaml"}, 23),
        ({"sign": None}, 24),
        ({"sign": "0" * 32}, 25),
        ({"sign": "零"}, 25),
        ({"app_key": None}, 28),
        ({"app_key": "10000000"}, 29),
        ({"app_key": "../../etc"}, 29),
        ({"timestamp": None}, 30),
        ({"timestamp": "yesterday"}, 31),
        ({"timestamp": "2026-02-30 00:00:00"}, 31),
        ({"v": None}, 32),
        ({"v": "two"}, 33),
        ({"v": "1.0"}, 34),
        ({"sign_method": "sha1"}, 41),
    ],
)
async def test_each_mistake_has_its_published_code(
    world: World, till: TopClient, system: dict[str, str | None], code: int
) -> None:
    answer = await till.raw(ACTIVE, await question(world), **system)
    assert answer.status_code == 200
    error = from_xml(answer.text)["error_response"] if "format" in system else answer.json()["error_response"]
    assert int(error["code"]) == code
    assert set(error) == {"code", "msg", "sub_code", "sub_msg", "request_id"}


@pytest.mark.parametrize("minutes", [-11, 11])
async def test_a_clock_more_than_ten_minutes_off_is_refused(
    world: World, till: TopClient, minutes: int
) -> None:
    stamp = china_now(timedelta(minutes=minutes))
    assert (await till.error(ACTIVE, await question(world), timestamp=stamp))["code"] == 31
    near = china_now(timedelta(minutes=minutes - minutes // 11 * 2))
    await till.ok(ACTIVE, await question(world), timestamp=near)


async def test_a_get_may_carry_its_form_in_its_body(world: World, till: TopClient) -> None:
    asked = till.params(ACTIVE, await question(world))
    answer = await world.http.request("GET", till.path, data=asked)
    assert "error_response" not in answer.json(), "the published client for Node sends it so"


async def test_clients_that_write_their_machines_utc_time_are_understood(
    world: World, till: TopClient
) -> None:
    await till.ok(ACTIVE, await question(world), timestamp=china_now(timedelta(hours=-8)))
    for hours in (-3, -16, 8):
        stamp = china_now(timedelta(hours=hours))
        assert (await till.error(ACTIVE, await question(world), timestamp=stamp))["code"] == 31


async def test_the_published_python_client_sends_milliseconds(world: World, till: TopClient) -> None:
    now = int(time.time() * 1000)
    await till.ok(ACTIVE, await question(world), timestamp=str(now))
    late = await till.error(ACTIVE, await question(world), timestamp=str(now - 11 * 60_000))
    assert late["code"] == 31


async def test_a_changed_parameter_breaks_the_signature(world: World, till: TopClient) -> None:
    params = till.params(ACTIVE, await question(world))
    params["codes"] = "83857930000000000002"
    assert (await till.send(params)).json()["error_response"]["code"] == 25
    params = till.params(ACTIVE, await question(world))
    params["added"] = "1"
    assert (await till.send(params)).json()["error_response"]["code"] == 25


async def test_another_keys_secret_signs_nothing(world: World, till: TopClient) -> None:
    other = await world.client(world.market.hospital)
    till.secret = other.secret
    assert (await till.error(ACTIVE, await question(world)))["code"] == 25


async def test_a_parameter_that_stands_twice_with_two_values_is_refused(
    world: World, till: TopClient
) -> None:
    params = till.params(ACTIVE, await question(world))
    answer = await till.http.post("/router/rest?codes=1", data=params)
    assert from_xml(answer.text)["error_response"]["code"] == "41"
    answer = await till.http.post("/router/rest?v=2.0", data=params)
    assert "error_response" not in answer.json(), "the same value twice says nothing twice"


@pytest.mark.parametrize("field", ["ref_ent_id", "codes"])
async def test_a_missing_field_is_named(world: World, till: TopClient, field: str) -> None:
    business = await question(world)
    del business[field]
    error = await till.error(ACTIVE, business)
    assert (error["code"], error["sub_code"]) == (40, f"isv.missing-parameter:{field}")
    error = await till.error(ACTIVE, {**business, field: "  "})
    assert error["code"] == 40


@pytest.mark.parametrize(
    ("field", "value"),
    [("page", "one"), ("page", "0"), ("page_size", "-1"), ("page", "1e3"), ("begin_date", "2026-13-01")],
)
async def test_a_field_of_another_type_is_named(
    world: World, till: TopClient, field: str, value: str
) -> None:
    me = await world.alias(world.market.pharmacy)
    business = {"ref_ent_id": me.ref_ent_id, "begin_date": "2026-01-01", "end_date": "2026-12-31",
                "bill_type": "A", "page": "1", "page_size": "10"}  # fmt: skip
    error = await till.error(STATUS, {**business, field: value})
    assert (error["code"], error["sub_code"]) == (41, f"isv.invalid-parameter:{field}")


async def test_what_the_gate_in_front_refuses_has_the_protocols_form_too(till: TopClient) -> None:
    for answer in (
        await till.http.get("/router/rest?a=%00"),
        await till.http.get("/router/rest?a=%ff"),
        await till.http.post(
            "/router/rest", content=b"a=%00", headers={"content-type": "application/x-www-form-urlencoded"}
        ),
    ):
        assert answer.status_code == 200
        assert from_xml(answer.text)["error_response"]["code"] == "43"


async def test_odd_forms_never_break_the_gateway(till: TopClient) -> None:
    many = "&".join(f"k{n}=1" for n in range(600)).encode()
    form = "application/x-www-form-urlencoded"
    for body, media in (
        (b"", form),
        (many, form),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"anything", "multipart/form-data"),
        (b"{}", "application/json"),
        (b"a=1", form + "; charset=klingon"),
    ):
        answer = await till.http.post("/router/rest", content=body, headers={"content-type": media})
        assert answer.status_code == 200, body[:20]
        assert "error_response" in answer.text


# -- whose data ---------------------------------------------------------------------------------------


async def test_a_key_calls_for_its_own_organisation_only(world: World, till: TopClient) -> None:
    for other in (world.market.hospital, world.market.wholesaler, world.market.maker):
        alias = await world.alias(other)
        for name in (alias.ref_ent_id, alias.ent_id):
            error = await till.error(ACTIVE, {"ref_ent_id": name, "codes": "1"})
            assert (error["code"], error["sub_code"]) == (15, "isv.ent-no-auth")
    unknown = await till.error(ACTIVE, {"ref_ent_id": "0" * 32, "codes": "1"})
    assert unknown["sub_code"] == "isv.ent-no-auth", "the answer tells nothing of others"


async def test_headquarters_call_for_their_stores_and_not_the_other_way_round(
    world: World, till: TopClient
) -> None:
    store, chain = await world.alias(world.market.store), await world.alias(world.market.pharmacy)
    await till.ok(ACTIVE, {"ref_ent_id": store.ref_ent_id, "codes": "1"})
    of_store = await world.client(world.market.store)
    error = await of_store.error(ACTIVE, {"ref_ent_id": chain.ref_ent_id, "codes": "1"})
    assert error["sub_code"] == "isv.ent-no-auth"


async def test_both_names_and_the_credit_code_mean_the_same_organisation(
    world: World, till: TopClient
) -> None:
    alias = await world.alias(world.market.pharmacy)
    assert re.fullmatch(r"[0-9]{18}", alias.ent_id)
    assert re.fullmatch(r"[0-9a-f]{32}", alias.ref_ent_id)
    card = world.market.registry.org(world.market.pharmacy)
    assert card is not None
    for name in (alias.ref_ent_id, alias.ent_id, alias.ref_ent_id.upper(), card.uscc):
        await till.ok(ACTIVE, {"ref_ent_id": name, "codes": "1"})


async def test_a_key_may_no_more_than_its_role(world: World) -> None:
    reader = await world.client(world.market.pharmacy, role="reader")
    me = await world.alias(world.market.pharmacy)
    await reader.ok(ACTIVE, {"ref_ent_id": me.ref_ent_id, "codes": "1"})
    sale = {"bill_code": world.number(), "bill_time": bill_time(), "bill_type": "321", "ref_user_id": me.ref_ent_id,
            "trace_codes": "1"}  # fmt: skip
    error = await reader.error(L + "uploadretail", sale)
    assert (error["code"], error["sub_code"]) == (11, "isv.permission-denied")


# -- replay -------------------------------------------------------------------------------------------


async def test_the_same_signed_upload_posts_once_and_is_answered_alike(world: World, till: TopClient) -> None:
    goods = await world.goods(world.market.wholesaler, cases=1)
    await world.market.pass_on(world.market.wholesaler, world.market.pharmacy, goods.cases)
    me = await world.alias(world.market.pharmacy)
    sale = {"bill_code": world.number("LS"), "bill_time": bill_time(timedelta(seconds=30)), "bill_type": "321",
            "ref_user_id": me.ref_ent_id, "trace_codes": goods.boxes[0]}  # fmt: skip
    params = till.params(L + "uploadretail", sale)
    root = "alibaba_alihealth_drugtrace_top_lsyd_uploadretail_response"
    first = (await till.send(params)).json()[root]
    again = (await till.send(params)).json()[root]
    later = await till.ok(L + "uploadretail", sale)
    assert first["msg_info"] == "成功"
    assert again["msg_info"] == later["msg_info"] == "单据重复"
    assert first["model"] == again["model"] == later["model"]
    assert await world.market.stock(world.market.pharmacy, "S") == 1
    await world.market.conserved()


async def test_a_call_without_a_number_of_its_own_is_carried_out_once(world: World, till: TopClient) -> None:
    me = await world.alias(world.market.pharmacy)
    task = "alibaba.alihealth.drug.myj.codewarn.createcodewarntask"
    business = {"ref_ent_id": me.ref_ent_id, "codes": "83857930000000000001", "bill_code": world.number()}
    shape = published()[task].request
    params = till.params(task, {k: v for k, v in business.items() if k in shape})
    first = (await till.send(params)).json()
    again = (await till.send(params)).json()
    (root,) = first
    assert "error_response" not in first, first
    first[root].pop("request_id")
    again[root].pop("request_id")
    assert first == again, "the very same signed request gets the first answer"
    later = till.params(
        task, {k: v for k, v in business.items() if k in shape}, timestamp=china_now(timedelta(seconds=-2))
    )
    other = (await till.send(later)).json()
    other[root].pop("request_id")
    assert other != first, "a new request is a new task"
