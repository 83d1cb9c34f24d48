"""Opened boxes, orders and pools as callers see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from asyncpg import Record

from yaosu.circulation.views import org_view, product_name, type_label
from yaosu.dispensing.split_orders import Recorded
from yaosu.dispensing.split_pools import Loaded
from yaosu.dispensing.split_service import Looked
from yaosu.errors import message
from yaosu.people.model import Shown
from yaosu.registry.resolver import Registry

People = Mapping[int, Shown]


def said(code: str, params: Mapping[str, object], lang: str) -> dict[str, Any]:
    """A verdict with its text and next step."""
    entry = message(code)
    return {
        "verdict": code,
        "message": entry.text(lang, params),
        "next": entry.next_step(lang, params),
        "params": dict(params),
    }


def unit_name(registry: Registry, drug_id: int) -> str:
    """片, 粒, 支 … of a product."""
    product = registry.product(drug_id)
    return product.prep_unit if product is not None else ""


def person_view(people: People, person_id: int | None) -> dict[str, Any] | None:
    """A patient by number, masked where the reader may see as much."""
    if person_id is None:
        return None
    one = people.get(person_id)
    return {
        "id": person_id,
        "name_masked": one.name_masked if one is not None else "",
        "number_masked": one.number_masked if one is not None else "",
    }


def looked_view(registry: Registry, one: Looked, lang: str) -> dict[str, Any]:
    """A scanned box for the station."""
    verdict = one.verdict or "accepted"
    params = {"code": one.code or one.raw, **(one.params or {})}
    return {
        "raw": one.raw,
        "code": one.code,
        "ok": not one.verdict,
        **said(verdict, params, lang),
        "drug_id": one.drug_id or None,
        "product": product_name(registry, one.drug_id),
        "prep_unit": unit_name(registry, one.drug_id),
        "opened": one.opened,
        "total": one.total,
        "left": one.left,
        "until": one.until,
    }


def box_state(row: Record, soon: datetime) -> str:
    """finished, expired, expiring or open."""
    if not row["unit_left"]:
        return "finished"
    if row["until"] <= datetime.now(UTC):
        return "expired"
    return "expiring" if row["until"] <= soon else "open"


def box_view(registry: Registry, row: Record, soon: datetime) -> dict[str, Any]:
    """An opened box of the ledger."""
    return {
        "drug_id": row["drug_id"],
        "code": row["code"],
        "product": product_name(registry, row["drug_id"]),
        "prep_unit": unit_name(registry, row["drug_id"]),
        "org": org_view(registry, row["org"]),
        "batch_no": row["batch_no"],
        "produced_on": row["produced_on"],
        "expires_on": row["expires_on"],
        "total": row["total"],
        "dispensed": row["unit_out"],
        "lost": row["unit_lost"],
        "left": row["unit_left"],
        "opened_at": row["opened_at"],
        "opened_bill": row["opened_bill"],
        "use_before": row["use_before"],
        "until": row["until"],
        "state": box_state(row, soon),
        "status": row["status"],
        "pool": {"id": row["pool_id"], "name": row["pool_name"]} if row["pool_id"] else None,
    }


def entry_view(row: Record, lang: str) -> dict[str, Any]:
    """One entry of a box. `qty` is signed as it changes what is left."""
    sign = {"open": 0, "dispense": -1, "loss": -1, "return": 1}[row["kind"]]
    return {
        "bill_id": row["bill_id"],
        "bill_no": row["bill_no"],
        "type": row["type"],
        "type_name": type_label(row["type"], lang),
        "kind": row["kind"],
        "qty": row["qty"],
        "change": sign * row["qty"],
        "happened_at": row["happened_at"],
        "recorded_at": row["recorded_at"],
        "by": row["account_name"] or "",
        "reason": str((row["header"] or {}).get("reason_text", "")),
        "bill_status": row["status"],
    }


def share_view(row: Record, people: People) -> dict[str, Any]:
    """Who got (or gave back) what of a box."""
    return {
        "order_id": row["order_id"],
        "bill_id": row["bill_id"],
        "number": row["number"],
        "kind": row["kind"],
        "units": row["units"],
        "trdn_flag": "0" if row["whole"] else "1",
        "prescription_no": row["prescription_no"],
        "person": person_view(people, row["person_id"]),
        "pool_id": row["pool_id"],
        "happened_at": row["happened_at"],
    }


def order_view(registry: Registry, done: Recorded, lang: str, people: People | None = None) -> dict[str, Any]:
    """A dispensing with its lines; each part names the box's trace code and the split flag (拆零标志, R-C9)."""
    assert done.order is not None
    row = done.order
    lines: dict[int, dict[str, Any]] = {}
    for share in done.shares:
        line = lines.setdefault(
            share["n"],
            {
                "n": share["n"],
                "status": "done",
                "drug_id": share["drug_id"],
                "product": product_name(registry, share["drug_id"]),
                "prep_unit": unit_name(registry, share["drug_id"]),
                "units": 0,
                "prescription_no": share["prescription_no"],
                "person": person_view(people or {}, share["person_id"]),
                "dosage": share["dosage"],
                "parts": [],
            },
        )
        line["units"] += share["units"]
        line["parts"].append(part_view(share))
    for one in row["refused"]:
        lines[one["n"]] = {"n": one["n"], "status": "refused", **said(one["code"], one["params"], lang)}
    refused = len(row["refused"])
    return {
        "order_id": row["id"],
        "number": row["number"],
        "kind": row["kind"],
        "bill_id": row["bill_id"],
        "type": row["bill_type"],
        "type_name": type_label(row["bill_type"], lang),
        "pool_id": row["pool_id"],
        "happened_at": row["happened_at"],
        "status": "partial" if refused else "accepted",
        "replayed": done.replayed,
        "accepted": len(lines) - refused,
        "refused": refused,
        "lines": [lines[n] for n in sorted(lines)],
    }


