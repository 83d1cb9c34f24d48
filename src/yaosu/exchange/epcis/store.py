"""SQL of captured events, capture jobs, master data, parties, queries and subscriptions.

What readers see passes `access.visibility`: an event is seen by who captured it and by whoever may see a bill it made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection

# -- capture jobs -------------------------------------------------------------------------------------------------

INSERT_JOB = """
INSERT INTO epcis_job (org, account_id, behaviour, media, caller, body, events)
VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id"""

# One runner at a time: whoever cannot have the row leaves it to the one who has it.
CLAIM_JOB = """
SELECT * FROM epcis_job WHERE id = $1 AND state IN ('queued', 'running') FOR UPDATE SKIP LOCKED"""

END_JOB = """
UPDATE epcis_job SET state = $2, success = $3, captured = $4, errors = $5, warnings = $6, events = $7,
    started_at = coalesce($8, clock_timestamp()), finished_at = clock_timestamp(), tries = tries + 1
WHERE id = $1"""

# Jobs that nobody has worked on for a while: their server is gone.
LEFT_JOBS = """
SELECT id FROM epcis_job WHERE state IN ('queued', 'running') AND created_at < now() - $1::interval
ORDER BY created_at LIMIT 20"""

_JOB = (
    "id, state, behaviour, success, events, captured, errors, warnings, created_at, started_at, finished_at"
)
JOB = f"SELECT {_JOB} FROM epcis_job WHERE id = $1 AND org = $2"  # noqa: S608 - constant columns
JOBS = f"""
SELECT {_JOB} FROM epcis_job WHERE org = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid))
ORDER BY created_at DESC, id DESC LIMIT $4"""  # noqa: S608 - constant columns

# -- events -------------------------------------------------------------------------------------------------------

# One capture at a time for an organisation's event ids: the second of two equal documents finds the first one's events.
LOCK_CAPTURE = "SELECT pg_advisory_xact_lock(5021, $1)"

KNOWN_EVENTS = """
SELECT e.id, e.event_id, e.declared, e.content, e.state, e.body, e.prefixes, e.n,
    coalesce((SELECT array_agg(a.bill_id ORDER BY a.bill_id) FROM epcis_act a WHERE a.event = e.id), '{}') AS bills
FROM epcis_event e WHERE e.org = $1 AND e.event_id = ANY($2::text[])"""

# The event by which an organisation commissioned a package, when it is not yet one.
COMMISSIONED = """
SELECT e.body, e.prefixes FROM epcis_event e
WHERE e.org = $1 AND e.epcs && $2::text[] AND e.biz_step = 'commissioning' AND e.action = 'ADD' AND NOT e.declared
    AND e.state <> 'undone' ORDER BY e.id DESC LIMIT 1"""

EVENT_COLUMNS = (
    *("org", "n", "job", "event_time", "recorded_at", "declared", "state", "type", "action", "biz_step"),
    *("disposition", "read_point", "biz_location", "event_id", "content", "epcs", "prefixes", "body"),
)
INSERT_EVENT = f"""
INSERT INTO epcis_event ({", ".join(EVENT_COLUMNS)})
VALUES ({", ".join(f"${n}" for n in range(1, len(EVENT_COLUMNS) + 1))}) RETURNING id"""  # noqa: S608 - constant

# Events that nothing is done for come by the thousand (sensors, goods of others): their numbers are drawn first, so
# that all of them go in one exchange with the database.
NEXT_EVENTS = (
    "SELECT nextval(pg_get_serial_sequence('epcis_event', 'id')) AS id FROM generate_series(1, $1::int)"
)
INSERT_EVENTS = f"""
INSERT INTO epcis_event (id, {", ".join(EVENT_COLUMNS)}) OVERRIDING SYSTEM VALUE
VALUES ({", ".join(f"${n}" for n in range(1, len(EVENT_COLUMNS) + 2))})"""  # noqa: S608 - constant

INSERT_ACTS = """
INSERT INTO epcis_act (event, bill_id) SELECT $1, b FROM unnest($2::bigint[]) AS b ON CONFLICT DO NOTHING"""
SET_UNDONE = "UPDATE epcis_event SET state = 'undone' WHERE id = ANY($1::bigint[])"

# -- what acts need of bills and units ----------------------------------------------------------------------------

# ungated: write path: bills of the capturing organisation's own event, before they are taken back
BILL_HEADS = """
SELECT b.id, b.owner, b.submitter, b.type, b.bill_no, b.revision, b.status, b.mode, b.happened_at, b.from_org, b.to_org,
    b.principal, b.carrier, b.direct_org, b.header, b.drug_ids, b.leaf
