"""The bureau's address for 医保 calls: who calls, whether it is genuine and new, and the answer in the same envelope.

Every refusal has the protocol's own form: `infcode` -1 (9000 when the time is off), `err_msg` with place, reason and
code. The same message again (msgid and content) gets the stored answer; the call is stored as it came, sealed.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import orjson
import structlog

from yaosu.db.trouble import traits, trouble
from yaosu.edge.state import AppState
from yaosu.errors import Finding, YaosuError
from yaosu.insurance import desk, envelope, institutions, transactions
from yaosu.insurance.callers import Caller, Callers
from yaosu.insurance.calls import SHOWN_MAX, Call, words
from yaosu.insurance.desk import ERR_MAX
from yaosu.insurance.envelope import FAILED, TIMEOUT
from yaosu.insurance.model import CHINA
from yaosu.insurance.profiles import Profile
from yaosu.insurance.weights import limit
from yaosu.registry.resolver import Registry

log = structlog.get_logger("yaosu.insurance")

TIMESTAMP, NONCE, SIGNATURE = "x-tif-timestamp", "x-tif-nonce", "x-tif-signature"
NONCE_MAX = 128
ASIDE = 1 << 15
"""Messages of more bytes are signed, verified and encrypted beside the others; for small ones a thread costs more."""
TRIES = 3


async def receive(app: AppState, infno: str, headers: Mapping[str, str], raw: bytes) -> bytes:
    """The answer to one call, as bytes to send. Never raises for what the caller sent."""
    now = datetime.now(UTC)
    registry: Registry = app.parts["registry"]
    callers: Callers = app.parts["insurance.callers"]
    try:
        most = limit(registry.lists, "body_kb", "") * 1024
        if len(raw) > most:
            raise YaosuError("insurance_in_too_large", {"limit": most // 1024})
        text = envelope.plain(raw)
        asked = envelope.read(text)
    except YaosuError as error:
        return orjson.dumps(_refusal({}, error, now))
    for _ in range(TRIES):
        caller: Caller | None = None
        profile: Profile | None = None
        try:
            caller = await callers.of(headers, asked)
            one = caller.institution
            profile = institutions.receivable(registry, one.profile, one.region)
            message = await _aside(
                len(raw),
                envelope.unseal,
                asked,
                caller.keys,
                profile.signtype,
                profile.enc_type,
                "input",
                text,
            )
            number = _number(message, infno)
            sent = _fresh(registry, caller, profile, headers, message, now)
            call = Call(
                registry,
                app.parts["trace.memory"],
                app.parts["keeper"],
                one,
                profile,
                number,
                message,
                sent,
                now,
            )
            nonce = headers[NONCE] if profile.gateway == "csb" else ""
            waiting = await _aside(len(raw), desk.pending, call, raw, caller.version, nonce)
            said = await app.parts["insurance.desk"].take(waiting)
        except desk.StaleError:
            await callers.changed(asked.get("fixmedins_code"))
            continue
        except YaosuError as error:
            # what another server changed meanwhile must not refuse anybody
            if await callers.changed(asked.get("fixmedins_code")):
                continue
            made = _refusal(asked, error, now)
        except Exception as error:
            known = trouble(error)
            if known is None:
                raise
            log.warning(known.code, **traits(error))
            made = _refusal(asked, known, now)
        else:
            made = envelope.response(
                message, now.astimezone(CHINA), said["output"], said["infcode"], said["err_msg"],
                warn_msg=said["warn_msg"],
            )  # fmt: skip
        return await _sealed(made, caller, profile)
    return orjson.dumps(_refusal(asked, YaosuError("too_busy"), now))


async def _aside(size: int, work: Any, *given: Any) -> Any:
    """Do what only computes: here when it is little, else in a thread."""
    return work(*given) if size < ASIDE else await asyncio.to_thread(work, *given)


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
    profile: Profile,
    headers: Mapping[str, str],
    message: Mapping[str, Any],
    now: datetime,
) -> datetime:
    """The gateway's signature where the profile has one, and the time of the message, which is returned."""
    minutes = limit(registry.lists, "skew_minutes", caller.institution.region)
    late = YaosuError("insurance_in_expired", {"minutes": minutes})
    if profile.gateway == "csb":
        at, nonce = headers.get(TIMESTAMP, ""), headers.get(NONCE, "")
        expected = sha256(f"{at}{caller.token}{nonce}{at}".encode()).hexdigest()
        given = headers.get(SIGNATURE, "").lower()
        if not nonce or len(nonce) > NONCE_MAX or not hmac.compare_digest(expected.encode(), given.encode()):
            raise YaosuError("yibao_signature_wrong")
        if not (at.isascii() and at.isdigit()) or len(at) > 13:
            raise late
        seconds = int(at) / 1000 if len(at) == 13 else int(at)
        if abs(now.timestamp() - seconds) > minutes * 60:
            raise late
    found = envelope.sent_at(message)
    sent = found.replace(tzinfo=CHINA) if found is not None else None
    if sent is None or abs(now - sent) > timedelta(minutes=minutes):
        raise late
    return sent


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


async def _sealed(made: dict[str, Any], caller: Caller | None, profile: Profile | None) -> bytes:
    """The answer signed and encrypted as agreed; to nobody known, in the open: there is no key to take."""
    if caller is not None and profile is not None:
        size = len(orjson.dumps(made["output"]))
        made = await _aside(
            size, envelope.seal, made, caller.keys, profile.signtype, profile.enc_type, "output"
        )
    return orjson.dumps(made)
