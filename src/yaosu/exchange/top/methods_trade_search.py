"""A wholesaler's or maker's own bills: how they were processed, how many, which, what is on them (§2.7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from asyncpg import Record

from yaosu.access.visibility import visible
from yaosu.exchange.top import store_trade as store
from yaosu.exchange.top.protocol import Call, Failed, Reply, method
from yaosu.exchange.top.shaping import fit, names_of
from yaosu.exchange.top.store_trade import Wanted
from yaosu.exchange.top.trade_refusals import refusal_rows
from yaosu.exchange.top.values_bills import (
    bill_values,
    code_rows,
    goods_values,
    in_types,
    orgs_of_bills,
    orgs_of_goods,
    out_types,
    type_name,
    types_named,
)

P = "alibaba.alihealth."
CODES_MAX = 50_000
"""Codes in one bill's answer; a larger bill's codes are read over our own API, page by page."""
RETAIL = frozenset({116, *range(320, 328)})
"""Bills of goods that go to people, and what comes back from them (§2.3)."""
NO_SUCH_BILL = ("FAIL_BIZ_NO_PAT_INFO", "信息不存在")


async def _page(
    call: Call, wanted: Wanted, offset: int, limit: int, *, with_refused: bool
) -> tuple[list[dict[str, Any]], int]:
    """Bills of a page with, first of all, uploads of which nothing moved, where the method tells of them."""
    sight = visible(call.subject)
    async with call.conn() as conn:
        failed: list[dict[str, Any]] = []
        if with_refused:
            failed = await refusal_rows(call, conn, wanted)
        if wanted.types:
            rest = max(offset - len(failed), 0)
            rows, total = await store.bills(
                conn, sight, wanted, rest, max(limit - max(len(failed) - offset, 0), 0)
            )
        else:
            rows, total = [], 0
    names = await names_of(call, orgs_of_bills(rows))
    found = failed[offset : offset + limit] + [bill_values(call, row, names) for row in rows]
    return found[:limit], total + len(failed)


async def _wanted(call: Call, owner: int, *, uploaded: bool) -> Wanted:
    """The filter of a call; `uploaded`: its days are those of the upload, otherwise of the bill."""
    since, until = call.days()
    up_since, up_until = call.days("upload_time_begin", "upload_time_end")
    return Wanted(
        owner,
        types_named(call),
        None if uploaded else since,
        None if uploaded else until,
        since if uploaded else up_since,
        until if uploaded else up_until,
        call.text("bill_code"),
        await call.ent("partner_id_send") or await call.ent("from_user_id"),
        await call.ent("partner_id_recv") or await call.ent("to_user_id"),
    )


@method(
    P + "drug.kyt.searchstatus",
    aliases=(
        P + "drug.msc.bill.searchstatus",
        P + "drug.kyt.wes.searchstatus",
        P + "drug.kyt.scqy.searchstatus",
        P + "drug.kyt.dr.searchstatus",
        P + "drug.kyt.specia.vaccin.searchstatus",
    ),
)
async def status(call: Call) -> Reply:
    """How bills of a period of uploads were processed: 3 done, 4 not; 51 wholly, 52 partly."""
    owner = await call.ref_org()
    offset, limit = call.page()
    wanted = await _wanted(call, owner, uploaded=True)
    asked = call.text("deal_status")
    if asked not in ("", "A", "0", "1", "3", "4"):
        raise call.invalid("deal_status")
    if asked in ("0", "1"):
        # bills are processed before they are answered: none ever waits
        return Reply(
            fit(call, {"result_list": [], "results": [], "total_num": 0, "page": 1, "page_size": limit})
        )
    if asked == "4":
        async with call.conn() as conn:
            failed = await refusal_rows(call, conn, wanted)
        rows, total = failed[offset : offset + limit], len(failed)
    else:
        rows, total = await _page(call, wanted, offset, limit, with_refused=asked != "3")
    return Reply(fit(call, _paged(rows, total, offset, limit)))


def _paged(rows: list[dict[str, Any]], total: int, offset: int, limit: int) -> dict[str, Any]:
    return {
        "result_list": rows,
        "results": rows,
        "total_num": total,
        "page": offset // limit + 1,
        "page_size": limit,
    }


@method(
    P + "drug.kyt.searchbill",
    aliases=(P + "drug.msc.searchbill", P + "drug.kyt.wes.searchbill"),
)
async def search(call: Call) -> Reply:
    """Bills of a period by their own date."""
    owner = await _owner(call)
    offset, limit = call.page("cur_page")
    rows, total = await _page(
        call, await _wanted(call, owner, uploaded=False), offset, limit, with_refused=False
    )
    return Reply(fit(call, _paged(rows, total, offset, limit)))


@method(P + "drug.msc.retail.searchbill", aliases=(P + "drug.kyt.wes.retail.searchbill",))
async def search_retail(call: Call) -> Reply:
    """Sales, uses and consumer returns of a period by their own date."""
    owner = await _owner(call)
    offset, limit = call.page("cur_page")
    wanted = await _wanted(call, owner, uploaded=False)
    wanted = replace(wanted, types=[t for t in wanted.types if t in RETAIL])
    rows, total = await _page(call, wanted, offset, limit, with_refused=False)
    return Reply(fit(call, _paged(rows, total, offset, limit)))


async def _owner(call: Call) -> int:
    """The organisation whose bills are asked: the one named as owner, or the caller's."""
    caller = await call.ref_org()
    return await call.ref_org("auth_ref_user_id") if call.text("auth_ref_user_id") else caller


