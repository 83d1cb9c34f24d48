"""SQL of the 医保 channel: rows that went out, what a sender needs to complete them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection
from yaosu.exchange.yibao.model import Row, Standing

# ungated: the channel's own rows of one connection, whose owner is the bill's
STANDING = """
SELECT bchno, infno, drug_id, batch_no, count, split, codes, digest, facts, state, key
FROM yibao_row WHERE owner = $1 AND bill_no = $2 AND connection_id = $3 AND gone_key = ''
ORDER BY made_at, length(bchno), bchno"""

# Where a code was last sold or bought through this connection: a return names that record.
# ungated: the channel's own rows of one connection
ORIGINS = """
SELECT DISTINCT ON (c.code) c.code, r.bchno, r.infno, r.drug_id, r.batch_no, r.count, r.split, r.codes, r.digest,
       r.facts, r.state, r.key
FROM unnest($1::text[]) AS c(code) JOIN yibao_row r ON r.codes @> ARRAY[c.code] AND r.connection_id = $2
     AND r.infno = $3 AND r.gone_key = ''
ORDER BY c.code, r.made_at DESC, r.bill_id DESC"""

ADD = """
INSERT INTO yibao_row (connection_id, bchno, owner, bill_id, drug_id, revision, split, infno, bill_no, batch_no, count,
    codes, digest, facts, key)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"""

BACK = "-"
"""gone_key of a row that only takes another one back: no later correction compares with it."""

GONE = "UPDATE yibao_row SET gone_key = $3 WHERE connection_id = $1 AND bchno = ANY($2)"

STATE = "UPDATE yibao_row SET state = $3, said = $4 WHERE connection_id = $1 AND bchno = ANY($2)"

# What a call's rows were answered, each with its own words.
ANSWERED = """
UPDATE yibao_row r SET state = a.state, said = a.said, warned = a.warned
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS a(bchno, state, said, warned)
WHERE r.connection_id = $1 AND r.bchno = a.bchno"""

# ungated: the channel's own rows of one connection
STATES = "SELECT bchno, state, gone_key FROM yibao_row WHERE connection_id = $1 AND bchno = ANY($2)"

NEXT = """
INSERT INTO yibao_counter (connection_id, last) VALUES ($1, $2)
ON CONFLICT (connection_id) DO UPDATE SET last = yibao_counter.last + $2 RETURNING last"""

# Smallest packages inside containers that a bill names, at the time it is routed (right after its commit).
# ungated: packages of a bill of the connection's own organisation
INSIDE = """
WITH RECURSIVE tree (root, drug_id, code, level) AS (
    SELECT u.code, u.drug_id, u.code, u.level FROM unnest($1::int[], $2::text[]) AS k(drug_id, code)
        JOIN unit u USING (drug_id, code)
    UNION ALL
    SELECT t.root, u.drug_id, u.code, u.level FROM tree t JOIN unit u ON u.drug_id = t.drug_id AND u.parent = t.code
)
SELECT root, array_agg(code ORDER BY code) AS codes FROM tree WHERE level = 1 GROUP BY root"""

# ungated: what is printed on every box
DATES = """
SELECT drug_id, batch_no, produced_on, expires_on FROM batch JOIN unnest($1::int[], $2::text[]) AS k(d, n)
    ON k.d = drug_id AND k.n = batch_no"""

LICENCE = """
SELECT number FROM org_licence WHERE org_id = $1 AND kind = ANY('{1,5}')
ORDER BY (expires_on IS NULL OR expires_on >= current_date) DESC, kind, expires_on DESC NULLS FIRST LIMIT 1"""

# ungated: the bill that the connection's own delivery came from, read to complete it when it is sent
BILL = "SELECT owner, header, submitter, account_id FROM bill WHERE id = $1"

# Who a sale was to, so that the person can be filled in when it is sent (never before).
# ungated: people whom the bill of the connection's own organisation names; read by the sender alone
PERSON = "SELECT person, org FROM people.purchase WHERE bill_id = $1 AND person IS NOT NULL LIMIT 1"

MAPPED = "SELECT ours, theirs, more FROM counterpart WHERE connection_id = $1 AND kind = 'product' AND ours = ANY($2)"

# ungated: state of the connection's own deliveries
DELIVERY = "SELECT state, attempts FROM delivery WHERE target = 'yibao' AND target_id = $1 AND key = $2"

# ungated: names of batches that the organisation's own balances hold
STOCK = """
SELECT b.drug_id, b.batch_id, a.batch_no, a.produced_on, a.expires_on, b.qty
FROM balance b JOIN batch a ON a.drug_id = b.drug_id AND a.id = b.batch_id
WHERE b.org = ANY($1) AND b.status = ANY('{I,D,U}') AND b.qty > 0 ORDER BY b.drug_id, a.expires_on, a.batch_no"""

OF_BILL = """
SELECT y.bchno, y.infno, y.connection_id, y.drug_id, y.batch_no, y.count, y.split, y.codes, y.state, y.said,
       y.warned, y.key, y.gone_key, y.revision
