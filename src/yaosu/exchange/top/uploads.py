"""Uploads: a bill in the incumbent's fields becomes one Movement on the one write path (design §1, R-X10).

Answers of an upload (levels 2 to 4 of §2.7 at once, since we answer after the commit):

* everything moved: success, `msg_code` SUCCESS, `model` our number of the bill;
* a part moved: the same, and `operation_info_map.code_check_error_info` lists the others by error type;
* nothing moved: success false; the upload is kept for the status queries (result_type 4) until a bill has its number;
* the same bill again: the first answer, with 单据重复; another bill under a number in use: success false.

`ignore_part_success_flag` 1 asks for all or nothing (the write path's atomic mode); otherwise codes that cannot move
are left out and can be asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from yaosu.circulation import service
from yaosu.circulation.model import CODES_MAX, CodeResult, Movement, MovementResult
from yaosu.circulation.prepare import prepare
from yaosu.errors import YaosuError
from yaosu.exchange.top import store, words
from yaosu.exchange.top.protocol import Call, Failed, Reply
from yaosu.people import envelope
from yaosu.people import service as people
from yaosu.people.documents import mask_number
from yaosu.people.envelope import is_sealed
from yaosu.people.free_text import holds_citizen
from yaosu.people.model import Given
from yaosu.registry.groups import home
from yaosu.registry.model import OrgType
from yaosu.rules.bill_types import BillType, submittable

LARGE_MAX = 100_000
"""Codes in one upload. The incumbent stopped at 10,000; beyond ours the native interface takes a million as a job."""
PARAM_ERROR = "FAIL_BIZ_PARAM_ERROR"
TYPE_ERROR = "FAIL_BIZ_PARAM_BILL_TYPE_ERROR"
REPEATED_FLOW = "FAIL_BIZ_BILL_DUPLICATE_UPLOAD_BILLCODE_REPEAT_CODE"
NOT_GIVEN = "未提供"
"""Stands where a bill type needs a name or reason that the method does not carry any more."""

HEADER = (
    "from_address", "to_address", "from_bill_code", "order_code", "from_person", "to_person", "warehouse_id",
    "qu_receivable", "xt_is_check", "xt_check_code", "xt_check_code_desc", "oper_ic_code", "oper_ic_name",
    "executer_name", "superviser_name", "drug_list_json", "upload_file_name",
)  # fmt: skip
"""Fields that are kept in the bill's header under their own names."""
PERSONAL = ("customer_id", "customer_id_type", "user_tel", "user_name", "user_agent")
"""Fields about a buyer or patient: never in the header, never in a body that is not sealed (design §6)."""
DOCUMENTS = ("executer_code", "superviser_code")
"""Document numbers of staff: kept masked."""
BLANK = "***"
HEADER_TEXT_MAX = 2_000
SALE, USE = 321, 323
"""零售出库 of pharmacies, 使用出库 of medical institutions."""
CARD = 18
"""Characters of an identity-card number."""


def kind_of(call: Call, *, allowed: frozenset[str] | None = None) -> BillType:
    """The bill type of the call. Failed for unknown ones and those the method is not for."""
    kind = submittable().get(call.number("bill_type"))
    if kind is None or kind.code < 100 or (allowed is not None and kind.kind not in allowed):
        raise Failed(TYPE_ERROR, f"本接口不办理单据类型 {call.text('bill_type')}")
    return kind


async def in_out(
    call: Call, *, codes: Sequence[str] | None = None, owner_field: str = "ref_user_id"
) -> Reply:
    """An inbound or outbound bill. `codes` where the method carries them in another way than `trace_codes`."""
    kind = kind_of(call)
    owner = await call.ref_org(owner_field)
    principal = await _either(call, "ass_ref_ent_id", "ass_ent_id")
    carrier = await _either(call, "dis_ref_ent_id", "dis_ent_id")
    sender, receiver = await call.ent("from_user_id"), await call.ent("to_user_id")
    direct = await call.ent("dest_user_id")
    from_org, to_org = _sides(call, kind, owner, sender, receiver, {principal, carrier})
    movement = Movement(
        type=kind.code,
        bill_no=call.text("bill_code"),
        owner=owner,
        happened_at=_when(call),
        codes=codes if codes is not None else call.strings("trace_codes"),
        from_org=from_org,
        to_org=to_org,
        principal=principal,
        carrier=carrier,
        direct_org=direct if kind.code in (207, 237) else None,
        mode=mode_of(call),
        header=_header(call, kind),
        body=call.body,
    )
    return await post(call, movement)


