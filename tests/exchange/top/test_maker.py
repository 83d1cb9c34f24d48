"""A maker over the gateway: relation files, packing, replaced codes, products (R-A3, R-A5, R-A8)."""

from __future__ import annotations

import base64
import gzip
import io
import json
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio

from exchange.top.client import around_today
from exchange.top.reading import CALLED, Caller, of_modules
from exchange.top.world import World, make_world
from yaosu.db.engine import Pool

pytestmark = pytest.mark.asyncio(loop_scope="module")
BEFORE, AFTER = around_today()
PAGE = {"page": 1, "page_size": 50}
_serial = iter(range(1, 10**6))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(client: httpx.AsyncClient, pool: Pool) -> AsyncIterator[World]:
    async with make_world(client) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def maker(world: World) -> Caller:
    return Caller(await world.client(world.market.maker))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ref(world: World) -> str:
    return (await world.alias(world.market.maker)).ref_ent_id


def code(prefix: str) -> str:
    return f"{prefix}{next(_serial):09d}4321"


def relation(batch: str, cases: int = 1, boxes: int = 10) -> tuple[bytes, list[str], list[str]]:
    """A relation file of cases of boxes; its codes."""
    made, inside, rows = [], [], []
    for _ in range(cases):
        case = code("8385794")
        made.append(case)
        rows.append(f'<Code curCode="{case}" packLayer="2" parentCode="" flag="0"/>')
        for _ in range(boxes):
            box = code("8385793")
            inside.append(box)
            rows.append(f'<Code curCode="{box}" packLayer="1" parentCode="{case}" flag="0"/>')
    text = (
        '<?xml version="1.0" encoding="utf-8"?><Document License=""><Events Version="3.0"><Event Name="RelationCreate">'
        '<Relation productCode="8385793" subTypeNo="" cascade="1:4:40" packageSpec="24粒/盒" comment="">'
        f'<Batch batchNo="{batch}" madeDate="2026-01-10" validateDate="2028-01-09" workshop="一车间" lineName="1号线" '
        f'lineManager="孙七">{"".join(rows)}</Batch></Relation></Event></Events></Document>'
    )
    return text.encode(), made, inside


def sent(data: bytes, how: str) -> str:
    if how == "gzip":
        data = gzip.compress(data)
    elif how == "zip":
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("r.xml", data)
        data = out.getvalue()
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("method", "how"),
    [
        ("drug.kyt.uploadrelation", "zip"),
        ("drug.kyt.scqy.uploadrelation", "gzip"),
        ("zy.uploadrelation", "plain"),
    ],
)
async def test_a_relation_file_activates_once(
    world: World, maker: Caller, ref: str, method: str, how: str
) -> None:
    m = world.market
    batch = world.number("RF")
    data, cases, boxes = relation(batch)
    about = json.dumps(
        {"upload_file_name": f"Relation_{batch}.xml", "business_type": 1, "oper_ic_name": "孙七"}
    )
    asked = {"ref_ent_id": ref, "client_type": "2", "affirm_flag": "1", "file_content_string": sent(data, how),
             "save_code_relation": about}  # fmt: skip
    for _ in range(2):
        done = await maker.result(method, **asked)
        assert done["model"]["flag"] == "true" and "11 个追溯码" in done["model"]["response_message"]
    assert await m.status(boxes[0]) == ("A", m.maker, None)
    assert (
        await m.conn.fetchval("SELECT count(*) FROM relation_file WHERE file_name LIKE $1", f"%{batch}%") == 1
    )
    days = {"start_date": BEFORE, "end_date": AFTER}
    listed = (await maker.result(
        "drug.kyt.codeprocess", ref_ent_id=ref, process_flag="A", query_flag="0", physic_type="A", client_type="2",
        produce_batch_no=batch, **days, **PAGE))["model"]  # fmt: skip
    (row,) = listed["result_list"]
    assert (row["process_flag"], row["active_count"], row["small_num"], row["other_num"]) == (
        "3",
        "11",
        "10",
        "1",
    )
    assert row["produce_batch_no"] == batch and row["file_name"] == f"Relation_{batch}.xml"
    detail = (await maker.result(
        "drug.kyt.relationdetail", ref_ent_id=ref, client_type="2",
        code_active_info_id=row["active_info_seq_no"]))["model"]  # fmt: skip
    assert detail["code_relation_detail_info"]["process_flag"] == "3"
    (line,) = detail["code_relation_detail_list"]
    assert (line["duty_man"], line["produce_line"], line["produce_factory"]) == ("孙七", "1号线", "一车间")
    assert (line["small_num"], line["batch_num"], line["produce_date"]) == ("10", "240", "2026-01-10")
    assert cases


