"""Persons over the API: check a document as it is typed, register, show masked, unmask with a reason."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse

from yaosu.access.openapi import problems
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import CHINA
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.people import documents, service
from yaosu.people.parts import keeper_of
from yaosu.people.schemas import MASKED, PERSON, DocumentIn, PersonIn, UnmaskIn, masked_view, open_view
from yaosu.registry.parts import registry_of

router = APIRouter(tags=["people"], prefix="/people")

PersonId = Annotated[int, Path(ge=1, le=2**63 - 1)]
NO_STORE = {"cache-control": "no-store"}
"""Nothing about a person stays in a browser's or proxy's cache."""


def answered(example: Any, *codes: str) -> dict[int | str, dict[str, Any]]:
    """Responses with an example and the documented refusals."""
    return {
        200: {"description": "OK", "content": {"application/json": {"example": example}}},
        **problems("unauthenticated", "forbidden", *codes),
    }


@router.post(
    "/check",
    summary="Check a document's number",
    description="Whether the number can be right (shape by kind; identity cards by GB 11643: province, date of birth, "
    "check character), as it is typed. `known` is the masked person when your organisation registered him before. "
    "Keeps nothing.",
    responses=answered(
        {"ok": True, "message": "", "next": "", "known": MASKED}, "invalid_request", "person_unreadable"
    ),
)
async def check(request: Request, body: DocumentIn, subject: CurrentSubject, conn: Conn) -> Response:
    """The till's question while somebody types (R-C2)."""
    subject.require("bill.write")
    lang, lists = language(request), registry_of(request).lists
    _, wrong = documents.check_number(lists, body.kind, body.number, datetime.now(CHINA).date())
    if wrong is not None:
        answer = {"ok": False, "message": wrong.text(lang), "next": wrong.next_step(lang), "known": None}
        return JSONResponse(answer, headers=NO_STORE)
    keeper = keeper_of(request)
    person = await service.find(conn, keeper, body.kind, body.number, lists)
    shown = await service.shown(conn, keeper, subject, [person] if person else [])
    known = masked_view(shown[person], lists, lang) if person in shown else None
    return JSONResponse({"ok": True, "message": "", "next": "", "known": known}, headers=NO_STORE)


@router.post(
    "",
    summary="Register a person",
    description="Encrypts and keeps a person with document; answers with the number (`person_id`) that sales name, and "
    "masked texts. The same document is the same person at every shop; name and telephone are kept for your "
    "organisation only. Somebody of whom no sale comes is forgotten after a day.",
    responses=answered(MASKED, "invalid_request", "person_unreadable"),
)
async def register(request: Request, body: PersonIn, subject: CurrentSubject, conn: Conn) -> Response:
    """Identify a buyer (R-C2)."""
    keeper, lists = keeper_of(request), registry_of(request).lists
    person = await service.identify(conn, keeper, subject, body.given(), lists)
    shown = await service.shown(conn, keeper, subject, [person])
    return JSONResponse(masked_view(shown[person], lists, language(request)), headers=NO_STORE)


@router.get(
    "/{person_id}",
    summary="Show a person masked",
    description="Only persons that your organisation (a regulator: one of its region) registered.",
    responses=answered(MASKED, "not_found", "person_unreadable"),
)
async def show(request: Request, person_id: PersonId, subject: CurrentSubject, conn: Conn) -> Response:
    """One person, masked."""
    subject.require("person.read")
    found = await service.shown(conn, keeper_of(request), subject, [person_id])
    if person_id not in found:
        raise YaosuError("not_found", {"what": "人员" if language(request) == "zh" else "Person"})
    view = masked_view(found[person_id], registry_of(request).lists, language(request))
    return JSONResponse(view, headers=NO_STORE)


@router.post(
    "/{person_id}/unmask",
    summary="See a person in full",
    description="Needs `person.unmask` and a reason; both are kept in the audit record, and whoever registered the "
    "person sees that it was read.",
    responses=answered({"person_id": 4711, "kind_name": "身份证", **PERSON}, "not_found", "invalid_request"),
)
async def unmask(
    request: Request, person_id: PersonId, body: UnmaskIn, subject: CurrentSubject, conn: Conn
) -> Response:
    """One person in full, on record."""
    found = await service.unmask(conn, keeper_of(request), subject, person_id, body.reason)
    view = open_view(found, registry_of(request).lists, language(request))
    return JSONResponse(view, headers=NO_STORE)
