"""Exception cases over the API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Path, Query, Request, Response

from yaosu.access.openapi import problems
from yaosu.access.visibility import record_read, visible
from yaosu.circulation.schemas import org_id
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.errors import Finding, YaosuError
from yaosu.exceptions import opening, record, service, store, views
from yaosu.exceptions.model import Offer, Piece
from yaosu.exceptions.photos import BYTES_MAX
from yaosu.exceptions.schemas import AnswerOfferIn, LinkIn, OfferIn, OpenIn, ReasonIn, SayIn, SuspendIn
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter(prefix="/exceptions", tags=["exceptions"])

CaseId = Annotated[int, Path(ge=1, le=2**63 - 1)]
PartId = Annotated[int, Path(ge=1, le=2**63 - 1)]

_CASE: dict[str, Any] = {
    "id": 12,
    "case_no": "XC20260930-00012",
    "kind": "short",
    "kind_name": "短少",
    "state": "open",
    "qty": 2,
    "buyer": {"id": 3, "name": "示例大药房"},
    "seller": {"id": 2, "name": "示例医药批发有限公司"},
    "answer_due": "2026-10-01T10:12:32+08:00",
    "resolve_due": "2026-10-05T10:12:32+08:00",
    "overdue": False,
    "items": [{"product": "复方测试胶囊 0.3g 24粒/盒", "batch_no": "20260101", "code": "", "qty": 2}],
    "entries": [{"id": 1, "what": "opened", "text": "少两盒，外箱完好"}],
    "proposals": [],
    "photos": [],
    "may": {"role": "buyer", "say": True},
}


def _answered(example: object, *codes: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"description": "OK", "content": {"application/json": {"example": example}}},
        **problems("unauthenticated", "forbidden", "invalid_request", *codes),
    }


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value, default=str), status_code=status, media_type="application/json")


async def _whole(request: Request, conn: Connection, subject: Subject, case_id: int) -> dict[str, Any]:
    """The case for its reader, corrections made since included."""
    row = await record.seen(conn, subject, case_id)
    registry = registry_of(request)
    if await service.sync(conn, registry, row) is not None:
        row = await record.seen(conn, subject, case_id)
    if visible(subject).records_reads:
        await record_read(conn, subject, f"exception {case_id}", row["buyer"])
    return await views.whole(conn, registry, subject, row, language(request))


@router.get(
    "",
    summary="List exception cases",
    description="Newest first: cases you are a party to; regulators see those of their region.",
    responses=_answered({"items": [_CASE], "next": None}),
)
async def cases(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    state: Annotated[Literal["open", "closed"] | None, Query()] = None,
    side: Annotated[Literal["buyer", "seller"] | None, Query(description="Own side in the case")] = None,
    overdue: bool = False,
    check_id: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    kind: Annotated[str | None, Query(max_length=32, pattern=r"^[a-z_]+$")] = None,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Cases by state, side, kind and lateness."""
    subject.require("bill.read")
    rows = await store.cases(
        conn,
        visible(subject),
        state=state,
        buyer=subject.org_id if side == "buyer" else None,
        seller=subject.org_id if side == "seller" else None,
        before=before,
        overdue=overdue,
        check_id=check_id,
        kind=kind,
        limit=limit,
    )
    if visible(subject).records_reads:
        await record_read(conn, subject, "exceptions", None)
    registry, lang = registry_of(request), language(request)
    items = [views.head(registry, r, lang) for r in rows]
    return _json({"items": items, "next": rows[-1]["id"] if len(rows) == limit else None})


@router.post(
    "",
    status_code=201,
    summary="Open exception cases",
    description="From a receipt check (`check_id`: one case per kind of mismatch), from goods in quarantine "
    "(`quarantine_ids`), or for a delivery or supplier with stated goods (`kind`, `goods`, and `bill_id` or `seller`). "
    "Repeating it for the same check gives the cases already open. Goods in quarantine stay there until the case "
    "closes; uncoded, unactivated and unknown codes are told to the MAH at once.",
    responses={
        201: {"description": "Opened", "content": {"application/json": {"example": {"cases": [12]}}}},
        **problems(
            "unauthenticated",
            "forbidden",
            "invalid_request",
            "not_found",
            "exception_nothing_open",
            "exception_goods_held",
        ),
    },
)
async def open_cases(request: Request, conn: Conn, subject: CurrentSubject, body: OpenIn) -> Response:
    """One click from a check, from quarantine, or for a delivery (R-B3, R-B4)."""
    made = await opened(request, conn, subject, body)
    return _json({"cases": made}, 201)


