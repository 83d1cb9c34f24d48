"""SQL of split dispensing: the split ledger as its owner sees it, and orders with their shares."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection
from yaosu.dispensing.split_model import Plan

# The first moment at which an opened box may no longer be dispensed: its own limit, or midnight in China after the
# batch's last day.
UNTIL = (
    "least(coalesce(p.use_before, 'infinity'), (t.expires_on + 1)::timestamp AT TIME ZONE 'Asia/Shanghai')"
)

_STATES = {
    "all": "TRUE",
    "open": "p.unit_left > 0",
    "expiring": f"p.unit_left > 0 AND {UNTIL} > now() AND {UNTIL} <= now() + $5::interval",
    "expired": f"p.unit_left > 0 AND {UNTIL} <= now()",
    "remainder": "p.unit_left > 0 AND p.unit_left * 100 <= p.total * $6::int",
    "finished": "p.unit_left = 0",
}

_PACK = f"""p.drug_id, p.code, p.org, p.batch_id, p.total, p.unit_left, p.unit_out, p.unit_lost, p.opened_bill,
    p.opened_at, p.use_before, t.batch_no, t.produced_on, t.expires_on, {UNTIL} AS until, u.status, u.holder,
    x.pool_id, l.name AS pool_name"""
_PACKS = """split_pack p
    JOIN batch t ON t.drug_id = p.drug_id AND t.id = p.batch_id
    JOIN unit u ON u.drug_id = p.drug_id AND u.code = p.code
    LEFT JOIN pool_box x ON x.drug_id = p.drug_id AND x.code = p.code AND x.left_at IS NULL
    LEFT JOIN pool l ON l.id = x.pool_id"""

# Opened boxes, the latest first; `{state}` is one of _STATES. A box that went elsewhere since is not ours to show.
BOXES = f"""
SELECT {_PACK} FROM {_PACKS}
WHERE /*visible:org p.org*/ AND u.status IN ('D', 'S', 'Q') AND ($1::int IS NULL OR p.drug_id = $1)
    AND (p.opened_at, p.code) < (coalesce($2::timestamptz, 'infinity'), $3) AND {{state}}
    AND ($5::interval IS NOT NULL) AND ($6::int IS NOT NULL)
ORDER BY p.opened_at DESC, p.code DESC LIMIT $4"""  # noqa: S608 - constants

# One opened box.
BOX = f"SELECT {_PACK} FROM {_PACKS} WHERE p.drug_id = $1 AND p.code = $2 AND /*visible:org p.org*/"  # noqa: S608

# Every entry of one box in the order of recording, each with its bill.
ENTRIES = """
SELECT e.bill_id, e.kind, e.qty, b.bill_no, b.type, b.status, b.revision, b.happened_at, b.recorded_at, b.header,
    b.account_id, a.name AS account_name
FROM split_entry e JOIN bill b ON b.id = e.bill_id LEFT JOIN account a ON a.id = b.account_id
WHERE e.drug_id = $1 AND e.code = $2 AND /*visible:bill b*/ ORDER BY e.bill_id, e.kind <> 'open', e.kind"""

# What a share is by now: a corrected bill may say another number of parts, or leave the box out. Of a bill that names
# the box for several people the shares stay as they were written: which of them it corrects, it does not say.
_UNITS = """CASE WHEN s.whole OR b.revision = 1 OR EXISTS (SELECT 1 FROM split_share x
        WHERE x.order_id = s.order_id AND x.drug_id = s.drug_id AND x.code = s.code AND x.n <> s.n)
    THEN s.units ELSE coalesce((SELECT sum(e.qty)::int FROM split_entry e WHERE e.drug_id = s.drug_id
        AND e.code = s.code AND e.bill_id = b.id AND e.kind = o.kind), 0) END"""

# Who got what out of one box: shares of orders whose bill is in force.
SHARES_OF_BOX = f"""
SELECT * FROM (
    SELECT s.order_id, s.n, {_UNITS} AS units, s.whole, s.person_id, s.prescription_no, s.dosage, o.kind, o.number,
        o.pool_id, o.happened_at, b.id AS bill_id
    FROM split_share s JOIN split_order o ON o.id = s.order_id
        JOIN bill b ON b.owner = o.org AND b.bill_no = o.number AND b.status = 'A'
    WHERE s.drug_id = $1 AND s.code = $2 AND /*visible:org o.org*/
) x WHERE units > 0 ORDER BY order_id DESC, n"""  # noqa: S608 — a constant of this file

# Who takes parts of a box back waits for others who do, until the end of the transaction.
LOCK_BOX = "SELECT pg_advisory_xact_lock(hashtextextended('split_return ' || $2::text, $1::int))"

# What each prescription holds of a box, less what others are just giving back; without the order of this number.
# ungated: the organisation's own orders ($3), answers nobody
HELD_BY = f"""
SELECT prescription_no, sum(CASE WHEN kind = 'dispense' THEN units ELSE -units END)::int AS units FROM (
    SELECT s.prescription_no, o.kind, CASE WHEN b.id IS NULL THEN s.units ELSE {_UNITS} END AS units
    FROM split_share s JOIN split_order o ON o.id = s.order_id
        LEFT JOIN bill b ON b.owner = o.org AND b.bill_no = o.number AND b.status = 'A'
    WHERE s.drug_id = $1 AND s.code = $2 AND o.org = $3 AND o.number <> $4 AND s.prescription_no <> ''
        AND (b.id IS NOT NULL OR (o.kind = 'return' AND o.state = 'planned'))
) x GROUP BY prescription_no"""  # noqa: S608 — a constant of this file

# How the boxes of an organisation stand, for the tabs.
COUNTS = f"""
SELECT count(*) FILTER (WHERE p.unit_left > 0) AS open,
    count(*) FILTER (WHERE p.unit_left > 0 AND {UNTIL} > now() AND {UNTIL} <= now() + $1::interval) AS expiring,
    count(*) FILTER (WHERE p.unit_left > 0 AND {UNTIL} <= now()) AS expired,
    count(*) FILTER (WHERE p.unit_left > 0 AND p.unit_left * 100 <= p.total * $2::int) AS remainder