def part_view(share: Record) -> dict[str, Any]:
    """What one box gave to a line; `trdn_flag` as 医保 takes it: 0 a whole box, 1 a part."""
    return {
        "code": share["code"],
        "units": share["units"],
        "trdn_flag": "0" if share["whole"] else "1",
        "batch_no": share["batch_no"],
        "produced_on": share["produced_on"],
        "expires_on": share["expires_on"],
        "use_before": share["use_before"],
    }


def loaded_view(one: Loaded, lang: str) -> dict[str, Any]:
    """What became of one scan at a pool."""
    params = {"code": one.code or one.raw, **one.params}
    return {"raw": one.raw, "code": one.code, "boxes": one.boxes, **said(one.verdict, params, lang)}


def pool_view(registry: Registry, row: Record, lang: str) -> dict[str, Any]:
    """A pool's head."""
    view = {
        "id": row["id"],
        "org": org_view(registry, row["org"]),
        "name": row["name"],
        "kind": row["kind"],
        "type": row["bill_type"],
        "type_name": type_label(row["bill_type"], lang),
        "opens": row["opens"],
        "made_at": row["made_at"],
        "closed_at": row["closed_at"],
    }
    for key in ("boxes", "blocked", "low"):
        if key in row:
            view[key] = row[key]
    return view


def level_views(registry: Registry, rows: Sequence[Record]) -> list[dict[str, Any]]:
    """Free units by product."""
    return [
        {
            "drug_id": r["drug_id"],
            "product": product_name(registry, r["drug_id"]),
            "prep_unit": unit_name(registry, r["drug_id"]),
            "boxes": r["boxes"],
            "units": r["units"],
            "refill_below": r["refill_below"],
            "low": r["refill_below"] is not None and r["units"] < r["refill_below"],
        }
        for r in rows
    ]


def pool_box_view(registry: Registry, row: Record, lang: str) -> dict[str, Any]:
    """A box in a pool."""
    return {
        "code": row["code"],
        "drug_id": row["drug_id"],
        "product": product_name(registry, row["drug_id"]),
        "prep_unit": unit_name(registry, row["drug_id"]),
        "batch_no": row["batch_no"],
        "expires_on": row["expires_on"],
        "until": row["until"],
        "opened": row["opened"],
        "total": row["total"],
        "left": row["unit_left"],
        "reserved": row["reserved"],
        "loaded_at": row["loaded_at"],
        "blocked": said(row["blocked"], {"code": row["code"]}, lang) if row["blocked"] else None,
    }
