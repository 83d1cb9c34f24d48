"""Pages of real-name sales: the till, the special register with printout and files, repeated buying (R-C2)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Path, Query, Request
from pydantic import ValidationError
from starlette.responses import Response

from yaosu.circulation.pages_common import (
    SALE_TYPES,
    now_field,
    owners_of,
    station_key,
    type_of,
    types_for,
    worker,
)
from yaosu.circulation.pages_scan import chosen
from yaosu.db.engine import Connection
from yaosu.dispensing import realname_service as service
from yaosu.dispensing import realname_views as views
from yaosu.dispensing.realname_api import NO_STORE, file_of, wanted_of
from yaosu.dispensing.realname_schemas import RegisterFileIn, RegisterIn
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import CHINA, render
from yaosu.edge.problem import field_findings, language
from yaosu.errors import YaosuError
from yaosu.people import service as people
from yaosu.people.parts import keeper_of
from yaosu.people.schemas import masked_view, open_view
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()

PAGE = 50
NAMED_TYPES = (321, 323)
"""Sales and uses to a person at the counter."""

Asked = TypeVar("Asked", bound=RegisterIn)

Text = Annotated[str, Query(max_length=100, pattern=r"^[^\x00]*$")]
Day = Annotated[str, Query(max_length=10, pattern=r"^(\d{4}-\d{2}-\d{2})?$")]
Org = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
Field = Annotated[str, Form(max_length=300)]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _asked(model: type[Asked], **values: Any) -> Asked:
    """The filters as the API takes them; refused (`invalid_request`) like there."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = field_findings(error.errors(), "zh")
        raise YaosuError("invalid_request", {"count": len(found)}, found) from None


def _kinds(request: Request) -> list[tuple[str, str]]:
    lang = language(request)
    found = registry_of(request).lists.get("id_kind_person", datetime.now(CHINA).date())
    return [(i.code, i.zh if lang == "zh" else i.en) for i in found]


@router.get("/sell/real-name")
async def till(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    type: Annotated[int | None, Query(ge=1, le=999)] = None,
) -> Response:
    """实名购药: the till for products that are sold by name; a card reader types like a keyboard."""
    own = worker(subject)
    if type_of(subject) not in (3, 4):
        raise YaosuError("forbidden", {"scope": "bill.write"})
    types = [t for t in types_for(subject, codes=SALE_TYPES) if t.code in NAMED_TYPES]
    kind = chosen(subject, types, type)
    context = {
        "kind": kind,
        "types": [(t.code, t.label(language(request))) for t in types],
        "owners": await owners_of(request, conn, subject),
        "own": own,
        "kinds": _kinds(request),
        "now": now_field(),
        "key": station_key(subject, "sell-named", kind.code),
        "rules": _rules(request, subject),
    }
    return render(request, "dispensing/realname_till.html", context, headers=NO_STORE)


def _rules(request: Request, subject: Subject) -> list[dict[str, Any]]:
    """What the shop's region demands today, for the board beside the till."""
    registry, lang = registry_of(request), language(request)
    found = registry.lists.get("sale_rule", datetime.now(CHINA).date(), subject.region)
    return [
        {
            "name": i.zh if lang == "zh" else i.en,
            "needs": i.attrs.get("needs") or [],
            "per_sale": i.attrs.get("per_sale"),
            "per_person": i.attrs.get("per_person"),
            "days": i.attrs.get("period_days"),
            "source": i.source,
            "barred": not i.attrs.get("needs"),
        }
        for i in found
        if subject.org_type in [str(t) for t in i.attrs.get("org_types") or ()]  # type: ignore[attr-defined]
    ]


async def _rows(
    request: Request, conn: Connection, subject: Subject, asked: RegisterIn, after: str = ""
) -> tuple[list[dict[str, Any]], str]:
    registry, keeper = registry_of(request), keeper_of(request)
    wanted = await wanted_of(conn, registry, keeper, asked, after)
    if wanted is None:
        return [], ""
    found = await service.register(conn, registry, keeper, subject, wanted, PAGE)
    rows = [views.entry_view(registry, e, language(request)) for e in found]
    return rows, found[-1].cursor if len(found) == PAGE else ""


def _page(
    request: Request,
    subject: Subject,
    rows: list[dict[str, Any]],
    asked: dict[str, Any],
    **more: Any,
) -> Response:
    registry = registry_of(request)
    kept = {k: str(v) for k, v in asked.items() if v not in (None, "")}
    shop = registry.org(int(kept["org"])) if kept.get("org", "").isdigit() else None
    context = {
        "items": rows,
        "filters": asked,
        "query": urlencode(kept),
        "kinds": _kinds(request),
        "shop": shop,
        "is_office": subject.org_type == "110",
        "may_open": subject.can("person.unmask"),
        "may_export": subject.can("export.read"),
        "next": "",
        "problem": None,
        "of_person": False,
        **more,
    }
    return render(request, "dispensing/realname_register.html", context, headers=NO_STORE)


@router.get("/real-name")
async def register(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    since: Day = "",
    until: Day = "",
    product: Text = "",
    batch_no: Text = "",
    bill_no: Text = "",
    org: Org = None,
    after: Text = "",
) -> Response:
    """实名专册: the special register with its filters (R-C2)."""
    subject.require("person.read")
    first = not request.query_params
    asked: dict[str, Any] = {
        "since": since or (str(datetime.now(CHINA).date() - timedelta(days=30)) if first else ""),
        "until": until,
        "product": product,
        "batch_no": batch_no,
        "bill_no": bill_no,
        "org": org,
    }
    wanted = _asked(
        RegisterIn,
        since=_day(asked["since"]), until=_day(until), product=product[:64], batch_no=batch_no[:64],
        bill_no=bill_no[:64], org=org,
    )  # fmt: skip
    rows, onward = await _rows(request, conn, subject, wanted, after)
    kept = {k: str(v) for k, v in asked.items() if v not in (None, "")}
    following = "/real-name?" + urlencode({**kept, "after": onward}) if onward else ""
    return _page(request, subject, rows, asked, next=following)


