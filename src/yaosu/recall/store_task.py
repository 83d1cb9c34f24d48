"""SQL of recall tasks and reports.

A task is its holder's (and its headquarters'), the running firm's, and of offices in whose region the holder is.
In a drill the running firm learns a holder's name when that holder answers, or where it may know it anyway (grants).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection
from yaosu.recall.model import Task

_TASK = (
    "t.id, t.order_id, t.drug_id, t.org, t.on_hand, t.coming, t.sent, t.sold, t.told_at, t.read_by, t.read_at, "
    "t.counted_by, t.counted_at, t.counted, t.ledger_then, t.sealed, t.missing, t.note, t.done_by, t.done_at, "
    "t.reminded_at, t.overdue_at"
)

# $2: the reader runs the recall, or is the office in charge of it; $3: a drill.
OF_ORDER = f"""
SELECT {_TASK}, (NOT $3::bool OR t.read_at IS NOT NULL OR coalesce(/*visible:org t.org*/, false)
    OR coalesce(/*visible:holder t.org t.drug_id*/, false)) AS named
FROM recall_task t
WHERE t.order_id = $1 AND ($2::bool OR coalesce(/*visible:org t.org*/, false))
ORDER BY t.on_hand + t.coming DESC, t.id"""  # noqa: S608 -- only constants are put in

OWN = f"""
SELECT {_TASK}, true AS named FROM recall_task t
WHERE t.order_id = $1 AND ($2::int IS NULL OR t.org = $2::int) AND /*visible:org t.org*/
ORDER BY (t.org = $3::int) DESC, t.id"""  # noqa: S608 -- only constants are put in

LOCKED = f"SELECT {_TASK}, true AS named FROM recall_task t WHERE t.order_id = $1 AND t.org = $2 FOR UPDATE"  # noqa: S608

# A published recall tells who runs it what each holder has: the holder can see that (R-B10). A drill does not.
DISCLOSED = """
INSERT INTO read_record (subject_kind, subject_id, org_id, what, owner_org)
SELECT $2, $3, r, $4, t.org FROM recall_task t, (SELECT DISTINCT unnest($5::int[]) AS r) x
WHERE t.order_id = $1 AND t.org <> x.r"""
# Running orders with what they stop, for those who come to hold some of it later: a return goes up the chain.
OPEN_ORDERS = """
SELECT o.id, o.drug_id, o.number, o.title, o.level, o.simulated, o.issuer, o.owner, o.return_to, o.regions, o.clock,
    o.published_by, ARRAY(SELECT r.batch_id FROM recall_batch r WHERE r.order_id = o.id) AS batch_ids,
    EXISTS (SELECT 1 FROM recall_code c WHERE c.order_id = o.id) AS single,
    ARRAY(SELECT t.org FROM recall_task t WHERE t.order_id = o.id) AS told
FROM recall_order o WHERE o.state = 'published' ORDER BY o.id LIMIT 1000"""
LATE = """
INSERT INTO recall_task (order_id, drug_id, org, on_hand, coming, sent, sold)
SELECT $1, $2, v.org, v.on_hand, v.coming, 0, 0
FROM unnest($3::int[], $4::bigint[], $5::bigint[]) AS v(org, on_hand, coming) JOIN org o ON o.id = v.org
WHERE cardinality($6::text[]) = 0 OR EXISTS (SELECT 1 FROM unnest($6::text[]) p WHERE starts_with(o.region::text, p))
ORDER BY v.org ON CONFLICT (order_id, org) DO NOTHING RETURNING org"""
DISCLOSED_LATE = """
INSERT INTO read_record (subject_kind, subject_id, org_id, what, owner_org)
SELECT 'system', '', r, $1, t FROM unnest($2::int[]) AS t, (SELECT DISTINCT unnest($3::int[]) AS r) x WHERE t <> x.r"""
ORGS = "SELECT org FROM recall_task WHERE order_id = $1"
TOLD = "UPDATE recall_task SET told_at = clock_timestamp() WHERE order_id = $1 AND told_at IS NULL"
READ = """
UPDATE recall_task SET read_by = $2, read_at = clock_timestamp() WHERE id = $1 AND read_at IS NULL RETURNING read_at"""
COUNTED = """
UPDATE recall_task SET counted_by = $2, counted_at = clock_timestamp(), counted = $3, ledger_then = $4, sealed = $5,
    missing = $6, note = $7, read_by = coalesce(read_by, $2), read_at = coalesce(read_at, clock_timestamp())