async def retail(call: Call) -> Reply:
    """A sale, use, vaccination or consumer return, with the person it is for where one is named (R-C2, R-C4)."""
    kind = kind_of(call, allowed=frozenset(("use", "give_back")))
    owner = await call.ref_org("ref_user_id")
    card = call.card(home(call.registry, owner))
    if kind.code == SALE and card is not None and card.type == OrgType.MEDICAL:
        # hospitals' clients of before the type was renamed write 321 for what is 323 since (§2.3)
        kind = submittable()[USE]
    sender = await call.ent("from_user_id")
    if sender is not None and home(call.registry, sender) != home(call.registry, owner):
        raise Failed(PARAM_ERROR, "发货企业 from_user_id 应与上传企业一致")
    header: dict[str, Any] = {
        "doctor": call.text("medic_doctor"),
        "dispenser": call.text("medic_dispenser"),
        "remarks": call.text("remarks"),
        "online": call.text("network_bill_flag"),
        "oper_ic_code": call.text("oper_ic_code"),
        "oper_ic_name": call.text("oper_ic_name"),
        "way": "top",
    }
    movement = Movement(
        type=kind.code,
        bill_no=call.text("bill_code"),
        owner=owner,
        happened_at=_when(call),
        codes=call.strings("trace_codes"),
        mode=mode_of(call),
        header={k: v for k, v in header.items() if v},
        body=call.body,
    )
    return await post(call, await with_person(call, movement))


async def with_person(call: Call, movement: Movement) -> Movement:
    """The movement with its buyer as a person of the people room, its submission sealed; masked where nobody can be
    told by a document. Refused where the document cannot be right."""
    if not any(call.text(name) for name in PERSONAL):
        return movement
    number, name = call.text("customer_id"), call.text("user_name")
    if not number:
        return replace(movement, body=masked(call))
    given = Given(
        call.text("customer_id_type") or _kind_of_number(number), number, name, call.text("user_tel")
    )
    async with call.conn() as conn:
        if not name and await people.find(conn, call.keeper, given.kind, number, call.registry.lists) is None:
            # without a name nobody can be registered; where the goods need a person the write path says so
            return replace(movement, body=masked(call))
        person = await people.identify(conn, call.keeper, call.subject, given, call.registry.lists)
        body = await envelope.seal(conn, call.keeper, [person], call.body)
    return replace(movement, person=person, body=body)


def _kind_of_number(number: str) -> str:
    return "1" if len(number) == 18 else "9"


def masked(call: Call) -> bytes:
    """The submission without what it says of a person."""
    kept = {k: (BLANK if v and k in (*PERSONAL, *DOCUMENTS) else v) for k, v in call.params.items()}
    if "trace_codes" in kept:
        kept["trace_codes"] = ",".join(_no_citizens(call.strings("trace_codes")))
    return urlencode({"method": call.method, **kept}).encode()


def _no_citizens(codes: Sequence[str]) -> Sequence[str]:
    """Scans without the identity cards among them, which some reader put into the wrong field."""
    if not any(len(code) == CARD for code in codes):
        return codes
    return [BLANK if len(code) == CARD and holds_citizen(code) else code for code in codes]


def mode_of(call: Call) -> Any:
    """All or nothing where the caller asks for it."""
    return "atomic" if call.text("ignore_part_success_flag") == "1" else "per_code"


def _when(call: Call) -> Any:
    at = call.when("bill_time")
    if at is None:
        raise call.missing("bill_time")
    return at


async def _either(call: Call, ref: str, ent: str) -> int | None:
    """One organisation that comes in either form. Failed when the two say different ones."""
    first, second = await call.party(ref), await call.party(ent)
    if first is not None and second is not None and first != second:
        raise Failed(PARAM_ERROR, f"{ref} 与 {ent} 不是同一企业")
    return first if first is not None else second


def _sides(
    call: Call,
    kind: BillType,
    owner: int,
    sender: int | None,
    receiver: int | None,
    agents: set[int | None],
) -> tuple[int | None, int | None]:
    """Sender and receiver of the movement. Failed where the owner is on the wrong side: nothing is ever posted to
    another subject because two ids were mixed up (§2.4)."""

    def ours(org: int | None) -> bool:
        return org is None or org in agents or home(call.registry, org) == home(call.registry, owner)

    if kind.kind == "receive":
        if not ours(receiver):
            raise Failed(PARAM_ERROR, "入库单的收货企业 to_user_id 应为货主 ref_user_id")
        return sender, None
    if kind.kind == "ship":
        if not ours(sender):
            raise Failed(PARAM_ERROR, "出库单的发货企业 from_user_id 应为货主 ref_user_id")
        return None, receiver
    if not ours(sender) or not ours(receiver):
        raise Failed(PARAM_ERROR, f"{kind.zh}的收发货企业应为货主 ref_user_id")
    return None, None