async def test_a_wrong_relation_file_is_refused_with_every_line(
    world: World, maker: Caller, ref: str
) -> None:
    batch = world.number("RX")
    data, cases, boxes = relation(batch)
    bad = data.replace(f'curCode="{boxes[3]}"'.encode(), f'curCode="{boxes[2]}"'.encode())
    asked = {"ref_ent_id": ref, "client_type": "2", "file_content_string": sent(bad, "zip"),
             "save_code_relation": json.dumps({"upload_file_name": f"{batch}.xml"})}  # fmt: skip
    answer = await maker.refused("drug.kyt.scqy.uploadrelation", **asked)
    assert answer["msg_code"] == "FAIL_BIZ_RELATION_ERROR" and boxes[2] in answer["model"]["response_message"]
    assert await world.market.conn.fetchval("SELECT count(*) FROM unit WHERE code = $1", cases[0]) == 0
    rows = (await maker.result(
        "drug.kyt.scqy.codeprocess", ref_ent_id=ref, process_flag="4", query_flag="0", physic_type="A", client_type="2",
        start_date=BEFORE, end_date=AFTER, **PAGE))["model"]["result_list"]  # fmt: skip
    row = next(r for r in rows if r["file_name"] == f"{batch}.xml")
    assert row["process_flag"] == "4" and boxes[2] in row["process_des"]
    detail = (await maker.result(
        "drug.kyt.relationdetail", ref_ent_id=ref, client_type="2",
        code_active_info_id=row["active_info_seq_no"]))["model"]  # fmt: skip
    assert boxes[2] in detail["code_relation_detail_info"]["note"]
    for content, why in (("%%%", "Base64"), (base64.b64encode(b"PKjunk").decode(), "压缩包")):
        said = await maker.refused("drug.kyt.uploadrelation", **(asked | {"file_content_string": content}))
        assert why in said["msg_info"]


async def test_others_see_nothing_of_a_makers_files(world: World, maker: Caller, ref: str) -> None:
    other = Caller(await world.client(world.market.wholesaler))
    error = await other.error(
        "drug.kyt.codeprocess", ref_ent_id=ref, process_flag="A", query_flag="0", physic_type="A", client_type="2",
        start_date=BEFORE, end_date=AFTER, **PAGE,
    )  # fmt: skip
    assert error["sub_code"] in ("isv.ent-no-auth", "isv.permission-denied")


async def test_packages_are_bound_unbound_and_put_together(world: World, maker: Caller, ref: str) -> None:
    m = world.market
    goods = await world.goods(m.maker)
    first, second = goods.cases
    mine = goods.boxes_of(0)[:2]
    out = await maker.result(
        "drug.kyt.scqy.putpackageunbind", ref_ent_id=ref, parent_code=first, child_codes=",".join(mine)
    )
    assert {r["status"] for r in out["model"]["recover_code_move_packaging_result_dtos"]} == {"1"}
    parent = "SELECT parent FROM unit WHERE code = $1"
    assert await m.conn.fetchval(parent, mine[0]) is None
    wrong = await maker.refused(
        "drug.kyt.scqy.putpackageunbind", ref_ent_id=ref, parent_code=second, child_codes=mine[0]
    )
    assert mine[0] in wrong["msg_info"]
    full = await maker.refused(
        "drug.kyt.scqy.putpackage", ref_entid=ref, secondary_code=second, primary_codes=",".join(mine)
    )
    assert full["model"]["status"] == "0" and full["msg_code"] == "FAIL_BIZ_PACKAGE_ERROR"
    done = await maker.result(
        "drug.kyt.scqy.putpackage", ref_entid=ref, secondary_code=first, primary_codes=",".join(mine)
    )
    assert done["model"]["status"] == "1" and await m.conn.fetchval(parent, mine[0]) == first
    theirs = goods.boxes_of(1)[0]
    await maker.result(
        "drug.kyt.scqy.putpackageunbind", ref_ent_id=ref, parent_code=second, child_codes=theirs
    )
    moved = await maker.result(
        "drug.kyt.scqy.putpackagebind", ref_ent_id=ref, source_parent_code=first, source_child_codes=mine[1],
        target_parent_code=second,
    )  # fmt: skip
    assert moved["model"]["target_parent_code"] == second
    assert await m.conn.fetchval(parent, mine[1]) == second
    lie = await maker.refused(
        "drug.kyt.scqy.putpackagebind", ref_ent_id=ref, source_parent_code=second, source_child_codes=mine[0],
        target_parent_code=second,
    )  # fmt: skip
    assert mine[0] in lie["msg_info"] and await m.conn.fetchval(parent, mine[0]) == first
    await m.conserved()


