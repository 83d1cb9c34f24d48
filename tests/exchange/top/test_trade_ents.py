"""Organisations over the gateway: two stable names of one id, partners, asking for a new one (§2.4, R-B8)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from access.helpers import key_headers
from exchange.top.reading import CALLED, Caller, of_modules
from exchange.top.world import World, make_world
from registry.helpers import OPERATOR, uscc
from yaosu.db.engine import Pool
from yaosu.errors import YaosuError
from yaosu.exchange.top import partners

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGE = {"page": 1, "page_size": 50}
JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 20


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


def name_of(world: World, org: int) -> str:
    card = world.app.parts["registry"].org(org)
    assert card is not None
    found: str = card.name
    return found


BY_ID = {
    "drug.kyt.getbyentid": "ent_id", "drug.msc.getbyentid": "ent_id", "drug.kyt.wes.getbyentid": "ent_id",
    "drug.kyt.dr.getbyentid": "ent_id", "drug.kyt.getbyrefentid": "dest_ref_ent_id",
    "drug.msc.getbyrefentid": "dest_ref_ent_id", "drug.kyt.wes.getbyrefentid": "dest_ref_ent_id",
    "drug.kyt.dr.getbyrefentid": "dest_ref_ent_id", "drug.kyt.specia.vaccin.getbyrefentid": "dest_ref_ent_id",
    "drug.kyt.wes.getbyorgcode": "org_code",
}  # fmt: skip


@pytest.mark.parametrize(("method", "field"), BY_ID.items())
async def test_an_organisation_is_found_by_either_id_and_by_its_code(
    world: World, us: Caller, ref: str, method: str, field: str
) -> None:
    maker = world.market.maker
    alias, card = await world.alias(maker), world.app.parts["registry"].org(maker)
    assert card is not None
    values = {"ent_id": alias.ent_id, "dest_ref_ent_id": alias.ref_ent_id, "org_code": card.uscc}
    model = (await us.result(method, ref_ent_id=ref, license_token="t", **{field: values[field]}))["model"]
    assert (model["ent_id"], model["ref_ent_id"]) == (alias.ent_id, alias.ref_ent_id)
    assert model["ent_name"] == card.name and model["org_code"] == card.uscc
    none = await us.refused(method, ref_ent_id=ref, license_token="t", **{field: "1" * 18})
    assert none["msg_code"] == "FAIL_BIZ_NO_PAT_INFO"


BY_NAME = ["drug.kyt.smyx.getentinfo",
           "drug.kyt.getentinfo", "drug.msc.getentinfo", "drug.kyt.wes.getentinfo", "drug.kyt.dr.getentinfo",
           "drug.kyt.va.getentinfo", "drug.kyt.yy.getentinfo", "drug.kyt.specia.vaccin.getentinfo"]  # fmt: skip


@pytest.mark.parametrize("method", BY_NAME)
async def test_an_organisation_is_found_by_its_name_in_any_width(
    world: World, us: Caller, ref: str, method: str
) -> None:
    maker = world.market.maker
    name = name_of(world, maker).replace("测试", "测试 ")
    needed = {"ref_ent_id": ref} if method.startswith("drug.msc") else {}
    model = (await us.result(method, ent_name=name, **needed))["model"]
    assert model["ref_ent_id"] == (await world.alias(maker)).ref_ent_id
    none = await us.refused(method, ent_name="没有这一家", **needed)
    assert none["msg_code"] == "FAIL_BIZ_NO_PAT_INFO"


@pytest.mark.parametrize(
    "method", ["drug.msc.getentinfolist", "drug.wes.getentinfolist", "drug.sy.getentinfolist"]
)
async def test_organisations_are_listed_by_any_condition(
    world: World, us: Caller, ref: str, method: str
) -> None:
    maker = world.market.maker
    card = world.app.parts["registry"].org(maker)
    assert card is not None
    field = "top_ent_info_req_dto" if ".sy." in method else "query_param"
    asked = {"ref_ent_id": ref, "license_token": "t"}
    for query in (
        {"org_code": card.uscc},
        {"ent_name": card.name},
        {"ent_id": (await world.alias(maker)).ent_id},
    ):
        rows = (await us.result(method, **asked, **{field: json.dumps(query)}))["model"]
        assert [r["ent_name"] for r in rows] == [card.name]
        assert rows[0]["audit_status"] == 1 and rows[0]["unique_code"] == card.uscc
    many = (await us.result(method, **asked, **{field: json.dumps({"ent_name": "医药有限公司"})}))["model"]
    assert len(many) >= 2
    empty = await us.refused(method, **asked, **{field: "{}"})
    assert empty["msg_code"] == "FAIL_BIZ_PARAM_ERROR"


@pytest.mark.parametrize("method", ["drug.msc.getentinfonew", "drug.wes.getentinfonew"])
async def test_one_organisation_only_where_one_fits(world: World, us: Caller, ref: str, method: str) -> None:
    card = world.app.parts["registry"].org(world.market.maker)
    assert card is not None
    asked = {"ref_ent_id": ref, "license_token": "t"}
    found = await us.result(method, **asked, query_param=json.dumps({"org_code": card.uscc}))
    row = found["model"][0] if isinstance(found["model"], list) else found["model"]
    assert row["ent_name"] == card.name
    two = await us.refused(method, **asked, query_param=json.dumps({"ent_name": "医药有限公司"}))
    assert two["msg_code"] == "FAIL_BIZ_NO_PAT_INFO"


PARTS = ["drug.kyt.smyx.listparts",
           "drug.kyt.listparts", "drug.msc.listparts", "drug.kyt.wes.listparts", "drug.kyt.listparts.byagent",
         "drug.kyt.wes.listparts.byagent", "drug.kyt.dr.listparts", "drug.kyt.yy.listparts",
         "drugcode.listentparbyrefentid"]  # fmt: skip


@pytest.mark.parametrize("method", PARTS)
async def test_partners_are_those_we_trade_with(world: World, us: Caller, ref: str, method: str) -> None:
    m = world.market
    goods = await world.goods(m.wholesaler)
    await m.ship(m.wholesaler, m.hospital, goods.cases)
    whole = await us(method, ref_ent_id=ref, license_token="t", **PAGE)
    model = whole["result"]["model"] if "result" in whole else whole["model"]
    rows = model.get("result_list") or model["result"]
    found = {r["par_ref_ent_id"]: r for r in rows}
    assert found.keys() >= {(await world.alias(o)).ref_ent_id for o in (m.maker, m.hospital)}
    assert (await world.alias(m.other)).ref_ent_id not in found
    one = found[(await world.alias(m.hospital)).ref_ent_id]
    assert one["partner_name"] == name_of(world, m.hospital) and str(one["audit_flag"]) == "1"
    assert one["partner_ent_id"] == (await world.alias(m.hospital)).ent_id
    if ".msc." in method or ".wes." in method:
        code = world.market.registry.org(m.hospital).uscc  # type: ignore[union-attr]
        for asked, seen in ((code, [one["par_ref_ent_id"]]), ("91370102000000019X", [])):
            some = await us.result(method, ref_ent_id=ref, license_token="t", org_code=asked, **PAGE)
            assert [r["par_ref_ent_id"] for r in some["model"]["result_list"]] == seen


def request_of(code: str, name: str = "新建大药房") -> str:
    return json.dumps(
        {
            "ent_name": name,
            "org_code": code,
            "user_role_type": 4,
            "ent_org_type": 44,
            "license_type": 8,
            "reg_addr": {"prov_name": "山东省", "city_name": "济南市", "area_name": "历下区"},
            "dict_region_detail": "泉城路1号",
            "contact_psn_nm": "赵六",
            "mobile_phone": "13800000000",
        },
        ensure_ascii=False,
    )


@pytest.mark.parametrize("method", ["drug.kyt.saveent", "drug.msc.saveent", "drug.kyt.wes.saveent"])
async def test_a_partner_asked_for_waits_for_audit_and_keeps_its_promised_name(
    world: World, us: Caller, ref: str, method: str
) -> None:
    m = world.market
    code = uscc(700_000 + PARTS.index("drug.kyt.listparts") + len(method) + hash(method) % 1000)
    name = f"新建{len(method)}号大药房{code[-4:]}"
    files = {"lic_picture_byte": ("licence.jpg", JPEG)}
    answer = (await us(method, files, ref_ent_id=ref, license_token="t", add_ent_req=request_of(code, name)))[
        "result"
    ]
    assert answer["model"]["add_sucess"] is True, answer
    promised = answer["model"]["par_ref_ent_id"]
    again = (await us(method, files, ref_ent_id=ref, license_token="t", add_ent_req=request_of(code, name)))[
        "result"
    ]
    assert again["model"]["par_ref_ent_id"] == promised
    waiting = (await us.result("drug.msc.listparts", ref_ent_id=ref, audit_flag=0, **PAGE))["model"][
        "result_list"
    ]
    assert promised in {r["par_ref_ent_id"] for r in waiting}
    error = await us.error("drug.kyt.getbyrefentid", ref_ent_id=promised, dest_ref_ent_id=promised)
    assert error["sub_code"] == "isv.ent-no-auth"  # nothing can be posted to a firm that does not exist yet
    master: bytes = world.app.parts["master_secret"]
    rows = [r for r in await partners.waiting(m.conn, OPERATOR) if r["org_code"] == code]
    assert rows[0]["region"] == "370102"
    with pytest.raises(YaosuError):
        await partners.accept(m.conn, m.subject(m.wholesaler), rows[0]["id"], master)
    made = await partners.accept(m.conn, OPERATOR, rows[0]["id"], master)
    await world.app.parts["registry"].refresh(m.conn)
    model = (await us.result("drug.kyt.getbyrefentid", ref_ent_id=ref, dest_ref_ent_id=promised))["model"]
    assert model["ent_name"] == name == made.name
    told = "SELECT count(*) FROM message WHERE org = $1 AND kind = 'notice_top_partner_accepted'"
    assert await m.conn.fetchval(told, m.wholesaler)
    known = (await us(method, files, ref_ent_id=ref, license_token="t", add_ent_req=request_of(code)))[
        "result"
    ]
    assert known["model"]["par_ref_ent_id"] == promised


async def test_a_partner_that_cannot_be_right_is_refused_with_the_reason(us: Caller, ref: str) -> None:
    code = uscc(812_345)
    good = json.loads(request_of(code))
    wrong = {
        "org_code": good | {"org_code": "91370102000000000X"},
        "ent_name": good | {"ent_name": ""},
        "user_role_type": good | {"user_role_type": 99},
        "reg_addr": good | {"reg_addr": {"prov_name": "火星省"}},
        "ent_org_type": good | {"ent_org_type": 9999},
    }
    files = {"lic_picture_byte": ("licence.jpg", JPEG)}
    for field, given in wrong.items():
        answer = (await us("drug.msc.saveent", files, ref_ent_id=ref, add_ent_req=json.dumps(given)))[
            "result"
        ]
        assert answer["model"]["add_sucess"] is False and field in answer["model"]["check_msg"], field
    for picture in (b"not a picture", JPEG + b"x" * (2 << 20)):
        answer = (await us(
            "drug.msc.saveent", {"lic_picture_byte": ("a", picture)}, ref_ent_id=ref, add_ent_req=json.dumps(good)
        ))["result"]  # fmt: skip
        assert "2MB" in answer["model"]["check_msg"]


async def test_a_refused_partner_is_told_and_listed_as_such(world: World, us: Caller, ref: str) -> None:
    m = world.market
    code = uscc(823_456)
    files = {"lic_picture_byte": ("licence.png", b"\x89PNG\r\n" + b"x" * 50)}
    answer = (await us("drug.msc.saveent", files, ref_ent_id=ref, add_ent_req=request_of(code)))["result"]
    row = next(r for r in await partners.waiting(m.conn, OPERATOR) if r["org_code"] == code)
    await partners.refuse(m.conn, OPERATOR, row["id"], "证照不清晰")
    listed = (await us.result("drug.msc.listparts", ref_ent_id=ref, audit_flag=2, **PAGE))["model"][
        "result_list"
    ]
    assert answer["model"]["par_ref_ent_id"] in {r["par_ref_ent_id"] for r in listed}


async def test_the_operator_answers_partner_requests_over_the_api(world: World, us: Caller, ref: str) -> None:
    m = world.market
    code = uscc(823_457)
    files = {"lic_picture_byte": ("licence.png", b"\x89PNG\r\n" + b"y" * 50)}
    answer = (await us("drug.msc.saveent", files, ref_ent_id=ref, add_ent_req=request_of(code)))["result"]
    operator, firm = await key_headers(m.conn, None), await key_headers(m.conn, m.wholesaler)
    path = "/api/v1/top/partners"
    assert (await world.http.get(path, headers=firm)).status_code == 403
    items = (await world.http.get(path, headers=operator)).json()["items"]
    (row,) = [r for r in items if r["org_code"] == code]
    assert (await world.http.post(f"{path}/{row['id']}/accept", headers=firm)).status_code == 403
    made = await world.http.post(f"{path}/{row['id']}/accept", headers=operator)
    assert made.status_code == 200, made.text
    named = await world.alias(made.json()["org_id"])
    assert named.ref_ent_id == answer["model"]["par_ref_ent_id"]
    gone = await world.http.post(f"{path}/{row['id']}/refuse", json={"reason": "重复"}, headers=operator)
    assert gone.status_code == 404


AUTHS = ["drug.kyt.listauths", "drug.msc.listauths", "drug.wes.listauths", "drug.kyt.synonymauths",
         "drug.msc.synonymauths", "drug.kyt.wes.synonymauths"]  # fmt: skip


@pytest.mark.parametrize("method", AUTHS)
async def test_who_acts_for_whom(world: World, us: Caller, ref: str, method: str) -> None:
    m = world.market
    ours = "synonym" in method
    principal, agent = (m.other, m.wholesaler) if ours else (m.wholesaler, m.other)
    await m.conn.execute(
        "INSERT INTO delegation (principal, agent, accepted_at) VALUES ($1, $2, now())", principal, agent
    )
    model = (await us.result(method, ref_ent_id=ref, license_token="t", **PAGE))["model"]
    assert (await world.alias(m.other)).ref_ent_id in {r["ref_ent_id"] for r in model["result_list"]}
    none = (await us.result(method, ref_ent_id=ref, license_token="t", ent_name="没有", **PAGE))["model"]
    assert none["total_num"] == 0


async def test_our_own_licences_and_a_terminals_id(world: World, us: Caller, ref: str) -> None:
    m = world.market
    await m.conn.execute(
        "INSERT INTO org_licence (org_id, kind, number, expires_on) VALUES ($1, 1, '鲁AA0001', '2030-01-01')",
        m.wholesaler,
    )
    rows = (await us("drug.kyt.getentlicense", ref_ent_id=ref))["result"]["model_list"]
    assert [(r["license_no"], r["expire_date"]) for r in rows] == [("鲁AA0001", "2030-01-01 00:00:00")]
    found = await us("drug.kyt.idgenerate", region_code="370100", terminal_name=name_of(world, m.hospital))
    assert found["model"] == (await world.alias(m.hospital)).ent_id


async def test_every_question_about_organisations_was_asked() -> None:
    done = of_modules("methods_misc_ents")
    assert {name for name in done if "lsyd" not in name and "yljg" not in name} <= CALLED
