"""What all EPCIS routes share: headers of the standard, content negotiation, errors as RFC 7807 with its exceptions."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import orjson
from starlette.requests import Request
from starlette.responses import Response

from yaosu.db.engine import Connection
from yaosu.edge.deps import subject_of
from yaosu.edge.problem import language, retry_after
from yaosu.errors import Finding, YaosuError
from yaosu.exchange.epcis import store
from yaosu.exchange.epcis.answering import token_end
from yaosu.exchange.epcis.model import EVENTS_MAX
from yaosu.exchange.epcis.times import stamp
from yaosu.exchange.epcis.vocabulary import PREFIX, YAOSU, is_uri
from yaosu.exchange.epcis.writing import (
    DIGITAL_LINK,
    EPC_FORMATS,
    URN,
    WORD_FORMATS,
    Shown,
    Style,
    json_document,
    xml_document,
)
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

JSON, LD_JSON, XML = "application/json", "application/ld+json", "application/xml"
VERSIONS = {"GS1-EPCIS-Version": "2.0.0", "GS1-CBV-Version": "2.0.0", "GS1-Extensions": f"{PREFIX}={YAOSU}"}
_EXCEPTIONS = {
    "epcis_document_invalid": "ValidationException",
    "invalid_request": "ValidationException",
    "malformed_body": "ValidationException",
    "epcis_too_many_events": "CaptureLimitExceededException",
    "epcis_too_many_epcs": "CaptureLimitExceededException",
    "body_too_large": "CaptureLimitExceededException",
    "epcis_query_parameter": "QueryParameterException",
    "epcis_query_unknown_parameter": "QueryParameterException",
    "epcis_query_form": "QueryValidationException",
    "epcis_query_too_large": "QueryTooLargeException",
    "epcis_query_too_complex": "QueryTooComplexException",
    "epcis_page_token": "QueryParameterException",
    "epcis_query_name_taken": "ResourceAlreadyExistsException",
    "epcis_event_id_taken": "ResourceAlreadyExistsException",
    "epcis_subscription_form": "SubscriptionControlsException",
    "epcis_not_acceptable": "NotAcceptableException",
    "epcis_media_type": "UnsupportedMediaTypeException",
    "epcis_header_value": "ValidationException",
    "epcis_no_such_name": "NoSuchNameException",
    "epcis_too_many_sockets": "SubscriptionControlsException",
    "epcis_not_implemented": "ImplementationException",
}
_BY_STATUS = {
    401: "SecurityException",
    403: "SecurityException",
    404: "NoSuchResourceException",
    406: "NotAcceptableException",
    409: "ResourceAlreadyExistsException",
    413: "CaptureLimitExceededException",
    414: "URITooLongException",
    415: "UnsupportedMediaTypeException",
    500: "ImplementationException",
    501: "ImplementationException",
}
URL_MAX = 16_384
LINK_MAX = 4_000
"""Characters of a query that stand in the link to the next page."""
Handler = Callable[[Request], Awaitable[Response]]


def exception_of(error: YaosuError) -> str:
    """The standard's exception for a refusal."""
    found = _EXCEPTIONS.get(error.code) or _BY_STATUS.get(error.http)
    return found or ("ValidationException" if error.http < 500 else "ImplementationException")


def guarded(handler: Handler) -> Handler:
    """Versions and errors around a route."""

    @functools.wraps(handler)
    async def inside(request: Request) -> Response:
        try:
            check_request(request)
            answer = await handler(request)
        except YaosuError as error:
            answer = refused(request, error)
        for name, value in VERSIONS.items():
            answer.headers.setdefault(name, value)
        return answer

    return inside


def check_request(request: Request) -> None:
    """Refuse addresses that are too long (`epcis_uri_too_long`), and foreign versions (`epcis_not_acceptable`)."""
    if len(str(request.url)) > URL_MAX:
        raise YaosuError("epcis_uri_too_long", {"limit": URL_MAX})
    _check_versions(request)


def refused(request: Request, error: YaosuError) -> Response:
    """A refusal as problem document, JSON or XML as the caller reads. Also what the guard before all routes refuses."""
    lang = language(request)
    title = error.entry.text(lang, error.params)
    detail = error.entry.next_step(lang, error.params)
    answer = _problem(request, exception_of(error), title, error.http, detail, error.findings)
    answer.headers.update(retry_after(error))
    return answer


