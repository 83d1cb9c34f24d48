"""SQL of the one write path: lock, write back, record. Set-based: no statement per code.

Nothing here returns data to a caller outside the write path, so visibility (D10) does not apply.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from operator import itemgetter
from typing import Any

from asyncpg import Record

from yaosu.db.engine import Connection
from yaosu.db.trouble import TakenBackError
from yaosu.rules.states import BELOW_NOTHING
from yaosu.rules.world import Assumed, Unit

# Latest revision of each (owner, bill number) asked about: for idempotency and revisions (D8).
_LATEST = """
SELECT DISTINCT ON (b.owner, b.bill_no)
    b.id, b.owner, b.bill_no, b.revision, b.status, b.content_hash, b.type, b.from_org, b.to_org,
    b.happened_at, b.recorded_at, b.flags, b.qty, b.leaf, b.lines, b.refused, b.drug_ids
FROM unnest($1::int[], $2::text[]) AS a(owner, bill_no)
JOIN bill b ON b.owner = a.owner AND b.bill_no = a.bill_no AND b.revision > 0
WHERE (SELECT passed FROM gate)
ORDER BY b.owner, b.bill_no, b.revision DESC"""
# The first statement of a group: it also takes the shared side of the lock that placing a stop takes alone
# (yaosu.stops.store), so that a stop in force is never overlooked by a bill that commits after it.
LATEST_REVISIONS = (
    "WITH gate AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(7295461002) IS NOT NULL AS passed)"
    + _LATEST
)
# A bill that takes long passes the gate at its end: else whoever places a stop, and every bill behind him, would wait
# for it. It waits for nobody there, since it holds its units already.
LATEST_REVISIONS_LATE = "WITH gate AS MATERIALIZED (SELECT true AS passed)" + _LATEST
GATE_OPEN = "SELECT pg_try_advisory_xact_lock_shared(7295461002)"

# Read the asked units. The order (level, product, code) is the same for every bill that locks, so two bills that
# share units wait for each other instead of deadlocking.
READ_UNITS = """
SELECT u.drug_id, u.code, u.batch_id, u.level, u.parent, u.status, u.holder, u.dest, u.qty, u.since, u.last_bill,
    u.notice
FROM unnest($1::int[], $2::text[]) AS a(drug_id, code)
JOIN unit u ON u.drug_id = a.drug_id AND u.code = a.code"""
LOCK_UNITS = READ_UNITS + " ORDER BY u.level, u.drug_id, u.code FOR NO KEY UPDATE OF u"

# The same for many codes of one product, alike ones in one row: boxes of a delivery share all but their code, and
# a thousand rows cost the driver more than the database.
READ_UNITS_OF = """
SELECT string_agg(code, E'\\n') AS codes, batch_id, level, parent, status, holder, dest, qty, since, last_bill, notice
FROM unit WHERE drug_id = $1 AND code = ANY(string_to_array($2, E'\\n'))
GROUP BY batch_id, level, parent, status, holder, dest, qty, since, last_bill, notice"""
LOCK_UNITS_OF = """
WITH locked AS MATERIALIZED (
    SELECT code, batch_id, level, parent, status, holder, dest, qty, since, last_bill, notice
    FROM unit WHERE drug_id = $1 AND code = ANY(string_to_array($2, E'\\n')) ORDER BY level, code FOR NO KEY UPDATE
) SELECT string_agg(code, E'\\n') AS codes, batch_id, level, parent, status, holder, dest, qty, since, last_bill, notice
FROM locked GROUP BY batch_id, level, parent, status, holder, dest, qty, since, last_bill, notice"""

# Products inside scanned logistics containers (their code says nothing about products).
CONTAINERS = "SELECT code, drug_ids FROM logistics_container WHERE code = ANY($1::text[])"

# Batches inside containers that hold several.
CONTAINER_BATCHES = """
SELECT c.drug_id, c.code, c.batch_id, c.qty
FROM unnest($1::int[], $2::text[]) AS a(drug_id, code)
JOIN container_batch c ON c.drug_id = a.drug_id AND c.code = a.code"""

# Facts of batches, kept by the caller: a batch never changes.
BATCHES = "SELECT id, drug_id, batch_no, expires_on FROM batch WHERE id = ANY($1::int[]) AND drug_id = ANY($2::int[])"

# Bill ids are taken after the locks, so that along one unit's life they rise. With them the versions of what processes
# keep in memory: the stops in force, and whose bills are to be routed to other systems.
NEXT_IDS = """
SELECT nextval('bill_id_seq'), (SELECT version FROM stop_version), (SELECT version FROM route_version)
FROM generate_series(1, $1::int)"""

# Bills of which something may be owed to another system (R-X9).
DUE_COLUMNS = ("bill_id", "owner")

# Write the changed units back, provided nobody changed them since they were read: `was` and `was_qty` are what
# the judge saw. Everything a verdict depends on is written by it (taking a package out changes every package
# around it), so this check is enough; the caller compares the row count.
UPDATE_UNITS = """
UPDATE unit u SET last_bill = v.last_bill, parent = v.parent, status = v.status, holder = v.holder,
    dest = v.dest, qty = CASE WHEN u.qty IS NULL THEN NULL ELSE v.qty END, since = v.since, notice = v.notice
