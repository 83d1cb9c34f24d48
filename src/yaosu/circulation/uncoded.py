"""Goods without codes on the write path: quantities by product and batch in the same ledger (无码库, R-C8, R-D1).

Accounts: U stock without codes, T sold or settled, W the outside world (contra account, may be below nothing). When
codes arrive for such goods (type 24), units come in and the same quantity leaves U.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from asyncpg import Record

from yaosu.circulation import store_uncoded
from yaosu.circulation import store_write as store
from yaosu.circulation.cache import CHINA
from yaosu.circulation.model import Prepared, Quantity
from yaosu.db.engine import Connection
from yaosu.errors import Finding
from yaosu.registry import uncoded_rules
from yaosu.registry.model import Product
from yaosu.rules.judge import Scan, Verdict
from yaosu.rules.lines import Transfer
from yaosu.rules.world import Stop

Account = tuple[int, int, int]
"""(product, batch, organisation)"""
Mark = tuple[dict[Account, int], int, dict[tuple[int, str], tuple[int, date]]]


@dataclass
class Books:
    """What the group may draw on: uncoded stock by account, and the batches named."""

    have: dict[Account, int] = field(default_factory=dict)
    batches: dict[tuple[int, str], tuple[int, date]] = field(default_factory=dict)
    """(batch id, expiry) by product and batch number."""
    numbers: dict[int, str] = field(default_factory=dict)
    """Batch numbers of goods that are taken back."""
    stops: Mapping[tuple[int, int], Sequence[Stop]] = field(default_factory=dict)
    """Recalls, locks and suspensions in force by product and batch."""
    moves: list[Move] = field(default_factory=list)
    """What the group's bills did to the accounts so far."""
    redating: dict[tuple[int, int], tuple[date, date]] = field(default_factory=dict)
    """Dates of production and expiry that the correction in hand gives batches of its own, by (product, batch id)."""

    def post(self, one: Prepared, account: Account, delta: int) -> None:
        """A bill of the group puts goods into an account or takes them out."""
        self.have[account] = self.have.get(account, 0) + delta
        self.moves.append(Move(account, one.movement.bill_no, delta, bought(one)))

    def mark(self) -> Mark:
        """What `undo` goes back to."""
        return dict(self.have), len(self.moves), dict(self.batches)

    def undo(self, mark: Mark) -> None:
        """Forget what was posted since `mark`."""
        self.have, self.batches = mark[0], mark[2]
        del self.moves[mark[1] :]
        self.redating.clear()


@dataclass(frozen=True, slots=True)
class Move:
    """Goods without codes that a bill of the group brought in (`delta` above nothing) or took out."""

    account: Account
    bill_no: str
    delta: int
    bought: date | None


@dataclass(slots=True)
class Moved:
    """What one bill does to the accounts."""

    verdicts: list[Verdict] = field(default_factory=list)
    transfers: dict[Transfer, int] = field(default_factory=dict)

    def add(self, one: Transfer, qty: int) -> None:
        """One more transfer."""
        self.transfers[one] = self.transfers.get(one, 0) + qty


def concerned(one: Prepared) -> bool:
    """Whether the bill touches uncoded stock."""
    return one.kind.uncoded is not None


async def load(
    conn: Connection, group: Sequence[Prepared], stops: Mapping[tuple[int, int], Sequence[Stop]]
) -> Books:
    """The books that `group` needs, locked; empty where no bill concerns them. `stops`: in force, by batch."""
    books = Books(stops=stops)
    group = [one for one in group if concerned(one)]
    if not group:
        return books
    named = sorted({(q.drug_id, q.batch_no) for one in group for q in one.movement.quantities})
    drug_ids = {d for d, _ in named} | {d for one in group for d, _ in one.keys}
    owners = {one.movement.owner for one in group}
    if named:
        rows = await conn.fetch(store.NAMED_BATCHES, [d for d, _ in named], [b for _, b in named])
        books.batches = {(r["drug_id"], r["batch_no"]): (r["id"], r["expires_on"]) for r in rows}
    await more(conn, books, owners, drug_ids)
    return books


