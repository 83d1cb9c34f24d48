"""Sending an upload and following it through all four levels of the platform's answer (domain facts §2.7)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from yaosu.exchange.outbox.model import Delivery, Outcome
from yaosu.exchange.top.client.families import Family
from yaosu.exchange.top.client.identity import AwayError, Call, Identities, NotKnownError
from yaosu.exchange.top.client.talk import BUSY, LIMITED_S, Said, many
from yaosu.exchange.top.fields import CHINA

REPEATED = ("单据重复", "该单据号已存在", "单据号已存在", "BILL_FILE_NAME_DUPLICATE_UPLOAD", "BILL_REPEAT")
"""Words and codes that say the number is there already: success, to be looked at (§2.7)."""
GARBLED = frozenset({"25", "31"})
"""A signature or time that does not fit: a byte changed on the way, or a clock that is being set. Tried again; a wrong
secret ends at rest with these words."""
SKIPPED_MAX = 10_000
PAGE = 100


def gateway(said: Said) -> Outcome | None:
    """What a call that got no further than the gateway means; None when the method answered."""
    if said.level == 2:
        return None
    if said.level == 0:
        return Outcome("pending", answer=said.text, wait_s=5.0)
    if said.level == -1:
        return Outcome("unknown", said.status, said.text)
    if said.limited:
        return Outcome("pending", said.status, said.text, wait_s=LIMITED_S)
    if said.away or said.code in GARBLED:
        return Outcome("failed", said.status, said.text)
    return Outcome("failed", said.status, said.text, final=True)


def refused_by_us(text: str) -> Outcome:
    """Something a person has to set right here or there; nothing was sent."""
    return Outcome("failed", answer=text, final=True)


async def send(
    delivery: Delivery, family: Family, who: Identities, call: Call, person: Mapping[str, str] | None = None
) -> Outcome:
    """One parcel, as built. `person`: fields about the buyer, which a parcel never holds."""
    body = delivery.body
    if body["what"] == "cannot_delete":
        codes = "、".join(body["codes"][:20])
        return refused_by_us(
            f"码上放心的单据号只能使用一次，本企业的接口不能删除单据 {body['bill_code']}；"
            f"请在码上放心网页端处理：{codes}"
        )
    try:
        own = await who.own()
        if body["what"] == "delete":
            said = await call(
                family.delete,
                {
                    "ref_ent_id": own.ref,
                    "bill_code": body["bill_code"],
                    "delete_reason": body["reason"],
                    "mobile_phone": "0",
                },
            )
            return deleted(said)
        params = {**await _params(body, own.ref, who), **(person or {})}
    except AwayError as error:
        made = gateway(error.said)
        # nothing of the bill itself was sent yet
        if made is not None and (error.said.code == BUSY or error.said.limited):
            return made
        return Outcome(
            "failed", answer=made.answer if made else str(error), wait_s=made.wait_s if made else None
        )
    except NotKnownError as error:
        return refused_by_us(str(error))
    said = await call(family.retail if body["what"] == "retail" else family.upload, params)
    return uploaded(said, str(body["bill_code"]))


async def _params(body: Mapping[str, Any], ref: str, who: Identities) -> dict[str, object]:
    params: dict[str, object] = {
        "bill_code": body["bill_code"],
        "bill_time": body["bill_time"],
        "bill_type": str(body["bill_type"]),
        "physic_type": "3",
        "ref_user_id": ref,
        "oper_ic_code": "yaosu",
        "oper_ic_name": "yaosu",
        "trace_codes": body["codes"],
        "ignore_part_success_flag": "0",
        **body["header"],
    }
    parties: Mapping[str, int] = body["parties"]
    if body["what"] == "retail":
        return params
    params["client_type"] = "2"
    params["from_user_id"] = (await who.theirs(parties["from"])).ent
    params["to_user_id"] = (await who.theirs(parties["to"])).ent
    if "dest" in parties:
        params["dest_user_id"] = (await who.theirs(parties["dest"])).ent
    if "dis" in parties:
        ids = await who.theirs(parties["dis"])
        params["dis_ent_id"], params["dis_ref_ent_id"] = ids.ent, ids.ref
    return params


def uploaded(said: Said, bill_code: str) -> Outcome:
    """Levels 1 and 2 of an upload. Taken is not processed: it is asked about afterwards."""
    early = gateway(said)
    if early is not None:
        return early
    remote = said.model if isinstance(said.model, str) else bill_code
    if said.success or _says(said, REPEATED):
        return Outcome("accepted", said.status, said.text, remote=remote, wait_s=1.0)
    return Outcome("failed", said.status, said.text, final=True, details=_details(said))


def _says(said: Said, words: tuple[str, ...]) -> bool:
    return any(word in said.msg_code or word in said.msg_info or word in said.text for word in words)


def _details(said: Said) -> Mapping[str, Any] | None:
    """`code_check_error_info`: errors by type with the codes concerned, as JSON in a text (§2.7)."""
    info = said.body.get("operation_info_map")
    found = info.get("code_check_error_info") if isinstance(info, dict) else None
    return {"code_check_error_info": found} if found else None


def deleted(said: Said) -> Outcome:
    """A deletion is done when the method says so; a number that is not there has nothing left to delete."""
    early = gateway(said)
    if early is not None:
        return early
    if said.success or _says(said, ("FAIL_BIZ_NO_PAT_INFO", "不存在")):
        return Outcome("processed", said.status, said.text)
    return Outcome("failed", said.status, said.text, final=True)


async def ask(delivery: Delivery, family: Family, who: Identities, call: Call, now: datetime) -> Outcome:
    """Levels 3 and 4: processed, and wholly or partly."""
    body = delivery.body
    if body["what"] == "delete":
        # deleting twice does no harm: the second time it is not there
        return Outcome("pending", answer="未收到应答，重新删除")
    try:
        own = await who.own()
    except AwayError as error:
        return Outcome("unknown", answer=error.said.text)
    except NotKnownError as error:
        return refused_by_us(str(error))
    # the filter is by day of upload: a day around what may have been
    params: dict[str, object] = {
        "ref_ent_id": own.ref,
        "begin_date": (now - timedelta(days=30)).astimezone(CHINA).strftime("%Y-%m-%d"),
        "end_date": (now + timedelta(days=1)).astimezone(CHINA).strftime("%Y-%m-%d"),
        "bill_type": str(body["bill_type"]),
        "bill_code": body["bill_code"],
        "page": "1",
        "page_size": "20",
    }
    said = await call(family.status, params)
    if said.level != 2:
        early = gateway(said)
        assert early is not None
        if said.code == BUSY:
            # nothing new is known, and nobody was asked
            return Outcome("accepted" if delivery.state == "accepted" else "unknown", wait_s=early.wait_s)
        return Outcome("unknown", said.status, said.text, wait_s=early.wait_s)
    rows = many((said.model or {}).get("result_list") if isinstance(said.model, dict) else said.model)
    row = next((r for r in rows if str(r.get("bill_code")) == body["bill_code"]), None)
    if row is None:
        if delivery.state == "accepted":
            return Outcome("accepted", said.status, said.text)
        # they never saw it; an upload under the same number is the same bill
        return Outcome("pending", said.status, said.text)
    return await _judged(row, said, family, own.ref, body, call)


async def _judged(
    row: Mapping[str, Any], said: Said, family: Family, ref: str, body: Mapping[str, Any], call: Call
) -> Outcome:
    result = str(row.get("result_type") or "")
    info = str(row.get("process_info") or "")
    if result == "4":
        return Outcome("failed", said.status, f"{info} {said.text}".strip(), final=True)
    if result != "3":
        return Outcome("accepted", said.status, said.text)
    if str(row.get("sub_process_flag") or "51") != "52":
        return Outcome("processed", said.status, said.text, remote=str(row.get("store_inout_seq_no") or ""))
    skipped: dict[str, dict[str, str]] = {}
    page = 1
    while len(skipped) < SKIPPED_MAX:
        more = await call(
            family.skipped,
            {"ref_ent_id": ref, "bill_code": body["bill_code"], "page": str(page), "page_size": str(PAGE)},
        )
        if more.level != 2:
            return Outcome("accepted", more.status, more.text)
        rows = many(more.model.get("result") if isinstance(more.model, dict) else more.model)
        for one in rows:
            words = [one.get("error_code_desc"), one.get("process_status_reason_desc")]
            skipped[str(one.get("code"))] = {
                "code": str(one.get("error_code") or ""),
                "text": " ".join(str(w) for w in words if w),
            }
        if len(rows) < PAGE:
            break
        page += 1
    return Outcome("partly", said.status, said.text, details={"codes": skipped})
