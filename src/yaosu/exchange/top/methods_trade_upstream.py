"""What upstream shipped to us (上游出库信息, R-B1): lists, goods, codes, corrections, and saying no (R-B2)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from asyncpg import Record

from yaosu.access.visibility import visible
from yaosu.circulation import service
from yaosu.circulation.model import CODES_MAX, Movement
from yaosu.exchange.top import store_trade as store
from yaosu.exchange.top.fields import CHINA
from yaosu.exchange.top.methods_trade_search import detail_id, detail_of
from yaosu.exchange.top.protocol import Call, Failed, Reply, method
from yaosu.exchange.top.shaping import fit, is_number, names_of
from yaosu.exchange.top.store_trade import Upstream
from yaosu.exchange.top.values_bills import goods_values, orgs_of_goods, physic_type, sides, type_name
from yaosu.exchange.top.values_goods import physic_info

P = "alibaba.alihealth."
RECEIVES = {201: 102, 202: 103, 203: 104, 207: 102, 209: 107, 210: 102, 211: 108, 212: 110, 218: 115, 222: 104,
            223: 102, 237: 103}  # fmt: skip
"""The receipt that answers each kind of shipment (interfaces §2.3)."""
WAITING, SETTLED = "1", "2"
"""确认状态: 1 未确认, 2 已确认."""


async def _receiver(call: Call) -> int:
    """For whom upstream's bills are asked: the caller's organisation, or the principal it names (R-B8)."""
    caller = await call.ref_org()
    for name in ("agent_ref_ent_id", "ass_ref_ent_id"):
        if call.text(name):
            return await call.ref_org(name)
    return caller


def _positive(call: Call, name: str) -> int:
    value = call.text(name)
    if not value or value.upper() in ("A", "AO"):
        return 0
    if not is_number(value) or len(value) > 9:
        raise call.invalid(name)
    return int(value)


async def _wanted(call: Call) -> Upstream:
    since, until = call.days()
    up_since, up_until = call.days("upload_time_begin", "upload_time_end")
    # a correction is a bill recorded anew: it was uploaded, and changed, when its latest revision came
    mod_since, mod_until = call.days("mod_date_begin", "mod_date_end")
    up_since = max((t for t in (up_since, mod_since) if t is not None), default=None)
    up_until = min((t for t in (up_until, mod_until) if t is not None), default=None)
    asked = call.text("status").upper()
    if asked not in ("", "A", WAITING, SETTLED):
        raise call.invalid("status")
    return Upstream(
        await _receiver(call),
        await call.ent("from_user_id"),
        since,
        until,
        up_since,
        up_until,
        call.text("bill_code"),
        _positive(call, "bill_type"),
        call.text("produce_batch_no"),
        _positive(call, "drug_ent_base_info_id"),
        None if asked in ("", "A") else asked == SETTLED,
    )


@method(P + "drug.kyt.listupout", aliases=(P + "drug.kyt.wes.listupout",))
async def list_up(call: Call) -> Reply:
    """Upstream's shipments to us, a row per bill, product and batch; 1 not yet received, 2 received or refused."""
    wanted = await _wanted(call)
    offset, limit = call.page()
    async with call.conn() as conn:
        rows, total = await store.upstream(conn, visible(call.subject), wanted, offset, limit)
    orgs: list[int | None] = []
    for row in rows:
        orgs += [row["from_org"], row["to_org"], row["principal"]]
    names = await names_of(call, [*orgs, *orgs_of_goods(call.registry, [_with_qty(r) for r in rows])])
    found = [_up_values(call, row, names) for row in rows]
    model = {"result_list": found, "results": found, "total_num": total, "page": offset // limit + 1,
             "page_size": limit}  # fmt: skip
    return Reply(fit(call, model))


def _with_qty(row: Record) -> Any:
    return {"drug_id": row["drug_id"]}