@method(P + "drug.msc.query.billcount", aliases=(P + "drug.wes.query.billcount",))
async def count(call: Call) -> Reply:
    """How many bills of each type were uploaded in a period."""
    owner = await call.ref_org()
    since, until = call.days()
    wanted = Wanted(owner, types_named(call), recorded_since=since, recorded_until=until)
    async with call.conn() as conn:
        found = await store.by_type(conn, visible(call.subject), wanted)
    rows = [{"bill_type": t, "bill_type_name": type_name(t), "count": n} for t, n in found.items()]
    return Reply(fit(call, rows))


async def detail_of(
    call: Call, row: Record, *, with_codes: bool, largest_is_one: bool = True
) -> dict[str, Any]:
    """A bill with its goods, and their codes where asked for."""
    sight = visible(call.subject)
    async with call.conn() as conn:
        goods = await store.goods(conn, sight, row["id"], row["drug_ids"])
        codes: list[Record] = []
        if with_codes:
            codes = await store.codes(conn, sight, row["id"], row["drug_ids"], CODES_MAX + 1)
    if len(codes) > CODES_MAX:
        raise Failed(
            "FAIL_BIZ_PARAM_CODE_NUM_ERROR", f"单据追溯码超过 {CODES_MAX} 个，请使用平台接口分页查询"
        )
    names = await names_of(call, [*orgs_of_bills([row]), *orgs_of_goods(call.registry, goods)])
    lines = []
    for one in goods:
        values = goods_values(call, one, names)
        values["detail_bill_id"] = detail_id(row["id"], one["drug_id"], one["batch_id"])
        if with_codes:
            of_line = code_rows(call, codes, one["drug_id"], one["batch_id"], largest_is_one=largest_is_one)
            values["code_and_parent_list"] = of_line
            values["code_info_list_dto_list"] = of_line
        lines.append(values)
    return bill_values(call, row, names) | {
        "bill_chk_in_out_detail_list_d_t_o_list": lines,
        "drug_infos_dto_list": lines,
        "codes": [r["code"] for r in codes] if with_codes else None,
    }


def detail_id(bill_id: int, drug_id: int, batch_id: int) -> str:
    """Our name of one product and batch on a bill."""
    return f"{bill_id}-{drug_id}-{batch_id}"


async def _bill(call: Call, owner: int, types: list[int] | None = None) -> Record:
    async with call.conn() as conn:
        row = await store.by_number(conn, visible(call.subject), owner, call.text("bill_code"), types or ())
    if row is None:
        raise Failed(*NO_SUCH_BILL)
    return row


@method(
    P + "drug.kyt.searchbill.detail",
    aliases=(
        P + "drug.kyt.query.code.relation.from.billcode",
        P + "drug.kyt.query.druginfo.from.billcode",
        P + "drug.kyt.query.specia.vaccin.billcode",
    ),
)
async def detail(call: Call) -> Reply:
    """One bill with goods and codes, by its number."""
    row = await _bill(call, await call.ref_org())
    return Reply(fit(call, await detail_of(call, row, with_codes=True)))


@method(P + "drug.msc.searchbill.detail", aliases=(P + "drug.kyt.wes.searchbill.detail",))
async def detail_newer(call: Call) -> Reply:
    """The same in the newer sets: codes only where `show_code` asks for them."""
    row = await _bill(call, await _owner(call))
    with_codes = call.text("show_code") == "1"
    return Reply(fit(call, await detail_of(call, row, with_codes=with_codes)))


@method(P + "drug.msc.billin.detailwithcode")
async def detail_in(call: Call) -> Reply:
    """One receipt with goods and codes."""
    row = await _bill(call, await call.ref_org(), in_types())
    return Reply(fit(call, await detail_of(call, row, with_codes=True)))


@method(P + "drug.msc.billout.detailwithcodes")
async def detail_out(call: Call) -> Reply:
    """One shipment with goods and codes."""
    row = await _bill(call, await call.ref_org(), out_types())
    return Reply(fit(call, await detail_of(call, row, with_codes=True)))


@method(P + "drug.kyt.storebilllist")
async def store_bills(call: Call) -> Reply:
    """A store's bills of a period; `bill_status` A all, 3 done, 4 not."""
    owner = await call.ref_org()
    offset, limit = call.page()
    since, until = call.days("start_date", "end_date")
    wanted = Wanted(owner, in_types() + out_types(), since, until)
    asked = call.text("bill_status").upper() or "A"
    if asked not in ("A", "1", "3", "4"):
        raise call.invalid("bill_status")
    if asked in ("1", "4"):
        async with call.conn() as conn:
            failed = await refusal_rows(call, conn, wanted) if asked == "4" else []
        rows, total = failed[offset : offset + limit], len(failed)
    else:
        rows, total = await _page(call, wanted, offset, limit, with_refused=asked == "A")
    for row in rows:
        row["data_type"] = row["bill_type"]
    return Reply(fit(call, _paged(rows, total, offset, limit)))


@method(
    P + "drug.msc.listbillprocesspartsuccess",
    aliases=(P + "drug.kyt.wes.listbillprocesspartsuccess",),
)
async def not_processed(call: Call) -> Reply:
    """The codes of a bill that were not processed, each with the reason (§2.7, level 4)."""
    from yaosu.exchange.top.trade_refusals import refused_codes

    owner = await call.ref_org()
    offset, limit = call.page()
    rows, total = await refused_codes(
        call, owner, call.text("bill_code"), call.text("error_code"), call.text("code"), offset, limit
    )
    model = {
        "result": rows,
        "pages": -(-total // limit),
        "total_num": total,
        "page_size": limit,
        "page": offset // limit + 1,
    }
    return Reply(fit(call, model), http_status_code="200")