@router.post("/real-name/person")
async def of_document(
    request: Request, conn: Conn, subject: CurrentSubject, kind: Field = "1", number: Field = ""
) -> Response:
    """The register of one buyer, found by document; posted, so that the number stands in no address."""
    subject.require("person.read")
    rows: list[dict[str, Any]] = []
    problem = None
    try:
        asked = _asked(RegisterIn, document={"kind": kind[:4], "number": number[:100]})
        rows, _ = await _rows(request, conn, subject, asked)
    except YaosuError as error:
        problem = error.as_json(language(request))
    blank = dict.fromkeys(("since", "until", "product", "batch_no", "bill_no", "org"), "")
    return _page(request, subject, rows, blank, problem=problem, of_person=True)


@router.post("/real-name/file")
async def export(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    format: Annotated[str, Form(pattern="^(pdf|xlsx)$")] = "pdf",
    since: Field = "",
    until: Field = "",
    product: Field = "",
    batch_no: Field = "",
    bill_no: Field = "",
    org: Field = "",
    full: Field = "",
    reason: Field = "",
) -> Response:
    """The register as PDF or XLSX; in full only with right and reason."""
    asked = _asked(
        RegisterFileIn,
        format=format, since=_day(since), until=_day(until), product=product[:64], batch_no=batch_no[:64],
        bill_no=bill_no[:64], org=int(org) if org.isascii() and org.isdigit() and len(org) < 10 else None,
    )  # fmt: skip
    if full:
        asked.reason = people.checked_reason(reason)
    return await file_of(request, asked, subject, conn)


@router.get("/real-name/print")
async def printout(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    since: Day = "",
    until: Day = "",
    product: Text = "",
    batch_no: Text = "",
    bill_no: Text = "",
    org: Org = None,
) -> Response:
    """The register on paper, masked."""
    subject.require("person.read")
    registry, keeper, lang = registry_of(request), keeper_of(request), language(request)
    asked = _asked(
        RegisterIn, since=_day(since), until=_day(until), product=product[:64], batch_no=batch_no[:64],
        bill_no=bill_no[:64], org=org,
    )  # fmt: skip
    wanted = await wanted_of(conn, registry, keeper, asked)
    found = (
        await service.whole_register(conn, registry, keeper, subject, wanted, None)
        if wanted is not None
        else []
    )
    card = registry.org(org or subject.org_id or 0)
    context = {
        "items": (rows := [views.entry_view(registry, e, lang) for e in found]),
        "totals": views.totals(rows),
        "owner": card.name if card else "",
        "since": since,
        "until": until or str(datetime.now(CHINA).date()),
    }
    return render(request, "dispensing/realname_print.html", context, headers=NO_STORE)


PersonId = Annotated[int, Path(ge=1, le=2**63 - 1)]


async def _person_page(
    request: Request,
    conn: Connection,
    subject: Subject,
    person_id: int,
    error: YaosuError | None,
    reason: str,
) -> Response:
    """The masked person and the question why; the error of the answer before."""
    subject.require("person.unmask")
    lang, registry = language(request), registry_of(request)
    found = await people.shown(conn, keeper_of(request), subject, [person_id])
    if person_id not in found:
        raise YaosuError("not_found", {"what": "人员" if lang == "zh" else "Person"})
    context = {
        "person": None,
        "masked": masked_view(found[person_id], registry.lists, lang),
        "person_id": person_id,
        "problem": error.as_json(lang) if error else None,
        "reason": reason,
    }
    return render(request, "dispensing/realname_person.html", context, error.http if error else 200, NO_STORE)


@router.get("/real-name/people/{person_id}")
async def ask_reason(request: Request, conn: Conn, subject: CurrentSubject, person_id: PersonId) -> Response:
    """One buyer masked, and the question why he has to be seen in full."""
    return await _person_page(request, conn, subject, person_id, None, "")


@router.post("/real-name/people/{person_id}")
async def unmask(
    request: Request, conn: Conn, subject: CurrentSubject, person_id: PersonId, reason: Field = ""
) -> Response:
    """One buyer in full, once, for a reason that is on record."""
    try:
        found = await people.unmask(conn, keeper_of(request), subject, person_id, reason)
    except YaosuError as error:
        if error.code != "invalid_request":
            raise
        return await _person_page(request, conn, subject, person_id, error, reason)
    context = {
        "person": open_view(found, registry_of(request).lists, language(request)),
        "masked": None,
        "person_id": person_id,
        "problem": None,
        "reason": reason,
    }
    return render(request, "dispensing/realname_person.html", context, headers=NO_STORE)


@router.get("/real-name/repeat")
async def repeated(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """多次购买: who reached a threshold of list `repeat_buying`."""
    registry, lang = registry_of(request), language(request)
    found = await service.repeat_buyers(conn, registry, keeper_of(request), subject)
    thresholds = [
        {"name": i.zh if lang == "zh" else i.en, "source": i.source, **i.attrs}
        for i in registry.lists.get("repeat_buying", datetime.now(CHINA).date(), subject.region)
    ]
    context = {
        "items": [views.repeat_view(registry, one, lang) for one in found],
        "thresholds": thresholds,
        "is_office": subject.org_type == "110",
        "may_open": subject.can("person.unmask"),
        "days": service.LOOK_BACK_DAYS,
    }
    return render(request, "dispensing/realname_repeat.html", context, headers=NO_STORE)