async def test_a_damaged_code_is_replaced_and_listed(world: World, maker: Caller, ref: str) -> None:
    m = world.market
    goods = await world.goods(m.maker)
    fresh = code("8385793")
    for _ in range(2):
        done = await maker("drug.kyt.codereplace", ref_ent_id=ref, old_code=goods.boxes[0], new_code=fresh)
        assert done["response_success"] is True, done
    assert (await m.status(fresh))[0] == "I"
    asked = {
        "ref_ent_id": ref,
        "begin_time": f"{BEFORE} 00:00:00",
        "end_time": f"{AFTER} 23:59:59",
        "page": 1,
    }
    model = (await maker("drug.kyt.codereplacelog", **asked, code=fresh))["model"]
    (row,) = model["data"]
    assert (row["piats_code_old"], row["piats_code_new"], row["code_level"]) == (goods.boxes[0], fresh, 3)
    again = await maker.refused(
        "drug.kyt.codereplace", ref_ent_id=ref, old_code=goods.boxes[1], new_code=fresh
    )
    assert again["msg_code"] == "FAIL_BIZ_CODE_REPLACE_ERROR"
    long = (datetime.now(UTC) - timedelta(days=500)).strftime("%Y-%m-%d 00:00:00")
    too_long = await maker.refused("drug.kyt.codereplacelog", **(asked | {"begin_time": long}))
    assert "一年" in too_long["msg_info"]


async def test_which_of_the_codes_are_inside_which(world: World) -> None:
    m = world.market
    us = Caller(await world.client(m.wholesaler))
    own = (await world.alias(m.wholesaler)).ref_ent_id
    goods = await world.goods(m.wholesaler)
    codes = ",".join([goods.cases[0], goods.boxes_of(0)[0], goods.boxes_of(1)[0]])
    asked = {"ref_ent_id": own, "license_token": "t", "codes": codes}
    one = (await us("drug.code.kyt.wes.checkcoderelation", **asked))["model"]
    one = one[0] if isinstance(one, list) else one
    assert (one["code"], one["parent_code"]) == (goods.boxes_of(0)[0], goods.cases[0])
    every = (await us("drug.code.kyt.wes.checkcoderelationall", **asked))["model"]["result_list"]
    assert every == [{"code": goods.boxes_of(0)[0], "parent_code": goods.cases[0]}]
    none = await us("drug.code.kyt.wes.checkcoderelation", **(asked | {"codes": goods.boxes[0]}))
    assert none["response_success"] is True and not none.get("model")


CATALOGUE = ["drug.kyt.drugtable", "drug.kyt.drugrescode", "drug.kyt.wes.drugrescode", "drug.msc.drugtable"]


@pytest.mark.parametrize("method", CATALOGUE)
async def test_products_have_their_code_prefixes_by_level(
    world: World, maker: Caller, ref: str, method: str
) -> None:
    model = (
        await maker.result(
            method, ref_ent_id=ref, license_token="t", physic_name="复方测试", package_spec="24粒", **PAGE
        )
    )["model"]
    row = next(r for r in model["result_list"] if r["physic_name"] == "复方测试胶囊")
    if "sub_type_list" in row:
        prefixes = row["sub_type_list"][0]["code_res_list"]
        assert [(p["code_prefix"], p["code_level"]) for p in prefixes] == [
            ("8385793", "1"), ("8385794", "2"), ("8385795", "3"),
        ]  # fmt: skip
        assert prefixes[0]["pkg_ratio"] == "1:4:40"
    none = (await maker.result(method, ref_ent_id=ref, license_token="t", physic_name="没有", **PAGE))[
        "model"
    ]
    assert none["total_num"] == 0


