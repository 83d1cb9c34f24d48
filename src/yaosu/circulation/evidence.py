"""The bill behind a refusal, as far as the one who asks may see it (R-X1, D10).

A party to that bill sees all of it; anybody else learns what happened and when, and not who did it.
"""

from __future__ import annotations

from collections.abc import Sequence

from yaosu.circulation import store_write as store
from yaosu.circulation.model import MovementResult
from yaosu.db.engine import Connection


async def add_evidence(conn: Connection, results: Sequence[MovementResult]) -> None:
    """Fill in `evidence` of every code result that names a bill."""
    ids = {r.evidence_bill for result in results for r in result.results if r.evidence_bill}
    if not ids:
        return
    rows = {row["id"]: row for row in await conn.fetch(store.EVIDENCE, sorted(ids))}
    for result in results:
        for one in result.results:
            row = rows.get(one.evidence_bill)
            if row is None:
                continue
            party = result.owner in (row["owner"], row["submitter"], row["from_org"], row["to_org"])
            one.evidence = {
                "bill_type": row["type"],
                "happened_at": row["happened_at"].isoformat(),
                "bill_no": row["bill_no"] if party else None,
                "bill_id": row["id"] if party else None,
                "owner": row["owner"] if party else None,
            }
