"""Wholesalers, makers and older programs upload bills; what moved is in our ledger (R-B6, R-X10)."""

from __future__ import annotations

import base64
import gzip
import io
import zipfile
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from exchange.top.reading import CALLED, Caller, of_modules
from exchange.top.world import World, bill_time, make_world
from yaosu.db.engine import Connection, Pool
from yaosu.exchange.top import inout_xml

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(client: httpx.AsyncClient, pool: Pool) -> AsyncIterator[World]:
    async with make_world(client) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wholesaler(world: World) -> Caller:
    return Caller(await world.client(world.market.wholesaler))


async def bill(
    world: World, owner: int, sender: int, receiver: int, kind: int, **more: object
) -> dict[str, object]:
    """The fields of an uploaded bill."""
    return {
        "bill_code": world.number("TR"),
        "bill_time": bill_time(),
        "bill_type": kind,
        "physic_type": 3,
        "ref_user_id": (await world.alias(owner)).ref_ent_id,
        "from_user_id": (await world.alias(sender)).ent_id,
        "to_user_id": (await world.alias(receiver)).ent_id,
        "oper_ic_code": "12345678",
        "oper_ic_name": "张三",
        "client_type": 2,
        **more,
    }


@pytest.mark.parametrize(
    "method",
    ["drug.kyt.uploadinoutbill", "drug.msc.uploadinoutbill", "drug.kyt.dr.uploadinoutbill",
     "drug.kyt.specia.vaccin.uploadinoutbill", "drug.kyt.yy.uploadinoutbill", "drug.kyt.smyx.uploadinoutbill"],
)  # fmt: skip
async def test_a_shipment_moves_the_boxes_whatever_the_set(
    world: World, wholesaler: Caller, method: str
) -> None:
    m = world.market
    goods = await world.goods(m.wholesaler)
    fields = await bill(world, m.wholesaler, m.wholesaler, m.pharmacy, 201, trace_codes=",".join(goods.cases))
    done = await wholesaler(method, **fields)
    assert done["response_success"] is True and done["msg_code"] == "SUCCESS"
    assert await m.status(goods.boxes[0]) == ("O", m.wholesaler, m.pharmacy)
    again = await wholesaler(method, **fields)
    assert (again["model"], again["response_success"]) == (done["model"], True)
    assert "单据重复" in again["msg_info"]


async def test_the_paid_tier_names_the_owner_ref_ent_id(world: World, wholesaler: Caller) -> None:
    m = world.market
    goods = await world.goods(m.wholesaler)
    fields = await bill(world, m.wholesaler, m.wholesaler, m.hospital, 201, trace_codes=",".join(goods.cases))
    fields["ref_ent_id"] = fields.pop("ref_user_id")
    done = await wholesaler("drug.kyt.wes.uploadinoutbill", license_token="t", **fields)
    assert done["response_success"] is True
    assert await m.status(goods.cases[1]) == ("O", m.wholesaler, m.hospital)


def packed(codes: list[str], number: str, how: str = "gzip", kind: int = 201) -> str:
    data = inout_xml.written(
        kind, {"CorpOrderID": number, "ActDate": "2026-01-01"}, [{"Code": c} for c in codes]
    )
    if how == "gzip":
        data = gzip.compress(data)
    elif how == "zlib":
        data = zlib.compress(data)
    elif how == "zip":
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.xml", data)
        data = out.getvalue()
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("method", "how"),
    [
        ("drug.kyt.uploadcircubill", "gzip"),
        ("drug.msc.uploadcircubill", "zip"),
        ("drug.kyt.scqy.uploadcircubill", "zlib"),
        ("drug.kyt.wes.uploadcircubill", "gzip"),
        ("drug.kyt.upinoutfile", "plain"),
    ],
)
async def test_the_codes_come_in_a_packed_file(
    world: World, wholesaler: Caller, method: str, how: str
) -> None:
    m = world.market
    goods = await world.goods(m.wholesaler)
    fields = await bill(world, m.wholesaler, m.wholesaler, m.pharmacy, 201, upload_file_name="出库.xml")
    if ".wes." in method:
        fields |= {"ref_ent_id": fields.pop("ref_user_id"), "license_token": "t"}
    fields["file_content"] = packed(goods.cases, str(fields["bill_code"]), how)
    done = await wholesaler(method, **fields)
    assert done["response_success"] is True, done
    assert await m.status(goods.cases[0]) == ("O", m.wholesaler, m.pharmacy)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


