"""Taking bills back and correcting them over the incumbent's methods (R-X3): the effect is computed, none is lost."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from asyncpg import Record

from yaosu.access.visibility import visible
from yaosu.circulation import service, store_read
from yaosu.circulation.model import CODES_MAX, Movement
from yaosu.errors import YaosuError
from yaosu.exchange.top import store_trade as store
from yaosu.exchange.top.protocol import Call, Failed, Reply, method

P = "alibaba.alihealth."
REASON_MAX = 500
_PHONE = re.compile(r"[0-9+\-]{5,20}")


async def _own_bill(call: Call) -> Record:
    """The bill a call names by number or id, of the organisation it acts for."""
    owner = await call.ref_org()
    if call.text("owner_ref_user_id"):
        owner = await call.ref_org("owner_ref_user_id")
    sight = visible(call.subject)
    async with call.conn() as conn:
        if call.text("bill_id"):
            row = await store.by_id(conn, sight, call.number("bill_id"), owner)
        else:
            row = await store.by_number(conn, sight, owner, call.text("bill_code"))
    if row is None:
        raise Failed("FAIL_BIZ_NO_PAT_INFO", "信息不存在")
    return row


def _later(error: YaosuError) -> Failed:
    """What stands in the way, word for word with the codes."""
    facts = "；".join(f"{f.where}：{f.text('zh')}" if f.where else f.text("zh") for f in error.findings[:20])
    text = error.entry.text("zh", error.params)
    return Failed("FAIL_BIZ_BILL_DELETE_ERROR", f"{text}{'：' + facts if facts else ''}")


async def _void(call: Call, row: Record, reason: str) -> None:
    try:
        await service.void(
            call.pool, call.committer, call.registry, call.subject, row["id"], reason[:REASON_MAX], call.body
        )
    except YaosuError as error:
        if error.code in ("later_fact", "revision_gap", "bill_is_void"):
            raise _later(error) from None
        raise


@method(
    P + "drug.code.kyt.wes.delbillinfo",
    aliases=(P + "drug.kyt.scqy.delbillinfo",),
    scope="bill.correct",
)
async def delete(call: Call) -> Reply:
    """Take a bill back: reversing entries, the number stays used, the bill stays in the record as void (D8).

    Failed (`FAIL_BIZ_BILL_DELETE_ERROR`) with the later facts named when its goods have moved on since.
    """
    reason = call.text("delete_reason")
    if not reason:
        raise call.missing("delete_reason")
    phone = call.text("mobile_phone")
    if phone and _PHONE.fullmatch(phone) is None:
        raise call.invalid("mobile_phone")
    row = await _own_bill(call)
    await _void(call, row, reason)
    return Reply(f"单据 {row['bill_no']} 已作废，{row['lines']} 个追溯码恢复到原状态")


@method(P + "drug.kyt.storebilldelete", scope="bill.correct")
async def delete_of_store(call: Call) -> Reply:
    """The same for a store's bill, by our id of it."""
    row = await _own_bill(call)
    if call.text("bill_type") and call.number("bill_type") != row["type"]:
        raise Failed("FAIL_BIZ_NO_PAT_INFO", "信息不存在")
    await _void(call, row, "零售端单据删除")
    return Reply(f"单据 {row['bill_no']} 已作废")


async def _next_revision(call: Call, row: Record, **changed: Any) -> Movement:
    """The bill again as its next revision, with what the caller changes."""
    sight = visible(call.subject)
    codes: list[str] = []
    async with call.conn() as conn:
        if "codes" not in changed:
            lines = await store_read.bill_lines(conn, sight, row["id"], None, CODES_MAX + 1)
            codes = [line["code"] for line in lines or ()]
        parts = await store_read.bill_parts(conn, sight, row["id"], CODES_MAX)
    if parts is not None and parts[0]:
        raise Failed("FAIL_BIZ_BILL_UPDATE_ERROR", "拆零单据请在平台上更正")
    if len(codes) > CODES_MAX:
        raise Failed("FAIL_BIZ_BILL_UPDATE_ERROR", f"单据追溯码超过 {CODES_MAX} 个，请使用平台接口更正")
    made = Movement(
        type=row["type"],
        bill_no=row["bill_no"],
        owner=row["owner"],
        happened_at=row["happened_at"],
        codes=codes,
        revision=row["revision"] + 1,
        from_org=row["from_org"],
        to_org=row["to_org"],
        principal=row["principal"],
        carrier=row["carrier"],
        direct_org=row["direct_org"],
        header=row["header"] or {},
        body=call.body,
    )
    return replace(made, **changed)


async def _correct(call: Call, movement: Movement) -> Reply:
    try:
        done = await service.submit(call.pool, call.committer, call.registry, call.subject, movement)
    except YaosuError as error:
        if error.code in ("later_fact", "revision_gap", "bill_is_void"):
            raise _later(error) from None
        raise
    wrong = [r for r in done.results if not r.accepted]
    if done.status == "refused":
        raise Failed("FAIL_BIZ_BILL_UPDATE_ERROR", str(wrong[0].as_json("zh")["message"]) if wrong else "")
    note = f"，{len(wrong)} 个追溯码未处理" if wrong else ""
    return Reply(f"单据 {done.bill_no} 已更正为第 {done.revision} 版{note}")


@method(P + "drug.kyt.updatebillcode", scope="bill.correct")
async def update_codes(call: Call) -> Reply:
    """Correct the codes of a store's bill: the list given takes the place of the one before."""
    codes = call.strings("code_list")
    if not codes:
        raise call.missing("code_list")
    row = await _own_bill(call)
    return await _correct(call, await _next_revision(call, row, codes=codes))


@method(P + "drug.kyt.updatebillinfo", scope="bill.correct")
async def update_head(call: Call) -> Reply:
    """Correct sender, receiver and remark of a store's bill. Its number identifies it and stays as it is."""
    row = await _own_bill(call)
    changed: dict[str, Any] = {}
    for field, name in (("from_org", "partner_id_send"), ("to_org", "partner_id_recv")):
        org = await call.ent(name)
        if org is not None and org != row["owner"]:
            changed[field] = org
    number = call.text("bill_code")
    if number and number != row["bill_no"]:
        raise Failed("FAIL_BIZ_BILL_UPDATE_ERROR", "单据号不能更改；请作废后用新单据号上传")
    if call.text("note"):
        changed["header"] = {**(row["header"] or {}), "remarks": call.text("note")[:REASON_MAX]}
    if not changed:
        raise Failed("FAIL_BIZ_PARAM_ERROR", "没有需要更正的内容")
    return await _correct(call, await _next_revision(call, row, **changed))