async def opened(request: Request, conn: Connection, subject: Subject, body: OpenIn) -> list[int]:
    """The cases that `body` asks for; refused (`exception_no_goods`) when it names nothing to open one from."""
    registry = registry_of(request)
    ways = {
        "check_id": body.check_id is not None,
        "quarantine_ids": bool(body.quarantine_ids),
        "goods": bool(body.goods),
    }
    if sum(ways.values()) > 1:
        reason = "只能从其中一项建立" if language(request) == "zh" else "only one of these at a time"
        findings = [
            Finding("field_invalid", {"field": name, "reason": reason}, name)
            for name, given in ways.items()
            if given
        ]
        raise YaosuError("invalid_request", {"count": len(findings)}, findings)
    if body.check_id is not None:
        return await opening.open_check(conn, registry, subject, body.check_id, body.kinds, body.note)
    seller = org_id(registry, "seller", body.seller)
    if body.quarantine_ids:
        return await opening.open_quarantine(
            conn, registry, subject, body.quarantine_ids, body.kind, seller, body.note
        )
    pieces = [Piece(g.drug_id, None, g.batch_no, "", g.qty) for g in body.goods]
    made = await opening.open_report(
        conn,
        registry,
        subject,
        kind=body.kind,
        pieces=pieces,
        bill_id=body.bill_id,
        partner=seller,
        note=body.note,
    )
    return [made]


@router.get(
    "/{case_id}",
    summary="Read an exception case",
    description="Goods, record, photographs, proposals, suspensions, and what the caller may do next.",
    responses=_answered(_CASE, "not_found"),
)
async def case(request: Request, conn: Conn, subject: CurrentSubject, case_id: CaseId) -> Response:
    """One case."""
    return _json(await _whole(request, conn, subject, case_id))


@router.post(
    "/{case_id}/messages",
    summary="Write in an exception case",
    description="A question or an answer, for all parties. The first word of the other side stops the answer clock.",
    responses=_answered(_CASE, "not_found", "exception_closed"),
)
async def say(
    request: Request, conn: Conn, subject: CurrentSubject, case_id: CaseId, body: SayIn
) -> Response:
    """Questions and answers."""
    await service.say(conn, registry_of(request), subject, case_id, body.text)
    return _json(await _whole(request, conn, subject, case_id))


