"""医保核查 over the API: settlement checks, settled codes, cases, dossiers, institutions (R-C7, R-X11)."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal
from urllib.parse import quote

import orjson
from fastapi import APIRouter, File, Path, Query, Request, Response, UploadFile

from yaosu.access.openapi import problems
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.insurance import (
    cases,
    check,
    dossier,
    dossier_paper,
    examples,
    institutions,
    messages,
    public,
    remit,
    service,
    views,
)
from yaosu.insurance.files import BYTES_MAX
from yaosu.insurance.schemas import (
    CheckIn,
    CloseIn,
    InstitutionIn,
    RenewIn,
    TakeBackIn,
    TextIn,
)
from yaosu.insurance.weights import Weights
from yaosu.papers import pdf
from yaosu.people.parts import keeper_of
from yaosu.registry.parts import registry_of
from yaosu.trace.parts import take_public_query

router = APIRouter(tags=["insurance"])

CaseId = Annotated[int, Path(ge=1, le=2**63 - 1)]
Code = Annotated[str, Path(max_length=4096, description="any form of a trace code, percent-encoded")]
Before = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=500)]
NEWEST = cases.NEWEST


def answered(example: object, *codes: str, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses with an example, and the documented refusals."""
    return {
        status: {"description": "OK", "content": {"application/json": {"example": example}}},
        **problems("unauthenticated", "forbidden", "invalid_request", *codes),
    }


def as_json(value: object, status: int = 200) -> Response:
    """An answer written by orjson."""
    return Response(orjson.dumps(value), status_code=status, media_type="application/json")


@router.post(
    "/insurance/settlement-checks",
    summary="Check codes before settlement",
    description="A verdict for every code and every line, within the scan: not seen in circulation, another product "
    "than billed (串换), settled elsewhere (回流), before activation, expired, recalled, not in stock, quantity "
    "against codes, exempt and uncoded goods. `decision`: ok, examine (paid, then looked into), refuse. With `record` "
    "what is not refused is settled, whole or not at all; the same `act` again gets the same answer (R-C7).",
    responses=answered(
        examples.OUTCOME, "insurance_not_registered", "insurance_institution_needed", "insurance_not_bureau",
        "not_found", "insurance_too_many_codes", "body_too_large", "malformed_body",
    ),
)  # fmt: skip
async def settlement_check(request: Request, subject: CurrentSubject, body: CheckIn, conn: Conn) -> Response:
    """Check, and with `record` settle."""
    registry = registry_of(request)
    memory = state(request).parts["trace.memory"]
    institution, act = await service.act_of(conn, registry, subject, body)
    outcome = await check.check(conn, registry, memory, institution, act, record=body.record)
    weights = Weights(registry.lists, institution.region, act.sold_at)
    return as_json(views.outcome_json(outcome, weights, language(request)))


@router.post(
    "/insurance/settlements/take-back",
    summary="Take a settlement back",
    description="Every code of the act may be settled again, as after 2208.",
    responses=answered(
        {"act": "SY202609010001", "codes": 2}, "insurance_not_registered", "insurance_institution_needed",
        "insurance_not_bureau", "not_found", "insurance_settlement_ended", "body_too_large", "malformed_body",
    ),
)  # fmt: skip
async def take_back(request: Request, subject: CurrentSubject, body: TakeBackIn, conn: Conn) -> Response:
    """Take an act back."""
    count = await service.take_back(conn, registry_of(request), subject, body.institution, body.act)
    return as_json({"act": body.act, "codes": count})


@router.get(
    "/insurance/settlements",
    summary="Settled codes",
    description="The settlement ledger, newest first: an institution's own, a bureau's region. No persons.",
    responses=answered({"items": [examples.SETTLEMENT], "next": None}, "insurance_not_bureau"),
)
async def settlements(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    code: Annotated[str, Query(max_length=4096)] = "",
    only: Annotated[Literal["", "S", "D", "R", "B", "W"], Query(alias="state")] = "",
    before: Before = None,
    limit: Limit = 50,
) -> Response:
    """Rows of the settlement ledger."""
    registry = registry_of(request)
    rows = await service.settlements(conn, registry, subject, code, only, before or NEWEST, limit + 1)
    items = [dossier.settlement(registry, r, language(request)) for r in rows[:limit]]
    return as_json({"items": items, "next": rows[limit - 1]["id"] if len(rows) > limit else None})