FROM unnest($1::int[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::int[], $7::int[], $8::int[],
    $9::timestamptz[], $10::bigint[], $11::bigint[], $12::int[])
    AS v(drug_id, code, last_bill, parent, status, holder, dest, qty, since, notice, was, was_qty)
WHERE u.drug_id = v.drug_id AND u.code = v.code AND u.last_bill = v.was AND coalesce(u.qty, 1) = v.was_qty"""

# The same for many units of one product that all change alike: the common case of a bill of boxes.
UPDATE_UNITS_ALIKE = """
UPDATE unit u SET last_bill = $3, parent = NULL, status = $4, holder = $5, dest = $6, since = $7, notice = $8
WHERE u.drug_id = $1 AND u.code = ANY(string_to_array($2, E'\\n')) AND u.last_bill = $9 AND coalesce(u.qty, 1) = $10"""

# The same for units whose state was taken from a few of them: this is where it is proven of every one.
UPDATE_UNITS_ASSUMED = """
UPDATE unit u SET last_bill = $3, status = $4, holder = $5, dest = $6, since = $7, notice = $8
WHERE u.drug_id = $1 AND u.code = ANY(string_to_array($2, E'\\n')) AND u.last_bill = $9 AND coalesce(u.qty, 1) = $10
    AND u.parent IS NULL AND u.batch_id = $11 AND u.level = $12 AND u.status = $13 AND u.holder = $14
    AND u.dest IS NOT DISTINCT FROM $15 AND u.notice IS NOT DISTINCT FROM $16 AND u.since IS NOT DISTINCT FROM $17"""

UPDATE_CONTAINER_BATCHES = """
UPDATE container_batch c SET qty = v.qty
FROM unnest($1::int[], $2::text[], $3::int[], $4::int[]) AS v(drug_id, code, batch_id, qty)
WHERE c.drug_id = v.drug_id AND c.code = v.code AND c.batch_id = v.batch_id"""

INSERT_SUBMISSION = "INSERT INTO submission (parts, body) VALUES ($1, $2) RETURNING id"

# What a group records goes by COPY: the driver writes rows as they are, while arrays cost it a look at every element.
BILL_COLUMNS = (
    "id", "owner", "submitter", "account_id", "from_org", "to_org", "principal", "carrier", "direct_org", "type",
    "revision", "flags", "status", "mode", "lines", "qty", "refused", "happened_at", "recorded_at", "submission_id",
    "part", "replaces", "notice_bill", "bill_no", "content_hash", "leaf", "header", "drug_ids",
)  # fmt: skip
LINE_COLUMNS = (
    "bill_id", "prev_bill", "notice", "drug_id", "batch_id", "qty", "pre_holder", "pre_dest", "pre", "post",
    "left_parent", "code",
)  # fmt: skip
# The same for many lines that differ in nothing but the code: the database makes the rows, the driver sends one text.
INSERT_LINES_ALIKE = """
INSERT INTO bill_line (bill_id, prev_bill, notice, drug_id, batch_id, qty, pre_holder, pre_dest, pre, post, left_parent,
    code)
SELECT $1::bigint, $2::bigint, $3::bigint, $4::int, $5::int, $6::int, $7::int, $8::int, $9::text, $10::text,
    $11::text, c
FROM unnest(string_to_array($12, E'\\n')) AS c"""
NOTE_COLUMNS = (
    "bill_id", "n", "evidence_bill", "severity", "quarantined", "code", "raw", "verdict", "params",
)  # fmt: skip
ENTRY_COLUMNS = (
    "bill_id", "drug_id", "batch_id", "from_org", "to_org", "qty", "from_status", "to_status",
)  # fmt: skip

# Rows in primary-key order, so that concurrent bills lock balances in the same order.
_BALANCES = """
INSERT INTO balance AS b (drug_id, batch_id, org, status, qty)
SELECT drug_id, batch_id, org, status, delta
FROM unnest({}::int[], {}::int[], {}::int[], {}::text[], {}::bigint[]) AS v(drug_id, batch_id, org, status, delta)
ON CONFLICT (drug_id, batch_id, org, status) DO UPDATE SET qty = b.qty + excluded.qty
RETURNING b.drug_id, b.batch_id, b.org, b.status, b.qty"""
UPSERT_BALANCES = _BALANCES.format("$1", "$2", "$3", "$4", "$5")

# The same with all that stands beside it, for a bill alone in its commit: three round trips less. Made of the constants
# above.
_AT = BILL_COLUMNS.index("submission_id")
_HEAD = [f"${n}" for n in range(2, len(BILL_COLUMNS) + 1)]
_MORE = [f"${n}" for n in range(len(BILL_COLUMNS) + 1, len(BILL_COLUMNS) + 14)]
RECORD_ONE = f"""
WITH body AS (INSERT INTO submission (parts, body) VALUES (1, $1) RETURNING id),
head AS (
    INSERT INTO bill ({", ".join(BILL_COLUMNS)})
    VALUES ({", ".join(_HEAD[:_AT])}, (SELECT id FROM body), {", ".join(_HEAD[_AT:])})
),
entries AS (
    INSERT INTO entry ({", ".join(ENTRY_COLUMNS)})
    SELECT * FROM unnest({{}}::bigint[], {{}}::int[], {{}}::int[], {{}}::int[], {{}}::int[], {{}}::int[], {{}}::text[],
        {{}}::text[])
){_BALANCES}""".format(*_MORE)  # noqa: S608

# What a void or correction takes back: the units of the bill it replaces.
# Lines that it left with the revision before it are its own too.
LINES_OF = """
SELECT drug_id, code, batch_id, qty, pre, post, pre_holder, pre_dest, prev_bill, bill_id, notice, left_parent
FROM bill_line WHERE bill_id = $1 AND drug_id = ANY($2::int[])
UNION ALL
SELECT l.drug_id, l.code, l.batch_id, l.qty, l.pre, l.post, l.pre_holder, l.pre_dest, l.prev_bill, l.bill_id, l.notice,
    l.left_parent
FROM bill_kept k JOIN bill_line l ON l.drug_id = k.drug_id AND l.bill_id = k.from_bill AND l.code = k.code
WHERE k.bill_id = $1"""

# Business time of earlier events: a unit put back takes the time of the event it goes back to.
BILL_TIMES = "SELECT id, happened_at FROM bill WHERE id = ANY($1::bigint[])"

SET_BILL_STATUS = "UPDATE bill SET status = $2 WHERE id = ANY($1::bigint[])"

# What was said of codes, to answer a repeated submission with the same words.
NOTES_OF = """
SELECT n, evidence_bill, severity, quarantined, code, raw, verdict, params FROM bill_note WHERE bill_id = $1"""

# Opened boxes, and what bills did to them.
SPLITS = """
SELECT s.drug_id, s.code, s.org, s.total, s.unit_left, s.unit_out, s.unit_lost, s.opened_bill, s.opened_at, s.use_before
FROM unnest($1::int[], $2::text[]) AS a(drug_id, code) JOIN split_pack s ON s.drug_id = a.drug_id AND s.code = a.code"""
SPLIT_ENTRIES_OF = (
    "SELECT bill_id, drug_id, code, kind, qty FROM split_entry WHERE bill_id = ANY($1::bigint[])"
)
SPLIT_ENTRY_COLUMNS = ("bill_id", "drug_id", "qty", "kind", "code")
DELETE_SPLITS = """
DELETE FROM split_pack s USING unnest($1::int[], $2::text[]) AS a(drug_id, code)
WHERE s.drug_id = a.drug_id AND s.code = a.code"""
UPSERT_SPLITS = """
INSERT INTO split_pack (drug_id, code, batch_id, org, total, unit_left, unit_out, unit_lost, opened_bill, opened_at,
    use_before)
SELECT * FROM unnest($1::int[], $2::text[], $3::int[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[],
    $9::bigint[], $10::timestamptz[], $11::timestamptz[])
ON CONFLICT (drug_id, code) DO UPDATE SET org = excluded.org, unit_left = excluded.unit_left,
    unit_out = excluded.unit_out, unit_lost = excluded.unit_lost, opened_bill = excluded.opened_bill,
    opened_at = excluded.opened_at, use_before = excluded.use_before"""

# Uncoded stock: the accounts a group draws on, locked in key order, and the batches it names.
UNCODED_BALANCES = """
SELECT drug_id, batch_id, org, qty FROM balance
WHERE status = 'U' AND org = ANY($1::int[]) AND drug_id = ANY($2::int[])
ORDER BY drug_id, batch_id, org, status FOR NO KEY UPDATE"""
NAMED_BATCHES = """
SELECT b.drug_id, b.batch_no, b.id, b.expires_on FROM unnest($1::int[], $2::text[]) AS a(drug_id, batch_no)
JOIN batch b ON b.drug_id = a.drug_id AND b.batch_no = a.batch_no"""
INSERT_BATCH = """
INSERT INTO batch (drug_id, batch_no, maker, produced_on, expires_on) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (drug_id, batch_no) DO UPDATE SET batch_no = excluded.batch_no RETURNING id, expires_on"""
UNCODED_ENTRIES_OF = """
SELECT drug_id, batch_id, from_org, from_status, to_org, to_status, qty FROM entry
WHERE bill_id = $1 AND drug_id = ANY($2::int[]) AND (from_status IN ('U', 'W') OR to_status IN ('U', 'W'))"""

KEPT_COLUMNS = ("bill_id", "drug_id", "from_bill", "code")

# Bills that explain a refusal.
EVIDENCE = """
SELECT id, type, bill_no, owner, submitter, from_org, to_org, happened_at FROM bill WHERE id = ANY($1::bigint[])"""


ALIKE_MIN = 32
"""From this many on, the statements for units of one product that change alike are cheaper."""


class ConflictError(TakenBackError):
    """Units changed between reading and writing: the group is tried again with locks."""


async def labels(conn: Connection, codes: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The products in logistics containers, by code."""
    return {r["code"]: tuple(sorted(r["drug_ids"])) for r in await conn.fetch(CONTAINERS, list(codes))}


async def check_labels(conn: Connection, read: Mapping[str, Sequence[int]], codes: Sequence[str]) -> None:
    """After the containers' rows were written: raises ConflictError where something of another product went into one,
    or one ceased to be, since they were read. Whoever packs locks the rows that are there, so nobody can any more.
    """
    if codes and await labels(conn, codes) != read:
        raise ConflictError("what is in a logistics container changed")


async def read_units(conn: Connection, keys: Sequence[tuple[int, str]], *, lock: bool) -> list[Unit]:
    """The stored units of `keys`; absent ones are not there. With `lock` nobody changes them until the commit."""
    if not keys:
        return []
    drug_id = keys[0][0]
    if len(keys) >= ALIKE_MIN and all(k[0] == drug_id for k in keys):
        query = LOCK_UNITS_OF if lock else READ_UNITS_OF
        rows = await conn.fetch(query, drug_id, "\n".join([k[1] for k in keys]))
        return [Unit(drug_id, code, *state) for codes, *state in rows for code in codes.split("\n")]
    query = LOCK_UNITS if lock else READ_UNITS
    rows = await conn.fetch(query, [k[0] for k in keys], [k[1] for k in keys])
    # rows come in the order of Unit's parameters
    return [Unit(*row) for row in rows]


class AssumptionError(ConflictError):
    """Units were not in the state that was taken from a few of them: the group is judged again on what it reads."""


async def update_assumed(conn: Connection, runs: Sequence[Assumed]) -> None:
    """Write back units whose state was assumed. Raises AssumptionError unless every one of them was in that state
    and changes like the others.
    """
    for run in runs:
        u = run.unit
        if not u.touched or u.qty != u.was_qty:
            raise AssumptionError("units taken as alike were not moved alike")
        done = await conn.execute(
            UPDATE_UNITS_ASSUMED,
            u.drug_id,
            "\n".join(run.codes),
            u.last_bill,
            u.status,
            u.holder,
            u.dest,
            u.since,
            u.notice,
            u.was,
            u.was_qty,
            u.batch_id,
            u.level,
            run.status,
            run.holder,
            run.dest,
            run.notice,
            run.since,
        )
        if done != f"UPDATE {len(run.codes)}":
            raise AssumptionError(f"{done} of {len(run.codes)}")


async def update_units(conn: Connection, units: Sequence[Unit]) -> None:
    """Write changed units back. Raises ConflictError when one was changed by somebody else meanwhile."""
    alike: dict[tuple[object, ...], list[Unit]] = {}
    for u in units:
        # a package that only lost content, or is inside another, is not alike
        change = (u.drug_id, u.last_bill, u.status, u.holder, u.dest, u.since, u.notice, u.was, u.was_qty)
        key = change if u.parent is None and u.qty == u.was_qty else ()
        alike.setdefault(key, []).append(u)
    rest = alike.pop((), [])
    for group in alike.values():
        if len(group) < ALIKE_MIN:
            rest += group
            continue
        u = group[0]
        done = await conn.execute(
            UPDATE_UNITS_ALIKE,
            u.drug_id,
            "\n".join([one.code for one in group]),
            u.last_bill,
            u.status,
            u.holder,
            u.dest,
            u.since,
            u.notice,
            u.was,
            u.was_qty,
        )
        _all_written(done, len(group))
    if rest:
        done = await conn.execute(
            UPDATE_UNITS,
            [u.drug_id for u in rest],
            [u.code for u in rest],
            [u.last_bill for u in rest],
            [u.parent for u in rest],
            [u.status for u in rest],
            [u.holder for u in rest],
            [u.dest for u in rest],
            [u.qty for u in rest],
            [u.since for u in rest],
            [u.notice for u in rest],
            [u.was for u in rest],
            [u.was_qty for u in rest],
        )
        _all_written(done, len(rest))


def _all_written(tag: str, count: int) -> None:
    if tag != f"UPDATE {count}":
        raise ConflictError(f"{tag} of {count}")


async def insert_rows(
    conn: Connection, table: str, names: Sequence[str], rows: Sequence[tuple[object, ...]]
) -> None:
    """Record rows of one of the tables above. A single one, as of a large bill, needs no COPY and its two answers."""
    if len(rows) == 1:
        await conn.execute(_insert_one(table, tuple(names)), *rows[0])
    elif rows:
        await conn.copy_records_to_table(table, records=rows, columns=names)


@cache
def _insert_one(table: str, names: tuple[str, ...]) -> str:
    """Made of the constants above, never of what anybody sent."""
    values = ", ".join(f"${n}" for n in range(1, len(names) + 1))
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})"  # noqa: S608


