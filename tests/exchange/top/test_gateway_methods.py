"""Every method of pharmacies and hospitals, called as published: names at their depth, types, what must be there."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from circulation.helpers import Goods
from exchange.top.client import TopClient, around_today
from exchange.top.world import World, bill_time, make_world
from yaosu.exchange.top.fields import published
from yaosu.exchange.top.protocol import load_methods

pytestmark = pytest.mark.asyncio(loop_scope="module")

P = "alibaba.alihealth."
FAMILIES = {"lsyd": "pharmacy", "yljg": "hospital"}
MINE = sorted(n for n in published() if ".lsyd." in n or ".yljg." in n)


@dataclass
class Scene:
    """A family's organisation with goods received, goods on their way, a sale, and a refused upload."""

    world: World
    client: TopClient
    me: Any
    firm: Any
    stock: Goods
    coming: Goods
    notice: str
    receipt: str
    partly: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(client: httpx.AsyncClient) -> AsyncIterator[World]:
    async with make_world(client) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scenes(world: World) -> dict[str, Scene]:
    found = {}
    for family, who in FAMILIES.items():
        market = world.market
        org = getattr(market, who)
        till = await world.client(org)
        me, firm = await world.alias(org), await world.alias(market.wholesaler)
        stock, coming = await world.goods(market.wholesaler), await world.goods(market.wholesaler)
        notice, receipt, partly = world.number("XS"), world.number("RK"), world.number("SY")
        await market.ship(market.wholesaler, org, stock.cases)
        await market.ship(market.wholesaler, org, coming.cases, bill_no=notice)
        await market.move(102, org, stock.cases, from_org=market.wholesaler, bill_no=receipt)
        use = {
            "bill_code": partly, "bill_time": bill_time(timedelta(minutes=1)), "ref_user_id": me.ref_ent_id,
            "bill_type": "321" if family == "lsyd" else "323", "trace_codes": f"{stock.boxes[0]},12345",
        }  # fmt: skip
        answer = await till.ok(f"{P}drugtrace.top.{family}.uploadretail", use)
        assert answer["response_success"] is True
        found[family] = Scene(world, till, me, firm, stock, coming, notice, receipt, partly)
    return found


def asked(scene: Scene, method: str) -> dict[str, str]:
    """A value for every required field of a method, and for some that are not."""
    begin, end = around_today()
    product = scene.world.market.registry.product(scene.world.market.drug_id)
    assert product is not None
    values = {
        "ref_ent_id": scene.me.ref_ent_id, "des_ref_ent_id": scene.me.ref_ent_id,
        "to_ref_user_id": scene.me.ref_ent_id, "from_ref_user_id": scene.firm.ref_ent_id,
        "dest_ref_ent_id": scene.firm.ref_ent_id, "begin_date": begin, "end_date": end, "page": "1", "cur_page": "1",
        "page_size": "20", "bill_type": "A", "codes": f"{scene.stock.boxes[1]},8385793000000000001",
        "code": scene.coming.cases[0], "physic_name": product.generic_name, "business": "1", "service": "1",
    }  # fmt: skip
    name = method.rsplit(".", 1)[-1]
    if "upbilldetail" in method:
        values["bill_code"] = scene.receipt
    elif "partsuccess" in method:
        values |= {"bill_code": scene.partly, "code": ""}
    elif "listupout.detail" in method:
        values["bill_code"] = scene.notice
    elif method.endswith(("billcount", "listupout", "querycodeactive")):
        values["bill_type"] = ""
    elif name in ("getentinfo", "getentinfolist", "getentinfonew"):
        card = scene.world.market.registry.org(scene.world.market.wholesaler)
        assert card is not None
        values |= {"ent_name": card.name, "query_param": f'{{"ent_name":"{card.name}"}}'}
    elif name == "saveent":
        values["add_ent_req"] = '{"ent_name":"新往来单位","org_code":"bad"}'
    elif name.startswith("upload"):
        out = name == "uploadretail"
        values |= {
            "bill_code": scene.world.number("U"), "bill_time": bill_time(timedelta(seconds=30)),
            "bill_type": ("321" if ".lsyd." in method else "323") if out else "102", "physic_type": "3",
            "ref_user_id": scene.me.ref_ent_id, "from_user_id": scene.me.ent_id if out else scene.firm.ent_id,
            "to_user_id": scene.me.ent_id, "client_type": "2",
            "trace_codes": f"{scene.stock.boxes[5]},12345" if out else f"{scene.coming.cases[1]},12345",
        }  # fmt: skip
    shape = published()[method].request
    return {k: v for k, v in values.items() if k in shape and v}


