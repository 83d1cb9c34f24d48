"""Organisations: who goes by which ids, one's partners, asking for a new one, who acts for whom (interfaces §2.4)."""

from __future__ import annotations

from typing import Any

from asyncpg import Record

from yaosu.access.visibility import visible
from yaosu.codes.identifiers import check_uscc
from yaosu.exchange.top import partners
from yaosu.exchange.top import store_misc as store
from yaosu.exchange.top.partners import PartnerDraft
from yaosu.exchange.top.protocol import Call, Failed, Reply, method
from yaosu.exchange.top.shaping import Names, fit, is_number, names_of
from yaosu.exchange.top.values_goods import org_values
from yaosu.registry.model import OrgCard
from yaosu.registry.names import normalise

P = "alibaba.alihealth."
SCOPE = "org.read"
FOUND_MAX = 50
NAME_MAX = 200
NOBODY = ("FAIL_BIZ_NO_PAT_INFO", "信息不存在")


def _shown(call: Call, org: int | None) -> OrgCard:
    """The directory entry; a place inside somebody's organisation is nobody's to find."""
    card = call.card(org)
    if card is None or (card.place and call.org not in (card.parent_id, card.id)):
        raise Failed(*NOBODY)
    return card


async def _one(call: Call, org: int | None) -> Reply:
    card = _shown(call, org)
    names = await names_of(call, [card.id])
    return Reply(fit(call, org_values(call, card.id, names)))


@method(
    P + "drug.kyt.getbyentid",
    aliases=(P + "drug.msc.getbyentid", P + "drug.kyt.wes.getbyentid", P + "drug.kyt.dr.getbyentid"),
    scope=SCOPE,
)
async def by_ent_id(call: Call) -> Reply:
    """An organisation by its `ent_id`."""
    await call.ref_org()
    return await _one(call, await call.org_named(call.text("ent_id")))


@method(
    P + "drug.kyt.getbyrefentid",
    aliases=(
        P + "drug.msc.getbyrefentid",
        P + "drug.kyt.wes.getbyrefentid",
        P + "drug.kyt.dr.getbyrefentid",
        P + "drug.kyt.specia.vaccin.getbyrefentid",
    ),
    scope=SCOPE,
)
async def by_ref_ent_id(call: Call) -> Reply:
    """An organisation by its `ref_ent_id`."""
    await call.ref_org()
    return await _one(call, await call.org_named(call.text("dest_ref_ent_id")))


@method(P + "drug.kyt.wes.getbyorgcode", scope=SCOPE)
async def by_org_code(call: Call) -> Reply:
    """An organisation by its 统一社会信用代码."""
    await call.ref_org()
    card = call.registry.org_by_uscc(check_uscc(call.text("org_code")).value or call.text("org_code"))
    return await _one(call, card.id if card is not None else None)


async def _by_name(call: Call, name: str, limit: int) -> list[int]:
    wanted = normalise(name[:NAME_MAX])
    if not wanted:
        return []
    async with call.conn() as conn:
        return [r["id"] for r in await conn.fetch(store.ORGS_BY_NAME, wanted, limit)]


@method(
    P + "drug.kyt.getentinfo",
    aliases=(
        P + "drug.msc.getentinfo",
        P + "drug.kyt.wes.getentinfo",
        P + "drug.kyt.dr.getentinfo",
        P + "drug.kyt.va.getentinfo",
        P + "drug.kyt.yy.getentinfo",
        P + "drug.kyt.specia.vaccin.getentinfo",
        P + "drug.kyt.smyx.getentinfo",
    ),
    scope=SCOPE,
)
async def by_name(call: Call) -> Reply:
    """An organisation by its name, half and full width and any brackets alike; none where two go by it."""
    if call.text("ref_ent_id"):
        await call.ref_org()
    name = call.text("ent_name")
    found = await _by_name(call, name, 2)
    same = [
        o for o in found if (card := call.card(o)) is not None and normalise(card.name) == normalise(name)
    ]
    if len(same) != 1:
        raise Failed(*NOBODY)
    return await _one(call, same[0])


