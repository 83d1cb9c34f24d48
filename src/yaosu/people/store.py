"""SQL of the people room: persons, what organisations were told of them, and the special register."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection

# The generation of the key that new ciphers are written under.
KEY_ID = "SELECT max(id)::int FROM people.cipher_key"

NEW_KEY = "INSERT INTO people.cipher_key (id) SELECT max(id) + 1 FROM people.cipher_key RETURNING id::int"

# Two counters may register the same person at once: the second finds the first's row.
NEW_PERSON = """
INSERT INTO people.person (last_at, kind, key_id, hash, cipher, salt, adult) VALUES (now(), $1, $2, $3, $4, $5, $6)
ON CONFLICT (hash) DO UPDATE SET last_at = greatest(people.person.last_at, now())
RETURNING id"""

TOUCH_PERSON = """
UPDATE people.person SET last_at = greatest(last_at, now()), adult = $2 WHERE hash = $1 RETURNING id"""

PERSON_BY_HASH = "SELECT id FROM people.person WHERE hash = $1"

PUT_GIVEN = """
INSERT INTO people.given (person, org, key_id, cipher) VALUES ($1, $2, $3, $4)
ON CONFLICT (person, org) DO UPDATE SET at = now(), key_id = excluded.key_id, cipher = excluded.cipher"""

GIVEN = "SELECT key_id, cipher FROM people.given WHERE person = $1 AND org = $2"

# What may be seen of persons: only who was registered by an organisation in sight; the own entry first.
SEEN = """
SELECT DISTINCT ON (p.id) p.id, p.kind, p.key_id, p.hash, p.cipher, p.erased_at,
       g.org, g.key_id AS given_key, g.cipher AS given
FROM people.person p JOIN people.given g ON g.person = p.id
WHERE p.id = ANY($1) AND /*visible:org g.org*/
ORDER BY p.id, (g.org IS NOT DISTINCT FROM $2) DESC, g.at DESC"""

# What the seller, or the organisation it belongs to, was told of a person whom its own bill names.
# ungated: read by the sender of the seller's own deliveries, with an audit record; answered to nobody
FOR_DELIVERY = """
SELECT p.id, p.kind, p.key_id, p.hash, p.cipher, p.erased_at, g.org, g.key_id AS given_key, g.cipher AS given
FROM people.person p JOIN people.given g ON g.person = p.id
WHERE p.id = $1 AND p.erased_at IS NULL
  AND (g.org = $2 OR g.org = (SELECT parent_id FROM org WHERE id = $2))
ORDER BY g.org = $2 DESC, g.at DESC LIMIT 1"""

SALTS = "SELECT id, salt FROM people.person WHERE id = ANY($1) ORDER BY id"

# Whether the seller, or the organisation it belongs to, registered these persons.
REGISTERED = """
SELECT DISTINCT g.person, p.adult FROM people.given g JOIN people.person p ON p.id = g.person
WHERE g.person = ANY($1) AND p.erased_at IS NULL
  AND (g.org = $2 OR g.org = (SELECT parent_id FROM org WHERE id = $2))"""

# Held until the end of the transaction: who asks what a person bought waits for whoever is selling to him.
LOCK_PERSON = "SELECT pg_advisory_xact_lock(hashtextextended('people.person', $1))"

# What a person bought around a moment, over all organisations: the limits hold over the whole platform. A line that was
# taken back and the one that takes it back are of one moment, so the sum of any stretch of time is the net.
BOUGHT = """
SELECT happened_at, sum(qty)::bigint AS qty FROM people.purchase
WHERE person = $1 AND drug_id = ANY($2) AND happened_at > $3 AND happened_at < $4
GROUP BY happened_at HAVING sum(qty) <> 0 ORDER BY happened_at"""

RECORD = """
INSERT INTO people.purchase (bill_id, person, agent, happened_at, drug_id, batch_id, org, qty, bill_type, codes,
    prescription_no, doctor, second_person)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"""

LAST_AT = "UPDATE people.person SET used = true, last_at = greatest(last_at, $2) WHERE id = ANY($1)"

# A paper of its own names the persons: no longer somebody of whom nothing came.
KEEP = "UPDATE people.person SET used = true WHERE id = ANY($1) AND erased_at IS NULL"

# Lines of a bill that nothing took back yet.
_STANDS = """
p.bill_id = $1 AND p.corrects IS NULL AND NOT EXISTS (SELECT 1 FROM people.purchase x
    WHERE x.drug_id = p.drug_id AND x.corrects = p.bill_id AND x.batch_id = p.batch_id)"""

# ungated: write path; the bill that its owner corrects
STANDING = f"SELECT p.person, p.drug_id FROM people.purchase p WHERE {_STANDS} ORDER BY p.person"  # noqa: S608

# Each line of bill $1 is taken back by a line of its own, on the bill $2 that does it (reversing or void).
TAKE_BACK = f"""
INSERT INTO people.purchase (bill_id, person, agent, happened_at, drug_id, batch_id, org, qty, bill_type, codes,
    prescription_no, doctor, second_person, corrects)