FROM bill b WHERE b.id = ANY($1::bigint[]) ORDER BY b.id"""

# ungated: write path: whether the owner's own number is taken
NUMBER_TAKEN = "SELECT 1 FROM bill WHERE owner = $1 AND bill_no = $2 LIMIT 1"

# ungated: write path: latest revision under the owner's own number
LATEST = """
SELECT id, type, revision, status FROM bill
WHERE owner = $1 AND bill_no = $2 AND revision > 0 ORDER BY id DESC LIMIT 1"""

# ungated: write path: the reversal that a correction of the owner's own posted
REVERSAL_WITH = "SELECT id FROM bill WHERE owner = $1 AND bill_no = $2 AND revision = $3"

# ungated: write path: codes of a bill of the owner's own that is about to be taken back
LINES_OF = """
SELECT l.code, l.left_parent, l.post, l.pre, l.qty FROM bill_line l
WHERE l.bill_id = $1 AND l.drug_id = ANY($2::int[]) ORDER BY l.code"""

# ungated: write path: who sent goods that are on their way to the owner, which the owner may know
SENDERS = """
WITH RECURSIVE up AS (
    SELECT u.drug_id, u.parent, u.status, u.holder, u.dest FROM unnest($1::int[], $2::text[]) AS a(drug_id, code)
    JOIN unit u ON u.drug_id = a.drug_id AND u.code = a.code
    UNION ALL
    SELECT u.drug_id, u.parent, u.status, u.holder, u.dest
    FROM up JOIN unit u ON u.drug_id = up.drug_id AND u.code = up.parent
) SELECT DISTINCT holder FROM up WHERE parent IS NULL AND status = 'O' AND dest = $3 LIMIT 2"""

# ungated: write path: same question for logistics containers, by their products
CONTAINER_DRUGS = "SELECT code, drug_ids FROM logistics_container WHERE code = ANY($1::text[])"

# ungated: write path: which of these logistics units have something in them
FILLED_LABELS = """
SELECT DISTINCT c.code FROM logistics_container c
JOIN unit u ON u.drug_id = ANY(c.drug_ids) AND u.code = c.code AND u.qty > 0 WHERE c.code = ANY($1::text[])"""

# Which openings of company prefixes ($1, of $2 digits) somebody filed a product under, by any indicator digit.
FILED_HEADS = """
SELECT DISTINCT h AS head FROM unnest($1::text[]) AS h, generate_series(0, 9) AS i
WHERE EXISTS (SELECT 1 FROM code_prefix p WHERE length(p.prefix) = 14
    AND p.prefix BETWEEN i::text || h || repeat('0', 13 - $2::int) AND i::text || h || repeat('9', 13 - $2::int))"""

# ungated: write path: the bill that put units of the owner on their way, to be taken back by void_shipping
SHIPMENTS = """
SELECT u.code, u.notice FROM unnest($1::int[], $2::text[]) AS a(drug_id, code)
JOIN unit u ON u.drug_id = a.drug_id AND u.code = a.code WHERE u.status = 'O' AND u.holder = $3"""

# -- parties, vocabulary, prefixes --------------------------------------------------------------------------------

PARTIES = """
SELECT uri, party, keeper = party AS own FROM epcis_party
WHERE uri = ANY($2::text[]) AND (keeper = $1 OR keeper = party)"""
PUT_PARTY = """
INSERT INTO epcis_party (keeper, uri, party) VALUES ($1, $2, $3)
ON CONFLICT (keeper, uri) DO UPDATE SET party = excluded.party"""
OWN_PARTY = "SELECT party FROM epcis_party WHERE uri = $1 AND keeper = party"
PARTY_OF = "SELECT party FROM epcis_party WHERE keeper = $1 AND uri = $2"
DROP_PARTY = "DELETE FROM epcis_party WHERE keeper = $1 AND uri = $2"
PARTIES_OF = "SELECT uri, party FROM epcis_party WHERE keeper = $1 ORDER BY uri"
GLNS_OF = """
SELECT party, min(uri) AS uri FROM epcis_party WHERE keeper = party AND party = ANY($1::int[]) GROUP BY party"""
ORG_BY_OTHER = "SELECT id FROM org WHERE other_id_kind = $1 AND other_id = $2"
OTHER_IDS = "SELECT id, other_id_kind, other_id FROM org WHERE id = ANY($1::int[]) AND uscc IS NULL"

PUT_ENTRY = """
INSERT INTO epcis_vocabulary (org, kind, id, attributes, children) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (org, kind, id) DO UPDATE SET attributes = excluded.attributes, children = excluded.children,
    changed_at = now()"""
# everything below a place, by the captured hierarchy of the asking organisation
BELOW = """
WITH RECURSIVE down(id) AS (
    SELECT x COLLATE "C" FROM unnest($2::text[]) AS x
    UNION
    SELECT c FROM down d JOIN epcis_vocabulary v ON v.id = d.id AND v.org = $1, unnest(v.children) AS c
) SELECT id FROM down"""
# master data of the asking organisation that has an attribute by one of these names, and with one of these values
WITH_ATTRIBUTE = """
SELECT DISTINCT v.id FROM epcis_vocabulary v, jsonb_each_text(v.attributes) AS a
WHERE v.org = $1 AND a.key = ANY($2::text[]) AND a.value <> '' AND ($3::text[] IS NULL OR a.value = ANY($3))"""
ENTRIES = """
SELECT kind, id, attributes, children, changed_at FROM epcis_vocabulary
WHERE org = $1 AND ($2::text IS NULL OR kind = $2) AND (kind, id) > ($3, $4) ORDER BY kind, id LIMIT $5"""

PUT_PREFIXES = "INSERT INTO epcis_prefix (prefix) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING"
PREFIXES = "SELECT prefix FROM epcis_prefix"

# -- reading ------------------------------------------------------------------------------------------------------

_SEEN = """(/*visible:parties e.org*/ OR EXISTS (SELECT 1 FROM epcis_act a JOIN bill b ON b.id = a.bill_id
    WHERE a.event = e.id AND /*visible:coded b*/))"""

# Events as captured, in order of recording; everything that columns can say of the query.
EVENTS = f"""
SELECT e.id, e.org, e.recorded_at, e.event_time, e.event_id, e.body, e.prefixes
FROM epcis_event e
WHERE {_SEEN}
    AND (e.recorded_at, e.id) > (coalesce($1::timestamptz, '-infinity'), coalesce($2::bigint, 0))
    AND e.recorded_at >= coalesce($3::timestamptz, '-infinity') AND ($4::timestamptz IS NULL OR e.recorded_at < $4)
    AND ($5::timestamptz IS NULL OR e.event_time >= $5) AND ($6::timestamptz IS NULL OR e.event_time < $6)
    AND ($7::text[] IS NULL OR e.type = ANY($7)) AND ($8::text[] IS NULL OR e.action = ANY($8))
    AND ($9::text[] IS NULL OR e.biz_step = ANY($9)) AND ($10::text[] IS NULL OR e.disposition = ANY($10))
    AND ($11::text[] IS NULL OR e.read_point = ANY($11)) AND ($12::text[] IS NULL OR e.biz_location = ANY($12))
    AND ($13::text[] IS NULL OR e.event_id = ANY($13)) AND ($14::text[] IS NULL OR e.epcs && $14)
    AND ($15::boolean IS NULL OR e.declared = $15)