@dataclass(slots=True)
class Lines:
    """Lines of a bill that differ in nothing but the code."""

    head: tuple[object, ...]
    """The columns before the code."""
    codes: list[str]


async def insert_lines(conn: Connection, lines: Sequence[Lines]) -> None:
    """Record lines, in key order, so that each goes to the right end of the index."""
    rest: list[tuple[object, ...]] = []
    for one in lines:
        if len(one.codes) < ALIKE_MIN:
            rest += [(*one.head, code) for code in one.codes]
        else:
            await conn.execute(INSERT_LINES_ALIKE, *one.head, "\n".join(sorted(one.codes)))
    await insert_rows(conn, "bill_line", LINE_COLUMNS, sorted(rest, key=itemgetter(3, 0, 11)))


async def columns(conn: Connection, query: str, rows: Sequence[Sequence[Any]], *more: Any) -> None:
    """Run an insert that takes columns as arrays, from rows."""
    if rows:
        await conn.execute(query, *(list(column) for column in zip(*rows, strict=True)), *more)


class LedgerError(RuntimeError):
    """An account would go below nothing: units and ledger disagree. The bill is stopped, nothing is written."""


async def post_balances(conn: Connection, deltas: Sequence[tuple[int, int, int, str, int]]) -> None:
    """Add (drug, batch, organisation, status, delta) to the balances; rows in key order.

    Raises LedgerError when stock would go below nothing (D4: asserted in production).
    """
    if not deltas:
        return
    _not_below_nothing(
        await conn.fetch(UPSERT_BALANCES, *(list(column) for column in zip(*deltas, strict=True)))
    )


