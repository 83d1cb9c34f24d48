"""The flow view over the API (R-B10)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime

from yaosu.access.openapi import problems
from yaosu.access.types import CleanText
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.registry.parts import registry_of
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import bill_types
from yaosu.trace import flow, verify
from yaosu.trace.flow import Flow
from yaosu.trace.flow_store import FlowRow

router = APIRouter(tags=["trace"])

INT_MAX = 2**31 - 1
DAYS = 90
"""The period that is shown when none is asked for."""

_ORG = {"org_id": 3, "name": "某医药有限公司", "type": 2}
_EXAMPLE: dict[str, Any] = {
    "product": {"drug_id": 7, "name": "阿莫西林胶囊 0.25g 24粒/盒"},
    "items": [
        {
            "shipper": _ORG,
            "fields": ["flow", "parties"],
            "day": "2026-09-30",
            "batch_no": "20260901",
            "type": 201,
            "type_name": "销售出库",
            "qty": 120,
            "used": False,
            "receiver": {"org_id": 5, "name": "某大药房", "type": 4, "region": "370102"},
        }
    ],
    "hidden": [
        {
            "org": {"org_id": 5, "name": "某大药房", "type": 4},
            "why": "no_grant",
            "message": "未获得“某大药房”授权，其后的流向不显示。",
            "received": 120,
            "invited": False,
        }
    ],
    "sent": 120,
    "used": 0,
    "complete": True,
    "next": None,
}

WHY = {
    flow.NO_GRANT: (
        "未获得“{name}”授权，其后的流向不显示。",
        "“{name}” has granted nothing; what it did with the goods is not shown.",
    ),
    flow.NO_PARTIES: (
        "“{name}”未授权客户名称，只显示数量。",
        "“{name}” has not granted its customers' names; quantities only.",
    ),
}


def row_json(registry: Registry, row: FlowRow, fields: frozenset[str], lang: str) -> dict[str, Any]:
    """One line; a field that was not granted is not there at all."""
    kind = bill_types().get(row.type)
    body: dict[str, Any] = {
        "shipper": verify.org_json(registry, row.shipper),
        "fields": sorted(fields),
        "day": row.day.isoformat(),
        "batch_no": row.batch_no,
        "type": row.type,
        "type_name": kind.label(lang) if kind is not None else str(row.type),
        "qty": row.qty,
        "used": row.used,
    }
    if "parties" in fields and not row.used:
        card = registry.org(row.receiver) if row.receiver is not None else None
        body["receiver"] = (
            {**(verify.org_json(registry, card.id) or {}), "region": card.region}
            if card is not None
            else None
        )
    if "bills" in fields:
        body["bills"] = [
            {"id": number, "bill_no": text}
            for number, text in zip(row.bill_ids or (), row.bill_nos or (), strict=True)
        ]
    return body


def flow_json(registry: Registry, drug_id: int, found: Flow, lang: str) -> dict[str, Any]:
    """The whole view."""
    hidden = []
    for one in found.hidden:
        card = registry.org(one.org)
        name = card.name if card is not None else f"#{one.org}"
        hidden.append(
            {
                "org": verify.org_json(registry, one.org),
                "why": one.why,
                "message": WHY[one.why][0 if lang == "zh" else 1].format(name=name),
                "received": one.received,
                "invited": one.invited,
            }
        )
    return {
        "product": verify.product_json(registry, drug_id),
        "items": [row_json(registry, r, found.fields[r.shipper], lang) for r in found.rows],
        "hidden": hidden,
        "sent": found.sent,
        "used": found.used,
        "complete": found.complete,
        "next": None,
    }


@router.get(
    "/flow",
    summary="Where a product went",
    description="Who shipped what to whom, by batch and day, from the own shipments on as far as each distributor "
    "granted; what is hidden is named with the reason. Fields that were not granted are not in the answer.",
    responses={
        200: {"description": "OK", "content": {"application/json": {"example": _EXAMPLE}}},
        **problems("unauthenticated", "forbidden", "invalid_request", "not_found"),
    },
)
async def get_flow(
    request: Request,
    subject: CurrentSubject,
    conn: Conn,
    drug_id: Annotated[int, Query(ge=1, le=INT_MAX)],
    batch_no: Annotated[CleanText, Query(max_length=64)] = "",
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    region: Annotated[str, Query(pattern=r"^(\d{2}|\d{4}|\d{6})?$")] = "",
    shipper: Annotated[int | None, Query(ge=1, le=INT_MAX)] = None,
) -> dict[str, Any]:
    """The flow of one product (R-B10); the last 90 days unless asked otherwise."""
    registry, lang = registry_of(request), language(request)
    end = until or datetime.now(UTC) + timedelta(minutes=10)
    start = since or end - timedelta(days=DAYS)
    found = await flow.flow(conn, registry, subject, drug_id, (start, end), batch_no, region, shipper)
    return flow_json(registry, drug_id, found, lang)
