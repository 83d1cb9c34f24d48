"""Pharmacies (`lsyd`) and medical institutions (`yljg`): what they upload, and what they ask (R-B6, R-C1, R-X10).

The two families differ by their prefix and in places by a field, and from the trade's families mostly by their names
too: one handler serves all. What only these families have is in `methods_retail_drugs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from yaosu.exchange.top import methods_misc_ents as ents
from yaosu.exchange.top import methods_query_codes as codes
from yaosu.exchange.top import methods_query_flow as flow
from yaosu.exchange.top import methods_trade_search as search
from yaosu.exchange.top import methods_trade_upstream as upstream
from yaosu.exchange.top import uploads
from yaosu.exchange.top.protocol import PAGE_MAX, Call, Failed, Handler, Reply, method
from yaosu.exchange.top.relation import relation_of
from yaosu.exchange.top.shaping import fit

P = "alibaba.alihealth."
LSYD, YLJG = P + "drugtrace.top.lsyd.", P + "drugtrace.top.yljg."
LSYD_DRUG, YLJG_DRUG = P + "drug.lsyd.", P + "drug.yljg."
TRACE, ORGS = "trace.read", "org.read"
RELATIONS_MAX = 10
"""Packages in one question for their content, as published."""


def _also(handler: Handler, *names: str, scope: str = "bill.read") -> None:
    """A handler of the trade's families under the names of these."""
    method(names[0], aliases=names[1:], scope=scope)(handler)


def _with(call: Call, changed: Mapping[str, str | None]) -> Call:
    """The call with other parameters; None takes one out."""
    params: dict[str, Any] = {**call.params, **changed}
    return replace(call, params={k: v for k, v in params.items() if v is not None})


# -- uploads and what became of them ------------------------------------------------------------------


@method(LSYD + "uploadinoutbill", aliases=(YLJG + "uploadinoutbill",), scope="bill.write")
async def upload(call: Call) -> Reply:
    """A receipt, return, transfer or destruction."""
    return await uploads.in_out(call)


@method(LSYD + "uploadretail", aliases=(YLJG + "uploadretail",), scope="bill.write")
async def upload_retail(call: Call) -> Reply:
    """A sale (321), use (323), vaccination (322) or consumer return (116)."""
    return await uploads.retail(call)


_also(search.status, LSYD + "query.billstatus", YLJG + "query.billstatus")
_also(search.not_processed, LSYD + "listbillprocesspartsuccess", YLJG + "listbillprocesspartsuccess")
_also(search.detail, LSYD + "query.upbilldetail", YLJG + "query.upbilldetail")
_also(search.search, LSYD_DRUG + "searchbill", YLJG_DRUG + "searchbill")
_also(search.count, LSYD_DRUG + "query.billcount", YLJG_DRUG + "query.billcount")

# -- codes --------------------------------------------------------------------------------------------

_also(codes.query_code, LSYD + "query.codedetail", YLJG + "query.codedetail", scope=TRACE)
_also(codes.not_active, LSYD + "querycodeactive", scope=TRACE)


@method(LSYD + "query.relation", aliases=(YLJG + "query.relation",), scope=TRACE)
async def relation(call: Call) -> Reply:
    """Packages and everything in them, up to ten in one call; goods on their way to the caller are open to it."""
    await call.ref_org()
    await call.ref_org("des_ref_ent_id")
    asked = call.strings("code")
    if not 1 <= len(asked) <= RELATIONS_MAX:
        raise Failed("FAIL_BIZ_PARAM_CODE_NUM_ERROR", f"一次查询 1 到 {RELATIONS_MAX} 个追溯码")
    return Reply(fit(call, [await relation_of(call, code) for code in asked]))


@method(LSYD + "query.upbillcode", aliases=(YLJG + "query.upbillcode",), scope=TRACE)
async def up_bill(call: Call) -> Reply:
    """The shipment by which a code came, or is coming, to us; without `ref_ent_id` to the key's own organisation."""
    if not call.text("code"):
        raise call.missing("code")
    if not call.text("ref_ent_id"):
        call = _with(call, {"ref_ent_id": await call.ref_ent_id(call.org)})
    return await flow.up_bill(call)


# -- what upstream shipped ----------------------------------------------------------------------------


async def _of_principal(call: Call) -> int | None:
    """The firm in whose name upstream shipped (委托企业), where the filter names one."""
    return await call.party("ass_ref_ent_id") or await call.party("ass_en_id")


_NO_PRINCIPAL = {"ass_ref_ent_id": None, "ass_en_id": None}


@method(LSYD + "listupout", aliases=(YLJG + "listupout",))
async def list_up(call: Call) -> Reply:
    """Upstream's shipments to us, a row per bill, product and batch."""
    principal = await _of_principal(call)
    plain = _with(call, _NO_PRINCIPAL)
    if principal is None:
        return await upstream.list_up(plain)
    offset, limit = call.page()
    wanted = await call.ref_ent_id(principal)
    found: list[dict[str, Any]] = []
    number, total = 1, 1
    while (number - 1) * PAGE_MAX < total:
        page = await upstream.list_up(_with(plain, {"page": str(number), "page_size": str(PAGE_MAX)}))
        total = page.model["total_num"]
        found += [row for row in page.model["result_list"] if row.get("ass_ref_ent_id") == wanted]
        number += 1
    return Reply(fit(call, {"result_list": found[offset : offset + limit], "total_num": len(found)}))


@method(LSYD + "listupout.detail", aliases=(YLJG + "listupout.detail",))
async def up_detail(call: Call) -> Reply:
    """One of upstream's bills with goods and codes. Sender or principal must be named: two may use one number."""
    principal = await _of_principal(call)
    if principal is None and not call.text("from_ref_user_id"):
        raise call.missing("from_ref_user_id")
    return await upstream.up_detail(_with(call, _NO_PRINCIPAL))


@method(LSYD_DRUG + "query.upoutbillcount", aliases=(YLJG_DRUG + "query.upoutbillcount",))
async def count_up(call: Call) -> Reply:
    """How many bills of each type upstream uploaded for us in a period."""
    return await upstream.count_up(_with(call, _NO_PRINCIPAL))


# -- organisations ------------------------------------------------------------------------------------

_also(ents.by_ref_ent_id, LSYD + "query.getbyrefentid", YLJG + "query.getbyrefentid", scope=ORGS)
_also(ents.by_name, LSYD + "query.getentinfo", YLJG + "query.getentinfo", scope=ORGS)
_also(ents.search, LSYD_DRUG + "getentinfolist", YLJG_DRUG + "getentinfolist", scope=ORGS)
_also(ents.search_one, LSYD_DRUG + "getentinfonew", YLJG_DRUG + "getentinfonew", scope=ORGS)
_also(ents.list_partners, LSYD + "query.listparts", YLJG + "query.listparts", scope=ORGS)
_also(ents.save_partner, LSYD_DRUG + "saveent", YLJG_DRUG + "saveent", scope="bill.write")
