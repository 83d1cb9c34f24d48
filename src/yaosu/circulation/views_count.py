"""Stock counts as callers see them."""

from __future__ import annotations

from typing import Any

from asyncpg import Record

from yaosu.circulation import store_count as store
from yaosu.circulation.counts import Comparison
from yaosu.circulation.views import level_name, product_name
from yaosu.db.engine import Connection
from yaosu.registry.resolver import Registry

SHOWN_MAX = 500
"""Packages listed per part; the rest is counted."""


async def comparison(conn: Connection, registry: Registry, found: Comparison, lang: str) -> dict[str, Any]:
    """Books against shelf, with names and the reason for every scan that is not in stock."""
    listed = found.short[:SHOWN_MAX]
    ids = {(p.drug_id, p.batch_id) for p in listed if p.batch_id}
    ids |= {(r.drug_id, r.batch_id) for r in (*found.found, *found.elsewhere)[: 2 * SHOWN_MAX] if r.batch_id}
    rows = await conn.fetch(store.BATCH_NUMBERS, sorted({i[0] for i in ids}), sorted({i[1] for i in ids}))
    numbers = {r["id"]: r["batch_no"] for r in rows}

    def scanned(one: Any) -> dict[str, Any]:
        view: dict[str, Any] = one.as_json(lang)
        view["product"] = product_name(registry, one.drug_id)
        view["batch_no"] = numbers.get(one.batch_id, "")
        return view

    return {
        "matched": found.matched,
        "matched_packages": found.matched_packages,
        "short": found.short_qty,
        "short_packages": len(found.short),
        "found": found.found_qty,
        "doubled": found.doubled,
        "digest": found.digest(),
        "missing": [
            {
                "code": p.code,
                "drug_id": p.drug_id,
                "product": product_name(registry, p.drug_id),
                "batch_no": numbers.get(p.batch_id, ""),
                "level_name": level_name(registry, p.drug_id, p.level, lang),
                "qty": p.qty,
            }
            for p in listed
        ],
        "surplus": [scanned(r) for r in found.found[:SHOWN_MAX]],
        "explained": [scanned(r) for r in found.elsewhere[:SHOWN_MAX]],
        "explained_count": len(found.elsewhere),
    }


def head(registry: Registry, row: Record, batch_no: str = "") -> dict[str, Any]:
    """A count without its comparison."""
    scans = row["scans"] if "scans" in row else len(row["codes"])
    return {
        **{
            key: row[key]
            for key in (
                "id", "count_no", "drug_id", "batch_id", "made_at", "confirmed_at", "state", "short_bill", "over_bill",
                "matched", "short", "over",
            )
        },
        "scans": scans,
        "product": product_name(registry, row["drug_id"]),
        "batch_no": batch_no,
    }  # fmt: skip
