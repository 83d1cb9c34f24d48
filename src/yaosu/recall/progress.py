"""Where a recall stands, reckoned from the ledger's bills after the publication; and the measured times (R-X7)."""

from __future__ import annotations

from datetime import datetime

from yaosu.db.engine import Connection
from yaosu.recall import store_locate, store_task
from yaosu.recall.model import ON_HAND, Figures, Goods, Ledger, Order, Task, Times
from yaosu.stops import service as stops

_HELD = frozenset(ON_HAND)
_SOLD = frozenset("ST")


async def figures(conn: Connection, order: Order, goods: Goods, org: int | None = None) -> Figures:
    """The whole, and by holder; of one holder (`org`) only its own line is complete."""
    found = Figures()
    concerned = {order.return_to}
    for row in await store_locate.rows(conn, store_locate.SNAPSHOT, order.drug_id, order.id):
        concerned |= {row["org"], row["dest"]}
        if row["status"] in _SOLD:
            found.sold += row["qty"]
        elif row["status"] in _HELD:
            if row["org"] == order.return_to:
                found.home += row["qty"]
            else:
                found.recalled += row["qty"]
            _line(found, row["org"]).due += row["qty"]
        elif row["status"] == "O":
            found.recalled += row["qty"]
    if order.regions:
        concerned |= {row["org"] for row in await store_locate.rows(conn, store_task.ORGS, order.id)}
    # of a regional recall only what concerns its holders counts; nationwide everybody the goods come to
    limit = concerned if order.regions else None
    batch_ids = [b for b, _ in goods.batches]
    if batch_ids and order.bill_mark is not None:
        await _batches(conn, order, batch_ids, org, found, limit)
    if goods.codes:
        await _singles(conn, order, found)
    for holder, line in found.by_org.items():
        if holder == order.return_to:
            # what was received and sent on again, or whose receipt was voided, is not back
            found.back += max(line.arrived - line.returned, 0)
            found.destroyed_home += line.destroyed
        else:
            found.outstanding += line.now
            found.sealed += line.quarantined
            found.destroyed += line.destroyed
    found.outstanding += found.on_the_way
    return found


def _line(found: Figures, org: int) -> Ledger:
    return found.by_org.setdefault(org, Ledger())


async def _batches(
    conn: Connection,
    order: Order,
    batch_ids: list[int],
    org: int | None,
    found: Figures,
    limit: set[int] | None,
) -> None:
    rows = store_locate.rows
    for row in await rows(conn, store_locate.NOW, order.drug_id, batch_ids, org):
        if limit is not None and row["org"] not in limit:
            continue
        if row["status"] in _HELD:
            line = _line(found, row["org"])
            line.now += row["qty"]
            line.quarantined += row["qty"] if row["status"] == "Q" else 0
        elif row["status"] == "O":
            found.on_the_way += row["qty"]
            _line(found, row["org"]).under_way += row["qty"]
    for row in await rows(conn, store_locate.COMING, order.drug_id, batch_ids, org):
        if limit is None or row["to_org"] in limit:
            _line(found, row["to_org"]).coming += row["qty"]
    for row in await rows(conn, store_locate.MOVED, order.drug_id, batch_ids, order.bill_mark, org):
        a, was, b, became = row["from_org"], row["from_status"], row["to_org"], row["to_status"]
        if was in _HELD and became in _HELD and a == b:
            continue
        if was in _HELD and (limit is None or a in limit):
            _leave(_line(found, a), became, row["qty"])
        if became in _HELD and (limit is None or b in limit):
            _come(_line(found, b), was, a == b, row["qty"])


def _come(line: Ledger, was: str, own: bool, qty: int) -> None:
    """Into an account: received, found again, or taken back by a reversal, which is the way out backwards."""
    if was == "O" and own:
        line.returned -= qty
    elif was == "X":
        line.destroyed -= qty
    elif was in _SOLD:
        line.sold -= qty
    else:
        line.arrived += qty
        line.due += qty


def _leave(line: Ledger, became: str, qty: int) -> None:
    if became == "X":
        line.destroyed += qty
    elif became in _SOLD:
        line.sold += qty
    else:
        # shipped: the account stays the sender's until it is received
        line.returned += qty


async def _singles(conn: Connection, order: Order, found: Figures) -> None:
    for row in await store_locate.rows(conn, store_locate.SINGLE_NOW, order.drug_id, order.id):
        was, was_to, was_status, qty = row["was"], row["was_to"], row["was_status"], row["qty"]
        holder, dest, status = row["holder"], row["dest"], row["status"]
        if was_status == "O" and was_to and not (status == "O" and holder == was):
            line = _line(found, was_to)
            line.arrived += qty
            line.due += qty
            was, was_status = was_to, "I"
        if was_status in _HELD:
            line = _line(found, was)
            if status == "X" and holder == was:
                line.destroyed += qty
            elif status in _SOLD and holder == was:
                line.sold += qty
            elif holder != was or status == "O":
                line.returned += qty
        if status in _HELD:
            line = _line(found, holder)
            line.now += qty
            line.quarantined += qty if status == "Q" else 0
            if holder != was:
                line.arrived += qty
                line.due += qty
        elif status == "O":
            found.on_the_way += qty
            _line(found, holder).under_way += qty
            if dest:
                _line(found, dest).coming += qty


async def of_task(conn: Connection, order: Order, goods: Goods, org: int) -> Ledger:
    """What the ledger says of one holder."""
    return (await figures(conn, order, goods, org)).by_org.get(org, Ledger())


async def times(conn: Connection, order: Order) -> Times:
    """The measured fan-out: seconds from the publication on."""
    row = await conn.fetchrow(store_task.TIMES, order.id)
    assert row is not None
    hits = await stops.hits(conn, order.stop_id) if order.stop_id is not None else []

    def after(moment: datetime | None) -> float | None:
        if moment is None or order.published_at is None:
            return None
        return round((moment - order.published_at).total_seconds(), 3)

    return Times(
        order.located_ms,
        after(row["first_told"]),
        after(row["last_told"]),
        after(hits[0].first_at) if hits else None,
        after(row["first_read"]),
        after(row["last_read"]) if row["holders"] == row["read"] else None,
        row["holders"],
        row["read"],
        sum(h.count for h in hits),
    )


def gap(task: Task, line: Ledger) -> int | None:
    """Counted by the holder less what the ledger had then; None before the count."""
    if task.counted is None or task.ledger_then is None:
        return None
    return task.counted - task.ledger_then
