"""今日工作: what waits for the person who signed in, by the duties of the organisation."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from yaosu.access.visibility import record_read, visible
from yaosu.circulation import store_read, views
from yaosu.circulation.cache import CHINA
from yaosu.circulation.pages_common import age, at, days_since, type_of
from yaosu.console import compliance_pages, store, waiting
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import render, see_other
from yaosu.edge.problem import language
from yaosu.insurance import cases as insurance
from yaosu.insurance import institutions, remit
from yaosu.insurance import views as views_of_cases
from yaosu.registry.lists import region_path
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()
router.include_router(compliance_pages.router)

SHOWN = 6
SHOWN_CASES = 12


@router.get("/")
async def overview(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Today's work; an authority and the operator see their region instead."""
    if not subject.can("bill.read"):
        return see_other("/account")
    sight, lang = visible(subject), language(request)
    context: dict[str, Any] = {
        "at": at,
        "age": lambda value: age(value, lang),
        "days_since": days_since,
        "today": datetime.now(CHINA).date(),
        "kind": type_of(subject),
    }
    registry = registry_of(request)
    context["waiting"] = await waiting.of(conn, registry, subject)
    if remit.is_bureau(registry, subject) and subject.can(insurance.SCOPE):
        context |= await _bureau(request, conn, subject)
        return render(request, "console/bureau.html", context)
    if sight.kind == "own" and subject.org_id is not None:
        context |= await _own(request, conn, subject)
        return render(request, "console/today.html", context)
    context |= await _office(request, conn, subject)
    await record_read(conn, subject, "overview", None)
    return render(request, "console/office.html", context)


async def _own(request: Request, conn: Connection, subject: Subject) -> dict[str, Any]:
    sight, registry, lang = visible(subject), registry_of(request), language(request)
    own = subject.org
    notices = await store_read.notices(conn, sight, to_org=own, states=["open", "part"], limit=SHOWN)
    checks = await store_read.checks(
        conn, sight, seller=own, outcomes=["mismatch", "refused"], state="open", limit=SHOWN
    )
    held = await store_read.quarantine(conn, sight, own, True, None, SHOWN)
    bills = await store_read.bills(conn, sight, owner=own, limit=8)
    expiring = await store.expiring(conn, sight, own)
    return {
        "duties": await store_read.duties(conn, sight),
        "stock": await store.stock(conn, sight, own),
        "notices": [views.notice_view(registry, r, lang) for r in notices],
        "checks": [views.check_view(registry, r) for r in checks],
        "held": [views.quarantine_view(registry, r, lang) for r in held],
        "bills": [views.bill_view(registry, r, lang) for r in bills],
        "expiring": [{**dict(r), "product": views.product_name(registry, r["drug_id"])} for r in expiring],
    }


async def _bureau(request: Request, conn: Connection, subject: Subject) -> dict[str, Any]:
    """An insurance bureau holds no goods: its work are the cases of the institutions in its region."""
    registry, lang = registry_of(request), language(request)
    reader = await remit.reader_of(conn, registry, subject)
    rows = await insurance.listed(conn, registry, subject, states=["open", "answered"], count=SHOWN_CASES)
    return {
        "region": region_path(subject.region, lang) if subject.region else "",
        "counts": await insurance.counts(conn, registry, subject),
        "cases": [views_of_cases.case_json(registry, r, reader, lang) for r in rows],
        "may_receive": subject.can(institutions.SCOPE),
    }


async def _office(request: Request, conn: Connection, subject: Subject) -> dict[str, Any]:
    sight, registry, lang = visible(subject), registry_of(request), language(request)
    prefix = sight.region_prefix if sight.kind == "regulator" else ""
    refusals = await store.refusals(conn, sight, 10)
    by_type = await store.orgs_by_type(conn, prefix)
    by_region = await store.orgs_by_region(conn, prefix)
    return {
        "region": region_path(subject.region, lang) if subject.region else "",
        "counts": await store.bills_today(conn, sight),
        "types": [
            {"code": r["type"], "name": registry.lists.text("org_type", r["type"], lang), "n": r["n"]}
            for r in by_type
        ],
        "regions": [
            {"code": r["region"], "name": region_path(r["region"], lang), "n": r["n"]} for r in by_region
        ],
        "refusals": [
            {
                **dict(r),
                "type_name": views.type_label(r["type"], lang),
                "owner": views.org_view(registry, r["owner"]),
            }
            for r in refusals
        ],
    }