FROM yibao_row y JOIN bill b ON b.owner = y.owner AND b.id = y.bill_id AND /*visible:bill b*/
WHERE y.bill_no = $1 AND y.owner = $2 ORDER BY y.made_at, length(y.bchno), y.bchno"""


LINK = """
SELECT id, org, profile, title, url, account FROM connection
WHERE org = $1 AND channel = 'yibao' AND state <> 'ended' ORDER BY id LIMIT 1"""

# ungated: products in the organisation's own balances ($2), and what its connection has mapped
MAPPING = """
SELECT d.drug_id, c.theirs, c.more FROM (
    SELECT DISTINCT drug_id FROM balance WHERE org = ANY($2) AND status = ANY('{I,D,Q,S,U,T}') AND qty > 0
    UNION SELECT ours::int FROM counterpart WHERE connection_id = $1 AND kind = 'product') d
LEFT JOIN counterpart c ON c.connection_id = $1 AND c.kind = 'product' AND c.ours = d.drug_id
LIMIT 5000"""

# The number of the day's sign-in (9001); `ours` is the day as yyyymmdd.
FORGET_SIGN = "DELETE FROM counterpart WHERE connection_id = $1 AND kind = 'sign_no' AND ours = $2"

PUT_MAPPING = """
INSERT INTO counterpart (connection_id, kind, ours, theirs, more) VALUES ($1, 'product', $2, $3, $4)
ON CONFLICT (connection_id, kind, ours) DO UPDATE SET theirs = excluded.theirs,
    more = counterpart.more || excluded.more, checked_at = now()"""

# ungated: the organisation's own rows ($1)
COUNTS = """
SELECT infno, state, count(*)::int AS n, (count(*) FILTER (WHERE warned <> '' AND state = 'done'))::int AS warned
FROM yibao_row WHERE owner = $1 GROUP BY infno, state ORDER BY infno, state"""

# ungated: the organisation's own rows ($1)
RECENT = """
SELECT bchno, bill_id, bill_no, infno, drug_id, batch_no, count::float8 AS count, split, cardinality(codes) AS codes,
    state, said, warned, made_at FROM yibao_row
WHERE owner = $1 AND ($2 = '' OR state = $2 OR ($2 = 'warned' AND warned <> '' AND state = 'done'))
    AND ($3::bigint = 0 OR bill_id < $3 OR (bill_id = $3 AND (length(bchno), bchno) > (length($4), $4)))
ORDER BY bill_id DESC, length(bchno), bchno LIMIT $5"""


def _standing(row: Record) -> Standing:
    return Standing(
        row["bchno"], row["infno"], row["drug_id"], row["batch_no"], row["count"], row["split"], tuple(row["codes"]),
        row["digest"], row["facts"], row["state"], row["key"],
    )  # fmt: skip


async def standing(conn: Connection, owner: int, bill_no: str, connection_id: int) -> list[Standing]:
    """Rows of a bill's earlier revisions that still count."""
    return [_standing(r) for r in await conn.fetch(STANDING, owner, bill_no, connection_id)]


async def origins(
    conn: Connection, codes: Sequence[str], connection_id: int, infno: str
) -> dict[str, Standing]:
    """By code, the latest standing row of `infno` (3505 sold, 3503 bought) that holds it."""
    if not codes:
        return {}
    found = await conn.fetch(ORIGINS, list(codes), connection_id, infno)
    return {r["code"]: _standing(r) for r in found}


async def add(
    conn: Connection,
    connection_id: int,
    bill: tuple[int, int, int, str],
    entries: Iterable[tuple[str, Row, Mapping[str, str], str]],
) -> None:
    """Enter rows: bill is (owner, id, revision, number), an entry (bchno, row, kept facts, delivery key)."""
    owner, bill_id, revision, bill_no = bill
    await conn.executemany(
        ADD,
        [
            (
                connection_id, bchno, owner, bill_id, row.drug_id, revision, row.split, row.infno, bill_no,
                row.batch_no, Decimal(row.count), list(row.codes), row.digest, dict(facts), key,
            )
            for bchno, row, facts, key in entries
        ],
    )  # fmt: skip


async def numbers(conn: Connection, connection_id: int, count: int) -> range:
    """The next `count` message numbers of a connection."""
    last: int = await conn.fetchval(NEXT, connection_id, count)
    return range(last - count + 1, last + 1)


@traced_read("yibao")
async def of_bill(conn: Connection, sight: Sight, bill_no: str, owner: int) -> list[dict[str, Any]]:
    """Rows that went out for a bill."""
    sql, args = sight.apply(OF_BILL, bill_no, owner)
    return [dict(r) for r in await conn.fetch(sql, *args)]