FROM split_pack p JOIN batch t ON t.drug_id = p.drug_id AND t.id = p.batch_id
    JOIN unit u ON u.drug_id = p.drug_id AND u.code = p.code
WHERE /*visible:org p.org*/ AND u.status = 'D' AND p.unit_left > 0"""  # noqa: S608 - constants

# Expired remainders in one organisation's hands: what one loss bill would close.
EXPIRED = f"""
SELECT p.drug_id, p.code, p.unit_left, p.total, {UNTIL} AS until, t.batch_no, p.opened_at
FROM split_pack p JOIN batch t ON t.drug_id = p.drug_id AND t.id = p.batch_id
    JOIN unit u ON u.drug_id = p.drug_id AND u.code = p.code
WHERE p.org = $1 AND p.unit_left > 0 AND u.status = 'D' AND {UNTIL} <= now() AND /*visible:org p.org*/
ORDER BY p.drug_id, p.code LIMIT $2"""  # noqa: S608 - constants

# State of scanned boxes for the station; what is not the asker's leaves only as a refusal.
HELD = f"""
SELECT u.drug_id, u.code, p.total, p.unit_left, {UNTIL} AS until
FROM unit u JOIN split_pack p ON p.drug_id = u.drug_id AND p.code = u.code
    JOIN batch t ON t.drug_id = u.drug_id AND t.id = u.batch_id
