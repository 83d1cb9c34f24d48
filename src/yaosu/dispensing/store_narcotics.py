"""SQL of prescriptions, acts, confirmations, ampoules, residues and counts. The register has its own file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection
from yaosu.dispensing.narcotics_model import Act, Confirmation, Due, Prescription

NEW_PRESCRIPTION = """
INSERT INTO narcotic_prescription (org, hospital, number, drug_id, case_kind, patient, agent, department, doctor,
    diagnosis, dose_units, times_per_day, days, units, reason, prescribed_on, made_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
ON CONFLICT (hospital, number) DO NOTHING RETURNING id"""

# What a prescription has handed out counts only by bills in force.
# ungated: a part of the queries on prescriptions below, which carry the mark; a total that names nobody
_DISPENSED = """
(SELECT coalesce(sum(d.units), 0)::int FROM narcotic_dispensing d JOIN bill v ON v.id = d.bill_id AND v.status = 'A'
    WHERE d.prescription_id = p.id)"""

PRESCRIPTIONS = f"""
SELECT p.*, {_DISPENSED} AS dispensed FROM narcotic_prescription p
WHERE /*visible:org p.org*/ AND ($1::bigint IS NULL OR p.id = $1) AND ($2::int IS NULL OR p.org = $2)
    AND ($3 = '' OR p.state = $3) AND p.id < $4 ORDER BY p.id DESC LIMIT $5"""  # noqa: S608 - constants

# Two desks that dispense one prescription at once: the second waits and then sees what the first handed out.
# ungated: write path, a prescription that the same request saw through its mark
LOCK_PRESCRIPTION = f"""
SELECT p.units, p.state, {_DISPENSED} AS dispensed,
    (SELECT coalesce(sum((a.payload->>'units')::int), 0)::int FROM narcotic_act a
        WHERE a.kind = 'dispense' AND a.state = 'running' AND a.id <> $2
        AND (a.payload->>'prescription')::bigint = p.id) AS running
FROM narcotic_prescription p WHERE p.id = $1 FOR UPDATE OF p"""  # noqa: S608 - constants

PRESCRIPTION_OF_ACT = """
SELECT number, doctor, department, patient, agent FROM narcotic_prescription WHERE id = $1"""

SET_PRESCRIPTION = "UPDATE narcotic_prescription SET state = $2 WHERE id = $1"

# What an earlier dispensing to the same patient still has to bring back.
PATIENT_DUE = """
SELECT coalesce(sum(d.due - d.returned), 0)::int FROM narcotic_prescription p
JOIN narcotic_dispensing d ON d.prescription_id = p.id JOIN bill b ON b.id = d.bill_id AND b.status = 'A'
WHERE p.patient = $1 AND p.drug_id = $2 AND d.returned < d.due AND /*visible:org d.org*/"""

NEW_ACT = """
INSERT INTO narcotic_act (org, hospital, kind, confirmations, made_by, happened_at, payload, request_no)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING id"""

SAME_REQUEST = """
SELECT id, kind, made_by, payload FROM narcotic_act WHERE org = $1 AND request_no = $2"""

ACTS = """
SELECT a.*, coalesce(m.name, '') AS made_by_name FROM narcotic_act a LEFT JOIN account m ON m.id = a.made_by
WHERE /*visible:org a.org*/ AND ($1::bigint IS NULL OR a.id = $1) AND ($2::int IS NULL OR a.org = $2)
    AND ($3::text[] IS NULL OR a.state = ANY($3)) AND ($4 = '' OR a.kind = $4) AND a.id < $5
ORDER BY a.id DESC LIMIT $6"""

# What waits: acts for somebody other than their maker, and ampoules that have not come back.
WAITING = """
SELECT (SELECT count(*) FROM narcotic_act a WHERE a.state = 'waiting' AND a.made_by IS DISTINCT FROM $1::int
        AND NOT EXISTS (SELECT 1 FROM narcotic_confirmation c WHERE c.act_id = a.id AND c.account_id = $1)
        AND /*visible:org a.org*/) AS to_confirm,
    (SELECT count(*) FROM narcotic_act a WHERE a.state = 'waiting' AND a.made_by = $1 AND /*visible:org a.org*/) AS own,
    (SELECT coalesce(sum(d.due - d.returned), 0)::bigint FROM narcotic_dispensing d
        JOIN bill b ON b.id = d.bill_id AND b.status = 'A'
        WHERE d.returned < d.due AND /*visible:org d.org*/) AS ampoules"""

# People of other places of the hospital confirm without seeing the place's books: what is shown is the act itself.
ACTS_OF_HOSPITAL = """
SELECT a.*, coalesce(m.name, '') AS made_by_name FROM narcotic_act a LEFT JOIN account m ON m.id = a.made_by
WHERE a.hospital = $1 AND a.id = $2"""

LOCK_ACT = "SELECT state FROM narcotic_act WHERE id = $1 FOR UPDATE"

CONFIRMATIONS = """
SELECT c.act_id, c.account_id, coalesce(n.name, '') AS name, c.way, c.confirmed_at FROM narcotic_confirmation c
LEFT JOIN account n ON n.id = c.account_id WHERE c.act_id = ANY($1::bigint[]) ORDER BY c.confirmed_at"""

CONFIRM = """
INSERT INTO narcotic_confirmation (act_id, account_id, way) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"""

SET_RUNNING = "UPDATE narcotic_act SET state = 'running', bill_no = $2 WHERE id = $1"

CLOSE_ACT = """
UPDATE narcotic_act SET state = $2, bill_id = $3, outcome = $4, closed_by = $5, closed_at = clock_timestamp()
WHERE id = $1"""

ACCOUNT = """
SELECT a.id, a.name, a.org_id, a.role, a.lang, a.must_change, a.active, o.type::text AS org_type, o.sub_type, o.region
FROM account a JOIN org o ON o.id = a.org_id WHERE a.id = $1"""

# ungated: write path, boxes that the same request scans; what is left in them decides what may leave
BOXES = """
SELECT u.drug_id, u.code, u.batch_id, u.status, coalesce(u.qty, 1) AS qty, s.unit_left FROM unit u
LEFT JOIN split_pack s ON s.drug_id = u.drug_id AND s.code = u.code
WHERE (u.drug_id, u.code) IN (SELECT * FROM unnest($1::int[], $2::text[]))"""

NEW_DISPENSING = """
INSERT INTO narcotic_dispensing (drug_id, bill_id, batch_id, org, act_id, prescription_id, units, due, happened_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING"""

DUE = """
SELECT d.bill_id, b.bill_no, d.org, d.drug_id, d.batch_id, t.batch_no, d.due, d.returned, d.happened_at,
    p.number AS prescription, p.patient
FROM narcotic_dispensing d JOIN bill b ON b.id = d.bill_id AND b.status = 'A'
JOIN batch t ON t.drug_id = d.drug_id AND t.id = d.batch_id JOIN narcotic_prescription p ON p.id = d.prescription_id
WHERE /*visible:org d.org*/ AND ($1::int IS NULL OR d.org = $1) AND ($2::bigint IS NULL OR d.bill_id = $2)
    AND d.due > 0 AND ($3 OR d.returned < d.due)
ORDER BY d.happened_at, d.bill_id, d.batch_id LIMIT $4"""

# What other places of the hospital sent and this one has not received yet.
COMING = """
SELECT n.bill_id, b.bill_no, n.from_org, n.shipped_at, n.expected - n.received - n.quarantined - n.refused AS qty
FROM notice n JOIN bill b ON b.id = n.bill_id
WHERE n.to_org = $1 AND /*visible:parties n.to_org*/ AND n.state IN ('open', 'part') AND b.type = 203
    AND b.drug_ids && $2::int[] ORDER BY n.shipped_at LIMIT 100"""

# Refuses by the table's own check when more come back than were handed out.
TAKE_AMPOULES = """
UPDATE narcotic_dispensing SET returned = returned + $4
WHERE drug_id = $1 AND bill_id = $2 AND batch_id = $3 AND returned + $4 <= due RETURNING org"""

NEW_AMPOULE = """
INSERT INTO narcotic_ampoule (act_id, org, drug_id, batch_id, bill_id, qty, handed_by, happened_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"""

# Received and not yet destroyed.
AMPOULES = """
SELECT m.org, m.drug_id, m.batch_id, t.batch_no, sum(m.qty)::int AS qty FROM narcotic_ampoule m
JOIN batch t ON t.drug_id = m.drug_id AND t.id = m.batch_id
WHERE /*visible:org m.org*/ AND ($1::int IS NULL OR m.org = $1) GROUP BY 1, 2, 3, 4 HAVING sum(m.qty) <> 0
ORDER BY 1, 2, 4"""

# ungated: write path, ampoules of the place whose act this is ($1)
AMPOULES_LEFT = """
SELECT coalesce(sum(m.qty), 0)::int FROM narcotic_ampoule m WHERE m.org = $1 AND m.drug_id = $2 AND m.batch_id = $3"""

# Destructions wait for each other, so that two of them cannot destroy the same ampoules.
LOCK_AMPOULES = "SELECT pg_advisory_xact_lock(hashtextextended('narcotic_ampoule', $1))"

NEW_RESIDUE = """
INSERT INTO narcotic_residue (act_id, org, drug_id, batch_id, bill_id, amount, unit, method, happened_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"""

RESIDUES = """
SELECT r.*, t.batch_no, b.bill_no, p.number AS prescription FROM narcotic_residue r
JOIN batch t ON t.drug_id = r.drug_id AND t.id = r.batch_id
JOIN bill b ON b.id = r.bill_id
JOIN narcotic_dispensing d ON d.drug_id = r.drug_id AND d.bill_id = r.bill_id AND d.batch_id = r.batch_id
JOIN narcotic_prescription p ON p.id = d.prescription_id
WHERE /*visible:org r.org*/ AND ($1::int IS NULL OR r.org = $1) ORDER BY r.act_id DESC LIMIT $2"""

# The dispensing a residue or ampoule comes from.
DISPENSING = """
SELECT d.drug_id, d.batch_id, d.org, d.units, d.due, d.returned FROM narcotic_dispensing d
JOIN bill b ON b.id = d.bill_id AND b.status = 'A'
WHERE /*visible:org d.org*/ AND d.bill_id = $1 AND ($2::int IS NULL OR d.batch_id = $2) ORDER BY d.batch_id"""

NEW_COUNT = """
INSERT INTO narcotic_count (act_id, org, drug_id, batch_id, shift, counted, booked, note, happened_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"""

COUNTS = """
SELECT c.*, t.batch_no, coalesce(g.name, '') AS handed_over FROM narcotic_count c
JOIN batch t ON t.drug_id = c.drug_id AND t.id = c.batch_id
JOIN narcotic_act a ON a.id = c.act_id LEFT JOIN account g ON g.id = a.made_by
WHERE /*visible:org c.org*/ AND ($1::int IS NULL OR c.org = $1) AND c.act_id < $2
ORDER BY c.act_id DESC, c.drug_id, t.batch_no LIMIT $3"""


def _prescription(row: Record) -> Prescription:
    names = Prescription.__dataclass_fields__
    return Prescription(**{name: row[name] for name in names})


@traced_read("narcotic prescriptions")
async def prescriptions(
    conn: Connection,
    sight: Sight,
    number: int | None = None,
    org: int | None = None,
    state: str = "",
    before: int = 2**62,
    limit: int = 50,
) -> list[Prescription]:
    """Prescriptions, newest first."""
    sql, args = sight.apply(PRESCRIPTIONS, number, org, state, before, limit)
    return [_prescription(r) for r in await conn.fetch(sql, *args)]


async def _acts(conn: Connection, rows: Sequence[Record]) -> list[Act]:
    confirmed: dict[int, list[Confirmation]] = {}
    for r in await conn.fetch(CONFIRMATIONS, [r["id"] for r in rows]):
        one = Confirmation(r["account_id"], r["name"], r["way"], r["confirmed_at"])
        confirmed.setdefault(r["act_id"], []).append(one)
    names = [n for n in Act.__dataclass_fields__ if n != "confirmed"]
    return [Act(**{n: r[n] for n in names}, confirmed=tuple(confirmed.get(r["id"], ()))) for r in rows]


@traced_read("narcotic acts")
async def acts(
    conn: Connection,
    sight: Sight,
    number: int | None = None,
    org: int | None = None,
    states: Sequence[str] | None = None,
    kind: str = "",
    before: int = 2**62,
    limit: int = 50,
) -> list[Act]:
    """Acts, newest first."""
    sql, args = sight.apply(ACTS, number, org, list(states) if states else None, kind, before, limit)
    return await _acts(conn, await conn.fetch(sql, *args))


async def act_of_hospital(conn: Connection, hospital: int, number: int) -> Act | None:
    """One act of the hospital whose people the caller belongs to, or None."""
    found = await _acts(conn, await conn.fetch(ACTS_OF_HOSPITAL, hospital, number))
    return found[0] if found else None


@traced_read("narcotics waiting")
async def waiting(conn: Connection, sight: Sight, account_id: int | None) -> dict[str, int]:
    """Acts the account may confirm (`to_confirm`), its `own` that wait for another, `ampoules` that are due."""
    sql, args = sight.apply(WAITING, account_id)
    row = await conn.fetchrow(sql, *args)
    assert row is not None
    return dict(row)


@traced_read("narcotic ampoules due")
async def due(
    conn: Connection,
    sight: Sight,
    org: int | None = None,
    bill_id: int | None = None,
    settled: bool = False,
    limit: int = 200,
) -> list[Due]:
    """Dispensings of which ampoules or patches come back, the oldest first; with `settled` also those that are done."""
    sql, args = sight.apply(DUE, org, bill_id, settled, limit)
    return [Due(**dict(r)) for r in await conn.fetch(sql, *args)]


@traced_read("narcotics coming")
async def coming(conn: Connection, sight: Sight, org: int, drug_ids: Sequence[int]) -> list[Record]:
    """Transfers of these products on their way to a place, the oldest first."""
    sql, args = sight.apply(COMING, org, list(drug_ids))
    return await conn.fetch(sql, *args)


@traced_read("narcotic ampoules due of a patient")
async def patient_due(conn: Connection, sight: Sight, patient: int, drug_id: int) -> int:
    """What the patient still has to bring back of the product, as far as the reader sees."""
    sql, args = sight.apply(PATIENT_DUE, patient, drug_id)
    found: int = await conn.fetchval(sql, *args)
    return found


@traced_read("narcotic ampoules on hand")
async def ampoules(conn: Connection, sight: Sight, org: int | None = None) -> list[Record]:
    """Ampoules and patches received and not yet destroyed, by place, product and batch."""
    sql, args = sight.apply(AMPOULES, org)
    return await conn.fetch(sql, *args)


@traced_read("narcotic residues")
async def residues(conn: Connection, sight: Sight, org: int | None = None, limit: int = 200) -> list[Record]:
    """Destroyed residues, the latest first."""
    sql, args = sight.apply(RESIDUES, org, limit)
    return await conn.fetch(sql, *args)


@traced_read("narcotic dispensing")
async def dispensing(
    conn: Connection, sight: Sight, bill_id: int, batch_id: int | None = None
) -> list[Record]:
    """What a dispensing in force handed out, by batch."""
    sql, args = sight.apply(DISPENSING, bill_id, batch_id)
    return await conn.fetch(sql, *args)


@traced_read("narcotic counts")
async def counts(
    conn: Connection, sight: Sight, org: int | None = None, before: int = 2**62, limit: int = 200
) -> list[Record]:
    """Counts at change of shift, the latest first."""
    sql, args = sight.apply(COUNTS, org, before, limit)
    return await conn.fetch(sql, *args)


async def boxes(conn: Connection, keys: Sequence[tuple[int, str]]) -> dict[tuple[int, str], Any]:
    """Scanned boxes with what is left in opened ones."""
    rows = await conn.fetch(BOXES, [k[0] for k in keys], [k[1] for k in keys])
    return {(r["drug_id"], r["code"]): r for r in rows}