async def test_products_and_batches_are_looked_up(world: World, maker: Caller, ref: str) -> None:
    m = world.market
    goods = await world.goods(m.maker)
    name = world.app.parts["registry"].org(m.maker).name
    one = (await maker.result("drug.kyt.drugdetail", ref_ent_id=ref, drug_ent_base_info_id=m.drug_id))[
        "model"
    ]
    assert (one["physic_name"], one["exprie_life"], one["exprie_unit"]) == ("复方测试胶囊", "24", "2")
    none = await maker.refused("drug.kyt.drugdetail", ref_ent_id=ref, drug_ent_base_info_id="999999")
    assert none["msg_code"] == "FAIL_BIZ_NO_PAT_INFO"
    asked = {"ref_ent_name": name, "physic_name": "复方测试胶囊", "physic_type": "3", "prepn_spec": "0.3g",
             "pkg_spec": "24粒"}  # fmt: skip
    for method in ("drug.kyt.drugcodes", "drug.kyt.yy.drugcodes"):
        coded = (await maker.result(method, produce_batch_no=goods.batch_no, **asked))["model"]
        assert coded["has_code"] is True and coded["pkg_spec_list"] == ["24粒/盒"]
        other = (await maker.result(method, produce_batch_no="nobody", **asked))["model"]
        assert other["has_code"] is False
    terminal = {
        "bureau_name": "济南",
        "terminal_name": "药房",
        "terminal_type": "1005100",
        "invocation": "formal",
    }
    (batch,) = (await maker.result(
        "drug.kyt.querybatchprod", product_ent_name=name, product_batch_no=goods.batch_no.lower(), **terminal
    ))["models"]  # fmt: skip
    assert (batch["produce_batch_no"], batch["expire_date"]) == (goods.batch_no, "2059-12-31")
    (active,) = (
        await maker.result("drug.kyt.queryactivetime", res_prod_code_list="8385793,9999999", **terminal)
    )["models"]
    assert active["res_prod_code"] == "8385793" and active["active_time"] > 1_700_000_000_000


async def test_lists_of_products_are_fetched_by_a_signed_address(
    world: World, maker: Caller, ref: str
) -> None:
    for method in ("drug.kyt.getdruginfo.downloadurl", "drug.kyt.wes.getdruginfo.downloadurl"):
        url = (await maker.result(method, ref_ent_id=ref, license_token="t"))["model"]["url"]
        got = await world.http.get(httpx.URL(url).path)
        assert got.status_code == 200 and "复方测试胶囊" in got.text and "8385794" in got.text
    url = (await maker.result("drug.download.getproductxml", app_key_n=maker.client.app_key))["model"]
    got = await world.http.get(httpx.URL(url).path)
    assert 'cascade="1:4:40"' in got.text and got.headers["content-type"].startswith("application/xml")
    path = httpx.URL(url).path
    assert (await world.http.get(path[:-3] + "AAA")).status_code == 404
    assert (await world.http.get("/top/files/nonsense")).status_code == 404
    refused = await maker.refused("drug.download.getproductxml", app_key_n="00000000")
    assert "AppKey" in refused["msg_info"]


async def test_a_products_licences_are_read_by_its_number(world: World, maker: Caller, ref: str) -> None:
    product = world.app.parts["registry"].product(world.market.drug_id)
    rows = (await maker("drug.kyt.getdruglicense", ref_ent_id=ref, drug_id=product.id))["result"][
        "model_list"
    ]
    assert [(r["name"], r["license_no"], r["drug_id"]) for r in rows] == [
        ("药品批准文号", product.approval_no, str(product.id))
    ]
    for number in (999_999_999, "x"):
        none = await maker("drug.kyt.getdruglicense", ref_ent_id=ref, drug_id=number)
        assert none["result"]["model_list"] == []


async def test_every_method_of_makers_was_tried() -> None:
    done = of_modules("methods_maker_relation", "methods_maker_packing", "methods_maker_products")
    assert {name for name in done if "lsyd" not in name and "yljg" not in name} <= CALLED