WHERE u.drug_id = ANY($1::int[]) AND u.code = ANY($2::text[]) AND u.status = 'D' AND u.holder = $3
    AND /*visible:org p.org*/"""  # noqa: S608 - constants

# -- orders ------------------------------------------------------------------------------------------------------

# An order needs no flush of its own: its plan stands in the log before its bill, whose commit flushes both, and a
# confirmation that is lost is made again.
LAZY = "SET LOCAL synchronous_commit = off"

# Write an order down before its bill. Nothing comes back when the number is taken.
INSERT_ORDER = """
INSERT INTO split_order (org, kind, state, pool_id, bill_type, account_id, happened_at, number, content_hash, refused)
VALUES ($1, $2, 'planned', $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (org, number) DO NOTHING RETURNING id"""

INSERT_SHARES = """
INSERT INTO split_share (order_id, drug_id, n, units, person_id, whole, code, prescription_no, dosage)
SELECT $1, *
FROM unnest($2::int[], $3::int[], $4::int[], $5::bigint[], $6::bool[], $7::text[], $8::text[], $9::text[])"""

# The order of a number.
# ungated: bound to the organisation that the caller acts for ($1)
ORDER_BY_NUMBER = "SELECT * FROM split_order WHERE org = $1 AND number = $2"

ORDER = "SELECT o.* FROM split_order o WHERE o.id = $1 AND /*visible:org o.org*/"

# Shares of an order that was read through ORDER or belongs to the caller, each with its box's batch.
# ungated: rows of an order that the caller was let in to; batch facts are printed on the box
SHARES = """
SELECT s.n, s.drug_id, s.code, s.units, s.whole, s.person_id, s.prescription_no, s.dosage, t.batch_no,
    t.produced_on, t.expires_on, p.use_before
FROM split_share s JOIN unit u ON u.drug_id = s.drug_id AND u.code = s.code
    LEFT JOIN batch t ON t.drug_id = u.drug_id AND t.id = u.batch_id
    LEFT JOIN split_pack p ON p.drug_id = s.drug_id AND p.code = s.code
WHERE s.order_id = $1 ORDER BY s.n, s.code"""

FINISH = """
UPDATE split_order SET state = 'done', bill_id = $2, finished_at = now() WHERE id = $1 AND state = 'planned'
RETURNING *"""

FORGET_SHARES = "DELETE FROM split_share WHERE order_id = $1"
FORGET = "DELETE FROM split_order WHERE id = $1 AND state = 'planned' RETURNING id"

# The bill in force that an order's number made, if any.
# ungated: bound to the order's owner ($1); used to finish an order after a crash
BILL_OF = """
SELECT b.id FROM bill b WHERE b.owner = $1 AND b.bill_no = $2 AND b.revision > 0 ORDER BY b.id DESC LIMIT 1"""

# When the first revision of a number happened.
# ungated: bound to the caller's organisation ($1); a repeat must say the same time
TIME_OF = "SELECT b.happened_at FROM bill b WHERE b.owner = $1 AND b.bill_no = $2 AND b.revision = 1"

# Orders whose server did not come back to them. Not locked yet: an order's pool is locked before it, and who settles it
# looks again.
STALE = """
SELECT id, org, number, pool_id FROM split_order WHERE state = 'planned' AND made_at < now() - $1::interval
ORDER BY pool_id NULLS FIRST, id LIMIT 200"""

# Boxes that passed their last day since yesterday, by organisation: told once a day.
# ungated: counts by owner, each told to the owner only
EXPIRED_BY_ORG = f"""
SELECT p.org, count(*) AS boxes FROM split_pack p
    JOIN batch t ON t.drug_id = p.drug_id AND t.id = p.batch_id
    JOIN unit u ON u.drug_id = p.drug_id AND u.code = p.code
WHERE p.unit_left > 0 AND u.status = 'D' AND {UNTIL} <= now() GROUP BY p.org"""  # noqa: S608 - constants


@traced_read("split_boxes")
async def boxes(
    conn: Connection,
    sight: Sight,
    state: str,
    drug_id: int | None,
    before: tuple[datetime, str] | None,
    limit: int,
    soon: timedelta,
    remainder_percent: int,
) -> list[Record]:
    """A page of the split ledger; `before` is time and code of the last box seen."""
    sql, args = sight.apply(
        BOXES.format(state=_STATES[state]),
        drug_id,
        before[0] if before else None,
        before[1] if before else "",
        limit,
        soon,
        remainder_percent,
    )
    return await conn.fetch(sql, *args)


@traced_read("split_box")
async def box(conn: Connection, sight: Sight, drug_id: int, code: str) -> Record | None:
    """One opened box, None when there is none the reader may see."""
    sql, args = sight.apply(BOX, drug_id, code)
    return await conn.fetchrow(sql, *args)


@traced_read("split_entries")
async def entries(
    conn: Connection, sight: Sight, drug_id: int, code: str
) -> tuple[list[Record], list[Record]]:
    """Every entry of a box with its bill, and the shares of the bills in force."""
    sql, args = sight.apply(ENTRIES, drug_id, code)
    found = await conn.fetch(sql, *args)
    sql, args = sight.apply(SHARES_OF_BOX, drug_id, code)
    return found, await conn.fetch(sql, *args)


@traced_read("split_counts")
async def counts(conn: Connection, sight: Sight, soon: timedelta, remainder_percent: int) -> dict[str, int]:
    """Opened boxes by state."""
    sql, args = sight.apply(COUNTS, soon, remainder_percent)
    row = await conn.fetchrow(sql, *args)
    return dict(row) if row is not None else {}


@traced_read("split_expired")
async def expired(conn: Connection, sight: Sight, org: int, limit: int) -> list[Record]:
    """Expired remainders of one organisation."""
    sql, args = sight.apply(EXPIRED, org, limit)
    return await conn.fetch(sql, *args)


@traced_read("split_held")
async def held(conn: Connection, sight: Sight, org: int, keys: Sequence[tuple[int, str]]) -> list[Record]:
    """Which of `keys` are opened boxes in the organisation's hands, with what is left."""
    sql, args = sight.apply(HELD, list({k[0] for k in keys}), [k[1] for k in keys], org)
    return await conn.fetch(sql, *args)


@traced_read("split_order")
async def order(conn: Connection, sight: Sight, order_id: int) -> tuple[Record, list[Record]] | None:
    """An order with its shares."""
    sql, args = sight.apply(ORDER, order_id)
    row = await conn.fetchrow(sql, *args)
    return (row, await conn.fetch(SHARES, order_id)) if row is not None else None


async def write_plan(conn: Connection, plan: Plan, account_id: int | None) -> int | None:
    """Write an order and its shares down; its number, or None when the order's number is taken."""
    refused = [one.as_row() for one in plan.refused]
    order_id: int | None = await conn.fetchval(
        INSERT_ORDER,
        plan.org,
        plan.kind,
        plan.pool_id,
        plan.bill_type,
        account_id,
        plan.happened_at,
        plan.number,
        plan.content_hash,
        refused,
    )
    if order_id is None:
        return None
    columns: list[list[Any]] = [
        [s.drug_id for s in plan.shares],
        [s.n for s in plan.shares],
        [s.units for s in plan.shares],
        [s.person_id for s in plan.shares],
        [s.whole for s in plan.shares],
        [s.code for s in plan.shares],
        [s.prescription_no for s in plan.shares],
        [s.dosage for s in plan.shares],
    ]
    await conn.execute(INSERT_SHARES, order_id, *columns)
    return order_id


async def forget(conn: Connection, order_id: int) -> bool:
    """Take a planned order back, whose bill was refused; False when it is done or gone."""
    if await conn.fetchval(FORGET, order_id) is None:
        return False
    await conn.execute(FORGET_SHARES, order_id)
    return True