EVENT = b'<Document><Event Name="%s"><Data Code="%s"/></Event></Document>'


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("!!!", "Base64"),
        (b64(b"PK\x03\x04junk"), "压缩包"),
        (b64(b"<a>"), "XML"),
        (b64(b"hello"), "XML"),
        (b64(b"<!DOCTYPE a [<!ENTITY b 'c'>]><Document/>"), "文档类型"),
        (b64(gzip.compress(b"<a>" + b" " * (40 << 20))), "MB"),
        (b64(EVENT % (b"SalesWareHouseOut", b"")), "第 1 行"),
        (b64(EVENT % (b"PurchaseWareHouseIn", b"1")), "不符"),
    ],
)
async def test_a_file_that_cannot_be_read_is_refused_with_the_reason(
    world: World, wholesaler: Caller, content: str, why: str
) -> None:
    m = world.market
    fields = await bill(world, m.wholesaler, m.wholesaler, m.pharmacy, 201, upload_file_name="a.xml")
    answer = await wholesaler.refused("drug.kyt.uploadcircubill", file_content=content, **fields)
    assert answer["msg_code"] == "BILL_DECODE_ERROR" and why in answer["msg_info"]


async def test_refused_codes_are_named_where_the_method_has_no_list_for_them(
    world: World, wholesaler: Caller
) -> None:
    m = world.market
    goods = await world.goods(m.wholesaler)
    codes = [*goods.cases, "83857939999999999999", "nonsense"]
    fields = await bill(world, m.wholesaler, m.wholesaler, m.pharmacy, 201, trace_codes=",".join(codes))
    done = await wholesaler("drug.kyt.uploadinoutbill", **fields)
    assert done["response_success"] is True
    assert "2 个追溯码未处理" in done["msg_info"] and "83857939999999999999" in done["msg_info"]
    bad = await bill(world, m.wholesaler, m.wholesaler, m.pharmacy, 201, trace_codes="83857939999999999999")
    refused = await wholesaler.refused("drug.kyt.uploadinoutbill", **bad)
    assert "83857939999999999999" in refused["msg_info"]


@pytest.mark.parametrize(
    "method",
    ["drug.kyt.uploadretail", "drug.kyt.druploadretail", "drug.kyt.va.uploadretail",
     "drug.kyt.specia.vaccin.uploadretail"],
)  # fmt: skip
async def test_a_pharmacy_sells_over_the_older_sets(world: World, method: str) -> None:
    m = world.market
    till = Caller(await world.client(m.pharmacy))
    goods = await world.goods(m.pharmacy)
    fields = await bill(world, m.pharmacy, m.pharmacy, m.pharmacy, 321, trace_codes=goods.boxes[0])
    fields.pop("to_user_id")
    assert (await till(method, **fields))["response_success"] is True
    assert (await m.status(goods.boxes[0]))[0] == "S"


async def test_a_hospital_uses_over_the_older_set(world: World) -> None:
    m = world.market
    ward = Caller(await world.client(m.hospital))
    goods = await world.goods(m.hospital)
    fields = await bill(world, m.hospital, m.hospital, m.hospital, 323, trace_codes=goods.boxes[3])
    fields |= {"drugstore_name": "门诊药房"}
    fields.pop("to_user_id")
    assert (await ward("drug.kyt.yy.uploadretail", **fields))["response_success"] is True
    assert (await m.status(goods.boxes[3]))[0] == "S"


async def test_a_pharmacy_sells_online_and_by_file(world: World) -> None:
    m = world.market
    till = Caller(await world.client(m.pharmacy))
    goods = await world.goods(m.pharmacy)
    owner = (await world.alias(m.pharmacy)).ref_ent_id
    number = world.number("B2C")
    done = await till(
        "drug.kyt.uploadb2cbill", bill_code=number, bill_time=bill_time(), ref_user_id=owner,
        trace_codes=goods.boxes[0], master_order="M1", lbx_order="L1",
    )  # fmt: skip
    assert done["response_success"] is True
    row = await m.conn.fetchrow("SELECT type, header FROM bill WHERE bill_no = $1", number)
    assert row is not None and row["type"] == 326 and "M1" in str(row["header"])
    number = world.number("F")
    done = await till(
        "drug.kyt.upstorebillfile", bill_code=number, bill_time=bill_time(), bill_type=321, ref_user_id=owner,
        file_content=packed([goods.boxes[1]], number, kind=321), client_type=2,
    )  # fmt: skip
    assert done["response_success"] is True, done
    assert (await m.status(goods.boxes[1]))[0] == "S"


