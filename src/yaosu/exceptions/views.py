"""A case as callers see it: names beside ids, labels beside codes, what is due, and what may be done next."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from asyncpg import Record

from yaosu.circulation.views import org_view, product_name, type_label
from yaosu.db.engine import Connection
from yaosu.errors import message
from yaosu.exceptions import record, store
from yaosu.exceptions.model import kind_item, texts
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

ITEMS_SHOWN = 500
GOODS_SHOWN = 1_000
"""Goods of a case that a reader gets at once, those that wait first."""


def head(registry: Registry, row: Record, lang: str) -> dict[str, Any]:
    """A case in a list."""
    lists, now = registry.lists, datetime.now(UTC)
    is_open = row["state"] == "open"
    waiting = is_open and row["answered_at"] is None
    overdue = is_open and (row["resolve_due"] < now or (waiting and row["answer_due"] < now))
    return {
        **{
            key: row[key]
            for key in (
                "id", "case_no", "kind", "qty", "note", "state", "resolution", "opened_at", "answer_due", "resolve_due",
                "answered_at", "level", "closed_at", "check_id", "receipt_bill", "notice_bill", "receipt_no",
                "notice_no",
            )
        },
        "kind_name": lists.text("exception_kind", row["kind"], lang),
        "resolution_name": lists.text("exception_resolution", row["resolution"], lang) if row["resolution"] else "",
        "buyer": org_view(registry, row["buyer"]),
        "seller": org_view(registry, row["seller"]),
        "opened_by": org_view(registry, row["opened_by"]),
        "products": [product_name(registry, drug_id) for drug_id in row["drug_ids"]],
        "overdue": overdue,
        # the moment the parties have to look at: the answer first, then the resolution
        "due": (row["answer_due"] if waiting else row["resolve_due"]) if is_open else None,
    }  # fmt: skip


async def whole(
    conn: Connection, registry: Registry, subject: Subject, row: Record, lang: str
) -> dict[str, Any]:
    """A case with its goods, record, photographs, proposals, suspensions, and what the reader may do."""
    view = head(registry, row, lang)
    case_id = row["id"]
    roles = await record.parties(conn, case_id)
    view["parties"] = [{**(org_view(registry, org) or {}), "role": role} for org, role in roles.items()]
    view["items"] = await _items(conn, registry, case_id, lang)
    view["goods"] = [
        _good(registry, r, lang) for r in await conn.fetch(store.GOODS_OF_CASE, case_id, GOODS_SHOWN)
    ]
    proposals = await conn.fetch(store.PROPOSALS, case_id)
    entries = await conn.fetch(store.ENTRIES, case_id)
    bills = await _bills(conn, proposals, entries, lang)
    view["proposals"] = [_proposal(registry, r, bills, lang) for r in proposals]
    mine = record.side(registry, subject, row, roles)
    names = await _authors(conn, entries, mine)
    view["entries"] = [_entry(registry, r, bills, names, lang) for r in entries]
    view["photos"] = [
        {
            **dict(r),
            "org": org_view(registry, r["org"]),
            "url": f"/api/v1/exceptions/{case_id}/photos/{r['id']}",
        }
        for r in await conn.fetch(store.PHOTOS, case_id)
    ]
    suspensions = await conn.fetch(store.SUSPENSIONS, case_id)
    view["suspensions"] = [{**dict(r), "org": org_view(registry, r["org"])} for r in suspensions]
    view["may"] = _may(registry, subject, row, roles, view, lang)
    return view


async def _items(conn: Connection, registry: Registry, case_id: int, lang: str) -> list[dict[str, Any]]:
    rows = await conn.fetch(store.ITEMS, case_id, ITEMS_SHOWN)
    keys = [(r["drug_id"], r["batch_id"]) for r in rows if r["batch_id"] and not r["batch_no"]]
    found = await conn.fetch(
        store.BATCH_NUMBERS, sorted({k[0] for k in keys if k[0]}), sorted({k[1] for k in keys})
    )
    numbers = {r["id"]: r["batch_no"] for r in found}
    items = []
    for r in rows:
        entry = message(r["verdict"]) if r["verdict"] else None
        items.append(
            {
                "drug_id": r["drug_id"],
                "product": product_name(registry, r["drug_id"]),
                "batch_no": r["batch_no"] or numbers.get(r["batch_id"], ""),
                "code": r["code"],
                "qty": r["qty"],
                "verdict": r["verdict"],
                "message": entry.text(lang, {"code": r["code"]}) if entry is not None else "",
            }
        )
    return items


def _good(registry: Registry, r: Record, lang: str) -> dict[str, Any]:
    return {
        "quarantine_id": r["id"],
        "code": r["code"] or r["raw"],
        "product": product_name(registry, r["drug_id"]),
        "qty": r["qty"],
        "moved": r["moved"],
        "held": r["held_by"] is not None and r["closed_at"] is None,
        "closed_at": r["closed_at"],
        "closed_bill": r["closed_bill"],
        "closed_no": r["closed_no"],
        "closed_type": type_label(r["closed_type"], lang) if r["closed_type"] else "",
        "disposition": r["disposition"],
    }


async def _bills(
    conn: Connection, proposals: list[Record], entries: list[Record], lang: str
) -> dict[int, dict[str, Any]]:
    """Bills that proposals and entries name, which are between the parties."""
    ids = {r["bill_id"] for r in proposals if r["bill_id"]}
    ids |= {int(r["params"]["bill"]) for r in entries if "bill" in r["params"]}
    rows = await conn.fetch(store.BILL_NUMBERS, sorted(ids)) if ids else []
    return {
        r["id"]: {
            "id": r["id"],
            "bill_no": r["bill_no"],
            "revision": r["revision"],
            "type_name": type_label(r["type"], lang),
        }
        for r in rows
    }


def _proposal(
    registry: Registry, r: Record, bills: Mapping[int, dict[str, Any]], lang: str
) -> dict[str, Any]:
    return {
        "id": r["id"],
        "org": org_view(registry, r["org"]),
        "kind": r["kind"],
        "kind_name": registry.lists.text("exception_resolution", r["kind"], lang),
        "text": r["text"],
        "bill": bills.get(r["bill_id"]) if r["bill_id"] else None,
        "amount": str(r["amount"]) if r["amount"] is not None else None,
        "credit_no": r["credit_no"],
        "state": r["state"],
        "made_at": r["made_at"],
        "answered_at": r["answered_at"],
    }


async def _authors(conn: Connection, entries: list[Record], own: int) -> dict[int, str]:
    """Names of one's own people; the other side shows as the organisation only."""
    ids = sorted({r["account_id"] for r in entries if r["account_id"] and r["org"] == own})
    return {r["id"]: r["name"] for r in await conn.fetch(store.ACCOUNTS, ids)} if ids else {}


