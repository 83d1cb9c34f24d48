"""What a bill says beside its codes: parts of opened boxes, and goods without codes; for correcting it (R-X3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from yaosu.circulation import store_pages as store
from yaosu.circulation.model import Quantity
from yaosu.db.engine import Connection


@dataclass(frozen=True, slots=True)
class Amounts:
    """Preparation units by code, and quantities by product and batch, of one revision."""

    parts: Mapping[str, int]
    quantities: Sequence[Quantity]


async def amounts_of(conn: Connection, bill_id: int, drug_ids: Sequence[int]) -> Amounts:
    """Of a bill that the caller has read through its mark."""
    parts = {r["code"]: r["units"] for r in await conn.fetch(store.PARTS_OF, bill_id)}
    rows = await conn.fetch(store.QUANTITIES_OF, bill_id, list(drug_ids))
    return Amounts(parts, [Quantity(**dict(r)) for r in rows])


def as_fields(amounts: Amounts, entering: bool) -> dict[str, Any]:
    """As fields of a movement; batches' dates only where the bill enters goods and so states them."""
    found: dict[str, Any] = {}
    if amounts.parts:
        found["parts"] = dict(amounts.parts)
    if amounts.quantities:
        found["quantities"] = [
            {"drug_id": q.drug_id, "batch_no": q.batch_no, "qty": q.qty}
            | ({"produced_on": q.produced_on, "expires_on": q.expires_on} if entering else {})
            for q in amounts.quantities
        ]
    return found
