"""The flow of a product downstream: who shipped what to whom, by batch and day, and what is hidden and why (R-B10).

The view begins with the reader's own shipments and follows the goods from customer to customer, as far as each of them
granted. Where a customer granted nothing, the view says so by name, with the goods it was sent, so that the reader can
ask for a grant; where customers' names were not granted, it says that too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from yaosu.access.visibility import FIELDS, Granted, Sight, granted, note_reads, visible
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.registry.acting import acted_for
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject
from yaosu.trace import flow_store as store
from yaosu.trace.flow_store import FlowRow

SCOPE = "trace.read"
ROWS_MAX = 2000
ORGS_MAX = 2000
STEPS_MAX = 8
"""Hands that goods pass through at most in one view."""

NO_GRANT, NO_PARTIES = "no_grant", "no_parties"


@dataclass(frozen=True, slots=True)
class Hidden:
    """An organisation whose part of the flow is not shown, or not whole."""

    org: int
    why: str
    """no_grant: it granted nothing of the product; no_parties: its customers are not granted."""
    received: int
    """Smallest packages it was sent, as far as the view knows; 0 where it does not."""
    invited: bool
    """A grant was proposed and waits for its answer."""


@dataclass(slots=True)
class Flow:
    """What one reader sees of one product."""

    rows: list[FlowRow] = field(default_factory=list)
    fields: dict[int, frozenset[str]] = field(default_factory=dict)
    """By shipper, the fields that are shown."""
    hidden: list[Hidden] = field(default_factory=list)
    complete: bool = True
    """False: more than `ROWS_MAX` lines; narrow the period."""
    sent: int = 0
    used: int = 0


async def flow(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    drug_id: int,
    period: tuple[datetime, datetime],
    batch_no: str = "",
    region: str = "",
    shipper: int | None = None,
) -> Flow:
    """The flow of a product in a period. Every grantor whose lines are shown finds the read in its record.

    `region`: leading digits of GB/T 2260 of the customer; `shipper`: only this one's lines. Refused: `not_found` for
    an unknown product, `forbidden`.
    """
    subject.require(SCOPE)
    if registry.product(drug_id) is None:
        raise YaosuError("not_found", {"what": "药品" if subject.lang == "zh" else "Product"})
    sight = visible(subject)
    us = [subject.org, *(c.id for c in acted_for(registry, subject.org) if not c.place)]
    batches = await store.batch_ids(conn, drug_id, batch_no) if batch_no else None
    leave = await granted(conn, sight, drug_id)
    found = Flow()
    received = await _follow(conn, registry, sight, drug_id, us, batches, leave, period[1], found)
    _explain(found, us, leave, received, await store.invited(conn, us, list(received)))
    shown = [org for org in found.fields if shipper is None or org == shipper]
    parties = [org for org in shown if "parties" in found.fields[org]]
    bills = [org for org in shown if "bills" in found.fields[org]]
    rows = await store.flow(
        conn,
        sight,
        drug_id,
        _accounts(registry, shown),
        batches,
        parties,
        bills,
        period,
        region,
        ROWS_MAX + 1,
    )
    found.complete = len(rows) <= ROWS_MAX
    found.rows = rows[:ROWS_MAX]
    found.sent = sum(r.qty for r in found.rows if not r.used)
    found.used = sum(r.qty for r in found.rows if r.used)
    what = f"flow {drug_id} {batch_no}".strip()
    read = {row.shipper for row in found.rows} - set(us)
    await note_reads(conn, [(subject, what, org) for org in sorted(read)])
    return found


def _accounts(registry: Registry, orgs: Iterable[int]) -> list[int]:
    """Organisations with the places inside them, which hold goods under accounts of their own."""
    return [account for org in orgs for account in (org, *(card.id for card in registry.places_of(org)))]


async def _follow(
    conn: Connection,
    registry: Registry,
    sight: Sight,
    drug_id: int,
    us: list[int],
    batches: list[int] | None,
    leave: dict[int, Granted],
    until: datetime,
    found: Flow,
) -> dict[int, int]:
    """Walk from the own shipments to everybody whose leave allows it; what each known organisation was sent."""
    received: dict[int, int] = {}
    # a grantor is shown even when the view cannot tell how the goods got there
    front = list(dict.fromkeys([*us, *leave]))
    for _ in range(STEPS_MAX):
        for org in front:
            found.fields[org] = frozenset(FIELDS) if org in us else leave[org].fields
        open_ = [org for org in front if "parties" in found.fields[org]]
        if not open_:
            break
        step = await store.customers(
            conn, sight, drug_id, _accounts(registry, open_), batches, open_, until, ORGS_MAX
        )
        for org, qty in step.items():
            received[org] = received.get(org, 0) + qty
        front = [org for org in step if org in leave and org not in found.fields]
        if not front or len(received) > ORGS_MAX:
            break
    return received


def _explain(
    found: Flow, us: list[int], leave: dict[int, Granted], received: dict[int, int], invited: set[int]
) -> None:
    for org, qty in sorted(received.items(), key=lambda item: -item[1]):
        if org not in us and org not in leave:
            found.hidden.append(Hidden(org, NO_GRANT, qty, org in invited))
    for org, one in leave.items():
        if "parties" not in one.fields and org not in us:
            found.hidden.append(Hidden(org, NO_PARTIES, received.get(org, 0), org in invited))
