"""What every WebSocket passes before a room sees it: clean address line, who is asking, headers, one log line.

A socket is opened with a key. The session cookie, which a browser sends along with whatever another site's page opens,
opens none; so no `Origin` needs to be believed. What is refused is refused as an ordinary HTTP answer.
"""

from __future__ import annotations

import secrets as random
import time
from collections.abc import Awaitable, Callable

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from yaosu.access.audit import caller_address
from yaosu.access.body import clean_address_line
from yaosu.access.headers import response_headers
from yaosu.access.identify import app_state, by_key, client_address, credentials, route_of
from yaosu.edge import problem
from yaosu.errors import YaosuError
from yaosu.subject import ANONYMOUS, Subject

log = structlog.get_logger("yaosu.access")

Recheck = Callable[[], Awaitable[Subject]]
RECHECK, KEY_ID = "recheck", "key_id"
"""In the connection's state: asks again who is asking, with today's rights (raises when the key is good no more); and
the number of the key."""


def request_of(scope: Scope) -> Request:
    """The HTTP request by which a socket was asked for: its address line, headers and state."""
    return Request({**scope, "type": "http", "method": "GET"})


async def guard(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one connection until its end."""
    started, request_id = time.perf_counter(), random.token_hex(8)
    scope.setdefault("state", {}).update(request_id=request_id, subject=ANONYMOUS, csrf="")
    answer = _Answer(scope, send, request_id)
    address = caller_address.set(client_address(scope))
    try:
        try:
            await _identified(scope)
            await app(scope, receive, answer.send)
        except YaosuError as error:
            await answer.refuse(error)
        except Exception as error:
            known = problem.told_trouble(error, route_of(scope), "WEBSOCKET")
            if known is not None:
                await answer.refuse(known)
                return
            incident = random.token_hex(4)
            log.error(
                "unhandled", incident=incident, route=route_of(scope), method="WEBSOCKET", exc_info=error
            )
            await answer.refuse(YaosuError("internal_error", {"incident": incident}))
    finally:
        caller_address.reset(address)
        subject: Subject = scope["state"]["subject"]
        log.info(
            "socket",
            id=request_id,
            route=route_of(scope),
            status=answer.status,
            closed=answer.closed,
            ms=round((time.perf_counter() - started) * 1000, 2),
            org=subject.org_id,
            by=subject.kind,
        )


async def _identified(scope: Scope) -> None:
    clean_address_line(scope)
    key, _ = credentials(scope)
    if key is None:
        raise YaosuError("unauthenticated")
    given: str = key

    async def recheck() -> Subject:
        return (await by_key(scope, given)).subject

    identity = await by_key(scope, given)
    scope["state"].update({"subject": identity.subject, KEY_ID: identity.key_id, RECHECK: recheck})


class _Answer:
    """Sends with our headers, and says in HTTP what is refused before the connection is a WebSocket."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self._scope, self._send, self._request_id = scope, send, request_id
        self.status = 0
        self.closed: int | None = None

    async def send(self, message: Message) -> None:
        """ASGI send."""
        kind = message["type"]
        if kind == "websocket.close" and not self.status:
            # an address that no room has
            zh = problem.language(request_of(self._scope)) == "zh"
            await self.refuse(YaosuError("not_found", {"what": "该地址" if zh else "This address"}))
            return
        if kind in ("websocket.accept", "websocket.http.response.start"):
            self.status = message.get("status", 101)
            secure = app_state(self._scope).settings.secure_cookies
            given = list(message.get("headers", ()))
            given.extend(response_headers(given, True, secure, self._scope["path"]))
            given.append((b"x-request-id", self._request_id.encode()))
            message["headers"] = given
        elif kind == "websocket.close":
            self.closed = message.get("code", 1000)
        await self._send(message)

    async def refuse(self, error: YaosuError) -> None:
        """The refusal as problem document; nothing when the conversation has begun: its room has ended it."""
        if self.status:
            return
        asked = request_of(self._scope)
        own_form = problem.OWN_FORMS.get(self._scope["path"])
        response: Response
        if own_form is not None:
            response = own_form(asked, error)
        else:
            headers = problem.retry_after(error)
            if error.http == 401:
                headers = {"www-authenticate": "Bearer"}
            body = error.as_json(problem.language(asked))
            response = JSONResponse(body, error.http, headers, media_type="application/problem+json")
        await response(self._scope, _nothing, self.send)


async def _nothing() -> Message:
    return {"type": "websocket.disconnect"}
