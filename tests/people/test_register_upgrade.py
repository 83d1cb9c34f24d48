"""Lines of the special register that were marked as taken back become lines with a reversing one (R-C2)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import yaosu.db
from yaosu.db.engine import Connection

AT = datetime(2026, 6, 1, 4, tzinfo=UTC)
_BEFORE = (
    "DROP TRIGGER purchase_as_written ON people.purchase",
    "DROP FUNCTION people.as_written",
    "ALTER TABLE people.purchase DROP COLUMN corrects",
    "ALTER TABLE people.purchase ADD COLUMN taken_back_at timestamptz",
)
"""The table as it was before."""


async def _bill(
    conn: Connection, number: int, revision: int, status: str, flags: int, replaces: int | None
) -> None:
    await conn.execute(
        "INSERT INTO bill (id, owner, submitter, type, revision, flags, status, lines, qty, happened_at, "
        "submission_id, replaces, bill_no, content_hash, leaf, drug_ids) "
        "VALUES ($1, 7, 7, 321, $2, $3, $4, 1, 1, $5, 0, $6, 'LS-1', '', '', '{1}')",
        number,
        revision,
        flags,
        status,
        AT,
        replaces,
    )


async def test_marked_lines_get_a_reversing_line_on_the_bill_that_took_them_back(db: Connection) -> None:
    for statement in _BEFORE:
        await db.execute(statement)
    await _bill(db, 9_000_001, 1, "R", 0, None)
    await _bill(db, 9_000_002, -1, "V", 8, 9_000_001)
    await _bill(db, 9_000_003, 2, "A", 16, 9_000_001)
    for bill, qty, back in ((9_000_001, 2, AT), (9_000_003, 1, None)):
        await db.execute(
            "INSERT INTO people.purchase (bill_id, person, happened_at, drug_id, batch_id, org, qty, bill_type, codes, "
            "doctor, taken_back_at) VALUES ($1, 5, $2, 1, 1, 7, $3, 321, '{a,b}', '甲', $4)",
            bill,
            AT,
            qty,
            back,
        )
    migration = Path(yaosu.db.__file__).parent / "migrations" / "0043_register_lines.sql"
    await db.execute(migration.read_text("utf-8"))
    rows = await db.fetch("SELECT * FROM people.purchase WHERE org = 7 ORDER BY bill_id")
    assert [(r["bill_id"] - 9_000_000, r["qty"], r["corrects"]) for r in rows] == [
        (1, 2, None),
        (2, -2, 9_000_001),
        (3, 1, None),
    ]
    assert {(r["person"], r["doctor"], tuple(r["codes"]), r["happened_at"]) for r in rows} == {
        (5, "甲", ("a", "b"), AT)
    }
