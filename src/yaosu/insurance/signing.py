"""签到 and 签退 (9001, 9002): a number for an operator and a day, which calls name as `sign_no` (interfaces.md §3.1).

Platforms differ in whether they demand it: profiles with `signin` do, and refuse calls without a number of the day.
Nodes and names are those of public integrations: `signIn{opter_no, mac, ip}` → `signinoutb{sign_time, sign_no}`,
`signOut{sign_no, opter_no}` → `signoutoutb{sign_time}`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.insurance import fields, store_message
from yaosu.insurance.calls import Call, Taken
from yaosu.insurance.model import CHINA

SIGN_IN, SIGN_OUT = "9001", "9002"
_IN = {"opter_no": (30, True), "mac": (20, False), "ip": (20, False)}
_OUT = {"sign_no": (30, True), "opter_no": (30, False)}


def _read(
    call: Call, node: str, wanted: Mapping[str, tuple[int, bool]]
) -> tuple[dict[str, str], list[Finding]]:
    """The fields of a node, or what is wrong with them."""
    body = call.body
    given = body.get(node, body.get("data")) if isinstance(body, Mapping) else None
    if not isinstance(given, Mapping):
        return {}, [Finding("yibao_node_missing", {"node": node}, f"input.{node}")]
    found, wrong = {}, []
    known = fields.tables().fields
    for name, (most, required) in wanted.items():
        value, where = given.get(name), f"input.{node}.{name}"
        label = {"field": name, "name": known[name].zh}
        if value is None or str(value).strip() == "":
            if required:
                wrong.append(Finding("yibao_field_missing", label, where))
        elif not isinstance(value, str):
            wrong.append(Finding("yibao_field_form", {**label, "form": "文本"}, where))
        elif len(value) > most:
            wrong.append(Finding("yibao_field_long", {**label, "got": len(value), "limit": most}, where))
        else:
            found[name] = value.strip()
    return found, wrong


async def sign_in(conn: Connection, call: Call) -> Taken:
    """9001: a new number, good for today (of China)."""
    given, wrong = _read(call, "signIn", _IN)
    if wrong:
        return Taken(whole=wrong, kept=False, rows=1, refused=1)
    now = call.now.astimezone(CHINA)
    number = f"{now:%Y%m%d}{secrets.token_hex(11)}"
    await conn.execute(store_message.SIGN_IN, number, call.institution.id, given["opter_no"], now.date())
    return Taken(output={"signinoutb": {"sign_time": f"{now:%Y-%m-%d %H:%M:%S}", "sign_no": number}}, rows=1)


async def sign_out(conn: Connection, call: Call) -> Taken:
    """9002: the number no longer holds. Refused when it is none of the institution's that holds."""
    given, wrong = _read(call, "signOut", _OUT)
    if wrong:
        return Taken(whole=wrong, kept=False, rows=1, refused=1)
    if not await conn.fetchval(store_message.SIGN_OUT, given["sign_no"], call.institution.id):
        finding = Finding("insurance_in_not_signed_in", {}, "input.signOut.sign_no")
        return Taken(whole=[finding], kept=False, rows=1, refused=1)
    now = call.now.astimezone(CHINA)
    return Taken(output={"signoutoutb": {"sign_time": f"{now:%Y-%m-%d %H:%M:%S}"}}, rows=1)


async def demand(conn: Connection, call: Call) -> None:
    """Where the profile demands it, a call names a number of today. Refused: `insurance_in_not_signed_in`."""
    if not call.profile.signin or call.infno in (SIGN_IN, SIGN_OUT):
        return
    given: Any = call.message.get("sign_no") or ""
    day = call.now.astimezone(CHINA).date()
    if not given or not await conn.fetchval(store_message.SIGNED, str(given), call.institution.id, day):
        raise YaosuError(
            "insurance_in_not_signed_in", {}, [Finding("insurance_in_not_signed_in", {}, "sign_no")]
        )
