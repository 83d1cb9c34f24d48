"""SQL of the coordination platform: systems, events, mailboxes, base data in force."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncpg import Record

from yaosu.db.engine import Connection

_SYSTEM = """id, app_id, name, operator, usc_id, resolver_url, query_url, receive_url, key, public_key, state, box,
    pushed, pulled, push_at, push_fails, push_said, refused, refused_said, seen_at, made_at, held, ahead,
    ahead_at"""

ADD_SYSTEM = f"""
INSERT INTO xietong_system (app_id, name, operator, usc_id, resolver_url, query_url, receive_url, key, public_key,
    made_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (name) DO NOTHING RETURNING {_SYSTEM}"""  # noqa: S608

CHANGE_SYSTEM = f"""
UPDATE xietong_system SET operator = $2, usc_id = $3, resolver_url = $4, query_url = $5, receive_url = $6,
    public_key = $7, state = $8, push_at = now(), push_fails = 0 WHERE id = $1 RETURNING {_SYSTEM}"""  # noqa: S608

SET_KEY = "UPDATE xietong_system SET key = $2 WHERE id = $1"

BY_APP = f"SELECT {_SYSTEM} FROM xietong_system WHERE app_id = $1"  # noqa: S608 - constant columns
BY_ID = f"SELECT {_SYSTEM} FROM xietong_system WHERE id = $1"  # noqa: S608 - constant columns
SYSTEMS = f"SELECT {_SYSTEM} FROM xietong_system ORDER BY id"  # noqa: S608 - constant columns

REFUSED = "UPDATE xietong_system SET refused = refused + 1, refused_said = $2, seen_at = now() WHERE id = $1"

# One event at a time of one system: a repeat waits for its first try. Not its row: whoever takes an event locks rows
# of all systems concerned at the end, in one order (LOCK_BOXES), and who held its own before would wait in a circle
# with another that writes to it.
LOCK_SYSTEM = "SELECT pg_advisory_xact_lock(726246, $1)"

EVENT = "SELECT id, digest, said, n FROM xietong_event WHERE system_id = $1 AND event_id = $2"

ADD_EVENT = """
INSERT INTO xietong_event (system_id, event_id, process_id, event_type, sub_type, usc_id, sent_at, digest, data, n)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id"""
# The number of the next event of a system, which takes one at a time: numbers stand in the order of commits.
NEXT_N = "SELECT held + 1 FROM xietong_system WHERE id = $1"
HELD = """
UPDATE xietong_system SET held = $2,
    seen_at = CASE WHEN seen_at > now() - interval '10 s' THEN seen_at ELSE now() END WHERE id = $1"""

SET_SAID = "UPDATE xietong_event SET said = $2 WHERE id = $1"

# Numbers are taken under locks in the order of the systems' ids, so no two transactions wait for each other; the locks
# are held until the commit, so a mailbox's numbers are in the order of commits and without gaps.
LOCK_BOXES = "SELECT id FROM xietong_system WHERE id = ANY($1::int[]) ORDER BY id FOR NO KEY UPDATE"
POST = """
WITH boxes AS (UPDATE xietong_system SET box = box + 1 WHERE id = ANY($1::int[]) RETURNING id, box)
INSERT INTO xietong_mail (system_id, n, event) SELECT id, box, $2 FROM boxes"""

# Everything in force of the others, for a system that takes part from now on.
BACKLOG = """
SELECT event FROM (
    SELECT event, 1 AS step FROM xietong_firm WHERE system_id <> $1
    UNION SELECT event, 2 FROM xietong_rule WHERE system_id <> $1
    UNION SELECT event, 3 FROM xietong_product WHERE system_id <> $1
    UNION SELECT e.id, 0 FROM (SELECT DISTINCT ON (system_id) id, system_id FROM xietong_event
        WHERE sub_type = $2 AND event_type = 10 ORDER BY system_id, id DESC) e WHERE e.system_id <> $1
) x ORDER BY step, event"""
POST_MANY = """
WITH box AS (UPDATE xietong_system SET box = box + cardinality($2::bigint[]) WHERE id = $1 RETURNING id, box)
INSERT INTO xietong_mail (system_id, n, event)
SELECT box.id, box.box - cardinality($2::bigint[]) + e.n, e.event
FROM box, unnest($2::bigint[]) WITH ORDINALITY AS e(event, n)"""

MAIL = """
SELECT m.n, e.event_id, e.event_type, e.sub_type, e.usc_id, e.data, s.app_id AS origin
FROM xietong_mail m JOIN xietong_event e ON e.id = m.event JOIN xietong_system s ON s.id = e.system_id
WHERE m.system_id = $1 AND m.n > $2 ORDER BY m.n LIMIT $3"""

# What a system holds under a number of its mailbox, and what it knows that we held: more, or another, and this platform
# was restored from a backup that is older.
MAIL_AT = """
SELECT e.event_id FROM xietong_mail m JOIN xietong_event e ON e.id = m.event WHERE m.system_id = $1 AND m.n = $2"""
AHEAD = """
UPDATE xietong_system SET ahead = greatest($2, 1), ahead_at = now() WHERE id = $1"""
AHEAD_LATELY = "SELECT EXISTS (SELECT 1 FROM xietong_system WHERE ahead_at > now() - interval '1 hour')"

SET_PULLED = (
    "UPDATE xietong_system SET pulled = greatest(pulled, least($2, box)), seen_at = now() WHERE id = $1"
)

# -- base data ---------------------------------------------------------------------------------------

FIRM = "SELECT firm, system_id, customer FROM xietong_firm WHERE firm = $1"
PUT_FIRM = """
INSERT INTO xietong_firm (firm, system_id, customer, event, body) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (firm, system_id)
    DO UPDATE SET customer = excluded.customer, event = excluded.event, body = excluded.body"""
# Which systems a firm works in.
HOMES_OF_FIRM = """
SELECT f.system_id FROM xietong_firm f JOIN xietong_system s ON s.id = f.system_id
WHERE f.firm = $1 AND f.customer AND s.state <> 'ended' ORDER BY f.system_id"""

PREFIXES_TAKEN = """
SELECT p.prefix, s.name AS system, r.body->>'usc_id' AS firm, f.body->>'name' AS firm_name
FROM xietong_prefix p JOIN xietong_rule r ON r.id = p.rule_id JOIN xietong_system s ON s.id = p.system_id
LEFT JOIN xietong_firm f ON f.firm = r.firm AND f.system_id = r.system_id
WHERE p.prefix = ANY($1::text[]) AND (p.system_id <> $2 OR p.rule_id <> $3) ORDER BY p.prefix LIMIT 20"""
PATTERNS = """
SELECT r.id, r.issuer, r.pattern, r.pattern_upper, r.samples, s.name AS system,
    coalesce(f.body->>'name', r.firm) AS firm
FROM xietong_rule r JOIN xietong_system s ON s.id = r.system_id
LEFT JOIN xietong_firm f ON f.firm = r.firm AND f.system_id = r.system_id
WHERE r.scheme = 'custom' AND r.id <> $1"""
# One writer of rules and products at a time: overlaps of patterns cannot be an index.
LOCK_BASE = "SELECT pg_advisory_xact_lock(7262440021)"
RULE = "SELECT id, filing_no FROM xietong_rule WHERE system_id = $1 AND rule_no = $2"
ADD_RULE = """
INSERT INTO xietong_rule (system_id, rule_no, firm, scheme, issuer, pattern, pattern_upper, samples, query_url,
    filing_no, status, event, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING id"""
SET_RULE = """
UPDATE xietong_rule SET firm = $2, scheme = $3, issuer = $4, pattern = $5, pattern_upper = $6, samples = $7,
    query_url = $8, status = $9, event = $10, body = $11 WHERE id = $1"""
NEXT_RULE = "SELECT coalesce(max(id), 0) + 1 FROM xietong_rule"
DROP_PREFIXES = "DELETE FROM xietong_prefix WHERE rule_id = $1 AND NOT (prefix = ANY($2::text[]))"
PUT_PREFIXES = """
INSERT INTO xietong_prefix (prefix, rule_id, system_id) SELECT unnest($1::text[]), $2, $3
ON CONFLICT (prefix) DO NOTHING"""
# Prefixes about to be dropped that products are filed under.
PREFIXES_USED = """
SELECT c.identifier FROM xietong_prefix p JOIN xietong_product_code c ON c.identifier = p.prefix
WHERE p.rule_id = $1 AND NOT (p.prefix = ANY($2::text[])) ORDER BY 1 LIMIT 5"""

CODES_TAKEN = """
SELECT c.identifier, c.system_id, c.product, s.name AS system, p.body->>'generic_name' AS name
FROM xietong_product_code c JOIN xietong_system s ON s.id = c.system_id JOIN xietong_product p ON p.product = c.product
WHERE c.identifier = ANY($1::text[]) AND (c.system_id <> $2 OR c.product <> $3) ORDER BY 1 LIMIT 20"""
HOMES_OF_PREFIXES = "SELECT prefix, system_id FROM xietong_prefix WHERE prefix = ANY($1::text[])"
# The product that an identifier of any of its levels stands for, and who filed it.
PRODUCT_HOME = """
SELECT c.product, c.system_id, s.name AS system, p.body->>'generic_name' AS name
FROM xietong_product_code c JOIN xietong_system s ON s.id = c.system_id JOIN xietong_product p ON p.product = c.product
WHERE c.identifier = $1"""
# The systems that a product's holder and maker work in.
HOMES_OF_HOLDERS = """
SELECT DISTINCT f.system_id FROM xietong_product p
JOIN xietong_firm f ON f.firm IN (p.body->>'mah', p.body->>'manufacturer') AND f.customer
JOIN xietong_system s ON s.id = f.system_id AND s.state <> 'ended' WHERE p.product = $1"""
PUT_PRODUCT = """
INSERT INTO xietong_product (product, system_id, event, body) VALUES ($1, $2, $3, $4)
ON CONFLICT (product) DO UPDATE SET event = excluded.event, body = excluded.body"""
DROP_CODES = "DELETE FROM xietong_product_code WHERE product = $1"
PUT_CODES = """
INSERT INTO xietong_product_code (identifier, product, system_id, level)
SELECT c.identifier, $1, $2, c.level FROM unnest($3::text[], $4::smallint[]) AS c(identifier, level)"""

# -- resolving ---------------------------------------------------------------------------------------

# The whole table of prefixes, kept in memory by each process.
RESOLVE_ALL = """
SELECT p.prefix, r.scheme, s.app_id, s.name, s.operator, s.resolver_url,
    CASE WHEN r.query_url <> '' THEN r.query_url ELSE s.query_url END AS query_url
FROM xietong_prefix p JOIN xietong_rule r ON r.id = p.rule_id JOIN xietong_system s ON s.id = p.system_id"""
CUSTOMS = "SELECT issuer, pattern, pattern_upper, firm FROM xietong_rule WHERE scheme = 'custom' ORDER BY id"
# Changes whenever rules, prefixes or systems do: cheap enough to ask every second.
RESOLVE_MARK = """
SELECT (SELECT coalesce(max(event), 0) FROM xietong_rule)::text || ':' || (SELECT count(*) FROM xietong_prefix)::text
    || ':' || (SELECT coalesce(string_agg(md5(query_url || resolver_url || name || state), '' ORDER BY id), '')
        FROM xietong_system)"""

# -- pages -------------------------------------------------------------------------------------------

TALLY = """
SELECT s.id, (SELECT count(*) FROM xietong_firm f WHERE f.system_id = s.id) AS firms,
    (SELECT count(*) FROM xietong_rule r WHERE r.system_id = s.id) AS rules,
    (SELECT count(*) FROM xietong_prefix p WHERE p.system_id = s.id) AS prefixes,
    (SELECT count(*) FROM xietong_product d WHERE d.system_id = s.id) AS products,
    (SELECT count(*) FROM xietong_event e WHERE e.system_id = s.id) AS events
FROM xietong_system s ORDER BY s.id"""
RULES = """
SELECT r.id, r.filing_no, r.scheme, r.issuer, r.pattern, r.status, r.firm, r.body, s.name AS system,
    coalesce(f.body->>'name', r.firm) AS firm_name
FROM xietong_rule r JOIN xietong_system s ON s.id = r.system_id
LEFT JOIN xietong_firm f ON f.firm = r.firm AND f.system_id = r.system_id
WHERE r.id > $1 AND ($2::int IS NULL OR r.system_id = $2) ORDER BY r.id LIMIT $3"""
EVENTS = """
SELECT e.id, e.event_id, e.event_type, e.sub_type, e.usc_id, e.received_at, octet_length(e.data) AS bytes,
    s.name AS system,
    (SELECT count(*) FROM xietong_mail m WHERE m.event = e.id) AS sent_to
FROM xietong_event e JOIN xietong_system s ON s.id = e.system_id
WHERE ($1::bigint IS NULL OR e.id < $1) AND ($2::int IS NULL OR e.system_id = $2) ORDER BY e.id DESC LIMIT $3"""

# -- pushing -----------------------------------------------------------------------------------------

# Systems that take what is pushed and have something in their mailbox. A claim is a lease.
CLAIM_PUSH = f"""
UPDATE xietong_system SET push_at = now() + make_interval(secs => $1) WHERE id IN (
    SELECT id FROM xietong_system WHERE state = 'active' AND receive_url <> '' AND pushed < box AND push_at <= now()
    ORDER BY push_at LIMIT 8 FOR UPDATE SKIP LOCKED)
RETURNING {_SYSTEM}"""  # noqa: S608 - constant columns
PUSHED = """
UPDATE xietong_system SET pushed = greatest(pushed, $2), push_fails = 0, push_said = $3, push_at = now()
WHERE id = $1"""
PUSH_FAILED = """
UPDATE xietong_system SET push_fails = push_fails + 1, push_said = $2,
    push_at = now() + make_interval(secs => $3) WHERE id = $1"""


async def one(conn: Connection, statement: str, *args: Any) -> Record | None:
    """The row a statement of this file finds."""
    return await conn.fetchrow(statement, *args)


async def post(conn: Connection, system_ids: Sequence[int], event: int) -> None:
    """Put an event into the mailboxes of systems, in their order of commit."""
    ids = sorted(set(system_ids))
    if ids:
        await lock_boxes(conn, ids)
        await conn.execute(POST, ids, event)


async def lock_boxes(conn: Connection, system_ids: Sequence[int]) -> None:
    """Hold the rows of systems until the transaction ends: all that it will change, before it changes the first."""
    await conn.execute(LOCK_BOXES, sorted(set(system_ids)))