async def more(
    conn: Connection, books: Books, owners: set[int], drug_ids: set[int], batch_ids: Iterable[int] = ()
) -> None:
    """Balances of further products, e.g. those of a bill that is taken back, and numbers of its batches, which have
    no balance where one commit brought them in and out.
    """
    for r in await conn.fetch(store.UNCODED_BALANCES, sorted(owners), sorted(drug_ids)):
        books.have.setdefault((r["drug_id"], r["batch_id"], r["org"]), r["qty"])
    batches = sorted({batch_id for drug_id, batch_id, _ in books.have if drug_id in drug_ids} | {*batch_ids})
    for r in await conn.fetch(store_uncoded.NUMBERS, sorted(drug_ids), batches):
        books.numbers[r["id"]] = r["batch_no"]


async def judge(conn: Connection, books: Books, one: Prepared) -> Moved:
    """A verdict for each quantity, in order, and what the accepted ones move. Changes `books`."""
    moved = Moved()
    assert one.kind.uncoded is not None
    source, target = one.kind.uncoded
    owner = one.movement.owner
    for n, asked in enumerate(one.movement.quantities):
        scan = Scan(n, f"{asked.batch_no} × {asked.qty}", "", asked.drug_id)
        stop = _stop(books, one, asked, target)
        if stop is not None:
            moved.verdicts.append(Verdict(scan, _STOPPED[stop.kind], "refused", stop.params, stop=stop))
            continue
        refusal = await _refusal(conn, books, one, asked, source)
        if refusal is not None:
            moved.verdicts.append(Verdict(scan, refusal.code, "refused", refusal.params))
            continue
        batch_id, _ = books.batches[(asked.drug_id, asked.batch_no)]
        books.post(one, (asked.drug_id, batch_id, owner), asked.qty if target == "U" else -asked.qty)
        moved.add((asked.drug_id, batch_id, owner, source, owner, target), asked.qty)
        moved.verdicts.append(Verdict(scan, qty=asked.qty, batch_id=batch_id))
    return moved


_STOPPED = {"recall": "recalled", "lock": "locked", "suspension": "suspended"}


def _stop(books: Books, one: Prepared, asked: Quantity, target: str) -> Stop | None:
    """What forbids the goods to move so: recalled and locked batches are neither sold nor taken in, those that the
    owner suspended are not sold (R-E4, R-B5). What goes back to the supplier or is lost leaves in any case.
    """
    known = books.batches.get((asked.drug_id, asked.batch_no))
    if known is None or target == "W" or one.kind.stopped:
        return None
    stops = books.stops.get((asked.drug_id, known[0]), ())
    bound = (s for s in stops if s.binds(one.movement.owner))
    return next((s for s in bound if target != "U" or s.kind != "suspension"), None)


async def _refusal(
    conn: Connection, books: Books, one: Prepared, asked: Quantity, source: str
) -> Finding | None:
    known = books.batches.get((asked.drug_id, asked.batch_no))
    params: dict[str, Any] = {"batch": asked.batch_no, "asked": asked.qty}
    if source == "U":
        if known is None:
            return Finding("uncoded_unknown_batch", params)
        have = books.have.get((asked.drug_id, known[0], one.movement.owner), 0)
        if have < asked.qty:
            return Finding("uncoded_short", {**params, "have": have})
        if not one.kind.expired and known[1] < day(one.movement.happened_at):
            return Finding("expired", params)
        return await _bought_later(conn, books, one, asked, known[0])
    if known is None:
        if asked.produced_on is None or asked.expires_on is None:
            return Finding("uncoded_batch_dates_needed", params)
        product: Product | None = one.products.get(asked.drug_id)
        assert product is not None, "prepare refuses unknown products"
        row = await conn.fetchrow(
            store.INSERT_BATCH,
            asked.drug_id,
            asked.batch_no,
            product.manufacturer_id,
            asked.produced_on,
            asked.expires_on,
        )
        assert row is not None, "an upsert returns its row"
        known = (row["id"], row["expires_on"])
        books.batches[(asked.drug_id, asked.batch_no)] = known
    if asked.expires_on is not None and asked.expires_on != known[1]:
        return Finding(
            "uncoded_dates_differ",
            {**params, "recorded": known[1].isoformat(), "given": asked.expires_on.isoformat()},
        )
    return None


