"""Sales and uses that name a person: asked of `people` inside the transaction (R-C2, R-C4).

A correction writes the register anew: what stood there is taken back by lines of their own, and what the new revision
says, with the codes it leaves alone, is entered under it. So it is judged as one sale, whatever of it moves again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from yaosu.circulation import prescribed
from yaosu.circulation.model import Prepared
from yaosu.db.engine import Connection
from yaosu.people import gate
from yaosu.people.gate import Purchase
from yaosu.rules.judge import Verdict
from yaosu.rules.world import World


@dataclass(slots=True)
class Bought:
    """What a bill enters into the register. `broken`: a correction that no rule allows, refused as a whole, since
    otherwise the sale that stands would be undone in part."""

    purchases: list[Purchase] = field(default_factory=list)
    follows: prescribed.Follows = field(default_factory=prescribed.Follows)
    broken: bool = False


async def same_person(conn: Connection, one: Prepared, before: int) -> None:
    """A correction that names nobody is of the person whom the bill `before` names: the document was seen then."""
    if one.kind.kind != "use" or one.movement.void:
        return
    one.corrects = before
    person, one.registered = await gate.standing(conn, before)
    if one.movement.person is None and person is not None:
        one.movement = replace(one.movement, person=person)


async def hold(conn: Connection, group: Sequence[Prepared]) -> None:
    """Take all persons of a group of bills at once, so that no two groups wait for each other in a circle."""
    asking = [one.movement for one in group if one.sale_rules]
    if asking:
        agents = [gate.number_of(m.header.get("agent_person")) for m in asking]
        await gate.hold(conn, [*(m.person for m in asking), *agents])


async def examine(conn: Connection, world: World, one: Prepared, verdicts: Sequence[Verdict]) -> Bought:
    """What the bill buys of products under a rule; refuses their codes where the rule does not allow it.

    A part of a box counts as a box: limits are in smallest packages. A refused product names its rule. What a
    correction leaves alone counts as what it moves, and stays in the register though no rule asks for it any more.
    """
    found = Bought()
    if one.corrects:
        found.follows, refusal = await prescribed.examine(conn, world, one, one.corrects, verdicts)
        if refusal is not None:
            found.broken = True
            _refuse([v for v in verdicts if v.accepted], refusal)
            return found
    if not one.sale_rules and not one.registered:
        return found
    movement = one.movement
    bought: dict[tuple[int, int], list[Verdict]] = {}
    for verdict in verdicts:
        drug_id = verdict.scan.drug_id
        listed = drug_id in one.sale_rules or (verdict.code == "kept" and drug_id in one.registered)
        if verdict.accepted and listed:
            batch_id = verdict.units[0].batch_id if verdict.units else verdict.batch_id
            bought.setdefault((drug_id, batch_id), []).append(verdict)
    purchases = [
        Purchase(
            org=movement.owner,
            bill_type=movement.type,
            person=movement.person,
            drug_id=drug_id,
            batch_id=batch_id,
            qty=sum(sum(u.qty for u in v.units) or v.qty for v in taken),
            codes=[v.scan.code for v in taken],
            happened_at=movement.happened_at,
            header=movement.header,
        )
        for (drug_id, batch_id), taken in bought.items()
    ]
    refusals = await gate.examine_bill(conn, one.sale_rules, purchases)
    for purchase, taken, refusal in zip(purchases, bought.values(), refusals, strict=True):
        if refusal is None:
            found.purchases.append(purchase)
            continue
        found.broken |= purchase.drug_id in one.registered
        _refuse(taken, refusal)
    return found


def _refuse(verdicts: Sequence[Verdict], refusal: gate.Refusal) -> None:
    for verdict in verdicts:
        verdict.severity, verdict.units, verdict.qty = "refused", (), 0
        verdict.code, verdict.params = refusal


async def record(conn: Connection, one: Prepared, bill_id: int, bought: Bought) -> None:
    """Enter what the bill hands out into the registers."""
    if bought.purchases:
        await gate.record(conn, bill_id, bought.purchases)
    await prescribed.record(conn, one, bill_id, bought.follows)


async def take_back(conn: Connection, before: int, by: int) -> None:
    """The bill `before` is corrected or voided by the reversal `by`: so are its lines in the registers."""
    await gate.take_back(conn, before, by)
    await prescribed.take_back(conn, before)