def _entry(
    registry: Registry,
    r: Record,
    bills: Mapping[int, dict[str, Any]],
    names: Mapping[int, str],
    lang: str,
) -> dict[str, Any]:
    params = r["params"]
    kind = str(params.get("kind", "") or params.get("resolution", ""))
    return {
        "id": r["id"],
        "at": r["at"],
        "org": org_view(registry, r["org"]),
        "account": names.get(r["account_id"], "") if r["account_id"] else "",
        "what": r["what"],
        "text": r["text"],
        "resolution_name": registry.lists.text("exception_resolution", kind, lang) if kind else "",
        "bill": bills.get(int(params["bill"])) if "bill" in params else None,
        "photo": params.get("photo"),
        "stage": params.get("stage", ""),
        "to": params.get("to", ""),
    }


def _may(
    registry: Registry,
    subject: Subject,
    row: Record,
    roles: Mapping[int, str],
    view: Mapping[str, Any],
    lang: str,
) -> dict[str, Any]:
    """What the reader may do with the case now."""
    mine, both = record.side(registry, subject, row, roles), record.sides(registry, subject, row)
    role, ours_as = roles.get(mine, ""), {roles.get(org, "") for org in both}
    active = bool(mine) and subject.can(record.SCOPE)
    is_open = row["state"] == "open"
    trader = active and is_open and bool(both)
    pending = next((p for p in view["proposals"] if p["state"] == "open"), None)
    made_by = pending["org"]["id"] if pending is not None else 0
    allowed = texts(kind_item(registry.lists, row["kind"]), "resolutions")
    offers = [
        (item.code, item.zh if lang == "zh" else item.en, str(item.attrs.get("needs") or ""))
        for item in registry.lists.get("exception_resolution")
        if item.code in allowed and ours_as & set(texts(item, "by"))
    ]
    suspended = any(s["org"]["id"] == mine and s["lifted_at"] is None for s in view["suspensions"])
    disposer = bool(mine) and subject.can("quarantine.dispose")
    known = any(i["drug_id"] for i in view["items"])
    next_types: list[int] = []
    if row["state"] != "open" and "buyer" in ours_as and disposer and subject.can("bill.write"):
        item = registry.lists.item("exception_resolution", row["resolution"]) if row["resolution"] else None
        found = item.attrs.get("next") if item is not None else (6, 202, 205)
        next_types = [int(str(n)) for n in found] if isinstance(found, (list, tuple)) else []
    open_offers = offers if trader and pending is None else []
    return {
        "role": role,
        "say": active and is_open,
        "offers": open_offers,
        "options": [(code, label) for code, label, _ in open_offers],
        "answer": pending["id"] if trader and pending is not None and set(both) - {made_by} else None,
        "take_back": pending["id"] if trader and pending is not None and made_by in both else None,
        "link": bool(
            trader and pending is not None and made_by in both and pending["kind"] in ("sent", "corrected")
        ),
        "withdraw": trader and row["opened_by"] in both,
        "suspend": active and disposer and is_open and known and not suspended,
        "lift": active and disposer and suspended,
        "next": next_types,
    }
