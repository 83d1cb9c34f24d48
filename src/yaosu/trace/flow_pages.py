"""产品流向: where a maker's product went, and what is hidden and why (R-B10)."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import render
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.registry.acting import acted_for
from yaosu.registry.lists import region_path
from yaosu.registry.parts import registry_of
from yaosu.trace import flow, verify
from yaosu.trace.flow_api import flow_json

router = APIRouter()

CHINA = ZoneInfo("Asia/Shanghai")
DAYS = 30
Day = Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]


def _day(text: str, field: str, otherwise: date) -> date:
    try:
        return date.fromisoformat(text) if text else otherwise
    except ValueError as error:
        raise YaosuError("field_invalid", {"field": field, "reason": "2026-09-30"}) from error


@router.get("/flow")
async def page(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    drug: Annotated[str, Query(pattern=r"^\d{0,9}$")] = "",
    batch: Annotated[str, Query(max_length=64)] = "",
    since: Day = "",
    until: Day = "",
    region: Annotated[str, Query(pattern=r"^(\d{2}|\d{4}|\d{6})?$")] = "",
    shipper: Annotated[str, Query(pattern=r"^\d{0,9}$")] = "",
) -> Response:
    """The flow of one product by period, batch, region."""
    subject.require(flow.SCOPE)
    registry, lang = registry_of(request), language(request)
    us = {subject.org, *(card.id for card in acted_for(registry, subject.org))}
    owned = [p for p in registry.products().values() if p.mah_id in us or p.manufacturer_id in us]
    own = bool(owned)
    products = owned or [p for p in registry.products().values() if p.active]
    products.sort(key=lambda p: (p.generic_name, p.id))
    chosen = int(drug) if drug else (products[0].id if own else 0)
    today = datetime.now(CHINA).date()
    first, last = _day(since, "since", today - timedelta(days=DAYS)), _day(until, "until", today)
    context: dict[str, object] = {
        "products": [
            (p.id, " ".join(filter(None, (p.generic_name, p.strength, p.package_size))))
            for p in products[:1000]
        ],
        "query": {"drug": chosen, "batch": batch, "region": region, "shipper": shipper},
        "first": first,
        "last": last,
        "regions": [
            (item.code[:2], item.zh if lang == "zh" else item.en)
            for item in registry.lists.get("region")
            if item.code.endswith("0000")
        ],
        "view": None,
        "shippers": [],
        "region_name": lambda code: region_path(code, lang),
        "may_grant": subject.can("grant.manage") and chosen in {p.id for p in owned},
        "own": us,
    }
    if chosen:
        period = (
            datetime.combine(first, time(), CHINA),
            datetime.combine(last + timedelta(days=1), time(), CHINA),
        )
        number = int(shipper) if shipper else None
        found = await flow.flow(conn, registry, subject, chosen, period, batch.strip(), region, number)
        context["view"] = flow_json(registry, chosen, found, lang)
        names = [verify.org_json(registry, org) for org in found.fields]
        context["shippers"] = [(o["org_id"], o["name"]) for o in names if o is not None]
    return render(request, "trace/flow.html", context)
