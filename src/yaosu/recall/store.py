"""SQL of recall orders. An order is seen by who runs it, by holders with a task, by offices it touches (D10)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection
from yaosu.recall.model import Goods, Order

_ORDER = (
    "o.id, o.drug_id, o.issuer, o.owner, o.maker, o.return_to, o.level, o.kind, o.simulated, o.is_public, o.measure, "
    "o.state, o.number, o.title, o.reason, o.hazard, o.regions, o.contact, o.drafted_by, o.drafted_at, o.approved_by, "
    "o.approved_org, o.approved_at, o.published_by, o.published_at, o.ended_by, o.ended_at, o.end_reason, o.stop_id, "
    "o.bill_mark, o.located_ms, o.clock, o.version"
)

# A draft is the issuer's own, and the office's that is to approve it; a published order is also the MAH's and the
# maker's, and of every holder with a task. $1 is the reader's organisation, 0 for none.
_SEEN = """(
    (/*visible:org o.issuer*/ AND (o.state <> 'draft' OR o.kind = 'ordered' OR o.issuer = $1::int OR $1::int = 0))
    OR (o.state <> 'draft' AND /*visible:parties o.owner o.maker*/)
    OR (o.published_at IS NOT NULL AND EXISTS (
        SELECT 1 FROM recall_task t WHERE t.order_id = o.id AND /*visible:org t.org*/)))"""

ONE = f"SELECT {_ORDER} FROM recall_order o WHERE o.id = $2 AND {_SEEN}"  # noqa: S608 -- only constants are put in

LIST = f"""
SELECT {_ORDER} FROM recall_order o
WHERE o.id < $2 AND ($3::text[] IS NULL OR o.state = ANY($3::text[])) AND ($4::bool IS NULL OR o.simulated = $4::bool)
    AND {_SEEN}
ORDER BY o.id DESC LIMIT $5"""  # noqa: S608 -- only constants are put in

# What waits, for the overview: drafts to approve, approved ones to publish, running ones and holders that have not
# acknowledged. $1 as above; $2: the reader's account, who does not approve its own draft.
COUNTS = f"""
SELECT count(*) FILTER (WHERE o.state = 'draft' AND o.drafted_by IS DISTINCT FROM $2::int) AS to_approve,
    count(*) FILTER (WHERE o.state = 'approved') AS to_publish,
    count(*) FILTER (WHERE o.state = 'published') AS running,
    coalesce(sum((SELECT count(*) FROM recall_task t WHERE t.order_id = o.id AND t.read_at IS NULL))
        FILTER (WHERE o.state = 'published'), 0)::bigint AS unread
FROM recall_order o
WHERE o.state IN ('draft', 'approved', 'published') AND {_SEEN}
    AND ($1::int = 0 OR $1 IN (o.issuer, o.owner, o.maker))"""  # noqa: S608 -- only constants are put in

LOCKED = f"SELECT {_ORDER} FROM recall_order o WHERE o.id = $1 FOR UPDATE"  # noqa: S608 -- only constants are put in

# What everybody may know (是否向消费者公开): running or ended, real, public.
PUBLIC = f"""
SELECT {_ORDER} FROM recall_order o
WHERE o.is_public AND NOT o.simulated AND o.published_at IS NOT NULL AND o.id < $1 ORDER BY o.id DESC LIMIT $2"""  # noqa: S608
PUBLIC_ONE = f"""
SELECT {_ORDER} FROM recall_order o
WHERE o.number = $1 AND o.is_public AND NOT o.simulated AND o.published_at IS NOT NULL"""  # noqa: S608

# Who answers for an API key: its drafts are his.
KEY_MAKER = "SELECT created_by FROM api_key WHERE prefix = $1"

# The day's last number; past 999 it is longer.
NUMBERING = "SELECT pg_advisory_xact_lock(hashtext($1))"
LAST_NUMBER = """
SELECT number FROM recall_order WHERE number LIKE $1 ORDER BY length(number) DESC, number DESC LIMIT 1"""

INSERT = """
INSERT INTO recall_order (drug_id, issuer, owner, maker, return_to, level, kind, simulated, is_public, measure, number,
    title, reason, hazard, regions, contact, drafted_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) RETURNING id"""

REVISE = """
UPDATE recall_order SET return_to = $2, level = $3, kind = $4, simulated = $5, is_public = $6, measure = $7, title = $8,
    reason = $9, hazard = $10, regions = $11, contact = $12, drafted_by = $13, version = version + 1