MUST: Mapping[str, set[str]] = {
    "upload": {"model", "msg_code", "response_success", "operation_info_map.code_check_error_info"},
    "billstatus": {"result.model.total_num", "result.model.result_list.result_type",
                   "result.model.result_list.sub_process_flag", "result.model.result_list.bill_code"},
    "partsuccess": {"model.result.code", "model.result.error_code", "model.total_num", "model.pages"},
    "codedetail": {"result.models.code", "result.models.package_level",
                   "result.models.code_status_type_d_t_o.code_status",
                   "result.models.code_produce_info_d_t_o.produce_info_list.batch_no",
                   "result.models.drug_ent_base_d_t_o.approval_licence_no", "result.models.p_user_ent_d_t_o.ent_name"},
    "querycodeactive": {"models"},
    "query.relation": {"result.model_list.code_relation_list.code", "result.model_list.is_smallest",
                       "result.model_list.base_infos_dto.base_info_list.pkg_ratio",
                       "result.model_list.produce_info_list.batch_no"},
    "upbillcode": {"result.model_list.bill_code", "result.model_list.bill_time", "result.model_list.from_user_id"},
    "listupout": {"result.model.result_list.bill_code", "result.model.result_list.code_count",
                  "result.model.result_list.status", "result.model.total_num"},
    "listupout.detail": {"result.model.bill_code", "result.model.ent_send_id",
                         "result.model.drug_infos_dto_list.code_info_list_dto_list.code"},
    "upbilldetail": {"result.model.bill_code", "result.model.bill_chk_in_out_detail_list_d_t_o_list.min_pkg_count"},
    "searchbill": {"result.model.result_list.bill_code", "result.model.result_list.bill_id", "result.model.total_num"},
    "billcount": {"result.model_list.bill_type", "result.model_list.count"},
    "getbyrefentid": {"result.model.ent_id", "result.model.ent_name", "result.model.org_code"},
    "getentinfo": {"result.model.ent_id", "result.model.ref_ent_id"},
    "getentinfolist": {"result.model.ent_id", "result.model.ref_ent_id", "result.model.unique_code"},
    "getentinfonew": {"result.model.ent_id", "result.model.ref_ent_id"},
    "listparts": {"result.model.result_list.par_ref_ent_id", "result.model.result_list.partner_name"},
    "saveent": {"result.model.add_sucess", "result.model.check_msg"},
    "getdruglist": {"result.model.result_list.physic_name", "result.model.total_num"},
    "drugtable": {"result.model.result_list.sub_type_list.code_res_list.code_prefix"},
    "downloadurl": {"result.model.url"},
    "getenddate": {"result.end_date"},
}  # fmt: skip
"""What the answer of a method must hold; the longest ending of the name that fits counts."""


def must(method: str) -> set[str]:
    fitting = [end for end in MUST if method.endswith(end) or (end == "upload" and ".upload" in method)]
    return MUST[max(fitting, key=len)]


def walked(tree: Any, value: Any, where: str, found: set[str]) -> None:
    """Every name stands where it is published, with the published type."""
    if isinstance(tree, list):
        assert isinstance(value, dict) and list(value) == [tree[0]], (
            f"{where}: lists are wrapped as {tree[0]}"
        )
        for one in value[tree[0]]:
            walked(tree[1], one, where, found)
        return
    if isinstance(tree, dict):
        assert isinstance(value, dict), where
        for name, one in value.items():
            assert name in tree, f"{where}.{name} is not published"
            walked(tree[name], one, f"{where}.{name}" if where else name, found)
        return
    kind = {"s": str, "n": int, "b": bool, "d": str, "f": float}[tree]
    assert type(value) is kind, f"{where}: {value!r} is no {kind.__name__}"
    if tree == "d":
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", value), where
    found.add(where)


async def test_every_published_method_of_the_two_families_is_done() -> None:
    assert len(MINE) == 45
    assert [name for name in MINE if name not in load_methods()] == []


@pytest.mark.parametrize("method", MINE)
async def test_a_method_answers_in_its_published_shape(scenes: dict[str, Scene], method: str) -> None:
    scene = scenes["lsyd" if ".lsyd." in method else "yljg"]
    files = (
        {"lic_picture_byte": ("licence.png", b"\x89PNG\r\n\x1a\n" + b"0" * 64)}
        if method.endswith("saveent")
        else None
    )
    answer = await scene.client.call(method, asked(scene, method), files)
    assert "error_response" not in answer, answer
    answer.pop("request_id")
    found: set[str] = set()
    walked(published()[method].response, answer, "", found)
    assert must(method) <= found, (must(method) - found, answer)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stranger(world: World) -> TopClient:
    return await world.client(world.market.other)


@pytest.mark.parametrize("method", MINE)
async def test_nobody_asks_in_anothers_name(
    scenes: dict[str, Scene], stranger: TopClient, method: str
) -> None:
    scene = scenes["lsyd" if ".lsyd." in method else "yljg"]
    business = asked(scene, method)
    if not {"ref_ent_id", "ref_user_id"} & business.keys():
        pytest.skip("names nobody: answers for the key's own organisation from the open directory")
    files = {"lic_picture_byte": ("a.png", b"x")} if method.endswith("saveent") else None
    answer = await stranger.call(method, business, files)
    assert answer["error_response"]["sub_code"] == "isv.ent-no-auth"
