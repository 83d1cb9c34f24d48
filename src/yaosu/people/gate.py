"""The gate of listed sales, called inside the write path's transaction (R-C2, R-C4).

`examine` says what forbids a purchase, `record` enters the special register, `take_back` reverses the lines of a voided
or corrected bill by lines of their own. Limits count over all organisations of the platform. Whoever examines a
purchase of a person holds that person until the transaction ends, so two shops cannot both pass; take all persons of a
group of bills with `hold` first, in one order, and no two groups wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from yaosu.db.engine import Connection
from yaosu.people import store
from yaosu.people.model import Purchase, SaleRule, number_of

__all__ = [
    "Purchase",
    "Refusal",
    "examine",
    "examine_bill",
    "hold",
    "number_of",
    "record",
    "standing",
    "take_back",
]

Refusal = tuple[str, dict[str, object]]
"""A message code and its parameters."""


async def hold(conn: Connection, persons: Iterable[int | None]) -> None:
    """Make everybody else who wants to sell to these persons wait until this transaction ends."""
    for person in sorted({p for p in persons if p is not None}):
        await conn.execute(store.LOCK_PERSON, person)


async def examine(
    conn: Connection, rule: SaleRule, purchase: Purchase, pending: Sequence[Purchase] = ()
) -> Refusal | None:
    """What forbids this purchase, or None. `pending` are purchases of the same person that this transaction has let
    pass and not recorded yet.

    A bill with several products or batches is better asked as a whole, by `examine_bill`: the limit of one sale
    counts its lines together.
    """
    return (await examine_bill(conn, {purchase.drug_id: rule}, [purchase], pending))[0]


async def examine_bill(
    conn: Connection,
    rules: Mapping[int, SaleRule],
    purchases: Sequence[Purchase],
    pending: Sequence[Purchase] = (),
    *,
    only_asking: bool = False,
) -> list[Refusal | None]:
    """The same for all purchases of one bill, in order. Lines before a line count against its limits unless they
    were refused themselves; products without a rule pass. `only_asking` holds nobody: nothing will be recorded."""
    if not only_asking:
        await hold(conn, (p.person for p in purchases))
    answers: list[Refusal | None] = []
    passed: list[Purchase] = []
    known = await _registered(conn, rules, purchases)
    for one in purchases:
        rule = rules.get(one.drug_id)
        answer = None
        if rule is not None and rule.governs(one.bill_type):
            answer = _formal(rule, one, known) or await _limits(conn, rule, one, passed, pending)
        answers.append(answer)
        if answer is None:
            passed.append(one)
    return answers


async def _registered(
    conn: Connection, rules: Mapping[int, SaleRule], purchases: Sequence[Purchase]
) -> dict[int, bool | None]:
    """Persons of the bill whom its organisation may name, and whether they are of full age as far as known."""
    persons = {p for one in purchases if one.drug_id in rules for p in (one.person, one.agent) if p}
    if not persons:
        return {}
    rows = await conn.fetch(store.REGISTERED, sorted(persons), purchases[0].org)
    return {r["person"]: r["adult"] for r in rows}


def _formal(rule: SaleRule, one: Purchase, known: Mapping[int, bool | None]) -> Refusal | None:
    """What can be said without looking at other sales."""
    product: dict[str, object] = {"product": rule.product}
    if one.bill_type in rule.forbidden:
        return "sale_not_allowed", {**product, "rule": rule.name_zh, "rule_en": rule.name_en}
    if one.person is None and "person" in rule.needs:
        return "real_name_needed", product
    if (one.person is not None and one.person not in known) or (
        one.text("agent_person") and one.agent not in known
    ):
        return "person_unknown", product
    if rule.adult and one.person is not None and known[one.person] is False:
        return "buyer_not_adult", product
    if "prescription" in rule.needs and not one.text("prescription_no"):
        return "prescription_needed", product
    if "second_person" in rule.needs and not one.text("second_person"):
        return "second_person_needed", product
    if one.agent is not None and "agent_allowed" not in rule.needs:
        return "agent_not_allowed", product
    return None


async def _limits(
    conn: Connection, rule: SaleRule, one: Purchase, passed: Sequence[Purchase], pending: Sequence[Purchase]
) -> Refusal | None:
    here = one.qty + sum(p.qty for p in passed if p.drug_id in rule.counted)
    if rule.per_sale is not None and here > rule.per_sale:
        return "limit_per_sale", {"product": rule.product, "limit": rule.per_sale, "bought": here}
    if rule.per_person is None or not rule.period_days or one.person is None:
        return None
    period = timedelta(days=rule.period_days)
    others = await store.bought(
        conn, one.person, sorted(rule.counted), one.happened_at - period, one.happened_at + period
    )
    others += [
        (p.happened_at, p.qty)
        for p in pending
        if p.person == one.person
        and p.drug_id in rule.counted
        and abs(p.happened_at - one.happened_at) < period
    ]
    total = here + most_within(period, one.happened_at, others)
    if total > rule.per_person:
        return "limit_per_person", {
            "product": rule.product,
            "limit": rule.per_person,
            "bought": total,
            "days": rule.period_days,
        }
    return None


def most_within(period: timedelta, at: datetime, others: Sequence[tuple[datetime, int]]) -> int:
    """The largest quantity of `others` in any stretch of `period` that contains `at`.

    A stretch ends before its last moment: what lies a whole period apart does not count together. Bills arrive late
    and out of order (D14), so what was bought after `at` counts like what was bought before.
    """
    starts = [at, *(when for when, _ in others if at - period < when <= at)]
    return max(sum(qty for when, qty in others if start <= when < start + period) for start in starts)


async def record(conn: Connection, bill_id: int, purchases: Sequence[Purchase]) -> None:
    """Enter the purchases of a bill into the special register; several lines of one product and batch are one row."""
    merged: dict[tuple[int, int], Purchase] = {}
    for one in purchases:
        key = (one.drug_id, one.batch_id)
        old = merged.get(key)
        if old is not None:
            one = Purchase(  # noqa: PLW2901 — the line together with those before it
                one.org,
                one.bill_type,
                one.person,
                one.drug_id,
                one.batch_id,
                old.qty + one.qty,
                [*old.codes, *(c for c in one.codes if c not in old.codes)],
                one.happened_at,
                one.header,
            )
        merged[key] = one
    rows = [
        (
            bill_id,
            p.person,
            p.agent,
            p.happened_at,
            p.drug_id,
            p.batch_id,
            p.org,
            p.qty,
            p.bill_type,
            list(p.codes),
            p.text("prescription_no"),
            p.text("doctor"),
            p.text("second_person"),
        )
        for p in merged.values()
    ]
    if not rows:
        return
    await store.record(conn, rows)
    persons = sorted({p for one in purchases for p in (one.person, one.agent) if p is not None})
    if persons:
        await conn.execute(store.LAST_AT, persons, max(p.happened_at for p in purchases))


async def take_back(conn: Connection, bill_id: int, by: int) -> None:
    """The bill was voided or replaced: each of its lines is taken back by one on the bill `by`, which names it.

    Lines are never altered: the register shows both, and the limits count the sum.
    """
    await conn.execute(store.TAKE_BACK, bill_id, by)


async def standing(conn: Connection, bill_id: int) -> tuple[int | None, frozenset[int]]:
    """Who the register names for a bill, and its products that stand there; lines taken back are left out."""
    rows = await conn.fetch(store.STANDING, bill_id)
    return (rows[0]["person"] if rows else None), frozenset(r["drug_id"] for r in rows)