async def _matching(call: Call, query: dict[str, Any]) -> list[int]:
    """Organisations that fit a query; its first given field decides."""
    for field in ("par_ref_ent_id", "ent_id"):
        value = str(query.get(field) or "").strip()
        if value:
            org = await call.org_named(value)
            return [org] if org is not None else []
    code = str(query.get("org_code") or "").strip()
    if code:
        card = call.registry.org_by_uscc(check_uscc(code).value or code)
        return [card.id] if card is not None else []
    number = str(query.get("medical_code") or "").strip()
    if number:
        async with call.conn() as conn:
            return [r["id"] for r in await conn.fetch(store.ORGS_BY_NUMBER, number[:100])]
    name = str(query.get("ent_name") or "").strip()
    if not name:
        raise Failed(
            "FAIL_BIZ_PARAM_ERROR",
            "查询条件不能为空：ent_name、org_code、medical_code、par_ref_ent_id、ent_id",
        )
    return await _by_name(call, name, FOUND_MAX)


@method(
    P + "drug.msc.getentinfolist",
    aliases=(P + "drug.wes.getentinfolist", P + "drug.sy.getentinfolist"),
    scope=SCOPE,
)
async def search(call: Call) -> Reply:
    """Organisations by name, number or id."""
    await call.ref_org()
    query = call.json("query_param") or call.json("top_ent_info_req_dto") or {}
    found = [o for o in await _matching(call, query) if (c := call.card(o)) is not None and not c.place]
    names = await names_of(call, found)
    return Reply(fit(call, [org_values(call, o, names) for o in found]))


@method(P + "drug.msc.getentinfonew", aliases=(P + "drug.wes.getentinfonew",), scope=SCOPE)
async def search_one(call: Call) -> Reply:
    """The same, for clients that read one: none where several fit."""
    await call.ref_org()
    found = [o for o in await _matching(call, call.json("query_param") or {}) if call.card(o) is not None]
    if len(found) != 1:
        raise Failed(*NOBODY)
    return await _one(call, found[0])


# -- partners -----------------------------------------------------------------------------------------


def _partner(call: Call, owner: int, row: Record, names: Names) -> dict[str, Any]:
    org = row["org"]
    values = org_values(call, org, names)
    return values | {
        "partner_id": str(org),
        "p_ent_par_id": f"{owner}-{org}",
        "partner_name": values.get("ent_name"),
        "partner_ent_id": names.ent(org),
        "par_ref_ent_id": names.ref(org),
        "ref_ent_id": names.ref(owner),
        "ent_id": names.ent(owner),
        "ent_prov_code": values.get("prov_code"),
        "partner_type": values.get("user_role_type"),
        "partner_type_desc": values.get("user_role_type_str"),
        "license_type_str": values.get("lic_type_name"),
        "country_name": "中国",
        "crt_date": row["since"],
        "last_mod_date": row["last"],
        "audit_flag": 1,
        "status": 1,
    }


def _asked(call: Call, owner: int, row: Record, names: Names) -> dict[str, Any]:
    """A partner that waits for audit, or was refused: it has a promised name and no `ent_id` yet."""
    return {
        "partner_id": f"W{row['id']}",
        "p_ent_par_id": f"{owner}-W{row['id']}",
        "partner_name": row["name"],
        "org_code": row["org_code"],
        "par_ref_ent_id": row["ref_ent_id"],
        "ref_ent_id": names.ref(owner),
        "ent_id": names.ent(owner),
        "partner_type": row["org_type"],
        "partner_type_desc": call.registry.lists.text("org_type", row["org_type"]),
        "ent_prov_code": row["region"][:2] + "0000",
        "is_network": "0",
        "network_type": 0,
        "audit_flag": 0 if row["state"] == "waiting" else 2,
        "crt_date": row["asked_at"],
        "last_mod_date": row["decided_at"] or row["asked_at"],
        "status": 1,
    }