def _problem(
    request: Request, kind: str, title: str, status: int, detail: str, findings: tuple[Finding, ...]
) -> Response:
    lang = language(request)
    if findings and not detail:
        detail = findings[0].text(lang)
    headers = {**VERSIONS, **({"www-authenticate": "Bearer"} if status == 401 else {})}
    if status == 413:
        # the rest of the body may not have been read
        headers |= {**limits(request), "connection": "close"}
    accept = request.headers.get("accept", "")
    if "xml" in accept and "json" not in accept:
        body = "".join(
            f"<{k}>{escape(str(v))}</{k}>"
            for k, v in (
                ("type", f"epcisException:{kind}"),
                ("title", title),
                ("status", status),
                ("detail", detail),
            )
        )
        text = f'<epcis:EPCISException xmlns:epcis="urn:epcglobal:epcis:xsd:2">{body}</epcis:EPCISException>'
        return Response(text, status, headers, "application/problem+xml")
    value: dict[str, Any] = {"type": f"epcisException:{kind}", "title": title, "status": status}
    if detail:
        value["detail"] = detail
    if findings:
        value["instance"] = findings[0].where or None
        value["errors"] = [
            {
                "type": "epcisException:ValidationException",
                "title": f.text(lang),
                "instance": f.where,
                "code": f.code,
            }
            for f in findings[:1000]
        ]
        if not value["instance"]:
            value.pop("instance")
    return Response(orjson.dumps(value), status, headers, "application/problem+json")


def limits(request: Request) -> dict[str, str]:
    """How much may be captured at once."""
    most: int = request.app.state.yaosu.settings.body_mb_max * 1024 * 1024
    return {"GS1-EPCIS-Capture-Limit": str(EVENTS_MAX), "GS1-EPCIS-Capture-File-Size-Limit": str(most)}


def _check_versions(request: Request) -> None:
    """What the caller can read, and what it says it writes, must be a version of ours."""
    for name, least, most in (
        ("GS1-EPCIS-Version", (1, 0), (2, 0)),
        ("GS1-CBV-Version", (1, 0), (2, 0)),
        ("GS1-EPCIS-Min", (0, 0), (2, 0)),
        ("GS1-EPCIS-Max", (2, 0), (99, 0)),
        ("GS1-CBV-Min", (0, 0), (2, 0)),
        ("GS1-CBV-Max", (2, 0), (99, 0)),
    ):
        given = request.headers.get(name)
        if given is None:
            continue
        parts = given.strip().split(".")
        if not all(p.isdigit() and len(p) < 5 for p in parts):
            raise YaosuError("epcis_header_value", {"name": name, "given": given[:40]})
        version = (int(parts[0]), int(parts[1]) if len(parts) > 1 else 0)
        if not least <= version <= most:
            raise YaosuError("epcis_not_acceptable", {"given": f"{name}: {given[:40]}"})


def answer_type(request: Request) -> str:
    """The media type to answer with; refused (`epcis_not_acceptable`) when none of ours is accepted."""
    accept = request.headers.get("accept", "") or "*/*"
    best, quality = "", 0.0
    for part in accept.split(","):
        name, _, more = part.strip().partition(";")
        weight = 1.0
        for piece in more.split(";"):
            key, _, value = piece.strip().partition("=")
            if key == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        found = {
            "*/*": JSON,
            "application/*": JSON,
            JSON: JSON,
            LD_JSON: LD_JSON,
            XML: XML,
            "text/xml": XML,
            "text/html": JSON,
        }.get(name.strip().lower())
        if found is not None and weight > quality:
            best, quality = found, weight
    if not best:
        raise YaosuError("epcis_not_acceptable", {"given": accept[:100]})
    return best


def body_type(request: Request) -> str:
    """json or xml, by the content type of the body; refused (`epcis_media_type`) for others."""
    packed = request.headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("", "identity"):
        raise YaosuError("epcis_media_type", {"given": f"content-encoding: {packed[:40]}"})
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given in (JSON, LD_JSON):
        return "json"
    if given in (XML, "text/xml"):
        return "xml"
    raise YaosuError("epcis_media_type", {"given": given[:60] or "—"})


def extensions(request: Request) -> dict[str, str]:
    """Prefixes declared in `GS1-Extensions: ext1=https://…,ext2=…`, ours among them."""
    found = {PREFIX: YAOSU}
    for part in request.headers.get("GS1-Extensions", "").split(","):
        name, eq, uri = part.strip().partition("=")
        if eq and name and is_uri(uri.strip()):
            found[name.strip()] = uri.strip()
    return found


def chosen(request: Request, name: str, allowed: tuple[str, ...], otherwise: str) -> str:
    """The value of a header with a fixed set of values."""
    given = request.headers.get(name)
    if given is None:
        return otherwise
    for one in allowed:
        if one.lower() == given.strip().lower():
            return one
    raise YaosuError("epcis_header_value", {"name": name, "given": given[:60]})


async def style_of(request: Request, conn: Connection, registry: Registry) -> Style:
    """How the caller wants identifiers and words."""
    epc = chosen(request, "GS1-EPC-Format", EPC_FORMATS, DIGITAL_LINK)
    words = chosen(request, "GS1-CBV-XML-Format", WORD_FORMATS, URN)
    return await style(conn, registry, epc, words)


