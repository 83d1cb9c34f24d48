"""Bills of goods without codes that are corrected or voided (R-C8, R-X3): what may change, and what has gone out.

A correction is judged by the difference: it must leave what has gone out since, of the account as a whole, of the lot
that bills took it from, and of what was bought by the day that a sale names. The dates of a batch that only this
receipt knows are corrected with it, as long as nothing was sold after the new last day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from yaosu.circulation import store_uncoded as store
from yaosu.circulation import uncoded
from yaosu.circulation.model import Prepared, Quantity
from yaosu.circulation.uncoded import Books
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.registry import uncoded_rules
from yaosu.rules.bill_types import BillType
from yaosu.rules.lines import Transfer

if TYPE_CHECKING:
    from yaosu.circulation.revise import OldLine

NAMED_MAX = 10
"""Bills that a refusal names."""


@dataclass(slots=True)
class Bill:
    """What one bill did to an account, net of its revisions."""

    type: int
    qty: int
    bought: date | None
    at: datetime | None


def supplemented(kind: BillType, owner: int, back: Sequence[OldLine]) -> list[tuple[Transfer, int]]:
    """What lines of a bill that gave codes (24) took out of the account: those it takes back, not those it leaves."""
    assert kind.uncoded is not None
    source, target = kind.uncoded
    found: dict[Transfer, int] = {}
    for line in back:
        if line.post == kind.post:
            key = (line.drug_id, line.batch_id, owner, source, owner, target)
            found[key] = found.get(key, 0) + line.qty
    return list(found.items())


async def check(
    conn: Connection, books: Books, one: Prepared, entries: Sequence[tuple[Transfer, int]]
) -> None:
    """Refuse (`later_fact`) a correction or void that leaves less than has gone out, with figures and bills.

    `entries` is what the revision before moved. What the correction says of its batches' dates goes into
    `books.redating`.
    """
    entered = [(key, qty) for key, qty in entries if key[5] == "U"]
    if not entered:
        return
    stays = not one.movement.void and one.kind.code == uncoded_rules.PURCHASE
    said: Mapping[tuple[int, str], Quantity] = (
        {(q.drug_id, q.batch_no): q for q in one.movement.quantities} if stays else {}
    )
    bought = uncoded.bought(one) if stays else None
    found: list[Finding] = []
    for (drug_id, batch_id, _, _, org, _), qty in entered:
        batch_no = books.numbers.get(batch_id, "—")
        asked = said.get((drug_id, batch_no))
        stay = asked.qty if asked is not None else 0
        bills = await _bills(conn, books, (drug_id, batch_id, org))
        own = bills.pop(one.movement.bill_no, Bill(uncoded_rules.PURCHASE, qty, None, None))
        named = await conn.fetch(store.NAMED_DRAWS, org, one.movement.bill_no, drug_id, batch_id)
        gone = {r["bill_no"] for r in named}
        of_lot = -sum(b.qty for no, b in bills.items() if no in gone and b.qty < 0)
        least = max(qty - books.have.get((drug_id, batch_id, org), 0), of_lot)
        params: dict[str, object] = {"batch": batch_no, "asked": stay}
        if stay < least:
            which = gone if of_lot >= least else bills
            told = _named({no: b for no, b in bills.items() if no in which and b.qty < 0})
            found.append(Finding("uncoded_gone_since", {**params, "gone": least, "bills": told}))
            continue
        older = _sold_older(bills, Bill(own.type, qty, own.bought, None), Bill(own.type, stay, bought, None))
        if older is not None:
            found.append(Finding("uncoded_sold_older", {**params, **older}))
            continue
        if asked is not None and asked.expires_on is not None:
            refusal = await _dates(conn, books, one, asked, batch_id, bills)
            if refusal is not None:
                found.append(refusal)
    if found:
        raise YaosuError("later_fact", {"count": len(found)}, found)


async def _bills(conn: Connection, books: Books, account: uncoded.Account) -> dict[str, Bill]:
    """The bills of an account, those of this group included."""
    drug_id, batch_id, org = account
    bills = {
        r["bill_no"]: Bill(r["type"], r["qty"], uncoded.bought_of(r), r["at"])
        for r in await conn.fetch(store.PURCHASES, org, drug_id, batch_id)
    }
    for move in books.moves:
        if move.account == account:
            old = bills.get(move.bill_no)
            qty = move.delta + (old.qty if old is not None else 0)
            kind = old.type if old is not None else 0
            bills[move.bill_no] = Bill(kind, qty, move.bought, old.at if old is not None else None)
    return bills


def _sold_older(bills: Mapping[str, Bill], before: Bill, after: Bill) -> dict[str, object] | None:
    """The sales that name an earlier day of purchase than goods are left for; None when all have theirs."""
    sales = {no: b for no, b in bills.items() if b.qty < 0 and b.bought is not None}
    for day in sorted({b.bought for b in sales.values() if b.bought is not None}):
        rest = sum(b.qty for b in bills.values() if b.bought is None or b.bought <= day)
        had = rest + (before.qty if before.bought is None or before.bought <= day else 0)
        left = rest + (after.qty if after.bought is None or after.bought <= day else 0)
        if left < 0 and left < had:
            which = {no: b for no, b in sales.items() if b.bought is not None and b.bought <= day}
            return {"claimed": day.isoformat(), "short": -left, "bills": _named(which)}
    return None


async def _dates(
    conn: Connection, books: Books, one: Prepared, asked: Quantity, batch_id: int, bills: Mapping[str, Bill]
) -> Finding | None:
    """Whether the receipt may say other dates of its batch: nobody else knows it, and nothing went out too late."""
    assert asked.expires_on is not None
    org = one.movement.owner
    now = await conn.fetchrow(store.DATES, asked.drug_id, batch_id)
    assert now is not None, "a batch with goods on an account"
    produced = asked.produced_on or now["produced_on"]
    if (produced, asked.expires_on) == (now["produced_on"], now["expires_on"]):
        return None
    if not await conn.fetchval(store.OWN_BATCH, asked.drug_id, batch_id, org, one.movement.bill_no):
        return None  # the judgement says that the dates differ
    late = {
        no: b
        for no, b in bills.items()
        if b.qty < 0
        and b.type == uncoded_rules.SALE
        and b.at is not None
        and uncoded.day(b.at) > asked.expires_on
    }
    if late:
        params = {"batch": asked.batch_no, "expires": asked.expires_on.isoformat(), "bills": _named(late)}
        return Finding("uncoded_sold_expired", params)
    books.batches[(asked.drug_id, asked.batch_no)] = batch_id, asked.expires_on
    books.redating[(asked.drug_id, batch_id)] = produced, asked.expires_on
    return None


async def redate(conn: Connection, books: Books) -> None:
    """Write the dates that an accepted correction gives its batches."""
    for (drug_id, batch_id), (produced, expires) in books.redating.items():
        await conn.execute(store.REDATE, drug_id, batch_id, produced, expires)
    books.redating.clear()


def _named(bills: Mapping[str, Bill]) -> str:
    """Bills with their quantities, for a message."""
    told: Iterable[str] = (f"{no}（{-b.qty}）" for no, b in sorted(bills.items()))
    listed = list(told)
    return "、".join(listed[:NAMED_MAX]) + (" …" if len(listed) > NAMED_MAX else "") or "—"