def _up_values(call: Call, row: Record, names: Any) -> dict[str, Any]:
    line = {**dict(row), "qty": row["expected"]}
    sender, receiver = row["from_org"], row["to_org"]
    product = call.registry.product(row["drug_id"])
    return goods_values(call, line, names) | {  # type: ignore[arg-type]
        "bill_code": row["bill_no"],
        "bill_type": row["type"],
        "bill_type_name": type_name(row["type"]),
        "bill_time": row["shipped_at"],
        "bill_time_format": row["shipped_at"].astimezone(CHINA).date(),
        "bill_out_id": row["bill_id"],
        "bill_detail_id": detail_id(row["bill_id"], row["drug_id"], row["batch_id"]),
        "from_ent_name": names.name(sender),
        "from_user_name": names.name(sender),
        "from_user_id": names.ent(sender),
        "from_ref_user_id": names.ref(sender),
        "to_user_name": names.name(receiver),
        "to_user_id": names.ent(receiver),
        "to_ref_user_id": names.ref(receiver),
        "ass_ent_name": names.name(row["principal"]),
        "ass_ent_id": names.ent(row["principal"]),
        "ass_ref_ent_id": names.ref(row["principal"]),
        "status": WAITING if row["state"] in ("open", "part") else SETTLED,
        "prepn_type_desc": product.dosage_form if product is not None else None,
        "crt_date": row["recorded_at"],
        "mod_date": row["recorded_at"],
        "bill_upload_time": row["recorded_at"],
        # names of the older set
        "gmt_create": row["recorded_at"],
        "gmt_modified": row["recorded_at"],
        "task_status": WAITING if row["state"] in ("open", "part") else SETTLED,
        "oper_ent_id": names.ent(sender),
    }


@method(P + "drug.msc.query.upoutbillcount", aliases=(P + "drug.wes.query.upoutbillcount",))
async def count_up(call: Call) -> Reply:
    """How many bills of each type upstream uploaded for us in a period."""
    receiver = await _receiver(call)
    since, until = call.days()
    wanted = Upstream(receiver, recorded_since=since, recorded_until=until, type=_positive(call, "bill_type"))
    async with call.conn() as conn:
        found = await store.upstream_by_type(conn, visible(call.subject), wanted)
    return Reply(
        fit(call, [{"bill_type": t, "bill_type_name": type_name(t), "count": n} for t, n in found.items()])
    )


@method(P + "drug.bill.upbill.detail.withcode", aliases=(P + "drug.kyt.wes.upbill.detailwithcode",))
async def up_detail(call: Call) -> Reply:
    """One of upstream's bills with goods and codes; `code_level` counts from the smallest package here (§2.5)."""
    receiver = await _receiver(call)
    named = await call.party("to_ref_user_id")
    if named is not None and named != receiver:
        receiver = await call.ref_org("to_ref_user_id")
    async with call.conn() as conn:
        row = await store.upstream_bill(
            conn,
            visible(call.subject),
            receiver,
            await call.party("from_ref_user_id"),
            call.text("bill_code"),
        )
    if row is None:
        raise Failed("FAIL_BIZ_NO_PAT_INFO", "信息不存在")
    values = await detail_of(call, row, with_codes=True, largest_is_one=False)
    sender, target = sides(row)
    names = await names_of(call, [sender, target])
    values |= {
        "ent_send_name": names.name(sender),
        "ent_send_id": names.ref(sender),
        "ent_recv_name": names.name(target),
        "ent_recv_id": names.ref(target),
        "store_out_date": row["happened_at"],
        "update_date": row["recorded_at"],
        "bill_time_format": row["happened_at"].astimezone(CHINA).date(),
    }
    for line in values["drug_infos_dto_list"]:
        line["mod_date"] = row["recorded_at"]
    return Reply(fit(call, values))


