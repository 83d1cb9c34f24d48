"""The bureau's address for 医保 calls: who calls, whether it is genuine and new, and the answer in the same envelope.

Every refusal has the protocol's own form: `infcode` -1 (9000 when the time is off), `err_msg` with place, reason and
code. The same message again (msgid and content) gets the stored answer; the call is stored as it came, sealed.
"""

from __future__ import annotations

import asyncio
import hmac
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import orjson
import structlog

from yaosu.db.engine import Connection
from yaosu.edge.state import AppState
from yaosu.errors import Finding, YaosuError
from yaosu.insurance import envelope, institutions, store, store_message, transactions
from yaosu.insurance.calls import MSG_MAX, SHOWN_MAX, Call, Taken, words
from yaosu.insurance.envelope import FAILED, TIMEOUT, Keys
from yaosu.insurance.model import CHINA, Institution
from yaosu.insurance.profiles import Profile
from yaosu.insurance.weights import limit
from yaosu.people.keeper import Keeper
from yaosu.registry.resolver import Registry
from yaosu.trace.verify import BatchMemory

log = structlog.get_logger("yaosu.insurance")

PAASID, TIMESTAMP, NONCE, SIGNATURE = (
    "x-tif-paasid",
    "x-tif-timestamp",
    "x-tif-nonce",
    "x-tif-signature",
)
ERR_MAX = 2000
NONCE_MAX = 128


class Caller:
    """Who calls: the institution, its profile and keys. Never logged."""

    __slots__ = ("institution", "keys", "profile", "token")

    def __init__(self, institution: Institution, profile: Profile, keys: Keys, token: str) -> None:
        self.institution = institution
        self.profile = profile
        self.keys = keys
        self.token = token


