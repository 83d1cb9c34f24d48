"""Pages of the insurance room: cases, settled codes, dossiers; for a bureau institutions and received calls."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Form, Path, Query, Request, UploadFile
from starlette.responses import Response

from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import render, see_other
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.insurance import (
    api,
    cases,
    dossier,
    gateway,
    institutions,
    messages,
    remit,
    service,
    views,
)
from yaosu.insurance.files import BYTES_MAX
from yaosu.insurance.model import CHINA
from yaosu.insurance.profiles import LIST as PROFILES
from yaosu.people.parts import keeper_of
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()
router.include_router(gateway.router)

PAGE = 50
Cursor = Annotated[int | None, Query(ge=1, le=2**63 - 1)]
CaseId = Annotated[int, Path(ge=1, le=2**63 - 1)]
Text = Annotated[str, Form(max_length=4000, pattern=r"^[^\x00]*$")]
Short = Annotated[str, Form(max_length=200, pattern=r"^[^\x00]*$")]
Code = Annotated[str, Query(max_length=4096)]


def _show(
    request: Request, template: str, context: Mapping[str, Any], error: YaosuError | None = None
) -> Response:
    body = error.as_json(language(request)) if error is not None else None
    full = {"shown": _shown, "problem": body, **context}
    return render(request, f"insurance/{template}", full, error.http if error is not None else 200)


def _shown(text: str | None) -> str:
    return f"{datetime.fromisoformat(text).astimezone(CHINA):%Y-%m-%d %H:%M}" if text else "—"


@router.get("/insurance")
async def index(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    tab: Annotated[Literal["open", "overdue", "answered", "closed"], Query()] = "open",
    before: Cursor = None,
) -> Response:
    """Cases: what is to be explained or decided first."""
    registry, lang = registry_of(request), language(request)
    subject.require(cases.SCOPE)
    reader = await remit.reader_of(conn, registry, subject)
    rows = await cases.listed(
        conn, registry, subject, states=["open"] if tab == "overdue" else [tab], overdue=tab == "overdue",
        before=before or cases.NEWEST, count=PAGE,
    )  # fmt: skip
    context = {
        "items": [views.case_json(registry, r, reader, lang) for r in rows],
        "counts": await cases.counts(conn, registry, subject),
        "tab": tab,
        "reader": reader,
        "next": f"/insurance?tab={tab}&before={rows[-1]['id']}" if len(rows) == PAGE else "",
        "may_receive": reader.bureau and subject.can(institutions.SCOPE),
    }
    return _show(request, "index.html", context)


async def _case_page(
    request: Request,
    conn: Connection,
    subject: Subject,
    case_id: int,
    error: YaosuError | None = None,
    said: str = "",
) -> Response:
    registry, lang = registry_of(request), language(request)
    row, reader = await cases.seen(conn, registry, subject, case_id)
    results = registry.lists.get(cases.RESULTS, region=row["region"])
    context = {
        "case": await views.whole_case(conn, registry, row, reader, lang),
        "reader": reader,
        "said": said,
        "results": [(i.code, i.zh if lang == "zh" else i.en) for i in results],
        "mb": BYTES_MAX // 1024 // 1024,
    }
    return _show(request, "case.html", context, error)


@router.get("/insurance/cases/{case_id}")
async def case(request: Request, conn: Conn, subject: CurrentSubject, case_id: CaseId) -> Response:
    """One case."""
    return await _case_page(request, conn, subject, case_id)


async def _then(
    request: Request,
    conn: Connection,
    subject: Subject,
    case_id: int,
    doing: Awaitable[object],
    said: str = "",
) -> Response:
    """Do it and show the case; a refusal stands beside the case with what was typed."""
    try:
        async with conn.transaction():
            await doing
    except YaosuError as error:
        if error.http in (401, 403, 404):
            raise
        return await _case_page(request, conn, subject, case_id, error, said)
    return see_other(f"/insurance/cases/{case_id}")


@router.post("/insurance/cases/{case_id}/say")
async def say(
    request: Request, conn: Conn, subject: CurrentSubject, case_id: CaseId, text: Text = ""
) -> Response:
    """The institution's explanation."""
    if not text.strip():
        return await _case_page(request, conn, subject, case_id, YaosuError("insurance_reason_needed"))
    doing = cases.say(conn, registry_of(request), subject, case_id, text.strip())
    return await _then(request, conn, subject, case_id, doing, text)