WHERE id = $1"""
DONE = "UPDATE recall_task SET done_by = $2, done_at = clock_timestamp() WHERE id = $1"

DROP_INNER = "DELETE FROM recall_scan WHERE drug_id = $1 AND task_id = $2 AND code = ANY($3::text[])"
PUT_SCANS = """
INSERT INTO recall_scan (drug_id, task_id, qty, code)
SELECT $1, $2, q, c FROM unnest($3::int[], $4::text[]) AS v(q, c)
ON CONFLICT (drug_id, task_id, code) DO UPDATE SET qty = excluded.qty, scanned_at = clock_timestamp()"""
DROP_SCANS = "DELETE FROM recall_scan WHERE drug_id = $1 AND task_id = $2"
SCANS = """
SELECT code, qty, scanned_at FROM recall_scan WHERE drug_id = $1 AND task_id = $2 ORDER BY scanned_at DESC LIMIT $3"""
SCANNED = """
SELECT coalesce(sum(qty), 0)::bigint AS qty, count(*) AS codes FROM recall_scan WHERE drug_id = $1 AND task_id = $2"""

# Own tasks that wait for somebody, for the list page.
DUTIES = """
SELECT t.order_id, t.org, t.read_at, t.counted_at, t.done_at FROM recall_task t JOIN recall_order o ON o.id = t.order_id
WHERE o.state = 'published' AND t.done_at IS NULL AND t.on_hand + t.coming > 0 AND t.org = $1 AND /*visible:org t.org*/
ORDER BY t.id DESC LIMIT 200"""

TIMES = """
SELECT count(*) AS holders, count(read_at) AS read, min(told_at) AS first_told, max(told_at) AS last_told,
    min(read_at) AS first_read, max(read_at) AS last_read, count(done_at) AS done
FROM recall_task WHERE order_id = $1"""

PUT_REPORT = """
INSERT INTO recall_report (order_id, n, kind, made_by, figures, findings)
SELECT $1, coalesce(max(n), 0) + 1, $2, $3, $4, $5 FROM recall_report WHERE order_id = $1 RETURNING id, n, made_at"""
REPORTS = """
SELECT id, n, kind, made_at, made_by, figures, findings FROM recall_report WHERE order_id = $1 ORDER BY n"""

# ---- by the clock ----

# The time of each runs from the moment it was told.
UNREAD = """
SELECT t.id, t.org, t.reminded_at, t.overdue_at, o.id AS order_id, o.number, o.title, o.issuer, o.owner,
    coalesce(t.told_at, o.published_at) AS told_at, o.clock, r.region
FROM recall_task t JOIN recall_order o ON o.id = t.order_id JOIN org r ON r.id = t.org
WHERE o.state = 'published' AND t.read_at IS NULL AND t.overdue_at IS NULL
    AND clock_timestamp() >= coalesce(t.told_at, o.published_at)
        + make_interval(secs => ((o.clock->>'notice_hours')::int * 3600) / 2)
ORDER BY t.id LIMIT 5000"""
REMINDED = "UPDATE recall_task SET reminded_at = clock_timestamp() WHERE id = ANY($1::bigint[])"
OVERDUE = "UPDATE recall_task SET overdue_at = clock_timestamp() WHERE id = ANY($1::bigint[])"
RUNNING = """
SELECT o.id, o.number, o.title, o.issuer, o.owner, o.state, o.published_at, o.ended_at, o.clock,
    (SELECT max(r.made_at) FROM recall_report r WHERE r.order_id = o.id AND r.kind = 'progress') AS last_report,
    EXISTS (SELECT 1 FROM recall_report r WHERE r.order_id = o.id AND r.kind = 'summary') AS summed_up, w.region
FROM recall_order o JOIN org w ON w.id = o.owner
WHERE NOT o.simulated AND (o.state = 'published' OR (o.state = 'finished' AND o.ended_at > now() - interval '90 days'))
ORDER BY o.id LIMIT 1000"""
DUE = """
INSERT INTO recall_due (order_id, kind, due_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING order_id"""


@traced_read("recall.tasks")
async def of_order(conn: Connection, sight: Sight, order_id: int, whole: bool, simulated: bool) -> list[Task]:
    """Tasks the reader may see, the largest first; `whole`: the reader runs the recall or is in charge of it."""
    sql, args = sight.apply(OF_ORDER, order_id, whole, simulated)
    return [Task(*r.values()) for r in await conn.fetch(sql, *args)]


@traced_read("recall.own_task")
async def own(conn: Connection, sight: Sight, order_id: int, org: int | None, reader: int) -> list[Task]:
    """The reader's own tasks of an order (stores of a chain too), its own first; of `org` where it is given."""
    sql, args = sight.apply(OWN, order_id, org, reader)
    return [Task(*r.values()) for r in await conn.fetch(sql, *args)]


@traced_read("recall.duties")
async def duties(conn: Connection, sight: Sight, org: int) -> list[Record]:
    """Tasks of an organisation that wait for it."""
    sql, args = sight.apply(DUTIES, org)
    return await conn.fetch(sql, *args)


async def locked(conn: Connection, order_id: int, org: int) -> Task | None:
    """A task under lock, for a change by its holder."""
    row = await conn.fetchrow(LOCKED, order_id, org)
    return Task(*row.values()) if row is not None else None


async def put_scans(conn: Connection, task: Task, found: Sequence[tuple[str, int]]) -> tuple[int, int]:
    """Keep scanned codes; smallest packages and codes kept so far."""
    if found:
        columns: list[list[Any]] = [[q for _, q in found], [c for c, _ in found]]
        await conn.execute(PUT_SCANS, task.drug_id, task.id, *columns)
    row = await conn.fetchrow(SCANNED, task.drug_id, task.id)
    assert row is not None
    return row["qty"], row["codes"]
