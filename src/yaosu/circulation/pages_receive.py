"""收货验收: what is on its way, the scan against it, and what the check came to on both sides (R-B2, R-B4, R-B5)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Form, Query, Request
from starlette.responses import Response

from yaosu.access.visibility import visible
from yaosu.circulation import service, store_pages, views
from yaosu.circulation import store_read as store
from yaosu.circulation.model import CODES_MAX, Movement
from yaosu.circulation.pages_common import (
    PAGE,
    RECEIPT_OF,
    BillId,
    Cursor,
    OrgId,
    choices,
    missing,
    next_number,
    now_field,
    owners_of,
    partners_of,
    show,
    station_key,
    types_for,
    worker,
)
from yaosu.circulation.parts import committer_of
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import see_other
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import YaosuError, message
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()

NOTICE_PACKAGES = 200
"""Outermost packages listed on the page of a notice."""

STATES = {"waiting": ["open", "part"], "done": ["received", "refused", "cancelled"]}


@router.get("/receive")
async def receive(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    tab: Literal["waiting", "done"] = "waiting",
    before: Cursor = None,
) -> Response:
    """Notices addressed to us, waiting ones first."""
    own = worker(subject)
    registry, lang = registry_of(request), language(request)
    owners = dict(await owners_of(request, conn, subject))
    rows = await store.notices(
        conn,
        visible(subject),
        to_org=own if len(owners) == 1 else None,
        states=STATES[tab],
        before=before,
        limit=PAGE,
    )
    context = {
        "tab": tab,
        "items": [views.notice_view(registry, r, lang) for r in rows if r["to_org"] in owners],
        "several": len(owners) > 1,
        "next": f"/receive?tab={tab}&before={rows[-1]['bill_id']}" if len(rows) == PAGE else "",
    }
    return show(request, "receive.html", context)


@router.get("/receive/new")
async def receive_unannounced(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    type: Annotated[int, Query(ge=1, le=999)] = 102,
    owner: OrgId = None,
) -> Response:
    """A receipt that names no notice: possible, flagged, and goods nobody announced go to quarantine (R-B4)."""
    own = worker(subject)
    types = types_for(subject, kinds=("receive",))
    types.sort(key=lambda t: t.code != 102)
    context = {
        "types": choices(types, language(request)),
        "chosen": type,
        "partners": await partners_of(request, conn, subject),
        "owners": await owners_of(request, conn, subject),
        "own": own,
        "owner": owner or own,
        "bill_no": await next_number(conn, owner or own, "RK"),
        "now": now_field(),
        "key": station_key(subject, "receive", "new"),
    }
    return show(request, "receive_new.html", context)


async def _notice(
    request: Request, conn: Connection, subject: Subject, bill_id: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A notice to somebody the subject receives for; `not_found` otherwise."""
    found = await store.notice(conn, visible(subject), bill_id)
    owners = dict(await owners_of(request, conn, subject))
    if found is None or found[0]["to_org"] not in owners:
        raise missing(request, "发货通知", "Notice")
    registry = registry_of(request)
    lines = [views.notice_line_view(registry, r) for r in found[1]]
    return views.notice_view(registry, found[0], language(request)), lines


@router.get("/receive/{bill_id}")
async def receive_notice(request: Request, conn: Conn, subject: CurrentSubject, bill_id: BillId) -> Response:
    """The scan station against one notice: expected, scanned, outstanding."""
    worker(subject)
    notice, lines = await _notice(request, conn, subject, bill_id)
    return show(request, "receive_notice.html", await _station(request, conn, subject, notice, lines))


async def _station(
    request: Request,
    conn: Connection,
    subject: Subject,
    notice: dict[str, Any],
    lines: list[dict[str, Any]],
) -> dict[str, Any]:
    registry, lang = registry_of(request), language(request)
    receiver = notice["to_org"]
    types = types_for(subject, kinds=("receive",), org_type=receiver["type"])
    packages = (
        await store.bill_lines(conn, visible(subject), notice["bill_id"], None, NOTICE_PACKAGES + 1) or []
    )
    checks = await store_pages.checks_of_notice(conn, visible(subject), notice["bill_id"])
    return {
        "notice": notice,
        "lines": lines,
        "types": choices(types, lang),
        "type": RECEIPT_OF.get(notice["type"], 103 if notice["type"] < 200 else 102),
        "tally": [
            {
                "label": f"{line['product']} · {line['batch_no']}",
                "product": line["product"],
                "batch": line["batch_no"],
                "expected": line["expected"],
                "scanned": line["expected"] - line["outstanding"],
            }
            for line in lines
        ],
        "batches": list(dict.fromkeys(line["batch_no"] for line in lines)),
        "packages": [
            views.line_view(registry, r, lang) for r in packages[:NOTICE_PACKAGES] if r["post"] == "O"
        ],
        "more_packages": len(packages) > NOTICE_PACKAGES,
        "checks": checks,
        "bill_no": await next_number(conn, receiver["id"], "RK"),
        "now": now_field(),
        "key": station_key(subject, "receive", notice["bill_id"]),
    }