async def receive(app: AppState, infno: str, headers: Mapping[str, str], raw: bytes) -> bytes:
    """The answer to one call, as bytes to send. Never raises for what the caller sent."""
    now = datetime.now(UTC)
    asked: Mapping[str, Any] = {}
    caller: Caller | None = None
    registry: Registry = app.parts["registry"]
    try:
        most = limit(registry.lists, "body_kb", "") * 1024
        if len(raw) > most:
            raise YaosuError("insurance_in_too_large", {"limit": most // 1024})
        asked = envelope.read(raw)
        caller = await _caller(app, registry, headers, asked)
        message = await asyncio.to_thread(
            envelope.unseal, asked, caller.keys, caller.profile.signtype, caller.profile.enc_type
        )
        number = _number(message, infno)
        _fresh(registry, caller, headers, message, now)
        async with app.pool.acquire() as conn, conn.transaction():
            made = await _taken(
                conn, registry, app.parts["trace.memory"], app.parts["keeper"], caller, number, headers,
                message, raw, now,
            )  # fmt: skip
    except YaosuError as error:
        made = _refusal(asked, error, now)
    return await _sealed(made, caller)


async def _caller(
    app: AppState, registry: Registry, headers: Mapping[str, str], asked: Mapping[str, Any]
) -> Caller:
    """By application where the gateway names one, and always by institution; both must be of one another."""
    code, paasid = asked.get("fixmedins_code"), headers.get(PAASID, "")
    unknown = YaosuError("insurance_in_unknown_institution")
    if not isinstance(code, str) or len(code) > 30 or len(paasid) > 100:
        raise unknown
    async with app.pool.acquire() as conn:
        row = await conn.fetchrow(store.BY_CODE, code)
        found = store.institution(row) if row is not None else None
        if found is None or (paasid and not hmac.compare_digest(paasid.encode(), found.app.encode())):
            raise unknown
        secrets = await conn.fetchrow(store.WITH_SECRETS, found.app)
    if secrets is None:
        raise unknown
    keeper: Keeper = app.parts["keeper"]
    keys, token = institutions.opened(keeper, found.app, secrets["secrets"])
    return Caller(found, institutions.receivable(registry, found.profile, found.region), keys, token)


def _number(message: Mapping[str, Any], path: str) -> str:
    """The transaction, which address and head must name alike."""
    wrong = envelope.check_head(message)
    if wrong:
        raise YaosuError("invalid_request", {"count": len(wrong)}, wrong)
    infno = str(message["infno"]).upper()
    if (path and path.upper() != infno) or not transactions.served(infno):
        raise YaosuError("yibao_infno_unknown", {"infno": (path or infno)[:10]})
    return infno


def _fresh(
    registry: Registry,
    caller: Caller,
    headers: Mapping[str, str],
    message: Mapping[str, Any],
    now: datetime,
) -> None:
    """The gateway's signature where the profile has one, and the time of the message."""
    minutes = limit(registry.lists, "skew_minutes", caller.institution.region)
    late = YaosuError("insurance_in_expired", {"minutes": minutes})
    if caller.profile.gateway == "csb":
        at, nonce = headers.get(TIMESTAMP, ""), headers.get(NONCE, "")
        expected = sha256(f"{at}{caller.token}{nonce}{at}".encode()).hexdigest()
        given = headers.get(SIGNATURE, "").lower()
        if not nonce or len(nonce) > NONCE_MAX or not hmac.compare_digest(expected.encode(), given.encode()):
            raise YaosuError("yibao_signature_wrong")
        if not at.isdigit() or len(at) > 13:
            raise late
        seconds = int(at) / 1000 if len(at) == 13 else int(at)
        if abs(now.timestamp() - seconds) > minutes * 60:
            raise late
    sent = envelope.sent_at(message)
    if sent is None or abs(now - sent.replace(tzinfo=CHINA)) > timedelta(minutes=minutes):
        raise late


async def _taken(
    conn: Connection,
    registry: Registry,
    memory: BatchMemory,
    keeper: Keeper,
    caller: Caller,
    infno: str,
    headers: Mapping[str, str],
    message: Mapping[str, Any],
    raw: bytes,
    now: datetime,
) -> dict[str, Any]:
    """Take a genuine call in, once."""
    one = caller.institution
    sent = envelope.sent_at(message)
    assert sent is not None
    call = Call(
        conn, registry, memory, keeper, one, caller.profile, infno, message, sent.replace(tzinfo=CHINA), now
    )
    content = call.hashed([infno, message.get("input")])
    msgid = str(message["msgid"])
    query = infno == "3513"
    await conn.execute(store_message.LOCK, store_message.lock_of(one.id))
    if caller.profile.gateway == "csb":
        nonce = headers[NONCE]
        if not await conn.fetchval(store_message.NONCE, one.id, nonce, content):
            # a caller that lost the answer sends the very same again; anybody else has nothing to send again
            same = await conn.fetchval(store_message.NONCE_CONTENT, one.id, nonce)
            if query or same != content:
                raise YaosuError("insurance_in_replayed")
    stored = await conn.fetchrow(store_message.MESSAGE, one.id, msgid)
    if stored is not None:
        if query or stored["content"] != content:
            raise YaosuError("insurance_in_msgid_used", {"msgid": msgid})
        return _answer(message, stored["answer"], now)
    # what one row does must not stand when the whole is refused in the end
    number = await conn.fetchval(
        store_message.KEEP, one.id, infno, msgid, 0, 0, True, content, {}, _closed(keeper, one, msgid, raw)
    )
    point = conn.transaction()
    await point.start()
    try:
        taken = await transactions.take(call, number)
    except YaosuError as error:
        taken = Taken(whole=[*error.findings] or [Finding(error.code, error.params)], kept=False)
    except BaseException:
        await point.rollback()
        raise
    if taken.kept:
        await point.commit()
    else:
        await point.rollback()
    answer = _said(taken)
    await conn.execute(
        store_message.ANSWERED, number, taken.rows, taken.refused, taken.kept, {} if query else answer
    )
    return _answer(message, answer, now)


def _said(taken: Taken) -> dict[str, Any]:
    """What is answered, and stored to be answered again: no person is in it."""
    if taken.whole:
        text = "；".join(words(f) for f in taken.whole[:SHOWN_MAX])
        more = len(taken.whole) - SHOWN_MAX
        text += f"；另有{more}处" if more > 0 else ""
        return {
            "infcode": FAILED,
            "err_msg": text[:ERR_MAX],
            "warn_msg": "",
            "output": {"result": {"retRslt": "0", "msgRslt": text[:MSG_MAX]}},
        }
    return {
        "infcode": FAILED if taken.failed else envelope.OK,
        "err_msg": taken.failed[:ERR_MAX],
        "warn_msg": "；".join(taken.warnings)[:ERR_MAX],
        "output": taken.output,
    }


def _answer(message: Mapping[str, Any], said: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return envelope.response(
        message, now.astimezone(CHINA), said["output"], said["infcode"], said["err_msg"], warn_msg=said["warn_msg"]
    )  # fmt: skip


def _refusal(asked: Mapping[str, Any], error: YaosuError, now: datetime) -> dict[str, Any]:
    """A refused call in the protocol's own form."""
    found: Sequence[Finding] = error.findings or [Finding(error.code, error.params)]
    text = "；".join(words(f) for f in found[:SHOWN_MAX])
    late = error.code == "insurance_in_expired"
    return envelope.response(
        {"msgid": str(asked.get("msgid", ""))[:30]}, now.astimezone(CHINA), None, TIMEOUT if late else FAILED,
        text[:ERR_MAX],
    )  # fmt: skip


def refused(error: YaosuError) -> bytes:
    """The answer to a call that was refused before it could be read."""
    return orjson.dumps(_refusal({}, error, datetime.now(UTC)))


async def _sealed(made: dict[str, Any], caller: Caller | None) -> bytes:
    """The answer signed and encrypted as agreed; to nobody known, in the open: there is no key to take."""
    if caller is not None:
        profile = caller.profile
        made = await asyncio.to_thread(
            envelope.seal, made, caller.keys, profile.signtype, profile.enc_type, "output"
        )
    return orjson.dumps(made)


def _closed(keeper: Keeper, one: Institution, msgid: str, raw: bytes) -> bytes:
    """The call as it came, compressed and sealed."""
    return keeper.close(institutions.CIPHER_KEY, zlib.compress(raw, 6), _bound(one.id, msgid))


def opened(keeper: Keeper, institution_id: int, msgid: str, sealed: bytes) -> bytes:
    """A stored call as it came, for inspection under audit."""
    return zlib.decompress(keeper.open(institutions.CIPHER_KEY, sealed, _bound(institution_id, msgid)))


def _bound(institution_id: int, msgid: str) -> bytes:
    return f"insurance message {institution_id} {msgid}".encode()