@method(
    P + "drug.kyt.listparts",
    aliases=(
        P + "drug.msc.listparts",
        P + "drug.kyt.wes.listparts",
        P + "drug.kyt.listparts.byagent",
        P + "drug.kyt.wes.listparts.byagent",
        P + "drug.kyt.dr.listparts",
        P + "drug.kyt.yy.listparts",
        P + "drug.kyt.smyx.listparts",
        P + "drugcode.listentparbyrefentid",
    ),
    scope=SCOPE,
)
async def list_partners(call: Call) -> Reply:
    """Whom we trade with, and partners asked for that wait (audit_flag 0) or were refused (2)."""
    owner = await call.ref_org()
    if call.text("agent_ref_ent_id"):
        await call.ref_org("agent_ref_ent_id")
    offset, limit = call.page()
    since, until = call.days()
    flag = call.text("audit_flag")
    if flag not in ("", "0", "1", "2"):
        raise call.invalid("audit_flag")
    words = normalise(call.text("ent_name")[:NAME_MAX])
    only: int | None = None
    number = call.text("ref_partner_id") or call.text("partner_idb")
    if number:
        only = int(number) if is_number(number) and len(number) < 10 else -1
    code = partners.checked_code(call.text("org_code")) or call.text("org_code")
    if code:
        card = call.registry.org_by_uscc(code)
        known = card.id if card is not None else -1
        only = known if only in (None, known) else -1
    async with call.conn() as conn:
        await partners.settle(conn, owner)
        asked = []
        if flag != "1" and not number:
            states = {"0": ("waiting",), "2": ("refused",)}.get(flag, ("waiting", "refused"))
            rows = await conn.fetch(store.OWN_REQUESTS, owner, call.text("ent_name")[:NAME_MAX])
            asked = [r for r in rows if r["state"] in states and code in ("", r["org_code"])]
        traded: list[Record] = []
        if flag in ("", "1"):
            rest = max(limit - max(len(asked) - offset, 0), 0)
            traded = await store.partners(
                conn, visible(call.subject), owner, words, since, until, only, max(offset - len(asked), 0),
                max(rest, 1),
            )  # fmt: skip
            total = (traded[0]["total"] if traded else 0) + len(asked)
            traded = traded[:rest]
        else:
            total = len(asked)
    names = await names_of(call, [owner, *(r["org"] for r in traded)])
    found = [_asked(call, owner, r, names) for r in asked[offset : offset + limit]]
    found += [_partner(call, owner, r, names) for r in traded]
    model = {
        "result_list": found,
        "result": found,
        "results": [],
        "total_num": total,
        "page": offset // limit + 1,
        "page_size": limit,
    }
    return Reply(fit(call, model))


@method(
    P + "drug.kyt.saveent",
    aliases=(P + "drug.msc.saveent", P + "drug.kyt.wes.saveent"),
    scope="bill.write",
)
async def save_partner(call: Call) -> Reply:
    """Ask for a partner's entry in the directory. One that is there already is answered at once; others wait for audit.

    What is wrong with it comes back in `check_msg`, word for word, with `add_sucess` (sic) false.
    """
    owner = await call.ref_org()
    given = call.json("add_ent_req")
    if not isinstance(given, dict):
        raise call.invalid("add_ent_req")
    code = partners.checked_code(str(given.get("org_code") or ""))
    if code is None:
        return _not_added(call, "统一社会信用代码 org_code 不正确")
    card = call.registry.org_by_uscc(code)
    if card is not None:
        names = await names_of(call, [card.id])
        done = {"add_sucess": True, "par_ref_ent_id": names.ref(card.id), "check_msg": "该企业已在目录中"}
        return Reply(fit(call, done))
    draft, wrong = _draft(call, given, code)
    if wrong or draft is None:
        return _not_added(call, wrong)
    sent = call.files.get("lic_picture_byte")
    picture = sent.content if sent is not None else b""
    if not partners.readable(picture):
        return _not_added(call, "证照图片 lic_picture_byte 应为 2MB 以内的 JPEG、PNG、BMP 或 GIF 图片")
    master: bytes = call.app.parts["master_secret"]
    async with call.conn() as conn:
        row = await partners.ask(conn, call.subject, owner, master, draft, picture)
    done = {
        "add_sucess": True,
        "par_ref_ent_id": row["ref_ent_id"],
        "check_msg": "已提交，待平台运营单位审核",
    }
    return Reply(fit(call, done))


def _not_added(call: Call, why: str) -> Reply:
    return Reply(fit(call, {"add_sucess": False, "check_msg": why}), True, "FAIL_BIZ_PARAM_ERROR", why)