ORDER BY e.recorded_at, e.id LIMIT $16"""  # noqa: S608 - constant

# Values that visible captured events have in one column, for resource discovery.
DISTINCT = {
    "bizSteps": "biz_step",
    "dispositions": "disposition",
    "readPoints": "read_point",
    "bizLocations": "biz_location",
    "eventTypes": "type",
}


# ungated: built from a constant with the mark of EVENTS
def distinct_sql(column: str) -> str:
    """Distinct values of one column among visible events, after the one given."""
    return f"""
SELECT DISTINCT e.{column} AS value FROM epcis_event e
WHERE {_SEEN} AND e.{column} <> '' AND e.{column} > $1 ORDER BY 1 LIMIT $2"""  # noqa: S608 - constant


EPCS = f"""
SELECT DISTINCT x AS value FROM epcis_event e, unnest(e.epcs) AS x
WHERE {_SEEN} AND x > $1 AND left(x, 1) NOT IN ('c', 'j', 'k') ORDER BY 1 LIMIT $2"""  # noqa: S608 - constant


@traced_read("epcis events")
async def events(conn: Connection, sight: Sight, values: Sequence[Any]) -> list[Record]:
    """Captured events; `values` are $1…$16 of EVENTS."""
    sql, args = sight.apply(EVENTS, *values)
    return await conn.fetch(sql, *args)


@traced_read("epcis values")
async def distinct(conn: Connection, sight: Sight, resource: str, after: str, limit: int) -> list[str]:
    """Values of a resource (`bizSteps` …, `epcs`) among captured events, in order."""
    text = EPCS if resource == "epcs" else distinct_sql(DISTINCT[resource])
    sql, args = sight.apply(text, after, limit)
    return [r["value"] for r in await conn.fetch(sql, *args)]


# -- named queries and subscriptions ------------------------------------------------------------------------------

INSERT_QUERY = """
INSERT INTO epcis_query (org, name, query, made_by) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING name"""
QUERY = "SELECT name, query, created_at FROM epcis_query WHERE org = $1 AND name = $2"
QUERIES = (
    "SELECT name, query, created_at FROM epcis_query WHERE org = $1 AND name > $2 ORDER BY name LIMIT $3"
)
DROP_QUERY = "DELETE FROM epcis_query WHERE org = $1 AND name = $2 RETURNING name"
DROP_QUERY_SUBSCRIPTIONS = "DELETE FROM epcis_subscription WHERE org = $1 AND query = $2"

INSERT_SUBSCRIPTION = """
INSERT INTO epcis_subscription (org, query, dest, secret, schedule, style, caller, report_empty, since, next_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id, created_at"""
_SUBSCRIPTION = "id, query, dest, schedule, style, report_empty, since, created_at, notified_at, failures"
SUBSCRIPTIONS = (
    f"SELECT {_SUBSCRIPTION} FROM epcis_subscription WHERE org = $1 AND query = $2 ORDER BY created_at, id"  # noqa: S608
)
# For the page, whatever query they follow; an organisation has a hundred at most.
OWN_SUBSCRIPTIONS = (
    f"SELECT {_SUBSCRIPTION} FROM epcis_subscription WHERE org = $1 ORDER BY created_at DESC, id LIMIT 200"  # noqa: S608
)
DROP_OWN_SUBSCRIPTION = "DELETE FROM epcis_subscription WHERE org = $1 AND id = $2 RETURNING id"
SUBSCRIPTION = f"SELECT {_SUBSCRIPTION} FROM epcis_subscription WHERE org = $1 AND query = $2 AND id = $3"  # noqa: S608
DROP_SUBSCRIPTION = "DELETE FROM epcis_subscription WHERE org = $1 AND query = $2 AND id = $3 RETURNING id"
COUNT_SUBSCRIPTIONS = "SELECT count(*) FROM epcis_subscription WHERE org = $1"
DUE_SUBSCRIPTION = """
SELECT s.*, q.query AS definition FROM epcis_subscription s JOIN epcis_query q ON q.org = s.org AND q.name = s.query
WHERE s.next_at <= $1 ORDER BY s.next_at LIMIT 1 FOR UPDATE OF s SKIP LOCKED"""
ADVANCE = """
UPDATE epcis_subscription SET since = $2, next_at = $3, failures = 0, notified_at = coalesce($4, notified_at)
WHERE id = $1"""
FAILED = "UPDATE epcis_subscription SET failures = failures + 1, next_at = $2 WHERE id = $1"
AT_ONCE = "UPDATE epcis_subscription SET style = style || $2::jsonb, next_at = $3 WHERE id = $1"
SENT = "SELECT event FROM epcis_sent WHERE subscription = $1"
PUT_SENT = """
INSERT INTO epcis_sent (subscription, event, recorded_at)
SELECT $1, v.event, v.at FROM unnest($2::text[], $3::timestamptz[]) AS v(event, at) ON CONFLICT DO NOTHING"""
FORGET_SENT = "DELETE FROM epcis_sent WHERE subscription = $1 AND recorded_at < $2"


# -- sockets ------------------------------------------------------------------------------------------------------

# Changes whenever a transaction that wrote something has ended, on whichever server: nothing new without it.
MARKER = "SELECT pg_current_snapshot()::text"

# What is recorded before this time and cannot be seen now never will be: transactions give their records the time of
# their beginning or a later one. The seconds taken off are for servers whose clocks differ; an hour at most.
HORIZON = """
SELECT greatest(least(min(xact_start), clock_timestamp()) - interval '15 seconds',
    clock_timestamp() - interval '1 hour')
FROM pg_stat_activity WHERE datname = current_database()"""


async def put_event(conn: Connection, values: Sequence[Any], bills: Iterable[int]) -> int:
    """Keep one event and the bills it made; its number."""
    number: int = await conn.fetchval(INSERT_EVENT, *values)
    made = sorted(set(bills))
    if made:
        await conn.execute(INSERT_ACTS, number, made)
    return number


async def put_events(conn: Connection, rows: Sequence[Sequence[Any]]) -> list[int]:
    """Keep events that made no bills; their numbers, in the order given."""
    numbers = [r["id"] for r in await conn.fetch(NEXT_EVENTS, len(rows))]
    await conn.executemany(INSERT_EVENTS, [(n, *row) for n, row in zip(numbers, rows, strict=True)])
    return numbers


async def jobs(conn: Connection, org: int, before: tuple[datetime, UUID] | None, limit: int) -> list[Record]:
    """Capture jobs of an organisation, newest first."""
    return await conn.fetch(JOBS, org, before[0] if before else None, before[1] if before else None, limit)
