"""Records as callers see them: ids beside names, statuses beside labels, in the caller's language."""

from __future__ import annotations

from typing import Any

from asyncpg import Record

from yaosu.circulation.model import Flag, Preview
from yaosu.errors import message
from yaosu.registry.resolver import Registry
from yaosu.rules import states
from yaosu.rules.bill_types import bill_types


def org_view(registry: Registry, org_id: int | None) -> dict[str, Any] | None:
    """The directory entry of an organisation."""
    if org_id is None:
        return None
    card = registry.org(org_id)
    if card is None:
        return {"id": org_id, "name": f"#{org_id}", "uscc": "", "type": 0, "region": ""}
    return {"id": card.id, "name": card.name, "uscc": card.uscc, "type": card.type, "region": card.region}


def product_name(registry: Registry, drug_id: int | None) -> str:
    """Generic name, strength and package of a product; '' when unknown."""
    product = registry.product(drug_id) if drug_id else None
    if product is None:
        return ""
    return " ".join(part for part in (product.generic_name, product.strength, product.package_size) if part)


def level_name(registry: Registry, drug_id: int, level: int, lang: str = "zh") -> str:
    """盒, 箱 … of a product's package level."""
    if level >= 90:
        return "物流箱/托盘" if lang == "zh" else "logistics unit"
    product = registry.product(drug_id)
    found = product.level(level) if product else None
    return found.name if found else f"L{level}"


def type_label(code: int, lang: str) -> str:
    """Name of a bill type."""
    found = bill_types().get(code)
    return found.label(lang) if found else str(code)


def bill_view(registry: Registry, row: Record, lang: str) -> dict[str, Any]:
    """A bill's head."""
    view: dict[str, Any] = {
        key: row[key]
        for key in (
            "id",
            "bill_no",
            "type",
            "revision",
            "status",
            "lines",
            "qty",
            "refused",
            "happened_at",
            "recorded_at",
            "replaces",
            "notice_bill",
            "leaf",
        )
    }
    for key in ("owner", "submitter", "from_org", "to_org", "principal", "carrier", "direct_org"):
        view[key] = org_view(registry, row[key])
    view["type_name"] = type_label(row["type"], lang)
    view["flags"] = Flag.names(row["flags"])
    view["mode"] = "atomic" if row["mode"] == "T" else "per_code"
    view["header"] = row["header"] or {}
    return view


def line_view(registry: Registry, row: Record, lang: str) -> dict[str, Any]:
    """One code of a bill."""
    return {
        "code": row["code"],
        "drug_id": row["drug_id"],
        "product": product_name(registry, row["drug_id"]),
        "batch_no": row["batch_no"] or "",
        "expires_on": row["expires_on"],
        "qty": row["qty"],
        "before": row["pre"],
        "after": row["post"],
        "after_name": states.label(row["post"], lang),
        "taken_out_of": row["left_parent"] or None,
    }


def quantity_view(registry: Registry, row: Record) -> dict[str, Any]:
    """Goods without codes on a bill (无码库)."""
    return {
        "drug_id": row["drug_id"],
        "product": product_name(registry, row["drug_id"]),
        "batch_no": row["batch_no"],
        "expires_on": row["expires_on"],
        "qty": row["qty"],
        "before": row["from_status"],
        "after": row["to_status"],
    }


def preview_view(shown: Preview, lang: str) -> dict[str, Any]:
    """What a correction or void would do (R-X3)."""
    result = shown.result
    return {
        "possible": result is not None and result.status != "refused",
        "kept": [
            {"code": k.code, "later_bill": k.later_bill, "qty": k.qty}
            for k in (result.kept if result is not None else ())
        ],
        "taken_back": result.taken_back if result is not None else [],
        "added": [r.as_json(lang) for r in shown.added],
        "removed": shown.removed,
        "effects": [
            {
                "code": e.code,
                "drug_id": e.drug_id or None,
                "batch_no": e.batch_no,
                "qty": e.qty,
                "before": e.before,
                "after": e.after,
                "after_name": states.label(e.after, lang),
                "units": e.units,
                "left": e.left,
            }
            for e in shown.effects
        ],
        "blocked": shown.error.as_json(lang) if shown.error is not None else None,
        "result": result.as_json(lang) if result is not None else None,
    }


def note_view(row: Record, lang: str) -> dict[str, Any]:
    """One refused or remarkable code of a bill."""
    entry = message(row["verdict"])
    params = {"code": row["code"] or row["raw"], **row["params"]}
    return {
        "n": row["n"],
        "code": row["code"],
        "raw": row["raw"],
        "verdict": row["verdict"],
        "severity": "refused" if row["severity"] == "R" else "warn",
        "quarantined": row["quarantined"],
        "message": entry.text(lang, params),
        "next": entry.next_step(lang, params),
    }


def notice_view(registry: Registry, row: Record, lang: str) -> dict[str, Any]:
    """A notice's head."""
    view = {
        key: row[key]
        for key in (
            "bill_id", "bill_no", "type", "state", "shipped_at", "expected", "received", "quarantined", "refused",
            "closed_at",
        )
    }  # fmt: skip
    view["outstanding"] = row["expected"] - row["received"] - row["quarantined"] - row["refused"]
    view["type_name"] = type_label(row["type"], lang)
    view["from_org"] = org_view(registry, row["from_org"])
    view["to_org"] = org_view(registry, row["to_org"])
    view["header"] = row["header"] or {}
    return view


def notice_line_view(registry: Registry, row: Record) -> dict[str, Any]:
    """One product and batch of a notice."""
    return {
        "drug_id": row["drug_id"],
        "product": product_name(registry, row["drug_id"]),
        "batch_no": row["batch_no"],
        "expires_on": row["expires_on"],
        "expected": row["expected"],
        "received": row["received"],
        "quarantined": row["quarantined"],
        "refused": row["refused"],
        "outstanding": row["expected"] - row["received"] - row["quarantined"] - row["refused"],
    }


def quarantine_view(registry: Registry, row: Record, lang: str) -> dict[str, Any]:
    """One entry of the quarantine."""
    entry = message(row["verdict"])
    params = {"code": row["code"] or row["raw"], **row["params"]}
    return {
        "id": row["id"],
        "org": org_view(registry, row["org"]),
        "drug_id": row["drug_id"],
        "product": product_name(registry, row["drug_id"]),
        "code": row["code"],
        "raw": row["raw"],
        "qty": row["qty"],
        "moved": row["moved"],
        "verdict": row["verdict"],
        "message": entry.text(lang, params),
        "next": entry.next_step(lang, params),
        "bill_id": row["bill_id"],
        "bill_no": row["bill_no"],
        "opened_at": row["opened_at"],
        "closed_at": row["closed_at"],
        "closed_bill": row["closed_bill"],
        "disposition": row["disposition"],
    }


def check_view(registry: Registry, row: Record) -> dict[str, Any]:
    """A receipt check."""
    view = {
        key: row[key]
        for key in (
            "id", "receipt_bill", "receipt_no", "notice_bill", "notice_no", "made_at", "outcome", "counts", "state",
            "answer", "answer_kind", "answered_at",
        )
    }  # fmt: skip
    view["buyer"] = org_view(registry, row["buyer"])
    view["seller"] = org_view(registry, row["seller"])
    if "details" in row:
        view["details"] = row["details"]
    return view