async def style(conn: Connection, registry: Registry, epc: str, words: str) -> Style:
    """A style with the lengths of company prefixes that are known."""
    if epc != "Always_EPC_URN":
        return Style(epc, words)
    seen = {r["prefix"] for r in await conn.fetch(store.PREFIXES)}
    listed = {i.code: int(str(i.attrs["length"])) for i in registry.lists.get("gs1_prefix")}

    def length(digits: str) -> int | None:
        for size in range(12, 5, -1):
            if digits[:size] in seen:
                return size
        return next((listed[digits[:n]] for n in range(9, 2, -1) if digits[:n] in listed), None)

    return Style(epc, words, length)


def events_answer(
    request: Request, events: list[Shown], shown: Style, token: str, query: str = "SimpleEventQuery"
) -> Response:
    """A page of events in the form asked for, with the link to the next one."""
    kind = answer_type(request)
    headers = {"GS1-EPC-Format": shown.epc, "Vary": "Accept, GS1-EPC-Format, GS1-CBV-XML-Format"}
    if token:
        headers |= next_link(request, token)
    if kind == XML:
        headers["GS1-CBV-XML-Format"] = shown.words
        return Response(xml_document(events, shown, query), headers=headers, media_type=XML)
    return Response(orjson.dumps(json_document(events, shown, query)), headers=headers, media_type=kind)


def next_link(request: Request, token: str) -> dict[str, str]:
    """`Link: <…>; rel="next"` with everything that was asked and the place to go on from, and how long that serves."""
    asked = [(k, v) for k, v in request.query_params.multi_items() if k != "nextPageToken"]
    body = getattr(request.state, "epcis_query", None)
    if body is not None and "query" not in request.query_params:
        text = orjson.dumps(body).decode()
        # the link alone must ask the same; what is too long for an address is sent as a body again
        asked += [("query", text)] if len(text) <= LINK_MAX else []
    base = request.app.state.yaosu.settings.public_url
    path = request.scope.get("raw_path", b"").decode("ascii", "replace").partition("?")[0] or request.url.path
    return {
        "Link": f'<{base}{path}?{urlencode([*asked, ("nextPageToken", token)])}>; rel="next"',
        "GS1-Next-Page-Token-Expires": stamp(token_end(token)),
    }


def json_answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(orjson.dumps(value, default=str), status, dict(headers or {}), JSON)


def reader(request: Request) -> Subject:
    """Whoever asks, with the right to read events."""
    subject = subject_of(request)
    if subject.kind == "anonymous":
        raise YaosuError("unauthenticated")
    subject.require("bill.read")
    return subject


def writer(request: Request) -> Subject:
    """Whoever captures: with the right to submit bills, to activate, or to register products."""
    subject = subject_of(request)
    if subject.kind == "anonymous":
        raise YaosuError("unauthenticated")
    if not any(subject.can(s) for s in ("bill.write", "production.write", "product.write")):
        subject.require("bill.write")
    _ = subject.org  # events belong to an organisation
    return subject


def not_for(allowed: str) -> Handler:
    """The answer to a method that the address does not have: 405 with `Allow`."""

    @guarded
    async def answer(request: Request) -> Response:
        error = refused(request, YaosuError("method_not_allowed", {"what": request.method, "scope": ""}))
        error.headers["Allow"] = allowed
        return error

    return answer


def discovery(methods: str, more: Callable[[Request], Mapping[str, str]] | None = None) -> Handler:
    """The answer to OPTIONS."""

    @guarded
    async def answer(request: Request) -> Response:
        headers = {
            "Allow": methods,
            "GS1-EPCIS-Min": "2.0.0",
            "GS1-EPCIS-Max": "2.0.0",
            "GS1-CBV-Min": "2.0.0",
            "GS1-CBV-Max": "2.0.0",
            "GS1-EPC-Format": ", ".join(EPC_FORMATS),
            "GS1-CBV-XML-Format": ", ".join(WORD_FORMATS),
            "GS1-Vendor-Version": "yaosu",
            **(more(request) if more is not None else {}),
        }
        return Response(status_code=204, headers=headers)

    return answer


def discovery_of(about: Handler, there: Handler) -> Handler:
    """The answer to OPTIONS of something: 404 when whoever asks, and may read, could not get it either."""

    async def answer(request: Request) -> Response:
        subject = subject_of(request)
        if subject.kind != "anonymous" and subject.can("bill.read"):
            found = await there(request)
            if found.status_code == 404:
                return found
        return await about(request)

    return answer


def json_only(request: Request) -> None:
    """Refuse (`epcis_not_acceptable`) who does not read JSON, where nothing else is told."""
    if answer_type(request) == XML:
        raise YaosuError("epcis_not_acceptable", {"given": request.headers.get("accept", "")[:100]})


def json_body(request: Request) -> None:
    """Refuse (`epcis_media_type`) a body that says it is not JSON."""
    if request.headers.get("content-type") is not None and body_type(request) != "json":
        raise YaosuError("epcis_media_type", {"given": request.headers["content-type"][:60]})
