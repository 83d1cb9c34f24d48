"""The gateway: who calls, whether the call is genuine and fresh, which method, and the answer in the caller's form.

Replay: a signature is good for ten minutes around its timestamp (read as China time or as UTC), so the same signed
request can come twice: from a client's own HTTP layer, from two calls within the same second, or from somebody who
listened. Refusing the second would break the first two, so it is made harmless instead. Uploads are idempotent by bill
number; reads change nothing; methods that change something without such a number are carried out once, and a repeat
gets the first answer.
"""

from __future__ import annotations

import gzip
import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import Response

from yaosu.db.trouble import traits, trouble
from yaosu.edge.state import AppState
from yaosu.errors import Finding, YaosuError
from yaosu.exchange.top import envelope, signing, store, words
from yaosu.exchange.top.fields import fits, moment, published
from yaosu.exchange.top.incoming import Incoming, read
from yaosu.exchange.top.keys import Keys, Known
from yaosu.exchange.top.protocol import METHODS, Call, Failed, Method, Refused, Reply

WINDOW = timedelta(minutes=10)
SYSTEM = frozenset(
    ("method", "app_key", "session", "timestamp", "format", "v", "sign_method", "sign", "partner_id", "simplify",
     "target_app_key")
)  # fmt: skip
GZIP_FROM = 16 * 1024
"""Answers of this many bytes are compressed where the client takes it."""

log = structlog.get_logger("yaosu.top")


def new_request_id() -> str:
    """Sixteen characters, as clients log them."""
    return secrets.token_hex(8)


async def serve(request: Request, app: AppState) -> Response:
    """Answer one request; always HTTP 200, whatever is wrong with it."""
    request_id = getattr(request.state, "request_id", "") or new_request_id()
    xml, simplify = True, False
    try:
        incoming = await read(request, app.settings.body_mb_max * 2**20)
        xml, simplify = wanted_form(incoming.params)
        named_method(incoming.params)
        known = await caller(app, incoming)
        request.state.subject = known.subject
        body = await answered(app, incoming, known, request_id, xml=xml, simplify=simplify)
    except Refused as no:
        body = refusal(no, request_id, xml=xml)
    except Exception as error:
        body = failed(error, request_id, xml=xml)
    return response(request, body, xml=xml)


def wanted_form(params: Mapping[str, str]) -> tuple[bool, bool]:
    """(XML rather than JSON, simplified) as asked for. Refused: `isv.invalid-format`."""
    given = params.get("format", "xml").strip().lower() or "xml"
    if given not in ("json", "xml"):
        raise Refused("isv.invalid-format", "format 应为 json 或 xml", 23)
    return given == "xml", params.get("simplify", "").strip().lower() == "true"


async def answered(
    app: AppState,
    incoming: Incoming,
    known: Known,
    request_id: str,
    *,
    xml: bool,
    simplify: bool,
    place: str = "",
) -> bytes:
    """Carry out one call of a known caller; its answer as sent. `place` tells calls under one signature apart."""
    done = _method(incoming.params)
    call = _call(app, incoming, known, done, request_id)
    call.notes["sign"] += place
    reply = await _once(call, done) if done.once else await carry_out(call, done)
    return envelope.answer(done.name, reply, request_id, xml=xml, simplify=simplify)


def failed(error: Exception, request_id: str, *, xml: bool) -> bytes:
    """The answer to a call that broke by our fault; it is in the log under its number."""
    if type(error).__name__ in ("BodyRefusedError", "ClientDisconnect"):
        raise error
    known = trouble(error)
    if known is not None:
        log.warning(known.code, id=request_id, **traits(error))
        code, sub_code = words.words().refused[known.code]
        said = Finding(known.code, known.params)
        text = f"{said.text(words.LANG)}{said.next_step(words.LANG)}"
        return refusal(Refused(sub_code, text, code), request_id, xml=xml)
    log.error("top_failed", id=request_id, exc_info=error)
    return refusal(Refused("isp.system-error", f"系统错误，编号 {request_id}"), request_id, xml=xml)


def refusal(no: Refused, request_id: str, *, xml: bool) -> bytes:
    """The `error_response` of a refusal."""
    return envelope.error(no.code, no.msg, no.sub_code, no.sub_msg, request_id, xml=xml)


def response(request: Request, body: bytes, *, xml: bool) -> Response:
    """The HTTP answer, compressed where that is worth it."""
    media = "text/xml;charset=UTF-8" if xml else "application/json;charset=UTF-8"
    headers = {"content-type": media, "cache-control": "no-store"}
    if len(body) >= GZIP_FROM and "gzip" in request.headers.get("accept-encoding", "").lower():
        body = gzip.compress(body, 1)
        headers["content-encoding"] = "gzip"
        headers["vary"] = "accept-encoding"
    return Response(body, headers=headers)


def named_method(params: Mapping[str, str]) -> None:
    """Refused (21) unless a method is named."""
    if not params.get("method", "").strip():
        raise Refused("isv.missing-method", "缺少参数 method", 21)