SELECT $2, p.person, p.agent, p.happened_at, p.drug_id, p.batch_id, p.org, -p.qty, p.bill_type, p.codes,
    p.prescription_no, p.doctor, p.second_person, p.bill_id
FROM people.purchase p WHERE {_STANDS}"""  # noqa: S608 - constants

# Persons whose last purchase is so old that retention may have ended, with what decides it; held as below.
# ungated: read by the clock only, which answers nobody
DUE = """
SELECT p.id, p.last_at, u.drug_id, u.happened_at, b.expires_on
FROM (SELECT id, last_at FROM people.person WHERE erased_at IS NULL AND last_at < $1 AND id > $2
    ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED) p
LEFT JOIN people.purchase u ON u.person = p.id OR u.agent = p.id
LEFT JOIN batch b ON b.drug_id = u.drug_id AND b.id = u.batch_id
ORDER BY p.id"""

# Registered, but nothing came of it: the sale was refused or given up. Held, so that nothing comes of it now; whom
# somebody is selling to is passed over.
NEVER_USED = """
SELECT id FROM people.person WHERE erased_at IS NULL AND NOT used AND last_at < $1
ORDER BY last_at LIMIT $2 FOR UPDATE SKIP LOCKED"""

ERASE = """
UPDATE people.person SET erased_at = now(), hash = NULL, cipher = NULL, salt = NULL
WHERE id = ANY($1) AND erased_at IS NULL"""

ERASE_GIVEN = "DELETE FROM people.given WHERE person = ANY($1)"

OLD_PERSONS = """
SELECT id, key_id, hash, cipher FROM people.person WHERE key_id <> $1 AND erased_at IS NULL
ORDER BY id LIMIT $2 FOR UPDATE"""

OLD_GIVEN = """
SELECT person, org, key_id, cipher FROM people.given WHERE key_id <> $1 ORDER BY person, org LIMIT $2 FOR UPDATE"""

PUT_PERSON_CIPHER = "UPDATE people.person SET key_id = $2, cipher = $3 WHERE id = $1"

PUT_GIVEN_CIPHER = "UPDATE people.given SET key_id = $3, cipher = $4 WHERE person = $1 AND org = $2"


@traced_read("people")
async def seen(
    conn: Connection, sight: Sight, own: int | None, persons: Sequence[int]
) -> list[asyncpg.Record]:
    """Persons in sight, one row each."""
    sql, args = sight.apply(SEEN, list(persons), own)
    return await conn.fetch(sql, *args)


async def bought(
    conn: Connection, person: int, drug_ids: Sequence[int], since: datetime, until: datetime
) -> list[tuple[datetime, int]]:
    """Moments and quantities of what a person bought of these products."""
    rows = await conn.fetch(BOUGHT, person, list(drug_ids), since, until)
    return [(r["happened_at"], r["qty"]) for r in rows]


async def record(conn: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Enter register rows, all in one go."""
    await conn.executemany(RECORD, rows)