def _header(call: Call, kind: BillType) -> Mapping[str, Any]:
    header = {name: call.text(name)[:HEADER_TEXT_MAX] for name in HEADER if call.text(name)}
    header |= {name: mask_number(call.text(name)) for name in DOCUMENTS if call.text(name)}
    returned = call.text("return_reason_code") or call.text("cancel_reason_code")
    described = call.text("return_reason_des") or call.text("cancel_reason_des")
    if kind.direction == "out" and kind.kind == "end":
        returned = call.text("cancel_reason_code") or returned
        described = call.text("cancel_reason_des") or described
    if returned:
        header["reason"] = returned
    if described:
        header["reason_text"] = described
    # the newest set does not carry these any more ("no need to fill in"), the law still asks for them
    defaults = {"reason": "4", "reason_text": NOT_GIVEN, "executer": "", "superviser": ""}
    for need in kind.needs:
        if need in ("executer", "superviser"):
            header.setdefault(f"{need}_name", call.text("oper_ic_name") or NOT_GIVEN)
        elif need in defaults:
            header.setdefault(need, defaults[need])
    return header


async def post(call: Call, movement: Movement) -> Reply:
    """Submit a movement and answer in the words of an upload."""
    if len(movement.bill_no) > 64 or not movement.bill_no.isprintable():
        raise call.invalid("bill_code")
    codes = _no_citizens(movement.codes)
    told = codes is not movement.codes or any(call.text(name) for name in DOCUMENTS)
    if not is_sealed(movement.body) and (told or not movement.body):
        movement = replace(movement, body=masked(call))
    movement = replace(movement, codes=codes)
    try:
        result = await _submitted(call, movement)
    except YaosuError as error:
        reply = words.reply(error)
        await _keep(call, movement, reply.msg_info, ())
        raise Failed(reply.msg_code, reply.msg_info) from error
    return await answered(call, movement, result)


async def _submitted(call: Call, movement: Movement) -> MovementResult:
    if len(movement.codes) <= CODES_MAX:
        return await service.submit(call.pool, call.committer, call.registry, call.subject, movement)
    prepared = await prepare(call.pool, call.registry, call.subject, movement, LARGE_MAX)
    return await call.committer.submit(prepared)


async def answered(call: Call, movement: Movement, result: MovementResult) -> Reply:
    """The answer to a recorded or refused movement."""
    refused = [one for one in result.results if not one.accepted]
    errors = {"code_check_error_info": words.code_errors(refused)} if refused else None
    if result.status == "refused" and not result.bill_id:
        culprits = refused
        if movement.mode == "atomic":
            # the others were good and only went back with these
            culprits = [one for one in refused if one.verdict != "accepted"] or refused
        info = "；".join(
            dict.fromkeys(f"追溯码【{o.raw.strip() or o.code}】{words.text_of(o)}" for o in culprits[:5])
        )
        await _keep(call, movement, info, refused)
        raise Failed(_whole(culprits), info, operation_info_map=errors)
    info = "单据重复" if result.replayed else "成功"
    if refused:
        info = f"{info}，{len(refused)} 个追溯码未处理"
    return Reply(str(result.bill_id), True, "SUCCESS", info, operation_info_map=errors)


def _whole(refused: Sequence[CodeResult]) -> str:
    """What a bill is called of which nothing moved."""
    kinds = {words.kind_of(one.verdict) for one in refused}
    if kinds <= words.words().decoding | {"6"}:
        return "BILL_DECODE_ERROR"
    if "7" in kinds:
        return REPEATED_FLOW
    if kinds == {"5"}:
        return "FAIL_BIZ_CODE_NOT_ACTIVE"
    if any(
        one.verdict in ("held_elsewhere", "in_transit_elsewhere", "not_shipped_to_you") for one in refused
    ):
        return "FAIL_BIZ_NOT_CURRENT_OPERATE_CODE"
    return "FAIL_BIZ_CODE_STATUS_ERROR"


async def _keep(call: Call, movement: Movement, reason: str, refused: Sequence[CodeResult]) -> None:
    """Remember an upload of which nothing moved, for the status queries (levels 3 and 4)."""
    codes = [[one.code or one.raw.strip(), one.verdict, words.text_of(one)] for one in refused]
    await call.pool.execute(
        store.KEEP_REFUSAL,
        movement.owner,
        movement.bill_no,
        call.org,
        movement.type,
        movement.from_org,
        movement.to_org,
        movement.happened_at,
        reason[:2_000],
        codes,
    )
