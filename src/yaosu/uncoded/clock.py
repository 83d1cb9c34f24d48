"""Once a day: who still has uncoded stock is told before, at and after the day by which it is to be cleared (R-D1)."""

from __future__ import annotations

from datetime import date

from yaosu.db.engine import Connection
from yaosu.notify.service import tell
from yaosu.registry.lists import CodeLists
from yaosu.registry.service_lists import current
from yaosu.registry.uncoded_rules import CLEARED, dates_of, exempt
from yaosu.settings import Settings
from yaosu.uncoded.service import today

# Only the first call of a day has work to do.
CLAIM = """
INSERT INTO uncoded_reminded (day) VALUES ($1)
ON CONFLICT (one) DO UPDATE SET day = EXCLUDED.day WHERE uncoded_reminded.day < EXCLUDED.day RETURNING day"""

# ungated: the clock's own work; each organisation is told of its own stock only
HOLDERS = """
SELECT x.org, x.qty, x.drug_id, o.type, o.region, p.flags FROM balance x
JOIN org o ON o.id = x.org JOIN product p ON p.id = x.drug_id
WHERE x.status = 'U' AND x.qty > 0 ORDER BY x.org"""


async def tick(conn: Connection, settings: Settings) -> None:
    """Tell whose day it is; safe to call twice."""
    day = today()
    if await conn.fetchval(CLAIM, day) is not None:
        await remind(conn, await current(conn), day)


async def remind(conn: Connection, lists: CodeLists, day: date) -> int:
    """Tell every holder whose clearing day is near (column `remind`: days before), reached or past; how many."""
    held: dict[tuple[int, str, int], tuple[int, int]] = {}
    for row in await conn.fetch(HOLDERS):
        if exempt(lists, frozenset(row["flags"]), "coding", row["region"], day) is None:
            key = (row["org"], row["region"], row["type"])
            batches, qty = held.get(key, (0, 0))
            held[key] = (batches + 1, qty + row["qty"])
    told = 0
    for (org, region, kind), (batches, qty) in held.items():
        for item, due in dates_of(lists, region, kind, day):
            if item.code != CLEARED:
                continue
            stage = _stage(item.attrs.get("remind"), (due - day).days)
            if stage is None:
                continue
            params = {
                "date": due.isoformat(),
                "days": max((due - day).days, 0),
                "batches": batches,
                "qty": qty,
                "source": item.source,
            }
            code = "notice_uncoded_overdue" if stage < 0 else "notice_uncoded_due"
            await tell(conn, org, code, params, "/uncoded", f"{item.code} {due} {stage}")
            told += 1
    return told


def _stage(remind: object, left: int) -> int | None:
    """The reminder that is due: the smallest number of days reached; -1 after the date; None when too early."""
    if left < 0:
        return -1
    steps = sorted(int(d) for d in remind) if isinstance(remind, list) else [0]
    return next((step for step in steps if left <= step), None)
