"""Around the trade: tokens, service periods, health, recalls, files that land at a firm, grants (R-E4, R-B10)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio

from exchange.top.client import CHINA, around_today
from exchange.top.reading import CALLED, Caller, of_modules
from exchange.top.world import World, make_world
from yaosu.db.engine import Pool
from yaosu.exchange.top import inout_xml
from yaosu.exchange.top.downloads import Link, opened, token
from yaosu.recall import service as recalls
from yaosu.recall.model import Draft

pytestmark = pytest.mark.asyncio(loop_scope="module")
TODAY = datetime.now(UTC).astimezone(CHINA)
DAY = TODAY.strftime("%Y-%m-%d")
BEFORE, AFTER = around_today()


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


async def test_tokens_of_the_paid_tier_are_given_and_accepted(world: World, us: Caller, ref: str) -> None:
    for _ in range(8):  # more than the incumbent's five a second
        model = (await us.result("drug.code.kyt.wes.license.token.get", ref_ent_id=ref, license="L"))["model"]
        assert model["ref_ent_id"] == ref and model["appkey"] == us.client.app_key
    older = (await us.result("drug.code.kyt.wes.getlicense", ref_ent_id=ref, license="L"))["license_token"]
    for value in (model["license_token"], older):
        done = await us.result("drug.kyt.wes.service.info", ref_ent_id=ref, license_token=value)
        assert done["model"]["ref_ent_id"] == ref and done["model"]["end_date"] > DAY
    assert (await us.result("drug.msc.serviceinfo", ref_ent_id=ref))["model"]["start_date"] < DAY
    stranger = (await world.alias(world.market.other)).ref_ent_id
    error = await us.error("drug.code.kyt.wes.license.token.get", ref_ent_id=stranger, license="L")
    assert error["sub_code"] == "isv.ent-no-auth"


async def test_the_service_says_that_it_works(us: Caller) -> None:
    answer = await us("drug.kyt.recordinfo", log_level="info", service_name="x", service_type="1")
    assert answer["model"] is True and answer["response_success"] is True


async def test_recalls_are_told_to_whom_they_concern(world: World, us: Caller, ref: str) -> None:
    m = world.market
    goods = await world.goods(m.wholesaler)
    subject, other = m.subject(m.maker), m.subject(m.maker)
    draft = Draft(
        drug_id=m.drug_id, level=1, kind="active", simulated=False, title="含量不合格", reason="含量不合格",
        hazard="一级", measure=next(i.code for i in m.registry.lists.get("recall_measure")), contact="质量部 0531",
        batch_nos=[goods.batch_no], is_public=True,
    )  # fmt: skip
    async with world.app.pool.acquire() as conn, conn.transaction():
        order = await recalls.draft(conn, m.registry, subject, draft)
        await conn.execute("UPDATE recall_order SET drafted_by = NULL WHERE id = $1", order)
        await recalls.approve(conn, m.registry, other, order)
        await recalls.publish(conn, m.registry, subject, order)
    asked = {"ref_ent_id": ref, "recall_begin_time": BEFORE, "recall_end_time": AFTER}
    rows = (await us.result("drug.kyt.dr.drugrecal", **asked))["model_list"]
    row = next(r for r in rows if r["recall_info_id"] == str(order))
    assert (row["recall_level"], row["recall_nature"], row["recall_status"], row["recall_range"]) == (
        "1",
        "1",
        "1",
        "0",
    )
    assert row["product_batch_nos"] == goods.batch_no and row["recall_open"] == "1"
    assert row["physic_name"] == "复方测试胶囊"
    stranger = Caller(await world.client(m.hospital))
    own = (await world.alias(m.hospital)).ref_ent_id
    none = await stranger.result("drug.kyt.dr.drugrecal", **(asked | {"ref_ent_id": own}))
    assert str(order) not in {r["recall_info_id"] for r in none["model_list"]}
    before = await us.result("drug.kyt.dr.drugrecal", **(asked | {"recall_begin_time": "2026-01-01",
                                                                  "recall_end_time": "2026-01-02"}))  # fmt: skip
    assert before["model_list"] == []


async def test_upstreams_bills_land_as_files_and_are_acknowledged(world: World, us: Caller) -> None:
    m = world.market
    goods = await world.goods(m.maker)
    number = world.number("LD")
    await m.ship(m.maker, m.wholesaler, goods.cases, bill_no=number)
    bill_id = await m.conn.fetchval("SELECT id FROM bill WHERE bill_no = $1", number)
    key = us.client.app_key
    model = (await us.result("drug.download.entlist", app_key_n=key))["model"]
    assert model["file_num"] == len(model["file_info_list"])
    url = next(u for u in model["file_info_list"] if u.endswith(f"#bill_{bill_id}.xml"))
    got = await world.http.get(httpx.URL(url).path)
    assert got.status_code == 200
    found = inout_xml.read(got.content)
    assert (found.kind, found.codes, found.numbers) == (201, sorted(goods.cases), {number})
    asked = {"app_key_n": key, "base_ent_name": "x", "type": "2", "bill_code": number, "re_upload": "0"}
    assert "尚未回执" in (await us.result("drug.download.dataerrordiagnosis", **asked))["model"]
    bad = json.dumps([{"file": url, "success": False, "message": "磁盘满"}])
    await us.result("drug.download.fileacceptret", app_key_n=key, file_result_json=bad)
    assert "磁盘满" in (await us.result("drug.download.dataerrordiagnosis", **asked))["model"]
    good = json.dumps([{"file": f"bill_{bill_id}.xml", "success": True}])
    await us.result("drug.download.fileacceptret", app_key_n=key, file_result_json=good)
    again = (await us.result("drug.download.entlist", app_key_n=key))["model"]["file_info_list"]
    assert not any(u.endswith(f"#bill_{bill_id}.xml") for u in again)
    assert "落地成功" in (await us.result("drug.download.dataerrordiagnosis", **asked))["model"]
    await us.result("drug.download.dataerrordiagnosis", **(asked | {"re_upload": "1"}))
    again = (await us.result("drug.download.entlist", app_key_n=key))["model"]["file_info_list"]
    assert any(u.endswith(f"#bill_{bill_id}.xml") for u in again)
    unknown = json.dumps([{"file": "bill_999999999.xml", "success": True}])
    refused = await us.refused("drug.download.fileacceptret", app_key_n=key, file_result_json=unknown)
    assert "999999999" in refused["msg_info"]
    span = {"start_time": BEFORE, "end_time": AFTER}
    report = (await us("drug.download.getentdailytaskdtolist", app_key_n=key, **span))["model"]
    # a row a day, and midnight may have come in between
    assert 1 <= len(report) <= 3 and sum(r["bill_file_count"] for r in report) >= 1
    other = await us.result("drug.download.dataerrordiagnosis", **(asked | {"bill_code": "nobody"}))
    assert "没有" in other["model"]


async def test_a_files_address_is_good_for_a_day_and_for_nobody_else(world: World) -> None:
    master: bytes = world.app.parts["master_secret"]
    link = Link(world.market.wholesaler, "product.xml", 3)
    given = token(master, link, now=1_000_000)
    assert opened(master, given, now=1_000_000) == link
    assert opened(master, given, now=1_000_000 + 24 * 3600 + 1) is None
    assert opened(b"other" * 7, given, now=1_000_000) is None
    head, _, tail = given.partition(".")
    for changed in ("", "x", head, f"{head}x.{tail}", f"{head}.{tail[::-1]}", "é.é"):
        assert opened(master, changed, now=1_000_000) is None


async def test_firms_that_opened_their_data_to_us(world: World) -> None:
    m = world.market
    maker = Caller(await world.client(m.maker))
    await m.conn.execute(
        "INSERT INTO data_grant (grantor_org, grantee_org, fields, offered_by, accepted_at) "
        "VALUES ($1, $2, '{flow}', $1, now())", m.pharmacy, m.maker,
    )  # fmt: skip
    rows = (await maker.result("drug.download.getentauthent", auth_begin_date=BEFORE, auth_end_date=AFTER))[
        "auth_list"
    ]
    pharmacy = await world.alias(m.pharmacy)
    assert [r["auth_ref_ent_id"] for r in rows] == [pharmacy.ref_ent_id]
    old = (TODAY - timedelta(days=30)).strftime("%Y-%m-%d")
    none = await maker.result("drug.download.getentauthent", auth_begin_date=old, auth_end_date=old)
    assert none["auth_list"] == []


async def test_a_code_leads_to_its_public_page(world: World, us: Caller) -> None:
    goods = await world.goods(world.market.wholesaler)
    url = httpx.URL((await us("secondard.node.code.showurl", code=goods.boxes[0], user_name="x"))["model"])
    got = await world.http.get(url.path, params=dict(url.params), follow_redirects=True)
    assert got.status_code == 200 and "复方测试胶囊" in got.text


async def test_every_other_method_was_tried() -> None:
    done = of_modules("methods_misc")
    assert {name for name in done if "lsyd" not in name and "yljg" not in name} <= CALLED