@router.post(
    "/{case_id}/photos",
    summary="Add a photograph to an exception case",
    description="The body is a JPEG or PNG file of at most 5 MB; it is drawn anew, so place data do not survive.",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
                "image/png": {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
    responses=_answered(
        _CASE, "not_found", "exception_closed", "photo_unreadable", "photo_too_large", "malformed_body"
    ),
)
async def attach(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    case_id: CaseId,
    title: Annotated[str, Query(max_length=100, pattern=r"^[^\x00-\x1f]*$")] = "",
) -> Response:
    """Evidence."""
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > BYTES_MAX:
            raise YaosuError("photo_too_large", {"mb": BYTES_MAX // 1024 // 1024})
    await service.attach(conn, registry_of(request), subject, case_id, title, content)
    return _json(await _whole(request, conn, subject, case_id))


@router.get(
    "/{case_id}/photos/{photo_id}",
    summary="Read a photograph of an exception case",
    description="The picture as kept, for the parties and their regulators.",
    responses={
        200: {
            "description": "The picture",
            "content": {
                kind: {"schema": {"type": "string", "format": "binary"}}
                for kind in ("image/jpeg", "image/png")
            },
        },
        **problems("unauthenticated", "forbidden", "not_found", "invalid_request"),
    },
)
async def photo(conn: Conn, subject: CurrentSubject, case_id: CaseId, photo_id: PartId) -> Response:
    """The picture, in a way that no browser takes it for anything else."""
    media, body = await service.photo(conn, subject, case_id, photo_id)
    headers = {
        "content-disposition": f'inline; filename="{case_id}-{photo_id}.{media.rpartition("/")[2]}"',
        "content-security-policy": "default-src 'none'; sandbox",
        "x-content-type-options": "nosniff",
        "cache-control": "private, no-store",
    }
    return Response(body, media_type=media, headers=headers)


@router.post(
    "/{case_id}/proposals",
    summary="Propose a resolution of an exception case",
    description="One open proposal at a time. What a kind allows and who may propose it: lists `exception_kind` and "
    "`exception_resolution`.",
    responses=_answered(
        _CASE, "not_found", "exception_closed", "exception_resolution_unfit", "exception_proposal_open"
    ),
)
async def propose(
    request: Request, conn: Conn, subject: CurrentSubject, case_id: CaseId, body: OfferIn
) -> Response:
    """Data corrected, goods sent, goods returned, credited, accepted as is."""
    offer = Offer(body.kind, body.text, body.bill_no, body.amount, body.credit_no)
    await service.propose(conn, registry_of(request), subject, case_id, offer)
    return _json(await _whole(request, conn, subject, case_id))


@router.post(
    "/{case_id}/proposals/{proposal_id}/answer",
    summary="Accept or decline a proposed resolution",
    description="By the other side. Accepting closes the case and frees its goods for the next movement.",
    responses=_answered(
        _CASE,
        "not_found",
        "exception_closed",
        "exception_no_proposal",
        "exception_own_proposal",
        "exception_not_corrected",
        "exception_not_sent",
    ),
)
async def answer(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    case_id: CaseId,
    proposal_id: PartId,
    body: AnswerOfferIn,
) -> Response:
    """Yes or no."""
    registry = registry_of(request)
    await service.answer(conn, registry, subject, case_id, proposal_id, body.accept, body.text)
    return _json(await _whole(request, conn, subject, case_id))


@router.delete(
    "/{case_id}/proposals/{proposal_id}",
    summary="Take back a proposed resolution",
    description="By the side that made it, while it is not answered.",
    responses=_answered(_CASE, "not_found", "exception_closed", "exception_no_proposal"),
)
async def take_back(
    request: Request, conn: Conn, subject: CurrentSubject, case_id: CaseId, proposal_id: PartId
) -> Response:
    """Not that one after all."""
    await service.take_back(conn, registry_of(request), subject, case_id, proposal_id)
    return _json(await _whole(request, conn, subject, case_id))


@router.post(
    "/{case_id}/bill",
    summary="Name the bill a proposal rests on",
    description="The shipment of missing goods, or the bill whose data were missing. A correction of the announced "
    "bill is found by itself.",
    responses=_answered(
        _CASE, "not_found", "exception_closed", "exception_no_proposal", "exception_bill_unfit"
    ),
)
async def link(
    request: Request, conn: Conn, subject: CurrentSubject, case_id: CaseId, body: LinkIn
) -> Response:
    """What was sent since."""
    await service.link(conn, registry_of(request), subject, case_id, body.bill_no)
    return _json(await _whole(request, conn, subject, case_id))


@router.post(
    "/{case_id}/withdraw",
    summary="Withdraw an exception case",
    description="By the side that opened it, when it was opened by mistake. Its goods are free again.",
    responses=_answered(_CASE, "not_found", "exception_closed", "exception_not_opener"),
)
async def withdraw(
    request: Request, conn: Conn, subject: CurrentSubject, case_id: CaseId, body: ReasonIn
) -> Response:
    """Opened by mistake."""
    await service.withdraw(conn, registry_of(request), subject, case_id, body.reason)
    return _json(await _whole(request, conn, subject, case_id))


@router.post(
    "/{case_id}/suspension",
    summary="Suspend own sale of the goods in question",
    description="Every scan of them in a sale or shipment of yours is refused, naming the case, until you lift it.",
    responses=_answered(
        _CASE, "not_found", "exception_closed", "exception_suspended", "exception_nothing_to_suspend"
    ),
)
async def suspend(
    request: Request, conn: Conn, subject: CurrentSubject, case_id: CaseId, body: SuspendIn
) -> Response:
    """Suspension of sale by the owner (R-B5)."""
    await service.suspend(conn, registry_of(request), subject, case_id, body.reason, body.scope)
    return _json(await _whole(request, conn, subject, case_id))


@router.post(
    "/{case_id}/suspension/lift",
    summary="Resume own sale of the goods in question",
    description="With the reason why they may be sold again; also after the case is closed.",
    responses=_answered(_CASE, "not_found", "exception_not_suspended"),
)
async def lift(
    request: Request, conn: Conn, subject: CurrentSubject, case_id: CaseId, body: ReasonIn
) -> Response:
    """End of the suspension."""
    await service.lift(conn, registry_of(request), subject, case_id, body.reason)
    return _json(await _whole(request, conn, subject, case_id))