async def caller(app: AppState, incoming: Incoming, signed_body: bytes = b"") -> Known:
    """The key of the caller. Refused with the gateway's own codes, in the order the gateway asks."""
    params = incoming.params
    version = params.get("v", "").strip()
    if not version:
        raise Refused("isv.missing-version", "缺少参数 v", 32)
    if version != "2.0":
        known_form = version.replace(".", "", 1).isdigit()
        raise Refused("isv.invalid-version", "v 应为 2.0", 34 if known_form else 33)
    app_key = params.get("app_key", "").strip()
    if not app_key:
        raise Refused("isv.missing-app-key", "缺少参数 app_key", 28)
    _fresh(params)
    how = params.get("sign_method", "md5").strip().lower() or "md5"
    if how not in signing.METHODS:
        raise Refused(
            "isv.invalid-parameter:sign_method",
            "sign_method 应为 md5、hmac 或 hmac-sha256",
            41,
            "Invalid arguments:sign_method",
        )
    if not params.get("sign", "").strip():
        raise Refused("isv.missing-signature", "缺少参数 sign", 24)
    keys: Keys = app.parts["top.keys"]
    known = await keys.find(app.pool, app_key) if app_key.isdigit() and len(app_key) == 8 else None
    if known is None:
        raise Refused("isv.appkey-not-exists", "AppKey 不存在或已停用", 29)
    if not signing.good(known.secrets(), how, params, incoming.charset, signed_body):
        raise Refused("isv.invalid-signature", "签名不正确：请核对 AppSecret、参与签名的参数与字符集", 25)
    if not known.alive:
        raise Refused("isv.appkey-disabled", "AppKey 的负责人账号已停用：请在“码上放心接口”页面接管", 29)
    return known


def _fresh(params: Mapping[str, str]) -> None:
    given = params.get("timestamp", "").strip()
    if not given:
        raise Refused("isv.missing-timestamp", "缺少参数 timestamp", 30)
    at = moment(given) if len(given) > 10 else None
    if at is not None and abs(datetime.now(UTC) - at.replace(tzinfo=UTC)) <= WINDOW:
        # published clients write their machine's own time, and many a machine keeps UTC
        return
    if at is None and len(given) == 13 and given.isascii() and given.isdigit():
        # the published Python client sends milliseconds since 1970
        at = datetime.fromtimestamp(int(given) / 1000, UTC)
    if at is None:
        raise Refused("isv.invalid-timestamp", "timestamp 应为 yyyy-MM-dd HH:mm:ss（东八区）", 31)
    if abs(datetime.now(UTC) - at) > WINDOW:
        raise Refused("isv.invalid-timestamp", "timestamp 与服务器时间相差超过 10 分钟", 31)


def _method(params: Mapping[str, str]) -> Method:
    name = params["method"].strip()
    done = METHODS.get(name)
    if done is None:
        why = "接口尚未提供" if name in published() else "接口不存在"
        raise Refused("isv.invalid-method", f"{why}：{name[:80]}", 22)
    return done


def _call(app: AppState, incoming: Incoming, known: Known, done: Method, request_id: str) -> Call:
    params = {k: v for k, v in incoming.params.items() if k not in SYSTEM}
    call = Call(
        done.name,
        params,
        incoming.files,
        known.subject,
        known.subject.org,
        incoming.params["app_key"].strip(),
        app,
        request_id,
        incoming.body,
        {"sign": incoming.params["sign"].strip().upper()},
    )
    for one in done.fields.request.values():
        if one.file:
            if one.required and one.name not in incoming.files and not params.get(one.name):
                raise call.missing(one.name)
            continue
        value = params.get(one.name, "").strip()
        if not value:
            if one.required:
                raise call.missing(one.name)
        elif not fits(value, one.type):
            raise call.invalid(one.name)
    if done.scope and not known.subject.can(done.scope):
        raise Refused("isv.permission-denied", f"AppKey 的角色或其负责人没有所需权限：{done.scope}", 11)
    return call


async def carry_out(call: Call, done: Method) -> Reply:
    """Call the handler; what it refuses by name becomes an answer."""
    try:
        return await done.handler(call)
    except Failed as no:
        return Reply(None, False, no.msg_code, no.msg_info, **no.more)
    except YaosuError as error:
        return words.reply(error)


async def _once(call: Call, done: Method) -> Reply:
    """Carry out a call that must not happen twice; a repeat of the very same request gets the first answer."""
    digest = hashlib.sha256(orjson.dumps(dict(call.params), option=orjson.OPT_SORT_KEYS))
    signed = call.notes["sign"]
    digest.update(f"{call.app_key} {done.name} {signed}".encode())
    for name in sorted(call.files):
        digest.update(hashlib.sha256(call.files[name].content).digest())
    key = digest.digest()
    if await call.pool.fetchval(store.CLAIM, key) is None:
        first: dict[str, Any] | None = await call.pool.fetchval(store.FIRST_ANSWER, key)
        if first is None:
            raise Refused("isp.call-in-progress", "相同的请求正在处理，请稍后重试")
        return Reply(
            first["model"], first["success"], first["msg_code"], first["msg_info"], **first["fields"]
        )
    try:
        reply = await carry_out(call, done)
    except BaseException:
        await call.pool.execute(store.UNCLAIM, key)
        raise
    kept = orjson.loads(
        orjson.dumps(
            {
                "model": reply.model,
                "success": reply.success,
                "msg_code": reply.msg_code,
                "msg_info": reply.msg_info,
                "fields": reply.fields,
            },
            default=envelope.text,
        )
    )
    await call.pool.execute(store.ANSWERED, key, kept)
    return reply
