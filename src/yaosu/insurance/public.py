"""The consumer's question of the insurance bureau (standards §8.4): was this box sold, once or more often?

No place, no person, no time of day: a box in the hand answers what concerns its owner, a list of codes teaches nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.insurance import looking, store_case
from yaosu.insurance.model import CHINA
from yaosu.registry.resolver import Registry


async def query(conn: Connection, registry: Registry, raw: str, lang: str) -> dict[str, Any]:
    """How often the code was sold, in the bureau's words. Refused with the reason when `raw` is no code."""
    (one,) = looking.ask(registry, [(raw, datetime.now(UTC))])
    if one.asked.code is None:
        refusal = one.asked.refusal
        assert refusal is not None
        raise YaosuError(refusal.code, refusal.params)
    # ungated: counts of one scanned code, the bureau's own consumer query
    row = await conn.fetchrow(store_case.PUBLIC, sorted({one.drug_id, 0}), one.code)
    assert row is not None
    whole, split = row["whole"], row["split"]
    if not whole and not split:
        finding = Finding("insurance_public_none")
    elif whole == 1 and not split:
        finding = Finding("insurance_public_once")
    elif not whole and row["places"] == 1:
        finding = Finding("insurance_public_split", {"count": split})
    else:
        finding = Finding("insurance_public_repeated", {"count": whole + split})
    first = row["first_at"]
    return {
        "code": one.code,
        "state": finding.code.removeprefix("insurance_public_"),
        "message": finding.text(lang),
        "next": finding.next_step(lang),
        "first_sold_on": first.astimezone(CHINA).date().isoformat() if first is not None else None,
    }