async def test_a_delivery_signed_for_is_received_from_whoever_sent_it(
    world: World, wholesaler: Caller
) -> None:
    m = world.market
    goods = await world.goods(m.maker)
    await m.ship(m.maker, m.wholesaler, goods.cases)
    fields = {
        "bill_code": world.number("SG"),
        "bill_time": bill_time(),
        "ref_user_id": (await world.alias(m.wholesaler)).ref_ent_id,
    }
    done = await wholesaler("drug.kyt.uploadinsign", trace_codes=",".join(goods.cases), **fields)
    assert done["response_success"] is True, done
    row = await m.conn.fetchrow("SELECT type, from_org FROM bill WHERE bill_no = $1", fields["bill_code"])
    assert row is not None and (row["type"], row["from_org"]) == (102, m.maker)
    stranger = await world.goods(m.other)
    answer = await wholesaler.refused(
        "drug.kyt.uploadinsign", trace_codes=stranger.cases[0], **(fields | {"bill_code": world.number("SG")})
    )
    assert answer["msg_code"] == "FAIL_BIZ_NOT_CURRENT_OPERATE_CODE"


async def uncoded(conn: Connection, org: int) -> int:
    found: int = await conn.fetchval(
        "SELECT coalesce(sum(qty), 0)::int FROM balance WHERE org = $1 AND status = 'U'", org
    )
    return found


@pytest.mark.parametrize(
    "method",
    ["drug.kyt.remnantbill.upload", "drug.msc.remnantbill.upload", "drug.kyt.wes.remnantbill.upload"],
)
async def test_remnants_without_codes_enter_and_leave_the_uncoded_stock(
    world: World, wholesaler: Caller, method: str
) -> None:
    m = world.market
    before = await uncoded(m.conn, m.wholesaler)
    own, maker = await world.alias(m.wholesaler), await world.alias(m.maker)
    fields: dict[str, object] = {
        "ref_ent_id": own.ref_ent_id,
        "license_token": "t" if ".wes." in method else None,
        "bill_type": 106,
        "bill_code": world.number("LT"),
        "bill_time": "2025-12-01 09:00:00",
        "from_ref_user_id": maker.ref_ent_id,
        "to_ref_user_id": own.ref_ent_id,
        "drug_ent_base_info_id": m.drug_id,
        "produce_date": "2025-01-01",
        "expire_date": "20281231",
        "produce_batch_no": world.number("RB"),
        "input_amount": "7",
    }
    done = await wholesaler(method, **fields)
    assert done["response_status"] is True, done
    assert await uncoded(m.conn, m.wholesaler) == before + 7
    back = fields | {
        "bill_type": 210,
        "bill_code": world.number("LT"),
        "bill_time": bill_time(),
        "from_ref_user_id": own.ref_ent_id,
        "to_ref_user_id": maker.ref_ent_id,
        "input_amount": "3",
    }
    assert (await wholesaler(method, **back))["response_status"] is True
    assert await uncoded(m.conn, m.wholesaler) == before + 4
    much = back | {"bill_code": world.number("LT"), "input_amount": "5000"}
    assert (await wholesaler(method, **much))["response_status"] is False
    today = fields | {"bill_code": world.number("LT"), "bill_time": bill_time()}
    answer = await wholesaler.refused(method, **today)
    assert "鲁药监规〔2025〕4号" in answer["msg_info"]  # R-B3: no uncoded purchase after the region's date
    wrong = fields | {"bill_code": world.number("LT"), "to_ref_user_id": maker.ref_ent_id}
    assert (await wholesaler(method, **wrong))["response_status"] is False
    await m.conserved()


async def test_nobody_uploads_for_somebody_else(world: World, wholesaler: Caller) -> None:
    m = world.market
    goods = await world.goods(m.other)
    fields = await bill(world, m.other, m.other, m.pharmacy, 201, trace_codes=goods.cases[0])
    error = await wholesaler.error("drug.kyt.uploadinoutbill", **fields)
    assert error["sub_code"] == "isv.ent-no-auth"
    assert await m.status(goods.cases[0]) == ("I", m.other, None)


async def test_every_upload_of_the_trade_was_tried() -> None:
    assert of_modules("methods_trade_uploads") <= CALLED
