"""Every error leaves the server as one shape, in the caller's language, JSON or page.

Unexpected failures get an incident number; what happened goes to the log under it and nothing of it to the caller.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from yaosu.db.trouble import AGAIN_S, traits, trouble
from yaosu.edge import pages, strict_json
from yaosu.errors import Finding, YaosuError
from yaosu.subject import ANONYMOUS

log = structlog.get_logger("yaosu.edge")

_BY_STATUS = {401: "unauthenticated", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}

_REASONS = {
    "missing": ("必填项未填写", "required"),
    "string_too_long": ("超过最大长度 {max_length}", "longer than {max_length}"),
    "string_too_short": ("长度不足 {min_length}", "shorter than {min_length}"),
    "string_pattern_mismatch": ("格式不正确", "wrong format"),
    "too_long": ("最多 {max_length} 项", "at most {max_length} items"),
    "too_short": ("至少 {min_length} 项", "at least {min_length} items"),
    "int_parsing": ("应为整数", "must be an integer"),
    "int_type": ("应为整数", "must be an integer"),
    "string_type": ("应为文本", "must be text"),
    "bool_parsing": ("应为是或否", "must be true or false"),
    "greater_than": ("应大于 {gt}", "must be greater than {gt}"),
    "less_than": ("应小于 {lt}", "must be less than {lt}"),
    "int_from_float": ("应为整数", "must be an integer"),
    "int_parsing_size": ("整数过大", "integer too large"),
    "float_type": ("应为数值", "must be a number"),
    "float_parsing": ("应为数值", "must be a number"),
    "finite_number": ("应为有限的数值", "must be a finite number"),
    "bool_type": ("应为是或否", "must be true or false"),
    "list_type": ("应为列表", "must be a list"),
    "dict_type": ("应为对象", "must be an object"),
    "model_type": ("应为对象", "must be an object"),
    "model_attributes_type": ("应为对象", "must be an object"),
    "string_unicode": ("含有无法保存的字符", "holds characters that cannot be stored"),
    "text_unclean": ("含有控制字符", "holds control characters"),
    "none_required": ("应为空", "must be null"),
    "invalid_key": ("字段名应为文本", "field names must be text"),
    "uuid_parsing": ("应为 UUID 编号", "must be a UUID"),
    "uuid_type": ("应为 UUID 编号", "must be a UUID"),
    "datetime_type": ("应为日期时间，例如 2026-09-30T10:12:31+08:00", "must be a date and time"),
    "datetime_object_invalid": ("日期时间不存在", "no such date and time"),
    "date_type": ("应为日期，例如 2026-09-30", "must be a date"),
    "extra_forbidden": ("未知的字段", "unknown field"),
    "enum": ("应为 {expected} 之一", "must be one of {expected}"),
    "literal_error": ("应为 {expected} 之一", "must be one of {expected}"),
    "greater_than_equal": ("不得小于 {ge}", "must be at least {ge}"),
    "less_than_equal": ("不得大于 {le}", "must be at most {le}"),
    "timezone_aware": ("时间必须带时区", "time needs a zone"),
    "datetime_from_date_parsing": ("应为日期时间，例如 2026-09-30T10:12:31+08:00", "must be a date and time"),
    "datetime_parsing": ("应为日期时间，例如 2026-09-30T10:12:31+08:00", "must be a date and time"),
    "date_from_datetime_parsing": ("应为日期，例如 2026-09-30", "must be a date"),
    "date_parsing": ("应为日期，例如 2026-09-30", "must be a date"),
}


def language(request: Request) -> str:
    """The caller's language: the account's choice, else the header, else Chinese."""
    chosen = request.cookies.get("yaosu_lang") or request.query_params.get("lang")
    if chosen in ("zh", "en"):
        return str(chosen)
    subject = getattr(request.state, "subject", ANONYMOUS)
    if subject.kind != "anonymous" and subject.lang:
        return str(subject.lang)
    header = request.headers.get("accept-language", "zh").lower()
    return "en" if header.startswith("en") else "zh"


def wants_page(request: Request) -> bool:
    """Whether the caller is a browser looking at pages rather than an API client."""
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")


Form = Callable[[Request, YaosuError], Response]


class OwnForms:
    """Addresses of protocols with an error form of their own: what is refused before a room sees it is said so, too.

    An address that ends with a slash stands for itself without it and for everything below.
    """

    def __init__(self) -> None:
        self._exact: dict[str, Form | None] = {}
        self._below: dict[str, Form | None] = {}

    def __setitem__(self, address: str, form: Form | None) -> None:
        """Give an address a form; None takes one below a slash out again, since people read it."""
        (self._below if address.endswith("/") else self._exact)[address] = form

    def get(self, path: str) -> Form | None:
        """The form for a path; None where errors have the usual one."""
        if path in self._exact:
            return self._exact[path]
        return next((f for start, f in self._below.items() if f"{path}/".startswith(start)), None)


OWN_FORMS = OwnForms()
FINDINGS_MAX = 1000
"""Findings listed in one answer; `count` says how many there are."""
WHERE_MAX = 200
"""Characters of a place: the name of an unknown field is the caller's."""


