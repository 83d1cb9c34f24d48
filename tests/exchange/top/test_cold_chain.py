"""Temperatures of vaccines in store and on the way, as clients upload and ask for them (interfaces §2.2, R-X10)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from circulation.helpers import Goods
from exchange.top.client import china_now
from exchange.top.reading import Caller
from exchange.top.world import World, make_world

pytestmark = pytest.mark.asyncio(loop_scope="module")
D = "drug.kyt.dr."


@dataclass
class Scene:
    """A maker that shipped one batch by a carrier, and who received it."""

    world: World
    goods: Goods
    bill: str
    maker: Any
    carrier: Any
    receiver: Any
    stranger: Any
    calls: dict[str, Caller]

    async def ask(self, who: str, method: str, **business: object) -> Any:
        return await self.calls[who].result(D + method, **business)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(client: httpx.AsyncClient) -> AsyncIterator[Scene]:
    async with make_world(client) as world:
        m = world.market
        orgs = {"maker": m.maker, "carrier": m.other, "receiver": m.wholesaler, "stranger": m.hospital}
        calls = {name: Caller(await world.client(org)) for name, org in orgs.items()}
        goods = await world.goods(m.maker)
        bill = world.number("YM")
        await m.ship(m.maker, m.wholesaler, goods.cases, bill_no=bill, carrier=m.other)
        names = {name: await world.alias(org) for name, org in orgs.items()}
        yield Scene(world, goods, bill, calls=calls, **names)


def at(minutes: int) -> str:
    return china_now(timedelta(minutes=-minutes))


def content(*rows: tuple[int, float, float]) -> str:
    return json.dumps([{"time": at(m), "min_value": low, "max_value": high} for m, low, high in rows])


async def test_what_was_measured_on_the_way_and_in_store_comes_with_the_goods(scene: Scene) -> None:
    ref = scene.maker.ref_ent_id
    store = {"ref_ent_id": ref, "equipment_code": "LK-01", "equipment_name": "一号冷库"}
    rows = content((3000, 2.1, 4.05), (2940, 2, 7.9))
    for _ in range(2):  # a client that got no answer sends again
        assert (await scene.ask("maker", "storageupload", **store, content=rows))["model"] is True
    truck = {"ref_ent_id": ref, "bill_code": scene.bill, "equipment_code": "CAR-7", "equipment_name": "冷藏车",
             "transport_ref_ent_id": scene.carrier.ref_ent_id, "transport_ref_ent_name": "冷链物流",
             "agent_ref_ent_id": scene.carrier.ref_ent_id}  # fmt: skip
    moment = at(1)
    way = json.dumps([{"time": moment, "minValue": "-0.5", "maxValue": "8.00"}])
    assert (await scene.ask("carrier", "transportupload", **truck, content=way))["model"] is True

    code = {"code": scene.goods.boxes[0], "ref_ent_id": scene.receiver.ref_ent_id}
    (only,) = (await scene.ask("receiver", "getupteminfo", **code))["model"]["list"]
    assert (only["time"], only["min_value"], only["max_value"]) == (moment, "-0.5", "8")
    assert (only["equipment_name"], only["bill_code"], only["type"]) == ("冷藏车", scene.bill, "运输温度")
    assert only["upload_ent_name"] == scene.world.market.registry.org(scene.world.market.other).name

    listed = {"ref_ent_id": ref, "target_ref_ent_id": ref, "page": 1, "page_size": 10}
    found = (await scene.ask("maker", "vaequipment.list", **listed, equipment_code_or_name="冷库"))["model"]
    (place,) = found["list"]
    assert (place["equipment_code"], place["associated_status"], found["total_num"]) == ("LK-01", "0", 1)
    assert (await scene.ask("maker", "vaequipment.list", **listed, status="0"))["model"]["total_num"] == 0
    bind = {"ref_ent_id": ref, "bill_codes": scene.bill, "va_equipment_id": place["va_equipment_id"]}
    await scene.ask("maker", "associateequi", **bind)
    await scene.ask("maker", "associateequi", **bind)
    after = (await scene.ask("receiver", "getupteminfo", **code))["model"]["list"]
    assert [r["type"] for r in after] == ["运输温度", "存储温度", "存储温度"]
    assert {(r["min_value"], r["max_value"]) for r in after[1:]} == {("2.1", "4.05"), ("2", "7.9")}

    batch = {"drug_ent_base_info_id": scene.world.market.drug_id, "batch_no": scene.goods.batch_no,
             "bill_out_code": scene.bill}  # fmt: skip
    ours = (await scene.ask("receiver", "getproteminfo", **batch, ref_ent_id=code["ref_ent_id"]))["model"]
    assert len(ours["storage_temperature_list"]) == 2 and len(ours["transport_temperature_list"]) == 1
    theirs = (await scene.ask("stranger", "getproteminfo", **batch))["model"]
    assert theirs == {"storage_temperature_list": [], "transport_temperature_list": []}
    other = {"code": code["code"], "ref_ent_id": scene.stranger.ref_ent_id}
    assert (await scene.ask("stranger", "getupteminfo", **other))["model"] == {"list": []}


async def test_only_the_owner_and_the_carrier_on_the_bill_upload(scene: Scene) -> None:
    upload = {"ref_ent_id": scene.maker.ref_ent_id, "equipment_code": "X", "content": content((1, 2, 3))}
    for name in ("stranger", "carrier"):
        mine = getattr(scene, name).ref_ent_id
        for more in ({}, {"agent_ref_ent_id": mine}):
            error = await scene.calls[name].error(D + "storageupload", **upload, **more)
            assert error["sub_code"] == "isv.ent-no-auth"
    me = scene.stranger.ref_ent_id
    bill = {**upload, "bill_code": scene.bill, "agent_ref_ent_id": me}
    assert (await scene.calls["stranger"].error(D + "transportupload", **bill))[
        "sub_code"
    ] == "isv.ent-no-auth"
    unknown = {**upload, "bill_code": "NO-SUCH"}
    assert (await scene.calls["maker"].refused(D + "transportupload", **unknown))["msg_info"].endswith(
        "NO-SUCH"
    )
    other = {"ref_ent_id": me, "target_ref_ent_id": scene.maker.ref_ent_id, "page": 1, "page_size": 10}
    assert (await scene.calls["stranger"].error(D + "vaequipment.list", **other))[
        "sub_code"
    ] == "isv.ent-no-auth"
    bind = {"ref_ent_id": me, "bill_codes": scene.bill, "va_equipment_id": 1}
    await scene.calls["stranger"].refused(D + "associateequi", **bind)
    await scene.calls["maker"].refused(
        D + "associateequi", ref_ent_id=scene.maker.ref_ent_id, bill_codes="NO-SUCH", va_equipment_id=1
    )


@pytest.mark.parametrize(
    "wrong",
    [
        "4.5",
        "[]",
        "{",
        "[1]",
        '[{"time":"yesterday","min_value":1,"max_value":2}]',
        '[{"time":"2026-01-01 00:00:00","min_value":"warm","max_value":2}]',
        '[{"time":"2026-01-01 00:00:00","min_value":3,"max_value":2}]',
        '[{"time":"2026-01-01 00:00:00","min_value":"NaN","max_value":2}]',
        '[{"time":"2026-01-01 00:00:00","min_value":-273,"max_value":2}]',
        '[{"time":"2026-01-01 00:00:00","max_value":2}]',
    ],
)
async def test_readings_that_cannot_be_read_are_named(scene: Scene, wrong: str) -> None:
    error = await scene.calls["maker"].error(
        D + "storageupload", ref_ent_id=scene.maker.ref_ent_id, equipment_code="LK-01", content=wrong
    )
    assert (error["code"], error["sub_code"]) == (41, "isv.invalid-parameter:content")
