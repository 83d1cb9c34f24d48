"""What the scan station is told while scanning: a verdict per scan, and the tally against the notice (R-X1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from yaosu.access.visibility import visible
from yaosu.circulation import service, views
from yaosu.circulation import store_read as store
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.model import Movement
from yaosu.circulation.schemas import CheckIn, org_id
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.registry.resolver import Registry
from yaosu.rules import states
from yaosu.subject import Subject


async def check_answer(
    conn: Connection,
    registry: Registry,
    batches: BatchCache,
    subject: Subject,
    body: CheckIn,
    lang: str,
) -> dict[str, Any]:
    """The station's answer for these scans: see docs/ui.md for the shape."""
    context = body.context
    owner = org_id(registry, "owner", context.owner) or subject.org_id
    if owner is None:
        raise YaosuError("forbidden", {"scope": "org"})
    movement = Movement(
        type=context.type,
        bill_no="",
        owner=owner,
        happened_at=datetime.now(UTC),
        codes=body.codes,
        from_org=org_id(registry, "from_org", context.from_org),
        to_org=org_id(registry, "to_org", context.to_org),
        notice=context.notice[:64].replace("\x00", ""),
        parts=context.parts,
    )
    results, world = await service.check(conn, registry, batches, subject, movement)
    answers = []
    for one in results:
        view = one.as_json(lang)
        units = world.rows_of.get(one.code, ())
        facts = world.batches.get(one.batch_id)
        view["product"] = views.product_name(registry, one.drug_id)
        view["batch"] = facts.batch_no if facts else ""
        # the judge keeps the first moment past 有效期至; people read the last day
        view["expiry"] = (facts.expires_at - timedelta(days=1)).date().isoformat() if facts else ""
        view["level_name"] = (
            views.level_name(registry, units[0].drug_id, units[0].level, lang) if units else ""
        )
        if one.evidence is not None:
            name = views.type_label(int(str(one.evidence["bill_type"])), lang)
            view["evidence"] = {**one.evidence, "bill_type_name": name}
        status = world.root(units[0]).status if units else None
        view["status"] = status
        view["status_name"] = states.label(status, lang) if status else ""
        answers.append(view)
    return {"results": answers, "tally": await _tally(conn, registry, subject, movement)}


async def _tally(
    conn: Connection, registry: Registry, subject: Subject, movement: Movement
) -> list[dict[str, Any]]:
    """What the notice announces and what of it has been received so far; the station adds its own scans."""
    if not movement.notice:
        return []
    rows = await conn.fetch(store.NOTICE_BY_NUMBER, movement.owner, movement.notice, movement.from_org)
    if not rows:
        return []
    found = await store.notice(conn, visible(subject), rows[0]["bill_id"])
    if found is None:
        return []
    tally = []
    for row in found[1]:
        line = views.notice_line_view(registry, row)
        tally.append(
            {
                "label": f"{line['product']} · {line['batch_no']}",
                "drug_id": line["drug_id"],
                "product": line["product"],
                "batch": line["batch_no"],
                "expected": line["expected"],
                "scanned": line["expected"] - line["outstanding"],
            }
        )
    return tally
