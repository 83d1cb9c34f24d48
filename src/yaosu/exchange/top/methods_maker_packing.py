"""Makers: packing after activation (拼箱), replaced codes, which codes are inside which (production.packing)."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

from yaosu.access.visibility import note_reads
from yaosu.errors import YaosuError
from yaosu.exchange.top import store_maker as store
from yaosu.exchange.top.methods_query_codes import looked_up
from yaosu.exchange.top.protocol import Call, Failed, Reply, method
from yaosu.exchange.top.shaping import fit, is_number, names_of, payload_tree
from yaosu.exchange.top.values_goods import Seen, display_level
from yaosu.production import packing

P = "alibaba.alihealth."
WRITE = "bill.write"
OK, NOT_OK = "1", "0"
FAIL = "FAIL_BIZ_PACKAGE_ERROR"
REPLACE_DAYS_MAX = 366
PAGE = 20


def _why(error: YaosuError) -> str:
    return "；".join([f.text("zh") for f in error.findings[:20]] or [error.entry.text("zh", error.params)])


def _per_code(error: YaosuError) -> dict[str, str]:
    """What is wrong with each code, where the refusal names codes."""
    return {str(f.params.get("code") or f.where): f.text("zh") for f in error.findings}


def _own(call: Call, org: int) -> None:
    if org != call.org:
        raise Failed("FAIL_BIZ_CODE_NO_AUTH", "拼箱由持有药品的企业自己的 AppKey 办理")


def _number(kind: str, *parts: str) -> str:
    """A bill number made of what is done, so that the very same call again is recognised as it (D8)."""
    return f"{kind}-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:16]}"


@method(P + "drug.kyt.scqy.putpackage", scope=WRITE)
async def pack(call: Call) -> Reply:
    """Put packages into a package of the next level; what is in another one is taken out of it first."""
    _own(call, await call.ref_org("ref_entid"))
    into, codes = call.text("secondary_code"), call.strings("primary_codes")
    rows: list[dict[str, Any]]
    try:
        async with call.conn() as conn:
            done = await packing.pack(conn, call.subject, call.registry, into, codes)
        success, info = True, f"拼箱成功：{done.codes} 个包装，单据 {done.bill_no}"
        rows = [{"source_code": c, "target_code": into, "status": OK, "info": "成功"} for c in codes]
    except YaosuError as error:
        if error.code == "forbidden":
            raise
        success, info = False, _why(error)
        wrong = _per_code(error)
        rows = [
            {"source_code": c, "target_code": into, "status": NOT_OK, "info": wrong.get(c, "整单未办理")}
            for c in codes
        ]
    model = {
        "secondary_code": into,
        "primary_codes": ",".join(codes),
        "status": OK if success else NOT_OK,
        "info": info,
        "new_code_move_packaging_result_d_t_os": rows,
    }
    return Reply(fit(call, model), success, "SUCCESS" if success else FAIL, info)


def _moved(
    call: Call, source: str, codes: list[str], target: str, error: YaosuError | None, info: str
) -> Reply:
    wrong = _per_code(error) if error is not None else {}
    state = OK if error is None else NOT_OK
    rows = [
        {
            "source_parent_code": source or None,
            "source_child_code": code,
            "target_parent_code": target or None,
            "target_child_code": code,
            "status": state,
            "info": "成功" if error is None else wrong.get(code, "整单未办理"),
        }
        for code in codes
    ]
    joined = ",".join(codes)
    model = {
        "source_parent_code": source or None,
        "source_child_codes": joined,
        "target_parent_code": target or None,
        "target_child_codes": joined,
        "status": state,
        "info": info,
        "recover_code_move_packaging_result_dtos": rows,
    }
    return Reply(fit(call, model), error is None, "SUCCESS" if error is None else FAIL, info)


async def _inside(call: Call, parent: str, codes: list[str]) -> None:
    """Failed unless every code is directly in `parent`: a call that names a wrong package moves nothing."""
    seen, _ = await looked_up(call, codes)
    odd = [s.code for s in seen if s.found is not None and s.found.unit.parent != parent]
    if odd:
        raise Failed(FAIL, f"不在包装 {parent} 内：{'、'.join(odd[:10])}")


@method(P + "drug.kyt.scqy.putpackagebind", scope=WRITE)
async def bind(call: Call) -> Reply:
    """Put codes into `target_parent_code`. Where they are in a package now, it must be `source_parent_code`."""
    _own(call, await call.ref_org())
    source, target = call.text("source_parent_code"), call.text("target_parent_code")
    codes = call.strings("source_child_codes")
    seen, _ = await looked_up(call, codes)
    packed = [s.code for s in seen if s.found is not None and s.found.unit.parent is not None]
    if packed:
        await _inside(call, source, packed)
    try:
        async with call.conn() as conn:
            done = await packing.pack(conn, call.subject, call.registry, target, codes)
    except YaosuError as error:
        if error.code == "forbidden":
            raise
        return _moved(call, source, codes, target, error, _why(error))
    return _moved(call, source, codes, target, None, f"绑定成功，单据 {done.bill_no}")


@method(P + "drug.kyt.scqy.putpackageunbind", scope=WRITE)
async def unbind(call: Call) -> Reply:
    """Take codes out of the package they are in."""
    _own(call, await call.ref_org())
    parent, codes = call.text("parent_code"), call.strings("child_codes")
    await _inside(call, parent, codes)
    try:
        async with call.conn() as conn:
            done = await packing.unpack(conn, call.subject, call.registry, codes)
    except YaosuError as error:
        if error.code == "forbidden":
            raise
        return _moved(call, parent, codes, "", error, _why(error))
    return _moved(call, parent, codes, "", None, f"解绑成功，单据 {done.bill_no}")


@method(P + "drug.kyt.codereplace", scope="production.write")
async def replace(call: Call) -> Reply:
    """A new code takes the place of a damaged one (单码替换)."""
    org = await call.ref_org()
    _own(call, org)
    old, new = call.text("old_code"), call.text("new_code")
    master: bytes = call.app.parts["master_secret"]
    number = _number("HM", str(org), old, new)
    try:
        async with call.conn() as conn:
            done = await packing.replace(
                conn, call.subject, call.registry, master, old, new, "接口单码替换", number
            )
    except YaosuError as error:
        if error.code == "forbidden":
            raise
        raise Failed("FAIL_BIZ_CODE_REPLACE_ERROR", _why(error)) from None
    return Reply(str(done.bill_id), msg_info="替换成功")


@method(P + "drug.kyt.codereplacelog", scope="production.read")
async def replaced(call: Call) -> Reply:
    """Codes we replaced in a period of at most a year, by page of twenty."""
    org = await call.ref_org()
    since, until = call.days("begin_time", "end_time")
    if since is None or until is None:
        raise call.missing("begin_time")
    if until - since > timedelta(days=REPLACE_DAYS_MAX):
        raise Failed("FAIL_BIZ_PARAM_ERROR", "最大查询区间一年")
    page = call.number("page", 1)
    if not 1 <= page <= 10_000_000:
        raise call.invalid("page")
    drug = call.text("drug_ent_base_info_id")
    if drug and (not is_number(drug) or len(drug) > 9):
        raise call.invalid("drug_ent_base_info_id")
    async with call.conn() as conn:
        rows = await conn.fetch(
            store.REPLACED, org, since, until, call.text("code"), int(drug or 0), PAGE, (page - 1) * PAGE
        )
    names = await names_of(call, [org])
    found = [
        {
            "id": str(r["bill_id"]),
            "oper_ic_code": str(r["account_id"] or call.app_key),
            "oper_date": r["recorded_at"],
            "piats_code_old": r["old_code"],
            "piats_code_new": r["new_code"],
            "code_level": display_level(call.registry.product(r["drug_id"]), r["level"] or 1),
            "ref_ent_id": names.ref(org),
            "drug_ent_base_info_id": str(r["drug_id"]),
        }
        for r in rows
    ]
    model = {"data": found, "total_count": rows[0]["total"] if rows else 0, "current_page": page}
    return Reply(fit(call, model))


# -- which of these codes are inside which ------------------------------------------------------------


async def _pairs(call: Call) -> list[tuple[str, str]]:
    """(code, package around it) among the codes of the call, of those whose surroundings the caller may know."""
    codes = list(dict.fromkeys(call.strings("codes")))
    seen, _ = await looked_up(call, codes)
    named = {s.code for s in seen}
    found = []
    for one in seen:
        if one.found is None or not _may(call, one):
            continue
        found += [(one.code, around.code) for around in one.found.path[1:] if around.code in named]
    if found:
        async with call.conn() as conn:
            await note_reads(
                conn,
                [(call.subject, f"unit {s.code}", s.found.root.holder) for s in seen if s.found is not None],
            )
    return found


def _may(call: Call, seen: Seen) -> bool:
    product = call.registry.product(seen.drug_id) if seen.drug_id else None
    return seen.known or (product is not None and product.owned_by(call.org))


@method(P + "drug.code.kyt.wes.checkcoderelation", scope="trace.read")
async def first_pair(call: Call) -> Reply:
    """Whether one of the codes is inside another of them: the first pair, or nothing."""
    await call.ref_org()
    pairs = await _pairs(call)
    if not pairs:
        return Reply()
    found: Any = {"code": pairs[0][0], "parent_code": pairs[0][1]}

    return Reply(fit(call, [found] if isinstance(payload_tree(call.method), list) else found))


@method(P + "drug.code.kyt.wes.checkcoderelationall", scope="trace.read")
async def all_pairs(call: Call) -> Reply:
    """All such pairs."""
    await call.ref_org()
    pairs = await _pairs(call)
    return Reply(fit(call, {"result_list": [{"code": c, "parent_code": p} for c, p in pairs]}))