@router.get(
    "/insurance/cases",
    summary="Insurance cases",
    description="What did not fit, newest first: of the own institution, or of a bureau's region on either side.",
    responses=answered({"items": [examples.CASE], "next": None}, "insurance_not_bureau"),
)
async def case_list(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    only: Annotated[Literal["open", "answered", "closed"] | None, Query(alias="state")] = None,
    overdue: bool = False,
    code: Annotated[str, Query(max_length=100)] = "",
    rule: Annotated[str, Query(max_length=40)] = "",
    before: Before = None,
    limit: Limit = 50,
) -> Response:
    """Cases, newest first."""
    registry, lang = registry_of(request), language(request)
    states: list[str] | None = [only] if only else None
    rows = await cases.listed(
        conn, registry, subject, states=states, overdue=overdue, code=code, rule=rule, before=before or NEWEST,
        count=limit + 1,
    )  # fmt: skip
    reader = await remit.reader_of(conn, registry, subject)
    items = [views.case_json(registry, r, reader, lang) for r in rows[:limit]]
    return as_json({"items": items, "next": rows[limit - 1]["id"] if len(rows) > limit else None})


async def _case(request: Request, conn: Conn, subject: CurrentSubject, case_id: int) -> Response:
    registry = registry_of(request)
    row, reader = await cases.seen(conn, registry, subject, case_id)
    return as_json(await views.whole_case(conn, registry, row, reader, language(request)))


@router.get(
    "/insurance/cases/{case_id}",
    summary="One insurance case",
    description="What was found, what it probably comes from, what the institution said and added, how it ended.",
    responses=answered(examples.CASE, "not_found", "insurance_not_bureau"),
)
async def case(request: Request, conn: Conn, subject: CurrentSubject, case_id: CaseId) -> Response:
    """One case."""
    return await _case(request, conn, subject, case_id)


@router.post(
    "/insurance/cases/{case_id}/statements",
    summary="Explain a case",
    description="The institution's explanation; said again it is added, never changed.",
    responses=answered(
        examples.CASE, "not_found", "insurance_case_closed", "insurance_not_yours", "body_too_large", "malformed_body"
    ),
)  # fmt: skip
async def say(
    request: Request, subject: CurrentSubject, case_id: CaseId, body: TextIn, conn: Conn
) -> Response:
    """Explain."""
    await cases.say(conn, registry_of(request), subject, case_id, body.text)
    return await _case(request, conn, subject, case_id)


@router.post(
    "/insurance/cases/{case_id}/files",
    status_code=201,
    summary="Add a file to a case",
    description="PDF, JPEG or PNG, at most 10 MB: an invoice, a delivery note, a receipt. The same file again is one.",
    responses=answered(
        {"id": 3}, "not_found", "insurance_case_closed", "insurance_not_yours", "insurance_file_kind",
        "insurance_file_large", "insurance_files_many", "body_too_large", status=201,
    ),
)  # fmt: skip
async def attach(
    request: Request,
    subject: CurrentSubject,
    case_id: CaseId,
    file: Annotated[UploadFile, File()],
    conn: Conn,
) -> Response:
    """Add a file."""
    body = await file.read(BYTES_MAX + 1)
    made = await cases.attach(conn, registry_of(request), subject, case_id, file.filename or "", body)
    return as_json({"id": made}, 201)


@router.get(
    "/insurance/cases/{case_id}/files/{file_id}",
    summary="A file of a case",
    description="As it was added, always as a download; an institution gets its own, the bureau all.",
    responses={
        200: {
            "description": "The file.",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        },
        **problems("unauthenticated", "forbidden", "not_found", "invalid_request"),
    },
)
async def file_of(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    case_id: CaseId,
    file_id: Annotated[int, Path(ge=1, le=2**63 - 1)],
) -> Response:
    """A file."""
    media, name, body = await cases.file(conn, registry_of(request), subject, case_id, file_id)
    return download(body, name, media)