@method(P + "drug.kyt.wes.queryupoutbilllog")
async def changed(call: Call) -> Reply:
    """Upstream bills that were corrected or taken back in a period: to be read again."""
    receiver = await _receiver(call)
    since, until = call.days("begin_oper_date", "end_oper_date")
    if since is None or until is None:
        raise call.missing("begin_oper_date")
    offset, limit = call.page()
    async with call.conn() as conn:
        rows = await store.changed(conn, visible(call.subject), receiver, since, until, offset, limit)
    names = await names_of(call, [o for r in rows for o in (r["owner"], r["from_org"], r["to_org"])])
    found = [
        {
            "ref_ent_id": names.ref(r["owner"]),
            "bill_id": r["id"],
            "bill_type": r["type"],
            "bill_type_desc": type_name(r["type"]),
            "bill_code": r["bill_no"],
            "from_ref_ent_id": names.ref(r["from_org"] or r["owner"]),
            "to_ref_ent_id": names.ref(r["to_org"]),
            "oper_date": r["recorded_at"],
        }
        for r in rows
    ]
    return Reply(fit(call, {"result_list": found, "total_num": rows[0]["total"] if rows else 0}))


@method(P + "drug.kyt.wes.billpartialreject", scope="bill.write")
async def reject(call: Call) -> Reply:
    """Say no to what upstream shipped: 1 the whole bill, 2 batches of it, 3 single codes.

    The goods go back to the sender by a receipt of ours that rejects them, and the receipt check tells the sender why
    (R-B2). Saying the same twice is recognised by the receipt's number, which is made of what is rejected.
    """
    receiver = await _receiver(call)
    bill_id, how = call.number("bill_out_id"), call.number("operate_type")
    if how not in (1, 2, 3):
        raise call.invalid("operate_type", "operate_type 应为 1 整单、2 批次、3 追溯码")
    sight = visible(call.subject)
    async with call.conn() as conn:
        row = await store.upstream_bill(conn, sight, receiver, None, "", bill_id)
        if row is None:
            raise Failed("FAIL_BIZ_NO_PAT_INFO", "信息不存在")
        lines = await store.codes(conn, sight, row["id"], row["drug_ids"], CODES_MAX + 1)
    codes, rejected = _rejected(call, row["id"], how, lines)
    number = _number(bill_id, how, codes)
    async with call.conn() as conn:
        if await store.by_number(conn, sight, receiver, number) is not None:
            return Reply()
    header = {
        "reason_text": call.text("reject_reason"),
        "to_person": call.text("operator"),
        "source": "top billpartialreject",
    }
    movement = Movement(
        type=RECEIVES.get(row["type"], 102),
        bill_no=number,
        owner=receiver,
        happened_at=datetime.now(UTC),
        codes=codes,
        from_org=row["owner"],
        mode="atomic",
        notice=row["bill_no"],
        rejects=rejected,
        reject_all=how == 1,
        header=header,
        body=call.body,
    )
    done = await service.submit(call.pool, call.committer, call.registry, call.subject, movement)
    if done.status != "accepted":
        wrong = next((r for r in done.results if not r.accepted), None)
        why = str(wrong.as_json("zh")["message"]) if wrong is not None else ""
        where = f"追溯码 {wrong.code}：" if wrong is not None else ""
        raise Failed("FAIL_BIZ_REJECT_ERROR", f"{where}{why}")
    return Reply()


def _rejected(call: Call, bill_id: int, how: int, lines: Sequence[Record]) -> tuple[list[str], list[str]]:
    """The codes that the receipt scans, and those of them it rejects by name."""
    if how == 3:
        codes = call.strings("codes")
        if not codes:
            raise call.missing("codes")
        return codes, codes
    if len(lines) > CODES_MAX:
        raise Failed("FAIL_BIZ_PARAM_CODE_NUM_ERROR", f"单据追溯码超过 {CODES_MAX} 个，请按批次或追溯码拒收")
    if how == 1:
        return [r["code"] for r in lines], []
    wanted = set(call.strings("bill_detail_ids"))
    if not wanted:
        raise call.missing("bill_detail_ids")
    known = {detail_id(bill_id, r["drug_id"], r["batch_id"]) for r in lines}
    if wanted - known:
        raise Failed("FAIL_BIZ_NO_PAT_INFO", f"单据没有明细 {'、'.join(sorted(wanted - known))[:100]}")
    codes = [r["code"] for r in lines if detail_id(bill_id, r["drug_id"], r["batch_id"]) in wanted]
    return codes, codes


