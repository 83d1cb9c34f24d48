"""Recorded bills as the router sees them, loaded for many at once: no query per bill or per code (R-X9)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from asyncpg import Record

from yaosu.codes import TraceCode, parse_canonical
from yaosu.db.engine import Connection
from yaosu.exchange.outbox import store_route as store
from yaosu.exchange.outbox.model import RoutedBill, RoutedLine
from yaosu.exchange.outbox.routing import Facts
from yaosu.registry.groups import home
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import bill_types

REVERSAL = 8
"""Bit of `bill.flags`: takes a revision back; alone (revision above nothing) it is a void."""


def home_of(registry: Registry, code: str) -> int:
    """The trace system a code belongs to; 0 where its text does not say (a logistics container)."""
    read = parse_canonical(code)
    if not isinstance(read, TraceCode):
        return 0
    system = registry.resolve(read).system
    return system.id if system is not None else 0


def facts_of(registry: Registry, bill: RoutedBill) -> Facts:
    """What rules ask about a bill."""
    card = registry.org(bill.owner)
    drugs = {line.drug_id for line in (*bill.lines, *bill.before)} | {q[0] for q in bill.quantities}
    found = {d: registry.product(d) for d in drugs}
    return Facts(
        card.type if card is not None else 0,
        card.region if card is not None else "",
        {d: p.flags for d, p in found.items() if p is not None},
        {s.id: (s.name, s.own) for s in registry.systems},
        home(registry, bill.owner),
    )


async def load(conn: Connection, registry: Registry, ids: Sequence[int]) -> dict[int, RoutedBill]:
    """The bills by number, each with its lines, those of the revision before, and goods without codes."""
    heads = await conn.fetch(store.BILLS, list(ids))
    void = {h["id"] for h in heads if h["flags"] & REVERSAL}
    asked = {(h["id"], d) for h in heads if h["id"] not in void for d in h["drug_ids"]}
    asked |= {(h["replaces"], d) for h in heads if h["replaces"] for d in h["old_drug_ids"] or ()}
    pairs = sorted(asked)
    args = ([b for b, _ in pairs], [d for _, d in pairs])
    lines: dict[int, list[RoutedLine]] = defaultdict(list)
    for row in await conn.fetch(store.LINES, *args):
        lines[row["of_bill"]].append(_line(registry, row))
    quantities: dict[int, list[tuple[int, str, int]]] = defaultdict(list)
    for row in await conn.fetch(store.QUANTITIES, *args):
        quantities[row["bill_id"]].append((row["drug_id"], row["batch_no"], row["qty"]))
    kinds = bill_types()
    return {
        h["id"]: RoutedBill(
            id=h["id"],
            owner=h["owner"],
            submitter=h["submitter"],
            bill_no=h["bill_no"],
            type=h["type"],
            kind=kinds[h["type"]].kind if h["type"] in kinds else "",
            revision=h["revision"],
            void=h["id"] in void,
            from_org=h["from_org"],
            to_org=h["to_org"],
            principal=h["principal"],
            carrier=h["carrier"],
            direct_org=h["direct_org"],
            happened_at=h["happened_at"],
            recorded_at=h["recorded_at"],
            header=h["header"] or {},
            lines=() if h["id"] in void else lines[h["id"]],
            before=lines[h["replaces"]] if h["replaces"] else (),
            quantities=() if h["id"] in void else quantities[h["id"]],
            replaces=h["replaces"],
            flags=h["flags"],
        )
        for h in heads
    }


def _line(registry: Registry, row: Record) -> RoutedLine:
    code: str = row["code"]
    return RoutedLine(
        code=code,
        drug_id=row["drug_id"],
        batch_id=row["batch_id"],
        batch_no=row["batch_no"] or "",
        produced_on=row["produced_on"].isoformat() if row["produced_on"] else "",
        expires_on=row["expires_on"].isoformat() if row["expires_on"] else "",
        level=row["level"] if row["level"] is not None else 1,
        qty=row["qty"],
        home=home_of(registry, code),
        parts=row["parts"],
        from_bill=0 if row["bill_id"] == row["of_bill"] else row["bill_id"],
    )