def download(body: bytes, name: str, media: str) -> Response:
    """Something to be saved, never opened in place."""
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "content-security-policy": "default-src 'none'; sandbox",
    }
    return Response(body, media_type=media, headers=headers)


@router.post(
    "/insurance/cases/{case_id}/close",
    summary="Close a case",
    description="By the bureau in charge, with a result of list `insurance_result`. A data error also withdraws the "
    "disputed row, so that the box may be settled rightly.",
    responses=answered(
        examples.CASE, "not_found", "insurance_not_bureau", "insurance_case_closed", "insurance_result_unknown",
        "insurance_reason_needed", "body_too_large", "malformed_body",
    ),
)  # fmt: skip
async def close(
    request: Request, subject: CurrentSubject, case_id: CaseId, body: CloseIn, conn: Conn
) -> Response:
    """Close."""
    await cases.close(conn, registry_of(request), subject, case_id, body.result, body.text)
    return await _case(request, conn, subject, case_id)


_DOSSIER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The dossier.",
        "content": {
            "application/json": {"example": examples.DOSSIER},
            "application/pdf": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    **problems(
        "unauthenticated", "forbidden", "insurance_no_dossier", "insurance_not_bureau", "not_found", "invalid_request",
        "code_is_retail_barcode",
    ),
}  # fmt: skip
DossierAs = Annotated[Literal["json", "pdf"], Query(description="json with a digest, or the paper to sign")]


@router.get(
    "/insurance/dossiers/{code:path}",
    summary="The dossier of a code",
    description="All that an institution can show of one code: history, bills and invoices, operator, split state, "
    "receipt checks, deliveries to 医保, settlements, its explanation (R-X11). What it may not see is left out and "
    "said so (D10); no persons. A bureau opens dossiers of codes settled in its region. Works without a case too.",
    responses=_DOSSIER,
)
async def code_dossier(
    request: Request, conn: Conn, subject: CurrentSubject, code: Code, format: DossierAs = "json"
) -> Response:
    """The dossier of a code."""
    lang = language(request)
    memory = state(request).parts["trace.memory"]
    body = await dossier.dossier(conn, registry_of(request), memory, subject, code, lang)
    return await dossier_as(body, format, lang)


@router.get(
    "/insurance/cases/{case_id}/dossier",
    summary="The dossier of a case",
    description="The dossier of the case's code, with the case in it.",
    responses=_DOSSIER,
)
async def case_dossier(
    request: Request, conn: Conn, subject: CurrentSubject, case_id: CaseId, format: DossierAs = "json"
) -> Response:
    """The dossier of a case's code."""
    lang = language(request)
    memory = state(request).parts["trace.memory"]
    body = await dossier.dossier(conn, registry_of(request), memory, subject, "", lang, case_id)
    return await dossier_as(body, format, lang)


async def dossier_as(body: dict[str, Any], kind: str, lang: str) -> Response:
    """The dossier in the form asked for; setting a paper is work for a thread."""
    if kind == "json":
        return as_json(body)
    made = await asyncio.to_thread(lambda: pdf.render(dossier_paper.paper(body, lang)))
    return download(made, f"dossier-{body['code'][:60]}.pdf", "application/pdf")


@router.put(
    "/insurance/explanations/{code:path}",
    status_code=204,
    summary="Keep the institution's explanation of a code",
    description="Keeps the institution's explanation of a code, with or without a case; it stands in the dossier.",
    responses={
        204: {"description": "Kept."},
        **problems(
            "unauthenticated", "forbidden", "insurance_not_registered", "insurance_not_yours", "invalid_request",
            "code_is_retail_barcode", "body_too_large", "malformed_body",
        ),
    },
)  # fmt: skip
async def put_explanation(
    request: Request, subject: CurrentSubject, code: Code, body: TextIn, conn: Conn
) -> Response:
    """Keep what the institution says of a code."""
    await dossier.explain(conn, registry_of(request), subject, code, body.text)
    return Response(status_code=204)