def _number(bill_id: int, how: int, codes: Sequence[str]) -> str:
    digest = hashlib.sha256("\n".join(sorted(codes)).encode()).hexdigest()[:12]
    return f"JS{bill_id}-{how}-{digest}"


@method(P + "drug.kyt.destbill.list")
async def direct(call: Call) -> Reply:
    """Direct shipments (直调) of our goods by others; they are approved by being named in them (status 2)."""
    org = await call.ref_org() if call.text("ref_ent_id") else call.org
    since, until = call.days()
    asked = call.text("approval_status")
    if asked not in ("", "1", "2", "3"):
        raise call.invalid("approval_status")
    async with call.conn() as conn:
        rows = await store.direct(conn, visible(call.subject), org, since, until, call.text("bill_code"), 500)
    if asked in ("1", "3"):
        rows = []
    names = await names_of(
        call, [o for r in rows for o in (*sides(r), r["principal"], r["carrier"], r["direct_org"])]
    )
    found = []
    for r in rows:
        sender, target = sides(r)
        found.append(
            {
                "drug_type": physic_type(call.registry, r["drug_ids"]),
                "from_user_name": names.name(sender),
                "to_user_name": names.name(target),
                "dest_ent_name": names.name(target),
                "ass_ref_ent_id": names.ref(r["principal"]),
                "ass_ent_id": names.ent(r["principal"]),
                "ass_ent_name": names.name(r["principal"]),
                "dis_ref_ent_id": names.ref(r["carrier"]),
                "dis_ent_id": names.ent(r["carrier"]),
                "dis_ent_name": names.name(r["carrier"]),
                "bill_id": r["id"],
                "bill_code": r["bill_no"],
                "status": "2",
            }
        )
    return Reply(fit(call, found))


@method(P + "drug.kyt.dr.billcheck")
async def matched(call: Call) -> Reply:
    """How far a bill of ours was verified by the other side: 1 for each code that it has received (R-B2)."""
    owner = await call.ref_org("ower_ref_ent_id")
    sight = visible(call.subject)
    async with call.conn() as conn:
        row = await store.by_number(conn, sight, owner, call.text("bill_code"))
        if row is None or str(row["type"]) != call.text("bill_type"):
            raise Failed("FAIL_BIZ_NO_PAT_INFO", "信息不存在")
        lines = await store.codes(conn, sight, row["id"], row["drug_ids"], CODES_MAX)
        goods = await store.goods(conn, sight, row["id"], row["drug_ids"])
        waiting = await store.waiting_codes(conn, sight, row["id"], row["drug_ids"])
    batches = {(g["drug_id"], g["batch_id"]): g["batch_no"] for g in goods}
    sender, receiver = sides(row)
    details = []
    for line in lines:
        product = call.registry.product(line["drug_id"])
        details.append(
            {
                "code": line["code"],
                "produce_batch_no": batches.get((line["drug_id"], line["batch_id"])),
                "drug_info": physic_info(product) if product is not None else None,
                "code_is_matched": "0" if line["code"] in waiting else "1",
            }
        )
    done = sum(1 for one in details if one["code_is_matched"] == "1")
    model = {
        "bill_code": row["bill_no"],
        "bill_type": row["type"],
        "bill_time": row["happened_at"],
        "user_name": call.name_of(receiver if sender == owner else sender),
        "matched_count": done,
        "matched_rate_show": f"{done * 100 // len(details) if details else 0}%",
        "detail_info_list": details,
    }
    return Reply(fit(call, model))
