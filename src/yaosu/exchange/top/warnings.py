"""码预警: what speaks against a code, in the incumbent's six types (interfaces §2.9, list `warning_type`)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from yaosu.db.engine import Connection
from yaosu.exchange.top.protocol import Call
from yaosu.exchange.top.values_bills import type_name
from yaosu.exchange.top.values_goods import Seen, display_level
from yaosu.registry.lists import region_path
from yaosu.rules.bill_types import bill_types
from yaosu.trace import service as trace

OUT_OF_THE_WORLD, USED, MOVING, NOT_ACTIVE, NOT_OURS, CANCELLED = 1, 2, 3, 4, 5, 6
LEVELS = {1: 1, 2: 1, 3: 2, 4: 2, 5: 1, 6: 1}
"""异常级别: 1 high, 2 low."""
LEVEL_TEXT = {1: "高风险", 2: "低风险"}


async def warnings_of(call: Call, conn: Connection, seen: Seen, org: int) -> list[dict[str, Any]]:
    """What speaks against a code for `org`; empty where nothing does.

    Other organisations are named by type and province only where the caller may know of them (D10).
    """
    if seen.found is None:
        problem = seen.problem[0]
        kind = NOT_ACTIVE if problem == "FAIL_BIZ_CODE_NOT_ACTIVE" else NOT_OURS
        return [_row(call, seen, kind)]
    if seen.status == "C" and (seen.found.root.status or "") == "C":
        return [_row(call, seen, CANCELLED, _last(await _history(call, conn, seen)))]
    events = await _history(call, conn, seen)
    last = _last(events)
    status, holder = seen.found.root.status or "", seen.found.root.holder
    ours = org in (holder, seen.found.root.dest)
    if status in ("X", "N") and holder != org:
        return [_row(call, seen, OUT_OF_THE_WORLD, last)]
    if status == "S" and holder != org:
        return [_row(call, seen, USED, last)]
    if status in ("I", "O", "D", "Q") and not ours:
        return [_row(call, seen, MOVING, last)]
    return []


async def _history(call: Call, conn: Connection, seen: Seen) -> list[dict[str, Any]]:
    told: dict[str, Any] = await trace.history(conn, call.registry, call.subject, seen.code)
    events: list[dict[str, Any]] = told["events"]
    return events


def _last(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The last event that still holds and is a bill of the trade."""
    for event in reversed(events):
        kind = bill_types().get(int(event["bill_type"]))
        if event["in_force"] and kind is not None and kind.code > 100:
            found: dict[str, Any] = event
            return found
    return None


def _row(call: Call, seen: Seen, kind: int, event: dict[str, Any] | None = None) -> dict[str, Any]:
    product = call.registry.product(seen.drug_id) if seen.drug_id else None
    owner = event["owner"]["org_id"] if event and event["owner"] else None
    card = call.card(owner)
    when = datetime.fromisoformat(event["recorded_at"]) if event else None
    return {
        "warning_code": seen.code,
        "code_level": display_level(product, seen.level) if seen.level else None,
        "warning_info_type": kind,
        "warning_info_desc": call.registry.lists.text("warning_type", kind),
        "warning_level": LEVELS[kind],
        "warning_level_desc": LEVEL_TEXT[LEVELS[kind]],
        "warning_date_desc": when,
        "warning_bill_type_desc": type_name(int(event["bill_type"])) if event else None,
        "warning_ent_org_type_desc": call.registry.lists.text("org_type", card.type) if card else None,
        "warning_prov_desc": region_path(card.region).split(" ")[0] if card else None,
    }
