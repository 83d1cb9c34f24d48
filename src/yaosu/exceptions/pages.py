"""异常协查 pages: the list with what is overdue, a new case, and one case with its whole exchange (R-B3 … R-B5)."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Path, Query, Request, UploadFile
from starlette.responses import Response

from yaosu.access.visibility import record_read, visible
from yaosu.circulation import store_read as reads
from yaosu.circulation.pages_common import PAGE, Cursor, at, next_number, partners_of
from yaosu.circulation.schemas import org_id
from yaosu.circulation.views import bill_view
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import render, see_other
from yaosu.edge.problem import language
from yaosu.errors import Finding, YaosuError
from yaosu.exceptions import opening, record, service, store, views
from yaosu.exceptions.model import Offer, Piece
from yaosu.exceptions.photos import BYTES_MAX
from yaosu.registry.parts import registry_of
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

router = APIRouter()

CaseId = Annotated[int, Path(ge=1, le=2**63 - 1)]
Text = Annotated[str, Form(max_length=4000, pattern=r"^[^\x00]*$")]
Short = Annotated[str, Form(max_length=100, pattern=r"^[^\x00]*$")]
Word = Annotated[str, Form(max_length=32, pattern=r"^[a-z_]*$")]

REPORT_KINDS = ("uncoded", "damaged", "short", "wrong", "over", "expired")
"""Kinds that a person reports without scans, the usual ones first."""


def _show(
    request: Request, template: str, context: Mapping[str, Any], error: YaosuError | None = None
) -> Response:
    body = error.as_json(language(request)) if error is not None else None
    full = {"at": at, "problem": body, **context}
    return render(request, f"exceptions/{template}", full, error.http if error is not None else 200)


@router.get("/exceptions")
async def cases(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    tab: Annotated[Literal["open", "overdue", "closed"], Query()] = "open",
    side: Annotated[Literal["", "buyer", "seller"], Query()] = "",
    before: Cursor = None,
) -> Response:
    """Cases of the own organisation, open ones first."""
    subject.require("bill.read")
    sight = visible(subject)
    rows = await store.cases(
        conn,
        sight,
        state="closed" if tab == "closed" else "open",
        buyer=subject.org_id if side == "buyer" else None,
        seller=subject.org_id if side == "seller" else None,
        overdue=tab == "overdue",
        before=before,
        limit=PAGE,
    )
    if sight.records_reads:
        await record_read(conn, subject, "exceptions", None)
    registry, lang = registry_of(request), language(request)
    more = f"/exceptions?tab={tab}&side={side}&before={rows[-1]['id']}" if len(rows) == PAGE else ""
    context = {
        "items": [views.head(registry, r, lang) for r in rows],
        "tab": tab,
        "side": side,
        "next": more,
        "may_open": subject.org_id is not None and subject.can(record.SCOPE),
    }
    return _show(request, "cases.html", context)


@router.get("/exceptions/new")
async def new_case(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    bill: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> Response:
    """A case without a receipt check: uncoded or damaged goods, a delivery that never came."""
    return await _new_page(request, conn, subject, {"bill_id": bill or ""})


async def _new_page(
    request: Request,
    conn: Connection,
    subject: Subject,
    given: Mapping[str, Any],
    error: YaosuError | None = None,
) -> Response:
    subject.require(record.SCOPE)
    registry, lang = registry_of(request), language(request)
    kinds = [
        (item.code, item.zh if lang == "zh" else item.en)
        for item in registry.lists.get("exception_kind")
        if item.code in REPORT_KINDS
    ]
    kinds.sort(key=lambda k: REPORT_KINDS.index(k[0]))
    head = None
    if given.get("bill_id"):
        head = await _bill(conn, registry, subject, int(given["bill_id"]))
    products = sorted(registry.products().values(), key=lambda p: p.generic_name)
    context = {
        "kinds": kinds,
        "given": given,
        "bill": head,
        "partners": await partners_of(request, conn, subject),
        "own": subject.org,
        "products": [
            (p.id, " ".join(x for x in (p.generic_name, p.strength, p.package_size) if x))
            for p in products[:2000]
        ],
    }
    return _show(request, "new.html", context, error)


async def _bill(conn: Connection, registry: Registry, subject: Subject, bill_id: int) -> dict[str, Any]:
    row = await reads.bill(conn, visible(subject), bill_id)
    if row is None:
        raise YaosuError("not_found", {"what": "单据" if subject.lang == "zh" else "Bill"})
    return bill_view(registry, row, subject.lang)


@router.post("/exceptions/new")
async def report(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    kind: Word,
    drug_id: Annotated[str, Form(pattern=r"^\d{0,9}$")] = "",
    batch_no: Short = "",
    qty: Annotated[str, Form(pattern=r"^\d{0,9}$")] = "",
    seller: Annotated[str, Form(pattern=r"^\d{0,9}$")] = "",
    bill_id: Annotated[str, Form(pattern=r"^\d{0,18}$")] = "",
    note: Text = "",
) -> Response:
    """The form of a new case."""
    registry = registry_of(request)
    given = {
        "kind": kind,
        "drug_id": drug_id,
        "batch_no": batch_no,
        "qty": qty,
        "bill_id": bill_id,
        "note": note,
    }
    try:
        if not drug_id or not qty or int(qty) < 1:
            field = "qty" if drug_id else "drug_id"
            reason = "请填写产品和数量" if language(request) == "zh" else "product and quantity are needed"
            finding = Finding("field_invalid", {"field": field, "reason": reason}, field)
            raise YaosuError("invalid_request", {"count": 1}, [finding])
        made = await opening.open_report(
            conn,
            registry,
            subject,
            kind=kind,
            pieces=[Piece(int(drug_id), None, batch_no.strip(), "", int(qty))],
            bill_id=int(bill_id) if bill_id else None,
            partner=org_id(registry, "seller", seller),
            note=note.strip(),
        )
    except YaosuError as error:
        if error.http in (403, 404):
            raise
        return await _new_page(request, conn, subject, given, error)
    return see_other(f"/exceptions/{made}")


@router.post("/exceptions/open")
async def open_from(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    check_id: Annotated[int | None, Form(ge=1, le=2**63 - 1)] = None,
    ids: Annotated[list[int] | None, Form(max_length=500)] = None,
    kinds: Annotated[list[str] | None, Form(max_length=20)] = None,
    kind: Word = "",
    seller: Annotated[str, Form(pattern=r"^\d{0,9}$")] = "",
    note: Text = "",
) -> Response:
    """One click from a receipt check or from the quarantine."""
    registry = registry_of(request)
    if check_id is not None:
        made = await opening.open_check(conn, registry, subject, check_id, kinds or (), note.strip())
    else:
        numbers = [i for i in ids or () if 0 < i < 2**63]
        other = org_id(registry, "seller", seller)
        made = await opening.open_quarantine(conn, registry, subject, numbers, kind, other, note.strip())
    return see_other(f"/exceptions/{made[0]}" if len(made) == 1 else "/exceptions")


@router.get("/exceptions/{case_id}")
async def case(request: Request, conn: Conn, subject: CurrentSubject, case_id: CaseId) -> Response:
    """One case: what it is about, everything said and done, and what comes next."""
    return await _case_page(request, conn, subject, case_id)


async def _case_page(
    request: Request,
    conn: Connection,
    subject: Subject,
    case_id: int,
    error: YaosuError | None = None,
    said: Mapping[str, str] | None = None,
) -> Response:
    registry, lang = registry_of(request), language(request)
    row = await record.seen(conn, subject, case_id)
    if await service.sync(conn, registry, row) is not None:
        row = await record.seen(conn, subject, case_id)
    if visible(subject).records_reads:
        await record_read(conn, subject, f"exception {case_id}", row["buyer"])
    view = await views.whole(conn, registry, subject, row, lang)
    leaving = [g for g in view["goods"] if g["moved"] and g["closed_at"] is None]
    memo = [g for g in view["goods"] if not g["moved"] and g["closed_at"] is None]
    reasons = registry.lists.get("destroy_reason")
    context = {
        "case": view,
        "said": said or {},
        "leaving": leaving,
        "memo": memo,
        "bill_no": await next_number(conn, subject.org, "DC") if view["may"]["next"] and leaving else "",
        "reasons": [(i.code, i.zh if lang == "zh" else i.en) for i in reasons],
        "mb": BYTES_MAX // 1024 // 1024,
    }
    return _show(request, "case.html", context, error)


async def _then(
    request: Request,
    conn: Connection,
    subject: Subject,
    case_id: int,
    doing: Awaitable[object],
    part: str = "",
    said: Mapping[str, str] | None = None,
) -> Response:
    """Do it and show the case; a refusal shows beside the case, with what was typed."""
    try:
        # a savepoint: a refused action leaves nothing behind although the page is rendered in the transaction
        async with conn.transaction():
            await doing
    except YaosuError as error:
        if error.http in (401, 403, 404):
            raise
        return await _case_page(request, conn, subject, case_id, error, said)
    return see_other(f"/exceptions/{case_id}{part}")


def _required(request: Request, field: str) -> YaosuError:
    reason = "必填项未填写" if language(request) == "zh" else "required"
    finding = Finding("field_invalid", {"field": field, "reason": reason}, field)
    return YaosuError("invalid_request", {"count": 1}, [finding])


@router.post("/exceptions/{case_id}/say")
async def say(
    request: Request, conn: Conn, subject: CurrentSubject, case_id: CaseId, text: Text = ""
) -> Response:
    """A question or an answer."""
    if not text.strip():
        return await _case_page(request, conn, subject, case_id, _required(request, "text"))
    doing = service.say(conn, registry_of(request), subject, case_id, text.strip())
    return await _then(request, conn, subject, case_id, doing, "#said", {"text": text})


@router.post("/exceptions/{case_id}/photos")
async def attach(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    case_id: CaseId,
    photo: UploadFile,
    title: Short = "",
) -> Response:
    """A photograph as evidence."""
    content = await photo.read(BYTES_MAX + 1)
    doing = service.attach(conn, registry_of(request), subject, case_id, title, content)
    return await _then(request, conn, subject, case_id, doing, "#photos")


@router.post("/exceptions/{case_id}/propose")
async def propose(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    case_id: CaseId,
    kind: Word,
    text: Text = "",
    bill_no: Annotated[str, Form(max_length=64, pattern=r"^[^\x00-\x1f]*$")] = "",
    amount: Annotated[str, Form(max_length=20, pattern=r"^[^\x00]*$")] = "",
    credit_no: Annotated[str, Form(max_length=64, pattern=r"^[^\x00-\x1f]*$")] = "",
) -> Response:
    """A resolution for the other side to answer."""
    said = {"kind": kind, "offer": text, "bill_no": bill_no, "amount": amount, "credit_no": credit_no}
    try:
        money = Decimal(amount).quantize(Decimal("0.01")) if amount.strip() else None
        if money is not None and not 0 <= money < 10**12:
            raise InvalidOperation
    except InvalidOperation:
        params = {"field": "amount", "reason": amount[:20]}
        error = YaosuError("invalid_request", {"count": 1}, [Finding("field_invalid", params, "amount")])
        return await _case_page(request, conn, subject, case_id, error, said)
    offer = Offer(kind, text.strip(), bill_no.strip(), money, credit_no.strip())
    doing = service.propose(conn, registry_of(request), subject, case_id, offer)
    return await _then(request, conn, subject, case_id, doing, "", said)


@router.post("/exceptions/{case_id}/answer")
async def answer(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    case_id: CaseId,
    proposal: Annotated[int, Form(ge=1, le=2**63 - 1)],
    yes: Annotated[Literal["accept", "decline", "take_back"], Form()],
    text: Text = "",
) -> Response:
    """接受 / 不同意 / 撤回方案."""
    registry = registry_of(request)
    doing: Awaitable[object]
    if yes == "take_back":
        doing = service.take_back(conn, registry, subject, case_id, proposal)
    else:
        doing = service.answer(conn, registry, subject, case_id, proposal, yes == "accept", text.strip())
    return await _then(request, conn, subject, case_id, doing)


@router.post("/exceptions/{case_id}/bill")
async def link(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    case_id: CaseId,
    bill_no: Annotated[str, Form(max_length=64, pattern=r"^[^\x00-\x1f]*$")] = "",
) -> Response:
    """The bill that the proposal rests on."""
    doing = service.link(conn, registry_of(request), subject, case_id, bill_no)
    return await _then(request, conn, subject, case_id, doing)


@router.post("/exceptions/{case_id}/withdraw")
async def withdraw(
    request: Request, conn: Conn, subject: CurrentSubject, case_id: CaseId, reason: Text = ""
) -> Response:
    """Opened by mistake."""
    doing = service.withdraw(conn, registry_of(request), subject, case_id, reason[:500])
    return await _then(request, conn, subject, case_id, doing)


@router.post("/exceptions/{case_id}/suspend")
async def suspend(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    case_id: CaseId,
    scope: Annotated[Literal["batches", "codes"], Form()] = "batches",
    reason: Text = "",
) -> Response:
    """暂停销售 (R-B5)."""
    doing = service.suspend(conn, registry_of(request), subject, case_id, reason[:500], scope)
    return await _then(request, conn, subject, case_id, doing)


@router.post("/exceptions/{case_id}/lift")
async def lift(
    request: Request, conn: Conn, subject: CurrentSubject, case_id: CaseId, reason: Text = ""
) -> Response:
    """恢复销售."""
    doing = service.lift(conn, registry_of(request), subject, case_id, reason[:500])
    return await _then(request, conn, subject, case_id, doing)
