"""Sales and uses that name a person: asked of `people` inside the transaction (R-C2, R-C4)."""

from __future__ import annotations

from collections.abc import Sequence

from yaosu.circulation.model import Prepared
from yaosu.db.engine import Connection
from yaosu.people import gate
from yaosu.people.gate import Purchase
from yaosu.rules.judge import Verdict


async def examine(conn: Connection, one: Prepared, verdicts: Sequence[Verdict]) -> list[Purchase]:
    """What the bill buys of products under a rule; refuses their codes where the rule does not allow it.

    A part of a box counts as a box: limits are in smallest packages. Each refused product names its rule.
    """
    if not one.sale_rules:
        return []
    movement = one.movement
    bought: dict[int, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.accepted and verdict.scan.drug_id in one.sale_rules:
            bought.setdefault(verdict.scan.drug_id, []).append(verdict)
    purchases: list[Purchase] = []
    for drug_id, taken in bought.items():
        purchase = Purchase(
            org=movement.owner,
            bill_type=movement.type,
            person=movement.person,
            drug_id=drug_id,
            batch_id=next((u.batch_id for v in taken for u in v.units), 0),
            qty=sum(u.qty for v in taken for u in v.units),
            codes=tuple(v.scan.code for v in taken),
            happened_at=movement.happened_at,
            header=movement.header,
        )
        refusal = await gate.examine(conn, one.sale_rules[drug_id], purchase)
        if refusal is None:
            purchases.append(purchase)
            continue
        code, params = refusal
        for verdict in taken:
            verdict.code, verdict.severity, verdict.params, verdict.units = code, "refused", params, ()
    return purchases
