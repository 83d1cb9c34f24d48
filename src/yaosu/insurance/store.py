"""SQL of the settlement check: institutions, settled codes, and what of units the rules need besides `trace`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from hashlib import blake2b
from typing import Any

from asyncpg import Record

from yaosu.db.engine import Connection
from yaosu.insurance.model import Channel, Institution, Settled

_INSTITUTION = "i.id, i.bureau, i.org, i.code, i.name, i.region, i.app, i.profile, i.active"

BY_ID = f"SELECT {_INSTITUTION} FROM insurance_institution i WHERE i.id = $1"  # noqa: S608 - constants
BY_CODE = f"SELECT {_INSTITUTION} FROM insurance_institution i WHERE i.code = $1 AND i.active"  # noqa: S608 - constants
BY_ORG = f"SELECT {_INSTITUTION} FROM insurance_institution i WHERE i.org = $1 AND i.active"  # noqa: S608 - constants
OF_ORGS = "SELECT i.id FROM insurance_institution i WHERE i.org = ANY($1::int[]) ORDER BY i.active DESC, i.id"
# Those of a remit, by number; $3 narrows to one that carries a text in code or name.
OF_REMIT = f"""
SELECT {_INSTITUTION}, i.made_at, i.changed_at FROM insurance_institution i
WHERE starts_with(i.region, $1) AND i.id > $2 AND ($3 = '' OR strpos(i.code || ' ' || i.name, $3) > 0)
ORDER BY i.id LIMIT $4"""  # noqa: S608 - constants
BUREAU = "SELECT bureau FROM insurance_institution WHERE id = $1"
IDS = f"SELECT {_INSTITUTION} FROM insurance_institution i WHERE i.id = ANY($1::int[])"  # noqa: S608 - constants
WITH_SECRETS = f"""
SELECT {_INSTITUTION}, i.secrets, i.changed_at FROM insurance_institution i WHERE i.code = $1 AND i.active"""  # noqa: S608 - constants
REGISTER = """
INSERT INTO insurance_institution (bureau, org, code, name, region, app, profile, secrets, made_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING RETURNING id"""
NEW_SECRETS = "UPDATE insurance_institution SET secrets = $2, changed_at = now() WHERE id = $1"
END = "UPDATE insurance_institution SET active = false, changed_at = now() WHERE id = $1 AND active"

# Locks are taken in one order by everybody, so two acts with the same codes wait and never block each other.
LOCK = "SELECT pg_advisory_xact_lock(h) FROM unnest($1::bigint[]) AS h"

# Everything that counts, or was said before, of the codes: settled, disputed, refused.
SETTLED = """
SELECT s.drug_id, s.code, s.id, s.institution, i.region, s.keys, s.split, s.units, s.sold_at, s.recorded_at,
    s.collected_at IS NOT NULL AS collected, s.settled_at IS NOT NULL AS by_settlement, s.person, s.bill_id, s.state,
    s.severity, s.findings
FROM unnest($1::int[], $2::text[]) AS a(drug_id, code)
JOIN insurance_settlement s ON s.drug_id = a.drug_id AND s.code = a.code AND s.state IN ('S', 'D', 'R')
JOIN insurance_institution i ON i.id = s.institution
ORDER BY s.id"""

# Where the sale could lie before the latest event: when the code came into the books, and whether any of the
# organisations $4 had it at some time. Each step of a chain is one look-up of the primary key.
# ungated: of single scanned codes; leaves only a time and a yes or no about the caller's own organisation
LATE = """
WITH RECURSIVE chain AS (
    SELECT a.n, a.drug_id, a.code, a.last_bill AS bill_id, 0 AS step, false AS had
    FROM unnest($1::int[], $2::text[], $3::bigint[]) WITH ORDINALITY AS a(drug_id, code, last_bill, n)
    UNION ALL
    SELECT c.n, c.drug_id, c.code, l.prev_bill, c.step + 1, l.pre_holder = ANY($4::int[])
    FROM chain c JOIN bill_line l ON l.drug_id = c.drug_id AND l.bill_id = c.bill_id AND l.code = c.code
    WHERE c.step < 200 AND l.prev_bill > 0
)
SELECT c.n, bool_or(c.had) AS had, min(b.happened_at) AS first_at
FROM chain c LEFT JOIN bill b ON b.id = c.bill_id GROUP BY c.n"""

# The sale that a sold code stands by in the institution's own books, and whether the box had been opened.
# ungated: bills owned by the institution's own organisation ($4), for its own act
OWN_SALES = """
SELECT a.n, b.bill_no, b.happened_at, p.code IS NOT NULL AS opened
FROM unnest($1::int[], $2::text[], $3::bigint[]) WITH ORDINALITY AS a(drug_id, code, bill_id, n)
LEFT JOIN bill b ON b.id = a.bill_id AND b.owner = ANY($4::int[])
LEFT JOIN split_pack p ON p.drug_id = a.drug_id AND p.code = a.code AND p.org = ANY($4::int[])"""

# Uncoded goods of the institution, and the oldest invoice behind them.
# ungated: the account of the institution's own organisation ($1)
UNCODED = """
SELECT x.drug_id, min(l.invoice_date) AS bought
FROM balance x LEFT JOIN uncoded_lot l ON l.org = x.org AND l.drug_id = x.drug_id AND l.batch_id = x.batch_id
WHERE x.org = ANY($1::int[]) AND x.status = 'U' AND x.qty > 0 AND x.drug_id = ANY($2::int[]) GROUP BY x.drug_id"""

NEW_IDS = "SELECT nextval('insurance_settlement_id') FROM generate_series(1, $1)"
# A channel that tells of a sale already known adds what it knows: its own time, and the numbers of the act.
MERGE = """
UPDATE insurance_settlement SET keys = ARRAY(SELECT DISTINCT k FROM unnest(keys || $4::text[]) AS k ORDER BY k),
    collected_at = CASE WHEN $5 = 'collect' THEN coalesce(collected_at, now()) ELSE collected_at END,
    settled_at = CASE WHEN $5 = 'settle' THEN coalesce(settled_at, now()) ELSE settled_at END,
    bill_id = CASE WHEN bill_id = 0 THEN $6 ELSE bill_id END,
    med_list_codg = CASE WHEN med_list_codg = '' THEN $7 ELSE med_list_codg END
WHERE drug_id = $1 AND code = $2 AND id = $3"""
# A row that was refused or disputed before and is told again: what is said of it now.
AGAIN = """
UPDATE insurance_settlement SET state = $4, severity = $5, findings = $6, recorded_at = now()
WHERE drug_id = $1 AND code = $2 AND id = $3 AND state IN ('R', 'D')"""

# Rows of an act that count, by any of its numbers, for taking them back; under lock.
OF_ACT = """
SELECT s.drug_id, s.code, s.id, s.split, s.units FROM insurance_settlement s
WHERE s.keys && $1::text[] AND s.state IN ('S', 'D') ORDER BY s.drug_id, s.code, s.id FOR UPDATE"""
# Rows of one institution by code, newest first, for a return that names the box; under lock.
BY_CODES = """
SELECT s.drug_id, s.code, s.id, s.split, s.units, s.keys, s.sold_at
FROM unnest($2::int[], $3::text[]) AS a(drug_id, code)
JOIN insurance_settlement s ON s.drug_id = a.drug_id AND s.code = a.code
WHERE s.institution = $1 AND s.state IN ('S', 'D')
ORDER BY s.drug_id, s.code, s.id DESC FOR UPDATE OF s"""
FINISH = """
UPDATE insurance_settlement s SET state = $4, ended_at = now()
FROM unnest($1::int[], $2::text[], $3::bigint[]) AS a(drug_id, code, id)
WHERE s.drug_id = a.drug_id AND s.code = a.code AND s.id = a.id AND s.state IN ('S', 'D', 'R')"""
REDUCE = "UPDATE insurance_settlement SET units = $4 WHERE drug_id = $1 AND code = $2 AND id = $3"

COLUMNS = (
    "id", "bill_id", "sold_at", "collected_at", "settled_at", "drug_id", "institution", "units", "split", "state",
    "severity", "code", "med_list_codg", "keys", "person", "findings",
)  # fmt: skip
"""Columns of a new row of the settlement ledger, as `add` takes them."""


def institution(row: Record) -> Institution:
    """The value of a row."""
    return Institution(
        row["id"],
        row["bureau"],
        row["org"],
        row["code"],
        row["name"],
        row["region"],
        row["app"],
        row["profile"],
        row["active"],
    )


async def institutions(conn: Connection, ids: Iterable[int]) -> dict[int, Institution]:
    """Several institutions by number."""
    return {r["id"]: institution(r) for r in await conn.fetch(IDS, sorted(set(ids)))}


def keys_of(institution_id: int, keys: Mapping[str, str]) -> list[str]:
    """The numbers of an act as they are stored: no two institutions' numbers are alike."""
    return sorted(f"{institution_id}:{kind}:{number}" for kind, number in keys.items() if number)


def keys_from(stored: Sequence[str]) -> dict[str, str]:
    """The numbers as the rules take them."""
    found = {}
    for one in stored:
        _, kind, number = one.split(":", 2)
        found[kind] = number
    return found


def lock_number(text: str) -> int:
    """The advisory lock of a code, or of a number that an institution gave."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8, person=b"insurance").digest(), signed=True)


async def lock(conn: Connection, codes: Iterable[str]) -> None:
    """Nobody else settles these codes until the transaction ends."""
    await lock_numbers(conn, sorted({lock_number(code) for code in codes}))


async def lock_numbers(conn: Connection, numbers: Sequence[int]) -> None:
    """The same for locks by number, ascending: all that a transaction needs at once."""
    if numbers:
        await conn.fetch(LOCK, numbers)


def settled(row: Record) -> Settled:
    """A row of the settlement ledger as the rules see it."""
    channels: set[Channel] = set()
    if row["collected"]:
        channels.add("collect")
    if row["by_settlement"]:
        channels.add("settle")
    return Settled(
        row["id"],
        row["institution"],
        row["region"],
        keys_from(row["keys"]),
        row["split"],
        row["units"],
        row["sold_at"],
        row["recorded_at"],
        frozenset(channels),
        row["person"],
        row["bill_id"],
    )


async def settlements(
    conn: Connection, keys: Iterable[tuple[int, str]]
) -> dict[str, list[tuple[Record, Settled]]]:
    """By code, the rows that count or were said before, oldest first."""
    pairs = sorted(set(keys))
    found: dict[str, list[tuple[Record, Settled]]] = {}
    if pairs:
        for row in await conn.fetch(SETTLED, [p[0] for p in pairs], [p[1] for p in pairs]):
            found.setdefault(row["code"], []).append((row, settled(row)))
    return found


async def late(
    conn: Connection, units: Sequence[tuple[int, str, int]], family: Sequence[int]
) -> list[tuple[bool, datetime | None]]:
    """For each (product, code, last bill): whether the family had it at some time, and when it was activated."""
    found: list[tuple[bool, datetime | None]] = [(False, None)] * len(units)
    rows = await conn.fetch(
        LATE, [u[0] for u in units], [u[1] for u in units], [u[2] for u in units], list(family)
    )
    for row in rows:
        found[row["n"] - 1] = (row["had"], row["first_at"])
    return found


async def own_sales(
    conn: Connection, units: Sequence[tuple[int, str, int]], family: Sequence[int]
) -> list[tuple[str | None, datetime | None, bool]]:
    """For each (product, code, bill): number and time of the family's own sale, and whether the box was opened."""
    found: list[tuple[str | None, datetime | None, bool]] = [(None, None, False)] * len(units)
    rows = await conn.fetch(
        OWN_SALES, [u[0] for u in units], [u[1] for u in units], [u[2] for u in units], list(family)
    )
    for row in rows:
        found[row["n"] - 1] = (row["bill_no"], row["happened_at"], row["opened"])
    return found


async def uncoded(conn: Connection, family: Sequence[int], drug_ids: Sequence[int]) -> dict[int, date | None]:
    """Products of which the family holds uncoded goods, with the day of the oldest invoice."""
    rows = await conn.fetch(UNCODED, list(family), list(drug_ids))
    return {r["drug_id"]: r["bought"] for r in rows}


async def add(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """New rows of the settlement ledger, with their ids."""
    await conn.copy_records_to_table(
        "insurance_settlement", records=[tuple(r[c] for c in COLUMNS) for r in rows], columns=COLUMNS
    )


async def new_ids(conn: Connection, count: int) -> list[int]:
    """Ids of rows to be added."""
    return [r[0] for r in await conn.fetch(NEW_IDS, count)] if count else []


async def finish(conn: Connection, rows: Iterable[tuple[int, str, int]], state: str) -> None:
    """Rows that no longer count: B taken back, W withdrawn."""
    found = list(rows)
    if found:
        await conn.execute(FINISH, [r[0] for r in found], [r[1] for r in found], [r[2] for r in found], state)
