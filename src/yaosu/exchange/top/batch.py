"""Many calls in one request (`/router/batch`), as the vendor's batch clients send them.

System parameters stand in the address. The body holds the calls, each an urlencoded form, with a separator between that
the header `top-api-separator` may name; parameters of all calls may stand before them behind `#PUBLIC#`, and `N` is a
call without parameters of its own. The signature is over the parameters of the address and the body behind them. The
answers come in the order of the calls with the same separator between; what is wrong with the whole is one
`error_response` alone. The calls are carried out one after the other, each by itself: one that fails stops no other.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.responses import Response

from yaosu.edge.state import AppState
from yaosu.exchange.top import gateway
from yaosu.exchange.top.incoming import Incoming, parameters, read_batch
from yaosu.exchange.top.keys import Known
from yaosu.exchange.top.protocol import Refused

SEPARATOR = b"\r\n-S-\r\n"
PUBLIC = b"#PUBLIC#"
NOTHING = b"N"
CALLS_MAX = 100
"""Calls in one request; the incumbent takes 20."""


async def serve(request: Request, app: AppState) -> Response:
    """Answer a batch; always HTTP 200."""
    request_id = getattr(request.state, "request_id", "") or gateway.new_request_id()
    xml = True
    try:
        whole = await read_batch(request, app.settings.body_mb_max * 2**20)
        xml, simplify = gateway.wanted_form(whole.params)
        known = await gateway.caller(app, whole, whole.body)
        request.state.subject = known.subject
        separator, public, calls = _taken_apart(request, whole.body)
        answers = []
        for place, one in enumerate(calls):
            number = request_id if len(calls) == 1 else f"{request_id}-{place + 1}"
            answers.append(
                await _one(app, whole, known, public, one, place, number, xml=xml, simplify=simplify)
            )
        body = separator.join(answers)
    except Refused as no:
        body = gateway.refusal(no, request_id, xml=xml)
    except Exception as error:
        body = gateway.failed(error, request_id, xml=xml)
    return gateway.response(request, body, xml=xml)


async def _one(
    app: AppState,
    whole: Incoming,
    known: Known,
    public: bytes,
    one: bytes,
    place: int,
    number: str,
    *,
    xml: bool,
    simplify: bool,
) -> bytes:
    """The answer to one call of the batch. What stands in the call goes before what is public, that before the
    address; who calls, and in which form, is the address's alone."""
    try:
        own = {} if one == NOTHING else parameters(one)
        system = {k: v for k, v in whole.params.items() if k in gateway.SYSTEM and k != "method"}
        incoming = Incoming({**whole.params, **parameters(public), **own, **system}, body=one)
        gateway.named_method(incoming.params)
        return await gateway.answered(
            app, incoming, known, number, xml=xml, simplify=simplify, place=f"#{place}"
        )
    except Refused as no:
        return gateway.refusal(no, number, xml=xml)
    except Exception as error:
        return gateway.failed(error, number, xml=xml)


def _taken_apart(request: Request, body: bytes) -> tuple[bytes, bytes, list[bytes]]:
    """(separator, parameters of all calls, calls). Refused: no call, too many."""
    named = request.headers.get("top-api-separator", "").encode("latin-1")
    separator = named or SEPARATOR
    if named and named not in body and unquote_to_bytes(named) in body:
        # some write the header as a form would, and the body plainly
        separator = unquote_to_bytes(named)
    parts = body.split(separator)
    public = b""
    if parts[0].startswith(PUBLIC):
        public = parts.pop(0).removeprefix(PUBLIC)
    if parts and not parts[-1].strip():
        parts.pop()
    if not parts:
        raise Refused(
            "isv.missing-parameter:body", "批量请求中没有任何调用", 40, "Missing required arguments"
        )
    if len(parts) > CALLS_MAX:
        raise Refused("isv.too-many-calls", f"一次批量请求最多 {CALLS_MAX} 个调用", 41, "Invalid arguments")
    return separator, public, [part.strip() for part in parts]