@router.post("/insurance/cases/{case_id}/files")
async def attach(
    request: Request, conn: Conn, subject: CurrentSubject, case_id: CaseId, file: UploadFile
) -> Response:
    """A file."""
    body = await file.read(BYTES_MAX + 1)
    doing = cases.attach(conn, registry_of(request), subject, case_id, file.filename or "", body)
    return await _then(request, conn, subject, case_id, doing)


@router.post("/insurance/cases/{case_id}/close")
async def close(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    case_id: CaseId,
    result: Short = "",
    text: Text = "",
) -> Response:
    """The bureau's end of it."""
    doing = cases.close(conn, registry_of(request), subject, case_id, result, text)
    return await _then(request, conn, subject, case_id, doing)


@router.get("/insurance/dossier")
async def dossier_page(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    code: Code = "",
    case: Cursor = None,
    format: Annotated[Literal["page", "json", "pdf"], Query()] = "page",
) -> Response:
    """The dossier of a code or case; as a file too."""
    subject.require(dossier.SCOPE)
    registry, lang = registry_of(request), language(request)
    error: YaosuError | None = None
    body: dict[str, Any] | None = None
    if code.strip() or case is not None:
        memory = state(request).parts["trace.memory"]
        try:
            body = await dossier.dossier(conn, registry, memory, subject, code.strip(), lang, case)
        except YaosuError as refusal:
            if refusal.http in (401, 403) or format != "page":
                raise
            error = refusal
    if body is not None and format != "page":
        return await api.dossier_as(body, format, lang)
    query = f"case={case}" if case is not None else f"code={quote(code.strip(), safe='')}"
    context = {
        "code": code,
        "body": body,
        "query": query,
        "bureau": remit.is_bureau(registry, subject),
    }
    return _show(request, "dossier.html", context, error)


@router.post("/insurance/dossier")
async def explain(
    request: Request, conn: Conn, subject: CurrentSubject, code: Short = "", text: Text = ""
) -> Response:
    """Keep an explanation."""
    await dossier.explain(conn, registry_of(request), subject, code, text)
    return see_other(f"/insurance/dossier?code={quote(code.strip(), safe='')}")


@router.get("/insurance/settlements")
async def settled(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    code: Code = "",
    only: Annotated[Literal["", "S", "D", "R", "B", "W"], Query(alias="state")] = "",
    before: Cursor = None,
) -> Response:
    """The settlement ledger."""
    registry, lang = registry_of(request), language(request)
    rows = await service.settlements(conn, registry, subject, code, only, before or cases.NEWEST, PAGE)
    more = f"/insurance/settlements?state={only}&before={rows[-1]['id']}" if len(rows) == PAGE else ""
    context = {
        "items": [dossier.settlement(registry, r, lang) for r in rows],
        "code": code,
        "only": only,
        "states": [(k, zh if lang == "zh" else en) for k, (zh, en) in dossier.STATES.items()],
        "next": more,
    }
    return _show(request, "settlements.html", context)


@router.get("/insurance/messages")
async def received(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    refused: Annotated[bool, Query()] = False,
    before: Cursor = None,
) -> Response:
    """Calls received, with what was answered."""
    rows = await messages.listed(conn, registry_of(request), subject, refused, before or cases.NEWEST, PAGE)
    flag = "true" if refused else "false"
    more = f"/insurance/messages?refused={flag}&before={rows[-1]['id']}" if len(rows) == PAGE else ""
    context = {"items": [messages.as_json(r) for r in rows], "refused": refused, "next": more}
    return _show(request, "messages.html", context)