WHERE id = $1"""

DROP_GOODS = (
    "DELETE FROM recall_batch WHERE drug_id = $1 AND order_id = $2",
    "DELETE FROM recall_code WHERE drug_id = $1 AND order_id = $2",
)
PUT_BATCHES = """
INSERT INTO recall_batch (drug_id, batch_id, order_id) SELECT $1, b, $2 FROM unnest($3::int[]) AS b"""
PUT_CODES = """
INSERT INTO recall_code (drug_id, order_id, code, level, qty)
SELECT $1, $2, c, l, q FROM unnest($3::text[], $4::smallint[], $5::int[]) AS v(c, l, q)"""

# ungated: batch numbers are printed on the box
BATCH_IDS = "SELECT b.id, b.batch_no FROM batch b WHERE b.drug_id = $1 AND b.batch_no = ANY($2::text[])"
# ungated: which codes exist and how much they hold, for the product's own firm or an office in charge of it
UNITS = """
SELECT u.code, u.level, coalesce(u.qty, 1) AS qty FROM unit u WHERE u.drug_id = $1 AND u.code = ANY($2::text[])"""

# ungated: goods of an order that the reader was let in to
BATCHES_OF = """
SELECT r.order_id, b.id, b.batch_no FROM recall_batch r JOIN batch b ON b.drug_id = r.drug_id AND b.id = r.batch_id
WHERE r.order_id = ANY($1::int[]) ORDER BY b.batch_no"""
CODES_OF = """
SELECT order_id, code, level, qty FROM recall_code WHERE order_id = ANY($1::int[]) ORDER BY code LIMIT $2"""

APPROVE = """
UPDATE recall_order SET state = 'approved', approved_by = $2, approved_org = $3, approved_at = clock_timestamp(),
    version = version + 1 WHERE id = $1"""
PUBLISHED = """
UPDATE recall_order SET state = 'published', published_by = $2, published_at = $3, stop_id = $4, bill_mark = $5,
    located_ms = $6, clock = $7, version = version + 1 WHERE id = $1"""
END = """
UPDATE recall_order SET state = $2, ended_by = $3, ended_at = clock_timestamp(), end_reason = $4, version = version + 1
WHERE id = $1"""

# Drug regulators in charge of a region, the nearest first (GB/T 2260 prefixes). Authorities for health and insurance
# (list org_sub_type, 1102 and 1103) are told of no recall: it is not theirs to see that it is done.
OFFICES = """
SELECT id FROM org WHERE type = 110 AND status = 1 AND coalesce(sub_type, 1101) = 1101 AND (
    starts_with($1, CASE WHEN region LIKE '%0000' THEN left(region, 2) WHEN region LIKE '%00' THEN left(region, 4)
        ELSE region END) OR region IN ('000000', '100000'))
ORDER BY (region IN ('000000', '100000')), length(rtrim(region, '0')) DESC, id LIMIT $2"""


REGION = "SELECT region FROM org WHERE id = $1"


def order_of(row: Record) -> Order:
    """An order from its row."""
    return Order(*row.values())


@traced_read("recall.order")
async def one(conn: Connection, sight: Sight, reader: int, order_id: int) -> Order | None:
    """The order, if the reader may see it; `reader` is the reader's organisation, 0 for none."""
    sql, args = sight.apply(ONE, reader, order_id)
    row = await conn.fetchrow(sql, *args)
    return order_of(row) if row is not None else None


@traced_read("recall.orders")
async def listed(
    conn: Connection,
    sight: Sight,
    reader: int,
    before: int,
    states: Sequence[str] | None,
    simulated: bool | None,
    limit: int,
) -> list[Order]:
    """Orders the reader may see, newest first."""
    sql, args = sight.apply(LIST, reader, before, states, simulated, limit)
    return [order_of(r) for r in await conn.fetch(sql, *args)]


@traced_read("recall.counts")
async def counts(conn: Connection, sight: Sight, reader: int, account_id: int | None) -> dict[str, int]:
    """Orders the reader runs or is in charge of: `to_approve`, `to_publish`, `running`, holders `unread`."""
    sql, args = sight.apply(COUNTS, reader, account_id)
    row = await conn.fetchrow(sql, *args)
    assert row is not None
    return dict(row)


async def locked(conn: Connection, order_id: int) -> Order | None:
    """The order under lock, for a change."""
    row = await conn.fetchrow(LOCKED, order_id)
    return order_of(row) if row is not None else None


async def goods(conn: Connection, ids: Sequence[int], codes_max: int = 500) -> dict[int, Goods]:
    """What each order recalls; at most `codes_max` codes in all."""
    batches: dict[int, list[tuple[int, str]]] = {}
    codes: dict[int, list[tuple[str, int, int]]] = {}
    for row in await conn.fetch(BATCHES_OF, list(ids)):
        batches.setdefault(row["order_id"], []).append((row["id"], row["batch_no"]))
    for row in await conn.fetch(CODES_OF, list(ids), codes_max):
        codes.setdefault(row["order_id"], []).append((row["code"], row["level"], row["qty"]))
    return {i: Goods(tuple(batches.get(i, ())), tuple(codes.get(i, ()))) for i in ids}


async def put_goods(
    conn: Connection,
    order_id: int,
    drug_id: int,
    batch_ids: Sequence[int],
    codes: Sequence[tuple[str, int, int]],
) -> None:
    """Replace what an order recalls."""
    for sql in DROP_GOODS:
        await conn.execute(sql, drug_id, order_id)
    if batch_ids:
        await conn.execute(PUT_BATCHES, drug_id, order_id, sorted(batch_ids))
    if codes:
        columns: list[list[Any]] = [list(c) for c in zip(*codes, strict=True)]
        await conn.execute(PUT_CODES, drug_id, order_id, *columns)


async def offices(conn: Connection, region: str, limit: int = 3) -> list[int]:
    """Drug regulators in charge of a region, the nearest first."""
    return [r["id"] for r in await conn.fetch(OFFICES, region, limit)]