@router.post("/receive/{bill_id}/refuse")
async def refuse_delivery(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    bill_id: BillId,
    bill_no: Annotated[str, Form(max_length=64, pattern=r"^[^\x00-\x1f]+$")],
    reason: Annotated[str, Form(max_length=500, pattern=r"^[^\x00]*$")] = "",
) -> Response:
    """整单拒收: everything announced goes back to the sender, unscanned."""
    worker(subject)
    notice, lines = await _notice(request, conn, subject, bill_id)
    error: YaosuError | None = None
    if not reason.strip():
        params = {"field": "reason", "reason": "必填项未填写" if language(request) == "zh" else "required"}
        error = YaosuError("field_invalid", params)
    else:
        try:
            codes = await _announced(conn, subject, bill_id)
            movement = Movement(
                type=RECEIPT_OF.get(notice["type"], 102),
                bill_no=bill_no.strip(),
                owner=notice["to_org"]["id"],
                happened_at=datetime.now(UTC),
                codes=codes,
                from_org=notice["from_org"]["id"],
                notice=notice["bill_no"],
                reject_all=True,
                header={"reason_text": reason.strip()},
                body=orjson.dumps({"refuse": bill_id, "bill_no": bill_no, "reason": reason, "codes": codes}),
            )
            result = await service.submit(
                state(request).pool, committer_of(request), registry_of(request), subject, movement
            )
            return see_other(f"/bills/{result.bill_id}" if result.bill_id else f"/receive/{bill_id}")
        except YaosuError as refused:
            error = refused
    context = await _station(request, conn, subject, notice, lines)
    return show(request, "receive_notice.html", context, error)


async def _announced(conn: Connection, subject: Subject, bill_id: int) -> list[str]:
    """The outermost packages of a delivery; refused (`too_many_codes`) beyond one bill's size."""
    rows = await store.bill_lines(conn, visible(subject), bill_id, None, CODES_MAX + 1) or []
    if len(rows) > CODES_MAX:
        raise YaosuError("too_many_codes", {"count": len(rows), "limit": CODES_MAX})
    return [r["code"] for r in rows if r["post"] == "O"]


@router.get("/checks")
async def checks(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    side: Literal["seller", "buyer"] = "seller",
    show_all: Annotated[bool, Query(alias="all")] = False,
    before: Cursor = None,
) -> Response:
    """What buyers found in our deliveries, and our own findings."""
    subject.require("bill.read")
    own, registry = subject.org, registry_of(request)
    odd = None if show_all else ["mismatch", "refused"]
    rows = await store.checks(
        conn,
        visible(subject),
        seller=own if side == "seller" else None,
        buyer=own if side == "buyer" else None,
        outcomes=odd,
        before=before,
        limit=PAGE,
    )
    more = f"/checks?side={side}&all={int(show_all)}&before={rows[-1]['id']}" if len(rows) == PAGE else ""
    items = [views.check_view(registry, r) for r in rows]
    return show(request, "checks.html", {"items": items, "side": side, "all": show_all, "next": more})


async def _check_page(
    request: Request, conn: Connection, subject: Subject, check_id: int, error: YaosuError | None = None
) -> Response:
    row = await store.check(conn, visible(subject), check_id)
    if row is None:
        raise missing(request, "核对结果", "Receipt check")
    registry, lang = registry_of(request), language(request)
    check = views.check_view(registry, row)
    details = check["details"] or {}
    batches = await store_pages.batch_numbers(conn, _batch_ids(details), _drug_ids(details))
    lines = [
        {
            **line,
            "product": views.product_name(registry, line["drug_id"]),
            "batch_no": batches.get(line["batch_id"], ""),
        }
        for line in details.get("lines", ())
    ]
    codes = []
    for one in details.get("codes", ())[:500]:
        entry = message(one["verdict"])
        params = {"code": one["code"] or one["raw"]}
        codes.append({**one, "message": entry.text(lang, params), "next": entry.next_step(lang, params)})
    cases = await store_pages.cases_of_check(conn, visible(subject), check_id)
    kinds = registry.lists
    # what is counted and not yet in a case
    odd = {
        item.code
        for item in kinds.get("exception_kind")
        for count in _texts(item.attrs.get("counts"))
        if check["counts"].get(count)
    } - {r["kind"] for r in cases}
    context = {
        "check": check,
        "cases": [{**dict(r), "kind_name": kinds.text("exception_kind", r["kind"], lang)} for r in cases],
        "may_open_case": bool(odd)
        and subject.can("exception.handle")
        and subject.org_id is not None
        and row["seller"] is not None
        and {row["buyer"], row["seller"]} & {subject.org_id, *registry.stores(subject.org_id)} != set(),
        "lines": lines,
        "codes": codes,
        "codes_total": len(details.get("codes", ())),
        "may_answer": subject.can("bill.write")
        and row["seller"] == subject.org_id
        and row["state"] == "open"
        and row["outcome"] in ("mismatch", "refused"),
    }
    return show(request, "check.html", context, error)


def _texts(value: object) -> list[str]:
    """A column of a code list that holds several values."""
    return [str(one) for one in value] if isinstance(value, list) else []


def _batch_ids(details: dict[str, Any]) -> list[int]:
    return sorted({line["batch_id"] for line in details.get("lines", ())})


def _drug_ids(details: dict[str, Any]) -> list[int]:
    return sorted({line["drug_id"] for line in details.get("lines", ())})


@router.get("/checks/{check_id}")
async def check(request: Request, conn: Conn, subject: CurrentSubject, check_id: BillId) -> Response:
    """One receipt check, with the seller's answer."""
    subject.require("bill.read")
    return await _check_page(request, conn, subject, check_id)


@router.post("/checks/{check_id}")
async def answer_check(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    check_id: BillId,
    kind: Annotated[Literal["agreed", "disputed"], Form()],
    text: Annotated[str, Form(max_length=2000, pattern=r"^[^\x00]*$")] = "",
) -> Response:
    """The seller answers, once."""
    try:
        if not text.strip():
            reason = "必填项未填写" if language(request) == "zh" else "required"
            raise YaosuError("field_invalid", {"field": "text", "reason": reason})
        await service.answer_check(conn, subject, check_id, kind, text.strip())
    except YaosuError as error:
        if error.http in (403, 404):
            raise
        return await _check_page(request, conn, subject, check_id, error)
    return see_other(f"/checks/{check_id}")