async def _institutions(
    request: Request,
    conn: Connection,
    subject: Subject,
    *,
    after: int = 0,
    part: str = "",
    issued: institutions.Issued | None = None,
    given: Mapping[str, str] | None = None,
    error: YaosuError | None = None,
) -> Response:
    registry, lang = registry_of(request), language(request)
    rows = await institutions.listed(conn, registry, subject, after, part, PAGE)
    names = {r["org"]: registry.org(r["org"]) for r in rows if r["org"] is not None}
    profiles = [
        (i.code, i.zh if lang == "zh" else i.en)
        for i in registry.lists.whole(PROFILES).items
        if i.attrs.get("signtype", "SM2") or i.attrs.get("gateway") == "csb"
    ]
    context = {
        "items": [views.institution_json(r) for r in rows],
        "orgs": {k: card.name for k, card in names.items() if card is not None},
        "profiles": profiles,
        "names": {i.code: i.zh if lang == "zh" else i.en for i in registry.lists.whole(PROFILES).items},
        "issued": views.issued_json(issued) if issued is not None else None,
        "given": given or {},
        "part": part,
        "paths": gateway.PATHS,
        "next": f"/insurance/institutions?after={rows[-1]['id']}" if len(rows) == PAGE else "",
    }
    return _show(request, "institutions.html", context, error)


@router.get("/insurance/institutions")
async def institution_list(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    q: Annotated[str, Query(max_length=100)] = "",
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
) -> Response:
    """Institutions under agreement."""
    return await _institutions(request, conn, subject, after=after, part=q.strip())


@router.post("/insurance/institutions")
async def register(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    code: Annotated[str, Form(pattern=r"^[A-Z0-9]{4,12}$")],
    name: Annotated[str, Form(min_length=1, max_length=200, pattern=r"^[^\x00]*$")],
    region: Annotated[str, Form(pattern=r"^[0-9]{6}$")],
    profile: Annotated[str, Form(pattern=r"^[a-z0-9_]{1,30}$")] = "national",
    uscc: Annotated[str, Form(max_length=18, pattern=r"^[0-9A-Z]*$")] = "",
    public_key: Annotated[str, Form(max_length=2048, pattern=r"^[^\x00]*$")] = "",
) -> Response:
    """A new institution; its keys are shown on this page and never again."""
    registry = registry_of(request)
    given = {"code": code, "name": name, "region": region, "profile": profile, "uscc": uscc}
    try:
        card = registry.org_by_uscc(uscc) if uscc else None
        if uscc and card is None:
            raise YaosuError("not_found", {"what": uscc})
        draft = institutions.Draft(
            code, name.strip(), region, profile, card.id if card is not None else None, public_key
        )
        async with conn.transaction():
            made = await institutions.register(conn, registry, keeper_of(request), subject, draft)
    except YaosuError as error:
        if error.code in ("unauthenticated", "forbidden", "insurance_not_bureau"):
            raise
        return await _institutions(request, conn, subject, given=given, error=error)
    return await _institutions(request, conn, subject, issued=made)


@router.post("/insurance/institutions/{institution_id}/keys")
async def renew(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    institution_id: Annotated[int, Path(ge=1, le=2**31 - 1)],
) -> Response:
    """New keys, shown on this page and never again."""
    made = await institutions.renew(conn, registry_of(request), keeper_of(request), subject, institution_id)
    return await _institutions(request, conn, subject, issued=made)


@router.post("/insurance/institutions/{institution_id}/end")
async def end(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    institution_id: Annotated[int, Path(ge=1, le=2**31 - 1)],
) -> Response:
    """Nothing more is received from it."""
    await institutions.end(conn, registry_of(request), subject, institution_id)
    return see_other("/insurance/institutions")