@router.get(
    "/insurance/institutions",
    summary="Institutions under agreement",
    description="定点医药机构 of the bureau's region, by number; nothing secret.",
    responses=answered({"items": [examples.INSTITUTION], "next": None}, "insurance_not_bureau"),
)
async def institution_list(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    q: Annotated[str, Query(max_length=100, description="part of number or name")] = "",
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Limit = 50,
) -> Response:
    """Institutions."""
    rows = await institutions.listed(conn, registry_of(request), subject, after, q.strip(), limit + 1)
    items = [views.institution_json(r) for r in rows[:limit]]
    return as_json({"items": items, "next": items[-1]["id"] if len(rows) > limit else None})


@router.post(
    "/insurance/institutions",
    status_code=201,
    summary="Register an institution",
    description="Gives application, secret and keys, shown this once. Profiles that do not sign are refused.",
    responses=answered(
        examples.ISSUED, "insurance_not_bureau", "insurance_outside_remit", "insurance_institution_exists",
        "insurance_profile_unsigned", "insurance_key_invalid", "not_found", "body_too_large", "malformed_body",
        status=201,
    ),
)  # fmt: skip
async def register(request: Request, subject: CurrentSubject, body: InstitutionIn, conn: Conn) -> Response:
    """Register."""
    draft = institutions.Draft(body.code, body.name, body.region, body.profile, body.org, body.public_key)
    made = await institutions.register(conn, registry_of(request), keeper_of(request), subject, draft)
    return as_json(views.issued_json(made), 201)


@router.post(
    "/insurance/institutions/{institution_id}/keys",
    status_code=201,
    summary="New keys for an institution",
    description="The old ones end at once; the new ones are shown this once.",
    responses=answered(
        examples.ISSUED, "insurance_not_bureau", "not_found", "insurance_key_invalid", "body_too_large",
        "malformed_body", status=201,
    ),
)  # fmt: skip
async def renew(
    request: Request,
    subject: CurrentSubject,
    institution_id: Annotated[int, Path(ge=1, le=2**31 - 1)],
    body: RenewIn,
    conn: Conn,
) -> Response:
    """New keys."""
    made = await institutions.renew(
        conn, registry_of(request), keeper_of(request), subject, institution_id, body.public_key
    )
    return as_json(views.issued_json(made), 201)


@router.delete(
    "/insurance/institutions/{institution_id}",
    status_code=204,
    summary="End an institution's registration",
    description="Nothing more is received from it; what it reported stays.",
    responses={
        204: {"description": "Ended."},
        **problems("unauthenticated", "forbidden", "insurance_not_bureau", "not_found", "invalid_request"),
    },
)
async def end(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    institution_id: Annotated[int, Path(ge=1, le=2**31 - 1)],
) -> Response:
    """End."""
    await institutions.end(conn, registry_of(request), subject, institution_id)
    return Response(status_code=204)


@router.get(
    "/insurance/messages",
    summary="Calls received",
    description="医保 calls as they were answered, newest first: a bureau's region, or the own ones. The calls "
    "themselves are sealed and not shown.",
    responses=answered({"items": [examples.MESSAGE], "next": None}, "insurance_not_bureau"),
)
async def received(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    refused: Annotated[bool, Query(description="only those with refused rows")] = False,
    before: Before = None,
    limit: Limit = 50,
) -> Response:
    """Calls received."""
    rows = await messages.listed(conn, registry_of(request), subject, refused, before or NEWEST, limit + 1)
    items = [messages.as_json(r) for r in rows[:limit]]
    return as_json({"items": items, "next": items[-1]["id"] if len(rows) > limit else None})


@router.get(
    "/public/insurance/{code:path}",
    summary="Was this box sold, and how often",
    description="The consumer's query of the insurance bureau (standards §8.4): not found, once, several times, with "
    "what to do. No places, no persons. Limited per network address.",
    responses={
        200: {"description": "OK", "content": {"application/json": {"example": examples.PUBLIC}}},
        **problems("too_many_requests", "code_is_retail_barcode"),
    },
)
async def sold(request: Request, conn: Conn, code: Code) -> Response:
    """How often a code was sold."""
    take_public_query(request)
    return as_json(await public.query(conn, registry_of(request), code, language(request)))
