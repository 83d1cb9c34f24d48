"""Verify, history, contents, where-is over the API, and the public's query."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from yaosu.access.openapi import problems
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.ledger.sheets import download
from yaosu.registry.parts import registry_of
from yaosu.trace import examples, flow_api, public, service, tables
from yaosu.trace.model import CONTENTS_MAX, EXPORT_MAX, VERIFY_MAX
from yaosu.trace.parts import take_public_query
from yaosu.trace.verify import minute

router = APIRouter(tags=["trace"])
router.include_router(flow_api.router)

CODE_CHARS_MAX = 4096
Code = Annotated[
    str, Path(max_length=CODE_CHARS_MAX, description="any form of a trace code, percent-encoded")
]
Drug = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="for a container with several products")]
AnswerAs = Annotated[Literal["json", "csv", "xlsx"], Query(description="json, or a file for spreadsheets")]
READING = ("unauthenticated", "forbidden", "trace_no_unit", "trace_elsewhere", "code_is_retail_barcode")


class VerifyBody(BaseModel):
    """Scans to verify."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"codes": ["83857930000123456789", "6901234567892"]}}
    )
    codes: list[Annotated[str, Field(max_length=CODE_CHARS_MAX)]] = Field(min_length=1, max_length=VERIFY_MAX)
    """Texts as scanned, in any form; at most 1,000."""


def fast(body: object) -> Response:
    """JSON written once, without validating our own answer again."""
    return Response(orjson.dumps(body), media_type="application/json")


@router.post(
    "/codes/verify",
    summary="Verify many codes",
    description="Up to 1,000 scans of any form and package level; one verdict each, in order (R-B2). Whoever holds "
    "a box learns product, batch and status; who has it only as far as the caller may see.",
    responses={
        **problems("unauthenticated", "forbidden", "invalid_request", "trace_too_many_codes"),
        200: examples.json_of({"items": [examples.VERIFIED, examples.REFUSED], "next": None}),
    },
)
async def verify_many(request: Request, body: VerifyBody, conn: Conn, subject: CurrentSubject) -> Response:
    """Verify up to 1,000 codes."""
    memory = state(request).parts["trace.memory"]
    lang = language(request)
    items = await service.verify_codes(conn, registry_of(request), subject, body.codes, lang, memory)
    return fast({"items": items, "next": None})


@router.get(
    "/batches/{drug_id}/{batch_no:path}/where",
    summary="Where a batch is",
    description="By holder and status from balances, and what travels between whom (R-X7). The product's own firm "
    "sees totals; holders are named as far as the caller may see.",
    responses={
        **problems("unauthenticated", "forbidden", "not_found"),
        200: examples.json_of(examples.WHERE),
    },
)
async def where(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    drug_id: Annotated[int, Path(ge=1, le=2**31 - 1)],
    batch_no: Annotated[str, Path(max_length=200)],
    format: AnswerAs = "json",
) -> Response:
    """Where a batch is."""
    body = await service.where(conn, registry_of(request), subject, drug_id, batch_no)
    if format != "json":
        return download(format, f"where-{drug_id}", "where", *tables.where_table(body, language(request)))
    return fast(body)


@router.get(
    "/public/codes/{code:path}",
    summary="Public query of one code",
    description="No sign-in. The consumer's data set in the standard's groups (R-G1): no quantities, no persons, no "
    "firms in between. Limited per network address.",
    responses={
        **problems("too_many_requests", "public_unknown", "public_elsewhere", "code_is_retail_barcode"),
        200: examples.json_of(examples.PUBLIC),
    },
)
async def public_query(request: Request, conn: Conn, code: Code) -> Response:
    """What a consumer may know of a code."""
    take_public_query(request)
    lang = language(request)
    parts = state(request).parts
    registry = registry_of(request)
    found = await public.query(conn, registry, parts["trace.counter"], code, lang, stops=parts["stops"])
    public.refuse_unknown(found)
    assert found.unit is not None
    return fast(
        {
            "code": found.code,
            "status": found.unit.status,
            "message": found.finding.text(lang),
            "tone": found.tone,
            "recall": found.recall or None,
            "notices": [{"code": n.code, "message": n.text(lang)} for n in found.notices],
            "queries": {"count": found.queries, "first_at": minute(found.first_at)},
            "groups": [
                {"title": g.title, "items": [{"label": i.label, "value": i.value} for i in g.items]}
                for g in found.groups
            ],
        }
    )