def field_findings(errors: Sequence[Any], lang: str) -> list[Finding]:
    """Pydantic's list as findings, one per field, in the caller's language."""
    found = []
    for error in errors:
        where = ".".join(str(part) for part in error.get("loc", ()) if part not in ("body", "query", "path"))
        where = where[:WHERE_MAX]
        kind = error["type"]
        if kind in ("too_long", "too_short") and isinstance(error.get("input"), str):
            kind = f"string_{kind}"
        zh, en = _REASONS.get(kind, ("填写不正确（{msg}）", "{msg}"))
        context = {**(error.get("ctx") or {}), "msg": error.get("msg", "")}
        template = zh if lang == "zh" else en
        reason = template
        for key, value in context.items():
            reason = reason.replace("{" + key + "}", str(value)[:WHERE_MAX])
        found.append(Finding("field_invalid", {"field": where or "body", "reason": reason}, where))
    return found


def retry_after(error: YaosuError) -> dict[str, str]:
    """The header that says when to try again, for refusals that pass."""
    seconds = AGAIN_S.get(error.code)
    if error.code == "too_many_requests":
        seconds = int(str(error.params.get("seconds", 1)))
    return {} if seconds is None else {"retry-after": str(seconds)}


def answer(request: Request, error: YaosuError, headers: dict[str, str] | None = None) -> Response:
    """`error` as the caller wants it."""
    headers = {**retry_after(error), **(headers or {})}
    if wants_page(request):
        return pages.error_page(request, error, headers)
    return JSONResponse(
        error.as_json(language(request)),
        status_code=error.http,
        headers=headers,
        media_type="application/problem+json",
    )


async def _on_yaosu(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, YaosuError)
    headers = {"www-authenticate": "Bearer"} if exc.http == 401 and not wants_page(request) else None
    return answer(request, exc, headers)


async def _on_validation(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    errors = exc.errors()
    findings = field_findings(errors[:FINDINGS_MAX], language(request))
    return answer(request, YaosuError("invalid_request", {"count": len(errors)}, findings))


async def _on_http(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    code = _BY_STATUS.get(exc.status_code)
    if code is not None:
        zh = language(request) == "zh"
        params = {"what": "该地址" if zh else "This address", "scope": ""}
        return answer(request, YaosuError(code, params), dict(exc.headers or {}))
    reason = str(exc.detail)
    if isinstance(exc, strict_json.MalformedBodyError):
        reason = exc.zh if language(request) == "zh" else exc.en
    detail = YaosuError("malformed_body", {"reason": reason})
    return answer(request, detail, dict(exc.headers or {}))


def told_trouble(error: BaseException, route: str, method: str) -> YaosuError | None:
    """What a caller is told of something the database did, and one line in the log: a database that is away would
    otherwise leave a trace of the stack for each request. None for anything else, which nobody expected."""
    known = trouble(error)
    if known is not None:
        log.warning(known.code, route=route, method=method, **traits(error))
    return known


async def _on_any(request: Request, exc: Exception) -> Response:
    incident = secrets.token_hex(4)
    # the route's template: a path holds codes
    route = getattr(request.scope.get("route"), "path", "unmatched")
    log.error("unhandled", incident=incident, route=route, method=request.method, exc_info=exc)
    return answer(request, YaosuError("internal_error", {"incident": incident}))


def install(app: FastAPI) -> None:
    """Register the handlers on `app`, and the strict reading of JSON."""
    strict_json.install()
    app.add_exception_handler(YaosuError, _on_yaosu)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_any)