async def _bought_later(
    conn: Connection, books: Books, one: Prepared, asked: Quantity, batch_id: int
) -> Finding | None:
    """Why a sale may not call its goods bought as early as it does, or None.

    The dates are judged by the purchase that the bill names; goods that entered on a later invoice do not become
    older by what a sale says of them (R-C8, R-D1).
    """
    claimed = _date(one.movement.header.get("invoice_date"))
    if claimed is None or one.kind.code != uncoded_rules.SALE:
        return None
    # by bill: when its goods were bought, and what it left in the account
    bills: dict[str, tuple[date | None, int]] = {}
    rows = await conn.fetch(store_uncoded.PURCHASES, one.movement.owner, asked.drug_id, batch_id)
    for row in rows:
        bills[row["bill_no"]] = bought_of(row), row["qty"]
    for move in books.moves:
        if move.account == (asked.drug_id, batch_id, one.movement.owner):
            bills[move.bill_no] = move.bought, bills.get(move.bill_no, (None, 0))[1] + move.delta
    bills.pop(one.movement.bill_no, None)
    # what left without naming its purchase was taken from the oldest
    left = sum(qty for when, qty in bills.values() if when is None or when <= claimed)
    if left >= asked.qty:
        return None
    params = {
        "batch": asked.batch_no,
        "claimed": claimed.isoformat(),
        "left": max(left, 0),
        "asked": asked.qty,
    }
    return Finding("uncoded_bought_later", params)


def bought_of(row: Record) -> date | None:
    """The same of a bill on record, by its row of `store_uncoded.PURCHASES`."""
    told = _date(row["invoice_date"])
    if told is None and row["type"] == uncoded_rules.PURCHASE and row["at"] is not None:
        return day(row["at"])
    return told


def bought(one: Prepared) -> date | None:
    """When the goods that a bill moves were bought, as far as it says so."""
    named = _date(one.movement.header.get("invoice_date"))
    if named is None and one.kind.code == uncoded_rules.PURCHASE:
        return day(one.movement.happened_at)
    return named


def day(moment: datetime) -> date:
    """The calendar day in China: by it days count, whatever zone the caller writes in."""
    return moment.astimezone(CHINA).date()


def _date(value: object) -> date | None:
    try:
        return date.fromisoformat(str(value)) if value else None
    except ValueError:
        return None


def supplement(books: Books, one: Prepared, verdicts: Sequence[Verdict], batch_no: dict[int, str]) -> Moved:
    """Codes for goods in the uncoded stock (type 24): what leaves it. Refuses codes beyond what is there. Goods that go
    to quarantine stand for nothing in it.
    """
    moved = Moved()
    assert one.kind.uncoded is not None
    source, target = one.kind.uncoded
    owner = one.movement.owner
    for verdict in verdicts:
        if not verdict.accepted or verdict.rejected or verdict.quarantined:
            continue
        needed: dict[tuple[int, int], int] = {}
        for unit in verdict.units:
            needed[(unit.drug_id, unit.batch_id)] = needed.get((unit.drug_id, unit.batch_id), 0) + unit.qty
        short = next(
            ((key, qty) for key, qty in needed.items() if books.have.get((*key, owner), 0) < qty), None
        )
        if short is not None:
            (drug_id, batch_id), qty = short
            verdict.code, verdict.severity, verdict.units = "uncoded_short", "refused", ()
            have = books.have.get((drug_id, batch_id, owner), 0)
            verdict.params = {"batch": batch_no.get(batch_id, "—"), "asked": qty, "have": have}
            continue
        for (drug_id, batch_id), qty in needed.items():
            books.post(one, (drug_id, batch_id, owner), -qty)
            moved.add((drug_id, batch_id, owner, source, owner, target), qty)
    return moved


async def entries_of(conn: Connection, bill_id: int, drug_ids: Sequence[int]) -> list[tuple[Transfer, int]]:
    """What a bill moved in the uncoded accounts."""
    rows = await conn.fetch(store.UNCODED_ENTRIES_OF, bill_id, list(drug_ids))
    return [
        (
            (r["drug_id"], r["batch_id"], r["from_org"], r["from_status"], r["to_org"], r["to_status"]),
            r["qty"],
        )
        for r in rows
    ]


def take_back(books: Books, one: Prepared, entries: Sequence[tuple[Transfer, int]]) -> dict[Transfer, int]:
    """The reversing transfers of what `one` corrects or voids. An account may fall below nothing until what the
    correction says instead is judged: whether enough is left is asked before (`uncoded_revise.check`).
    """
    found = {}
    for (drug_id, batch_id, from_org, from_status, to_org, to_status), qty in entries:
        if to_status == "U":
            books.post(one, (drug_id, batch_id, to_org), -qty)
        if from_status == "U":
            books.post(one, (drug_id, batch_id, from_org), qty)
        found[(drug_id, batch_id, to_org, to_status, from_org, from_status)] = qty
    return found