def _suffixed(request: Request, suffix: str) -> bool:
    """Whether the path really ends in `suffix`: a serial number may contain the same letters, escaped."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    return raw.partition(b"?")[0].endswith(b"/" + suffix.encode())


@router.get(
    "/codes/{code:path}/history",
    summary="History of a code",
    description="Own events and those inherited from the packages it was inside of, each marked observed or inferred "
    "with the interval that justifies it, on both time axes (R-X4).",
    responses={**problems(*READING), 200: examples.json_of(examples.HISTORY)},
)
async def history(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    code: Code,
    drug_id: Drug = None,
    format: AnswerAs = "json",
) -> Response:
    """The whole history of a code."""
    if not _suffixed(request, "history"):
        return await _verify(request, subject, code + "/history")
    lang = language(request)
    memory = state(request).parts["trace.memory"]
    body = await service.history(conn, registry_of(request), subject, code, lang, drug_id, memory)
    if format != "json":
        return download(format, f"history-{body['code']}", "history", *tables.history_table(body, lang))
    return fast(body)


@router.get(
    "/codes/{code:path}/contents",
    summary="What is inside a package",
    description="The package tree with counts, and what was taken out. Up to 10,000 packages at once; larger ones "
    "level by level with `parent` and `after` (= `next` of the page before).",
    responses={
        **problems(*READING, "trace_not_for_you", "trace_several_products", "trace_export_too_large"),
        200: examples.json_of(examples.CONTENTS),
    },
)
async def contents(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    code: Code,
    parent: Annotated[str, Query(max_length=100)] = "",
    after: Annotated[str, Query(max_length=100)] = "",
    drug_id: Drug = None,
    format: AnswerAs = "json",
) -> Response:
    """The content of a package."""
    if not _suffixed(request, "contents"):
        return await _verify(request, subject, code + "/contents")
    limit = CONTENTS_MAX if format == "json" else EXPORT_MAX
    body = await service.contents(conn, registry_of(request), subject, code, parent, after, drug_id, limit)
    if format != "json":
        whole = body["complete"] and body["taken_out_complete"] and body["next"] is None
        if not whole:
            raise YaosuError("trace_export_too_large", {"limit": EXPORT_MAX})
        table = tables.contents_table(body, language(request))
        return download(format, f"contents-{body['code']}", "contents", *table)
    return fast(body)


@router.get(
    "/codes/{code:path}/explain",
    summary="Explain a code",
    description="The current state of a code in one paragraph, in the caller's language (R-X1).",
    responses={**problems("unauthenticated", "forbidden"), 200: examples.json_of(examples.EXPLAINED)},
)
async def explain(request: Request, conn: Conn, subject: CurrentSubject, code: Code) -> Response:
    """The current state in words."""
    if not _suffixed(request, "explain"):
        return await _verify(request, subject, code + "/explain")
    return fast(await service.explain(conn, registry_of(request), subject, code, language(request)))


async def _verify(request: Request, subject: Any, raw: str) -> Response:
    subject.require(service.SCOPE)
    if not raw:
        raise YaosuError("not_found", {"what": "code"})
    verifier = state(request).parts["trace.verifier"]
    return Response(await verifier.verify(subject, raw, language(request)), media_type="application/json")


@router.get(
    "/codes/{code:path}",
    summary="Verify one code",
    description="The verdict on one scan of any form. Codes that are unreadable, unknown, not activated or traced "
    "elsewhere answer 200 with `found: false` and the reason: a verdict is not an error.",
    responses={
        **problems("unauthenticated", "forbidden", "too_many_requests"),
        200: examples.json_of(examples.VERIFIED),
    },
)
async def verify_one(request: Request, subject: CurrentSubject, code: Code) -> Response:
    """Verify one code."""
    return await _verify(request, subject, code)
