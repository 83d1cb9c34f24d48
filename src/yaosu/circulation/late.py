"""Late bills (D14): a code refused by what is on record now, although at the bill's own time it would have been
right, is refused with just that reason, since the caller then has to look at the later bill and not at the goods.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from yaosu.circulation import store_late as store
from yaosu.db.engine import Connection
from yaosu.rules.judge import Order, Verdict
from yaosu.rules.world import Unit, World

LOOKED_AT_MAX = 500
"""Refused codes of one bill whose past is looked up; a bill with more has another problem than lateness."""

_BY_STATE = frozenset(
    {
        "not_shipped_to_you",
        "held_elsewhere",
        "in_transit_elsewhere",
        "sold_elsewhere",
        "already_shipped",
        "already_sold",
        "in_quarantine",
        "destroyed",
        "disabled",
    }
)


async def explain(conn: Connection, world: World, order: Order, verdicts: Sequence[Verdict]) -> None:
    """Replace the reason of codes whose past allowed what their present does not."""
    asked: dict[tuple[int, str], tuple[Verdict, Unit]] = {}
    for verdict in verdicts:
        if verdict.code not in _BY_STATE:
            continue
        for unit in world.rows_of.get(verdict.scan.code, ())[:1]:
            root = world.root(unit)
            if root.since is not None and order.happened_at < root.since:
                asked[root.key] = (verdict, root)
    if not asked or len(asked) > LOOKED_AT_MAX:
        return
    keys = list(asked)
    rows = await conn.fetch(store.CHAIN, [k[0] for k in keys], [k[1] for k in keys])
    past: dict[tuple[int, str], list[tuple[datetime, str, int, int]]] = {}
    for row in rows:
        event = (row["happened_at"], row["pre"], row["pre_holder"], row["pre_dest"])
        past.setdefault((row["drug_id"], row["code"]), []).append(event)
    for key, (verdict, root) in asked.items():
        status, holder, dest = root.status, root.holder, root.dest
        for happened_at, pre, pre_holder, pre_dest in past.get(key, ()):
            if happened_at <= order.happened_at:
                break
            status, holder, dest = pre, pre_holder, pre_dest
        whose = dest if order.type.by_dest else holder
        if status in order.type.pre and whose == order.owner:
            verdict.code, verdict.evidence_bill = "conflicts_with_later", root.last_bill
