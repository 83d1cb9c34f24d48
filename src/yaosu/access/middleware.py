"""What every request passes before any room sees it, as one plain ASGI callable (speed: no extra tasks).

In order: clean address line, body limit, who is asking, cross-site request forgery, the room, security
headers, one log line. A key that was given and is not good is refused even where no key is needed: a caller
who believes to be somebody must not silently be nobody.
"""

from __future__ import annotations

import secrets as random
import time
from dataclasses import replace
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from yaosu.access import sockets
from yaosu.access.audit import caller_address
from yaosu.access.body import BodyRefusedError, GuardedBody, clean_address_line
from yaosu.access.csrf import SAFE_METHODS, check_origin, check_token
from yaosu.access.headers import response_headers
from yaosu.access.identify import app_state, by_key, by_session, client_address, credentials, route_of
from yaosu.access.model import Identity
from yaosu.edge import problem
from yaosu.errors import YaosuError
from yaosu.subject import ANONYMOUS, Subject

SIGN_IN = ("/login", "/api/v1/sessions")
"""Signing in needs no token of the session it replaces; where the request comes from is still checked."""
FIRST_STEPS = ("/account", "/logout", "/lang/", "/static/", "/api/v1/me", "/api/v1/sessions/current")
"""What an account whose password must be changed can reach."""
UPLOADS = "/api/v1/uploads"
"""Resumable uploads count their own bytes against limits of their own."""

log = structlog.get_logger("yaosu.access")


def install(app: FastAPI) -> None:
    """Put the guard in front of every route of `app`."""
    app.add_middleware(Guard)


class Guard:
    """The ASGI callable. Keeps nothing per request on itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; a WebSocket has a guard of its own (`access.sockets`), lifespan passes through."""
        if scope["type"] == "websocket":
            await sockets.guard(self._app, scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = random.token_hex(8)
        values = scope.setdefault("state", {})
        values["request_id"] = request_id
        values["subject"] = ANONYMOUS
        values["csrf"] = ""
        answered = _Answer(scope, send, request_id)
        body = GuardedBody(scope, receive, _limit_bytes(scope))
        address = caller_address.set(client_address(scope))
        try:
            try:
                await self._guarded(scope, body, answered)
            except BodyRefusedError as refused:
                await _refuse(scope, answered, refused.error)
            except YaosuError as error:
                await _refuse(scope, answered, error)
            except Exception as error:
                known = problem.told_trouble(error, route_of(scope), scope["method"])
                await (_fail(scope, answered, error) if known is None else _refuse(scope, answered, known))
        finally:
            caller_address.reset(address)
            _log_line(scope, answered.status, started, request_id)

    async def _guarded(self, scope: Scope, body: GuardedBody, answered: _Answer) -> None:
        clean_address_line(scope)
        body.check_announced()
        identity, by_cookie = await self._identify(scope)
        subject = ANONYMOUS
        if identity is not None:
            subject = identity.subject
            scope["state"]["subject"] = subject
            if by_cookie and (lang := problem.language(Request(scope))) != subject.lang:
                # the switch on the page, not only the account's habit: services answer in the page's language
                subject = replace(subject, lang=lang)
                scope["state"]["subject"] = subject
            scope["state"]["csrf"] = identity.csrf
            scope["state"]["org_name"] = identity.org_name
            answered.private = True
        if scope["method"] not in SAFE_METHODS and subject.kind != "key":
            check_origin(scope, app_state(scope).settings.public_url)
            if by_cookie and identity is not None and scope["path"] not in SIGN_IN:
                await check_token(scope, body, identity.csrf)
        if identity is not None and identity.must_change and not scope["path"].startswith(FIRST_STEPS):
            raise YaosuError("password_change_due")
        answered.body = body
        await self._app(scope, body.receive, answered.send)
        if body.refusal is not None:
            raise BodyRefusedError(body.refusal)

    async def _identify(self, scope: Scope) -> tuple[Identity | None, bool]:
        """Who asks, and whether by cookie."""
        key, token = credentials(scope)
        if key is not None:
            return await by_key(scope, key), False
        if token:
            return await by_session(scope, token), True
        return None, False


class _Answer:
    """Sends the answer with our headers; swallows what a room says about a body we refused."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self._scope = scope
        self._send = send
        self._request_id = request_id
        self.status = 0
        self.private = False
        self.body: GuardedBody | None = None

    async def send(self, message: Message) -> None:
        """ASGI send."""
        if message["type"] == "http.response.start":
            if self.body is not None and self.body.refusal is not None:
                return
            self.status = message["status"]
            secure = app_state(self._scope).settings.secure_cookies
            given = list(message.get("headers", ()))
            given.extend(response_headers(given, self.private, secure, self._scope["path"]))
            given.append((b"x-request-id", self._request_id.encode()))
            message["headers"] = given
        elif self.status == 0:
            return
        await self._send(message)


def _limit_bytes(scope: Scope) -> int | None:
    path: str = scope["path"]
    if path == UPLOADS or path.startswith(UPLOADS + "/"):
        return None
    return app_state(scope).settings.body_mb_max * 1024 * 1024


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


async def _refuse(scope: Scope, answered: _Answer, error: YaosuError) -> None:
    if answered.status:
        return  # the answer was under way; the room has rolled back, the connection ends here
    answered.body = None
    headers = problem.retry_after(error)
    if error.http == 401:
        headers = {"www-authenticate": "Bearer"}
    if error.code == "body_too_large":
        headers = {"connection": "close"}
    request = Request(scope)
    body = error.as_json(problem.language(request))
    response: Response
    own_form = problem.OWN_FORMS.get(scope["path"])
    if own_form is not None:
        response = own_form(request, error)
    elif error.code == "password_change_due" and problem.wants_page(request):
        response = RedirectResponse("/account", status_code=303)
    elif problem.wants_page(request) and error.http != 401:
        response = problem.answer(request, error, headers)
    else:
        response = JSONResponse(body, error.http, headers, media_type="application/problem+json")
    await response(scope, _nothing, answered.send)


async def _fail(scope: Scope, answered: _Answer, error: Exception) -> None:
    """What no room expected: the incident answer of the edge, with our headers on it."""
    if answered.status:
        raise error
    answered.body = None
    handler: Any = scope["app"].exception_handlers[Exception]
    response = await handler(Request(scope), error)
    await response(scope, _nothing, answered.send)


def _log_line(scope: Scope, status: int, started: float, request_id: str) -> None:
    """Route template instead of path and query: addresses hold codes, queries hold persons."""
    subject: Subject = scope["state"]["subject"]
    log.info(
        "request",
        id=request_id,
        method=scope["method"],
        route=route_of(scope),
        status=status,
        ms=round((time.perf_counter() - started) * 1000, 2),
        org=subject.org_id,
        by=subject.kind,
    )