def _not_below_nothing(rows: Sequence[Record]) -> None:
    for row in rows:
        if row["qty"] < 0 and row["status"] not in BELOW_NOTHING:
            raise LedgerError(f"account {tuple(row)} below nothing")


async def record_one(
    conn: Connection,
    body: bytes,
    bill: Sequence[object],
    entries: Sequence[tuple[object, ...]],
    deltas: Sequence[tuple[int, int, int, str, int]],
) -> None:
    """What a bill alone in its commit leaves beside units and lines, in one statement: the body as received, its head
    (`bill`, whose column `submission_id` is filled in), entries, balances. Raises LedgerError as `post_balances` does.
    """
    arrays = [list(column) for rows in (entries, deltas) for column in zip(*rows, strict=True)]
    _not_below_nothing(await conn.fetch(RECORD_ONE, body, *bill[:_AT], *bill[_AT + 1 :], *arrays))


async def gate_open(conn: Connection) -> bool:
    """Take the gate at a bill's end; False, without waiting, where somebody is placing or lifting a stop."""
    taken: bool = await conn.fetchval(GATE_OPEN)
    return taken


async def next_ids(conn: Connection, count: int) -> tuple[list[int], int, int]:
    """`count` new bill ids (at least one), and the versions now of the stops in force and of the routes."""
    rows = await conn.fetch(NEXT_IDS, count)
    return [row[0] for row in rows], rows[0][1], rows[0][2]


async def bill_times(conn: Connection, ids: Sequence[int]) -> dict[int, datetime]:
    """Business time of each bill."""
    return {r["id"]: r["happened_at"] for r in await conn.fetch(BILL_TIMES, list(ids))}
