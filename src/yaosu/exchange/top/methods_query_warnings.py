"""码预警 methods: ask about one code, ask about many and read the answers later (interfaces §2.9)."""

from __future__ import annotations

from typing import Any

import orjson

from yaosu.exchange.top import store_warnings as store
from yaosu.exchange.top.envelope import text
from yaosu.exchange.top.methods_query_codes import looked_up
from yaosu.exchange.top.protocol import Call, Failed, Reply, method
from yaosu.exchange.top.shaping import fit
from yaosu.exchange.top.values_goods import display_level, physic_info
from yaosu.exchange.top.warnings import warnings_of

P = "alibaba.alihealth.drug.myj.codewarn."
SCOPE = "trace.read"
CODES_MAX = 1_000
"""Codes in one task: the history of each is read."""
BY_TOP = "3"
"""task_type: asked over the interface."""


@method(P + "getwarninfo", scope=SCOPE)
async def one(call: Call) -> Reply:
    """What speaks against a code now; an empty list where nothing does."""
    org = await call.ref_org()
    seen, _ = await looked_up(call, [call.text("code")])
    async with call.conn() as conn:
        return Reply(fit(call, await warnings_of(call, conn, seen[0], org)))


@method(P + "createcodewarntask", scope=SCOPE, once=True)
async def ask(call: Call) -> Reply:
    """Look at many codes at once and keep what is found; the answer is the task's number."""
    org = await call.ref_org()
    codes = list(dict.fromkeys(call.strings("codes")))
    seen, _ = await looked_up(call, codes, CODES_MAX)
    async with call.conn() as conn:
        found = [await warnings_of(call, conn, s, org) for s in seen]
        task = await conn.fetchval(store.NEXT_TASK)
        await conn.execute(
            store.ADD,
            org,
            task,
            call.text("bill_code")[:64],
            call.app_key,
            [s.code[:100] for s in seen],
            [s.drug_id or 0 for s in seen],
            [s.level for s in seen],
            [sum(q for _, q in s.batches) for s in seen],
            [s.batches[0][0].batch_no if s.batches else "" for s in seen],
            [orjson.dumps(rows, default=text).decode() for rows in found],
        )
    return Reply(str(task))


@method(P + "codewarninglist", scope=SCOPE)
async def listed(call: Call) -> Reply:
    """What was asked and found; 1 nothing against it, 2 something. Nothing is ever still being looked up (0)."""
    org = await call.ref_org()
    offset, limit = call.page()
    since, until = call.days("gmt_create_begin", "gmt_create_end")
    state = call.text("result_status")
    if state not in ("", "0", "1", "2"):
        raise call.invalid("result_status")
    rows: list[Any] = []
    others = [call.text("produce_ref_ent_id"), call.text("mah_ref_ent_id")]
    makers = [await call.org_named(value) if value else None for value in others]
    if state != "0" and call.text("task_type") in ("", BY_TOP):
        async with call.conn() as conn:
            rows = await conn.fetch(
                store.LIST, org, since, until, None if not state else state == "2", call.text("code"),
                call.number("drug_ent_base_info_id"), call.text("produce_batch_no"), call.number("task_id"),
                call.text("bill_code"), limit, offset,
            )  # fmt: skip
    found = []
    for row in rows:
        product = call.registry.product(row["drug_id"]) if row["drug_id"] else None
        if others[0] and (product is None or product.manufacturer_id != makers[0]):
            continue
        if others[1] and (product is None or product.mah_id != makers[1]):
            continue
        bad = bool(row["found"])
        found.append(
            {
                "id": row["id"],
                "task_id": row["task_id"],
                "code": row["code"],
                "gmt_create": row["made_at"],
                "result_status": 2 if bad else 1,
                "result_status_name": "异常" if bad else "未见异常",
                "code_level": display_level(product, row["level"]) if row["level"] else None,
                "all_code_count": row["qty"],
                "drug_info": physic_info(product) if product else None,
                "pkg_spec": product.package_size if product else None,
                "produce_batch_no": row["batch_no"] or None,
                "produce_ent_name": call.name_of(product.manufacturer_id) if product else None,
                "mah_ref_ent_name": call.name_of(product.mah_id) if product else None,
                "oper_ic_code": row["made_by"],
                "task_type": int(BY_TOP),
                "task_type_name": "TOP接口生成",
                "bill_code": row["bill_no"] or None,
            }
        )
    return Reply(fit(call, {"result_list": found, "total_num": rows[0]["total"] if rows else 0}))


@method(P + "codewarninginfodetaillist", scope=SCOPE)
async def details(call: Call) -> Reply:
    """What was found against one code of the list."""
    org = await call.ref_org()
    offset, limit = call.page()
    async with call.conn() as conn:
        found = await conn.fetchval(store.ONE, org, call.number("code_flow_warning_id"))
    if found is None:
        raise Failed("FAIL_BIZ_NO_PAT_INFO", "信息不存在")
    return Reply(fit(call, {"result_list": found[offset : offset + limit], "total_num": len(found)}))