def _draft(call: Call, given: dict[str, Any], code: str) -> tuple[PartnerDraft | None, str]:
    name = str(given.get("ent_name") or "").strip()
    if not name or len(name) > NAME_MAX:
        return None, "企业名称 ent_name 应为 1 到 200 个字"
    kind = given.get("user_role_type")
    if kind not in partners.TYPES:
        return None, f"企业类型 user_role_type 不正确：{kind}"
    place = given.get("reg_addr")
    if not isinstance(place, dict):
        return None, "缺少注册地址 reg_addr"
    province, city, area = (str(place.get(k) or "") for k in ("prov_name", "city_name", "area_name"))
    region = partners.region_named(province, city, area, call.registry.lists)
    if not region:
        return None, f"注册地址 reg_addr 的省份不认识：{str(place.get('prov_name'))[:20]}"
    sub_type = given.get("ent_org_type") or None
    if sub_type is not None:
        item = call.registry.lists.item("org_sub_type", str(sub_type))
        if item is None or item.attrs.get("place"):
            return None, f"细分类型 ent_org_type 不正确：{sub_type}"
    contact = {
        "name": str(given.get("contact_psn_nm") or "")[:60],
        "phone": str(given.get("mobile_phone") or given.get("tel") or "")[:40],
        "email": str(given.get("email") or "")[:120],
    }
    kind_of_licence = given.get("license_type")
    return (
        PartnerDraft(
            name,
            code,
            int(kind),
            int(sub_type) if sub_type is not None else None,
            region,
            str(given.get("dict_region_detail") or "")[:300],
            int(kind_of_licence) if isinstance(kind_of_licence, int) and 0 < kind_of_licence < 100 else None,
            contact,
        ),
        "",
    )


# -- who acts for whom --------------------------------------------------------------------------------


async def _agreed(call: Call, query: str) -> Reply:
    owner = await call.ref_org()
    offset, limit = call.page()
    words = normalise(call.text("ent_name")[:NAME_MAX])
    async with call.conn() as conn:
        rows = await conn.fetch(query, owner, words)
    number = call.text("syn_own_ent_id")
    if number:
        rows = [r for r in rows if str(r["org"]) == number]
    page = rows[offset : offset + limit]
    names = await names_of(call, [owner, *(r["org"] for r in page)])
    found = []
    for row in page:
        values = org_values(call, row["org"], names)
        found.append(
            values
            | {
                "syn_own_ent_id": str(row["org"]),
                "user_ent_id": names.ent(row["org"]),
                "crt_date": row["since"],
                "partner_name": values.get("ent_name"),
                "partner_ent_id": names.ent(row["org"]),
                "par_ref_ent_id": names.ref(row["org"]),
            }
        )
    model = {"result_list": found, "total_num": len(rows), "page": offset // limit + 1, "page_size": limit}
    return Reply(fit(call, model))


@method(
    P + "drug.kyt.listauths",
    aliases=(P + "drug.msc.listauths", P + "drug.wes.listauths"),
    scope=SCOPE,
)
async def agents(call: Call) -> Reply:
    """Firms that we let act for us (委托储运, R-B8)."""
    return await _agreed(call, store.AGENTS)


@method(
    P + "drug.kyt.synonymauths",
    aliases=(P + "drug.msc.synonymauths", P + "drug.kyt.wes.synonymauths"),
    scope=SCOPE,
)
async def principals(call: Call) -> Reply:
    """Firms that let us act for them."""
    return await _agreed(call, store.PRINCIPALS)


@method(P + "drug.kyt.getentlicense", scope=SCOPE)
async def licences(call: Call) -> Reply:
    """Our own licences. Pictures of them are kept in the firm's own files, so there is no address to give."""
    owner = await call.ref_org()
    async with call.conn() as conn:
        rows = await conn.fetch(store.LICENCES, owner)
    names = await names_of(call, [owner])
    found = [
        {
            "id": r["id"],
            "name": call.registry.lists.text("licence_kind", r["kind"]),
            "desc_info": r["scope"] or None,
            "ref_ent_id": names.ref(owner),
            "expire_date": r["expires_on"],
            "gmt_modified": r["updated_at"],
            "license_no": r["number"],
            "license_type": r["kind"],
            "requisite": 1 if r["kind"] == 8 else 0,
        }
        for r in rows
    ]
    return Reply(fit(call, {"model_list": found}))


@method(P + "drug.kyt.idgenerate", scope=SCOPE)
async def terminal_id(call: Call) -> Reply:
    """The id of a terminal (pharmacy, institution) by region and name: its `ent_id`, since here everybody has one."""
    region, name = call.text("region_code"), call.text("terminal_name")
    digits = region.rstrip("0")
    digits += "0" * (len(digits) % 2)
    wanted = normalise(name)
    found = [
        o for o in await _by_name(call, name, FOUND_MAX)
        if (c := call.card(o)) is not None and c.region.startswith(digits) and normalise(c.name) == wanted
    ]  # fmt: skip
    if len(found) != 1:
        raise Failed(*NOBODY)
    names = await names_of(call, found)
    return Reply(names.ent(found[0]))
