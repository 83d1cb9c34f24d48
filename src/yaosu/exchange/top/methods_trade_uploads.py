"""Bills of wholesalers, makers, carriers and older programs of everybody: the same one write path (R-B6, R-X10).

The sets differ in how a bill carries its codes (list or file) and in which field names the owner; `uploads` does the
rest. Where a method has no place for refused codes they are named in `msg_info`; either way they can be asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from datetime import date

from yaosu.circulation.model import Movement, Quantity
from yaosu.exchange.top import inout_xml, uploads
from yaosu.exchange.top.envelope import layout
from yaosu.exchange.top.inout_xml import NotReadableError
from yaosu.exchange.top.methods_query_codes import looked_up
from yaosu.exchange.top.protocol import Call, Failed, Reply, method
from yaosu.exchange.top.shaping import is_number
from yaosu.production.relation.dates import parse_date

P = "alibaba.alihealth."
WRITE = "bill.write"
B2C, PURCHASE = 326, 102
REMNANT_IN, REMNANT_OUT = 106, 210
UNCODED_IN, UNCODED_OUT = 21, 22
NAMED_MAX = 20
QTY_MAX = 100_000_000


async def fitted(call: Call, answer: Awaitable[Reply]) -> Reply:
    """The answer of an upload in the fields that the method publishes."""
    place = layout(call.method)
    names = place.box.keys() | place.top.keys()
    try:
        reply = await answer
    except Failed as no:
        lost = {k: v for k, v in no.more.items() if k not in names and v is not None}
        no.more = {k: v for k, v in no.more.items() if k in names}
        no.msg_info += _lost(lost)
        raise
    lost = {k: v for k, v in reply.fields.items() if k not in names and v is not None}
    reply.fields = {k: v for k, v in reply.fields.items() if k in names}
    reply.msg_info += _lost(lost)
    return reply


def _lost(fields: dict[str, object]) -> str:
    errors = fields.get("operation_info_map")
    if not isinstance(errors, dict):
        return ""
    return f"；{str(errors.get('code_check_error_info', ''))[:1000]}"


@method(
    P + "drug.kyt.uploadinoutbill",
    aliases=(
        P + "drug.msc.uploadinoutbill",
        P + "drug.kyt.dr.uploadinoutbill",
        P + "drug.kyt.specia.vaccin.uploadinoutbill",
        P + "drug.kyt.yy.uploadinoutbill",
        P + "drug.kyt.smyx.uploadinoutbill",
    ),
    scope=WRITE,
)
async def upload(call: Call) -> Reply:
    """A bill with its codes."""
    return await fitted(call, uploads.in_out(call))


@method(P + "drug.kyt.wes.uploadinoutbill", scope=WRITE)
async def upload_wes(call: Call) -> Reply:
    """The same in the paid tier, where the owner is `ref_ent_id`."""
    return await fitted(call, uploads.in_out(call, owner_field="ref_ent_id"))


def _codes_of_file(call: Call) -> list[str]:
    """The codes of an in/out file. Failed where it cannot be read, or is another bill than the call says."""
    text = call.text("file_content")
    if not text:
        raise call.missing("file_content")
    try:
        found = inout_xml.read(inout_xml.unpacked(text))
    except NotReadableError as error:
        raise Failed(error.code, error.why) from None
    if found.kind is not None and found.kind != call.number("bill_type"):
        raise Failed(
            "BILL_DECODE_ERROR",
            f"文件为 {found.event}（{found.kind}），与单据类型 {call.text('bill_type')} 不符",
        )
    if found.numbers and found.numbers != {call.text("bill_code")}:
        other = "、".join(sorted(found.numbers - {call.text("bill_code")}))
        raise Failed("BILL_DECODE_ERROR", f"文件中的单据号 {other[:100]} 与 bill_code 不符")
    return found.codes


@method(
    P + "drug.kyt.uploadcircubill",
    aliases=(P + "drug.msc.uploadcircubill", P + "drug.kyt.scqy.uploadcircubill", P + "drug.kyt.upinoutfile"),
    scope=WRITE,
)
async def upload_file(call: Call) -> Reply:
    """A bill whose codes are in an in/out XML file, packed and in Base64."""
    return await fitted(call, uploads.in_out(call, codes=_codes_of_file(call)))


@method(P + "drug.kyt.wes.uploadcircubill", scope=WRITE)
async def upload_file_wes(call: Call) -> Reply:
    """The same in the paid tier."""
    answer = uploads.in_out(call, codes=_codes_of_file(call), owner_field="ref_ent_id")
    return await fitted(call, answer)


@method(
    P + "drug.kyt.uploadretail",
    aliases=(
        P + "drug.kyt.druploadretail",
        P + "drug.kyt.va.uploadretail",
        P + "drug.kyt.specia.vaccin.uploadretail",
        P + "drug.kyt.yy.uploadretail",
    ),
    scope=WRITE,
)
async def upload_retail(call: Call) -> Reply:
    """A sale, use, vaccination or consumer return in the older sets."""
    return await fitted(call, uploads.retail(call))


@method(P + "drug.kyt.upstorebillfile", scope=WRITE)
async def upload_retail_file(call: Call) -> Reply:
    """The same with the codes in a file."""
    codes = _codes_of_file(call)
    return await fitted(call, uploads.retail(_with(call, trace_codes=",".join(codes))))


def _with(call: Call, **params: str) -> Call:
    """The call with parameters that the method leaves to us."""
    return replace(call, params={**call.params, **params})


@method(P + "drug.kyt.uploadb2cbill", scope=WRITE)
async def upload_online(call: Call) -> Reply:
    """An online sale (326) by its orders."""
    orders = {
        name: call.text(name) for name in ("master_order", "lbx_order", "order_source") if call.text(name)
    }
    made = _with(call, bill_type=str(B2C), remarks=" ".join(f"{k}:{v}" for k, v in orders.items())[:500])
    return await fitted(call, uploads.retail(made))


@method(P + "drug.kyt.uploadinsign", scope=WRITE)
async def upload_signed(call: Call) -> Reply:
    """A delivery signed for at the warehouse: a purchase receipt from whoever shipped the codes to us."""
    owner = await call.ref_org("ref_user_id")
    seen, _ = await looked_up(call, call.strings("trace_codes"))
    senders = {
        s.found.root.holder for s in seen if s.found is not None and s.found.root.dest == owner and s.known
    }
    if len(senders) != 1:
        why = "没有上游发给本企业的追溯码" if not senders else "追溯码来自多个发货企业，请分单上传"
        raise Failed("FAIL_BIZ_NOT_CURRENT_OPERATE_CODE", why)
    sender = await call.ent_id(senders.pop())
    made = _with(call, bill_type=str(PURCHASE), from_user_id=sender or "", to_user_id="")
    return await fitted(call, uploads.in_out(made))


@method(
    P + "drug.kyt.remnantbill.upload",
    aliases=(P + "drug.msc.remnantbill.upload", P + "drug.kyt.wes.remnantbill.upload"),
    scope=WRITE,
)
async def upload_remnant(call: Call) -> Reply:
    """零头: a quantity without codes, booked in the uncoded stock (无码库, R-C8): in as 21, out as 22.

    The method carries no invoice; the bill's own number and day stand in the fields that the law asks for.
    """
    owner = await call.ref_org()
    kind = call.number("bill_type")
    if kind not in (REMNANT_IN, REMNANT_OUT):
        raise Failed(uploads.TYPE_ERROR, "单据类型应为 106 零头入库 或 210 零头出库")
    sender, receiver = await call.party("from_ref_user_id"), await call.party("to_ref_user_id")
    if (receiver if kind == REMNANT_IN else sender) != owner:
        raise Failed(uploads.PARAM_ERROR, "入库的收货企业、出库的发货企业应为 ref_ent_id")
    at = call.when("bill_time")
    if at is None:
        raise call.missing("bill_time")
    product = call.text("drug_ent_base_info_id")
    amount = call.text("input_amount")
    made, ends = _date(call, "produce_date"), _date(call, "expire_date")
    if not is_number(product) or len(product) > 9 or call.registry.product(int(product)) is None:
        raise Failed("FAIL_BIZ_NO_PAT_INFO", f"药品 drug_ent_base_info_id 不存在：{product[:20]}")
    if not is_number(amount) or not 0 < int(amount) <= QTY_MAX:
        raise Failed(uploads.PARAM_ERROR, "药品数量 input_amount 应为正整数（最小销售包装）")
    header: dict[str, object] = {"reason_text": "零头单据", "source": "remnantbill"}
    if kind == REMNANT_IN:
        header |= {"invoice_no": call.text("bill_code"), "invoice_date": at.date().isoformat()}
        header["supplier"] = call.name_of(sender) or ""
    movement = Movement(
        type=UNCODED_IN if kind == REMNANT_IN else UNCODED_OUT,
        bill_no=call.text("bill_code"),
        owner=owner,
        happened_at=at,
        codes=(),
        from_org=sender if kind == REMNANT_IN else None,
        to_org=receiver if kind == REMNANT_OUT else None,
        principal=await call.party("ass_ref_ent_id"),
        carrier=await call.party("dis_ref_ent_id"),
        header=header,
        body=call.body,
        quantities=[Quantity(int(product), call.text("produce_batch_no"), int(amount), made, ends)],
    )
    return await fitted(call, uploads.post(call, movement))


def _date(call: Call, name: str) -> date:
    found = parse_date(call.text(name), last_of_month=True)
    if found is None:
        raise call.invalid(name)
    return found
