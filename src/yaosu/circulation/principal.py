"""委托方视图: what a principal sees of its goods in others' hands, live (R-B8).

Goods that a logistics firm handles stay in the principal's own accounts, in the account of the warehouse they stand
in; the firm is the submitter of the bills. So the view is the principal's ledger by warehouse, and the bills of its own
that somebody else submitted, the moment they are recorded.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from asyncpg import Record

from yaosu.access.visibility import visible
from yaosu.circulation import delegations
from yaosu.circulation import store_acting as store
from yaosu.circulation.views import org_view, type_label
from yaosu.db.engine import Connection
from yaosu.registry.acting import acts_for
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject


def _ours(registry: Registry, org: int) -> list[int]:
    """The organisation and its warehouses."""
    return [org, *(card.id for card in registry.places_of(org))]


async def warehouses(conn: Connection, registry: Registry, subject: Subject) -> list[dict[str, Any]]:
    """Each warehouse with its stock by status, who is entrusted with it, and when an agent last moved something."""
    subject.require("stock.read")
    ours = _ours(registry, subject.org)
    stock: dict[int, dict[str, int]] = {}
    for row in await store.stock_of(conn, visible(subject), ours):
        stock.setdefault(row["org"], {})[row["status"]] = row["qty"]
    last: dict[int, datetime] = {
        r["owner"]: r["at"] for r in await store.last_moves(conn, visible(subject), ours)
    }
    held: dict[int, list[dict[str, Any]]] = {}
    for one in await delegations.listed(conn, registry, subject, live=True):
        if one["principal"]["id"] != subject.org:
            continue
        for org in [p["id"] for p in one["places"]] if one["places"] is not None else ours:
            held.setdefault(org, []).append(one["agent"])
    return [
        {
            "org": org_view(registry, org),
            "own": org == subject.org,
            "agents": list({a["id"]: a for a in held.get(org, [])}.values()),
            "stock": stock.get(org, {}),
            "last_moved": last.get(org),
        }
        for org in ours
    ]


async def movements(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    lang: str,
    *,
    agent: int | None = None,
    place: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Bills of the principal's goods that somebody else submitted, newest first (R-B8)."""
    subject.require("bill.read")
    ours = _ours(registry, subject.org)
    rows = await store.agents_bills(conn, visible(subject), ours, agent, place, before, limit)
    return [_move(registry, row, lang) for row in rows]


def _move(registry: Registry, row: Record, lang: str) -> dict[str, Any]:
    return {
        "id": row["id"],
        "bill_no": row["bill_no"],
        "type": row["type"],
        "type_name": type_label(row["type"], lang),
        "status": row["status"],
        "place": org_view(registry, row["owner"]),
        "agent": org_view(registry, row["submitter"]),
        "from_org": org_view(registry, row["from_org"]),
        "to_org": org_view(registry, row["to_org"]),
        "qty": row["qty"],
        "refused": row["refused"],
        "happened_at": row["happened_at"],
        "recorded_at": row["recorded_at"],
    }


async def stores(conn: Connection, registry: Registry, subject: Subject) -> list[dict[str, Any]]:
    """A chain's stores as headquarters see them: stock, what is on its way, what waits (R-B7)."""
    subject.require("stock.read")
    ids = [i for i in registry.stores(subject.org) if acts_for(registry, subject.org, i)]
    ids = [i for i in ids if (card := registry.org(i)) is not None and not card.place]
    stock: dict[int, dict[str, int]] = {}
    for row in await store.stock_of(conn, visible(subject), ids):
        stock.setdefault(row["org"], {})[row["status"]] = row["qty"]
    waiting = {r["to_org"]: r["open"] for r in await store.open_notices(conn, visible(subject), ids)}
    return [
        {"org": org_view(registry, i), "stock": stock.get(i, {}), "notices_open": waiting.get(i, 0)}
        for i in ids
    ]
