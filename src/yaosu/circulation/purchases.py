"""Sales and uses that name a person: asked of `people` inside the transaction (R-C2, R-C4)."""

from __future__ import annotations

from collections.abc import Sequence

from yaosu.circulation.model import Prepared
from yaosu.db.engine import Connection
from yaosu.people import gate
from yaosu.people.gate import Purchase
from yaosu.rules.judge import Verdict


async def hold(conn: Connection, group: Sequence[Prepared]) -> None:
    """Take all persons of a group of bills at once, so that no two groups wait for each other in a circle."""
    asking = [one.movement for one in group if one.sale_rules]
    if asking:
        agents = [gate.number_of(m.header.get("agent_person")) for m in asking]
        await gate.hold(conn, [*(m.person for m in asking), *agents])


async def examine(conn: Connection, one: Prepared, verdicts: Sequence[Verdict]) -> list[Purchase]:
    """What the bill buys of products under a rule; refuses their codes where the rule does not allow it.

    A part of a box counts as a box: limits are in smallest packages. A refused product names its rule.
    """
    if not one.sale_rules:
        return []
    movement = one.movement
    bought: dict[tuple[int, int], list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.accepted and verdict.scan.drug_id in one.sale_rules:
            batch_id = verdict.units[0].batch_id if verdict.units else 0
            bought.setdefault((verdict.scan.drug_id, batch_id), []).append(verdict)
    purchases = [
        Purchase(
            org=movement.owner,
            bill_type=movement.type,
            person=movement.person,
            drug_id=drug_id,
            batch_id=batch_id,
            qty=sum(u.qty for v in taken for u in v.units),
            codes=[v.scan.code for v in taken],
            happened_at=movement.happened_at,
            header=movement.header,
        )
        for (drug_id, batch_id), taken in bought.items()
    ]
    passed = []
    refusals = await gate.examine_bill(conn, one.sale_rules, purchases)
    for purchase, taken, refusal in zip(purchases, bought.values(), refusals, strict=True):
        if refusal is None:
            passed.append(purchase)
            continue
        code, params = refusal
        for verdict in taken:
            verdict.code, verdict.severity, verdict.params, verdict.units = code, "refused", params, ()
    return passed
