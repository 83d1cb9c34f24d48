"""One act told twice under two numbers gets the first answer; nothing is posted twice (R-C6). Rule: `rules.same_act`.

Goods sold whole: the second bill is refused by the state of the goods («already sold»), and only then is it asked
whether it tells the same act; a sale that nothing refuses pays nothing for it. Opened boxes: the state refuses nothing,
so bills that name preparation units are asked before they are judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from asyncpg import Record

from yaosu.circulation import store_repeats as store
from yaosu.circulation.cache import CHINA
from yaosu.circulation.model import CodeResult, MovementResult, Prepared
from yaosu.db.engine import Connection
from yaosu.registry.lists import CodeLists
from yaosu.rules.bill_types import bill_types
from yaosu.rules.same_act import Act, Window, papers_of, same_act, way_of

KINDS = frozenset({"use", "give_back"})
REFUSALS = frozenset({"already_sold", "in_quarantine", "not_sold"})
"""What the state says of goods that the owner has just sold, or just taken back from a consumer."""


def windows(lists: CodeLists, day: date, region: str) -> dict[str, Window]:
    """How far apart two tellings may lie, by kind of act (list `same_act`)."""
    return {
        item.code: Window(
            timedelta(days=int(str(item.attrs["paper_days"]))),
            timedelta(minutes=int(str(item.attrs["minutes"]))),
        )
        for item in lists.get("same_act", day, region)
    }


def known_of(one: Prepared) -> Mapping[str, Window]:
    """The windows for a bill; empty where it can repeat nothing. Asked only where a repeat is possible: it costs."""
    if one.lists is None:
        return {}
    return windows(one.lists, one.movement.happened_at.astimezone(CHINA).date(), one.region)


def _told(one: Prepared) -> Act:
    movement = one.movement
    return Act(
        movement.owner,
        one.kind.kind,
        movement.happened_at,
        frozenset(s.code for s in one.scans if s.code),
        dict(one.order.parts),
        papers_of(movement.header),
        movement.person,
        way_of(movement.header, one.account_id),
    )


def _first(row: Record) -> Act:
    kind = bill_types().get(row["type"])
    return Act(
        row["owner"],
        kind.kind if kind is not None else "",
        row["happened_at"],
        frozenset(row["codes"] or ()),
        {code: int(qty) for code, qty in (row["parts"] or {}).items()},
        papers_of(row["header"] or {}),
        row["person"],
        way_of(row["header"] or {}, row["account_id"]),
    )


def _concerns(one: Prepared) -> bool:
    return one.kind.kind in KINDS and one.movement.revision == 1 and not one.movement.void and bool(one.scans)


async def after(conn: Connection, one: Prepared, outcome: MovementResult) -> MovementResult | None:
    """The first answer, when `outcome` refuses `one` only because the same act is on record; else None."""
    if not _concerns(one) or outcome.status != "refused":
        return None
    if any(r.verdict not in REFUSALS or not r.evidence_bill for r in outcome.results):
        return None
    bills = {r.evidence_bill for r in outcome.results}
    known = known_of(one)
    if one.kind.kind not in known:
        return None
    return await _matching(conn, one, sorted(bills), known) if len(bills) == 1 else None


async def before(conn: Connection, one: Prepared) -> MovementResult | None:
    """The first answer, when `one` dispenses from (or returns into) opened boxes what is on record already."""
    if not _concerns(one) or not one.order.parts:
        return None
    known = known_of(one)
    if one.kind.kind not in known:
        return None
    if any(s.code not in one.order.parts for s in one.scans):
        return None
    window, at = known[one.kind.kind], one.movement.happened_at
    wide = max(window.paper, window.moment)
    rows = await conn.fetch(
        store.DISPENSED,
        one.movement.owner,
        [s.drug_id for s in one.scans],
        [s.code for s in one.scans],
        at - wide,
        at + wide,
    )
    return await _matching(conn, one, sorted(r["id"] for r in rows), known)


async def _matching(
    conn: Connection, one: Prepared, bills: Sequence[int], known: Mapping[str, Window]
) -> MovementResult | None:
    if not bills:
        return None
    told = _told(one)
    for row in await conn.fetch(store.FIRST, one.movement.owner, list(bills)):
        if row["bill_no"] != one.movement.bill_no and same_act(told, _first(row), known[one.kind.kind]):
            return _answer(one, row)
    return None


def _answer(one: Prepared, row: Record) -> MovementResult:
    """What the first telling was answered, under its own number; `replayed`, as for any repeat."""
    params = {"bill_no": row["bill_no"]}
    return MovementResult(
        row["id"],
        row["bill_no"],
        row["revision"],
        "accepted",
        [
            CodeResult(
                s.raw, s.code, "same_act", "ok", params, qty=1, drug_id=s.drug_id, evidence_bill=row["id"]
            )
            for s in one.scans
        ],
        owner=row["owner"],
        flags=row["flags"],
        replayed=True,
        qty=row["qty"],
        recorded_at=row["recorded_at"],
        leaf=row["leaf"].hex(),
    )
