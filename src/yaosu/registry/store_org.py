"""SQL of organisations and licences."""

from __future__ import annotations

from datetime import date

from yaosu.db.engine import Connection
from yaosu.registry import rows
from yaosu.registry.drafts import LicenceDraft, OrgDraft
from yaosu.registry.model import Licence, Org, OrgCard

WRITE_LOCK = 7_295_461_003
"""Writers of the registry take turns, so that «is it free?» and «take it» are one step. Readers never wait, nor bills:
the number is not that of the gate which holds them (`yaosu.stops.store`)."""

# 32-bit lock key space is shared with nobody: the key is ours
LOCK = "SELECT pg_advisory_xact_lock($1)"

BY_ID = "SELECT * FROM org WHERE id = $1"

# a change reads the row it judges under lock: two editors cannot both find version 3
FOR_UPDATE = "SELECT * FROM org WHERE id = $1 FOR UPDATE"

BY_USCC = "SELECT * FROM org WHERE uscc = $1"

BY_OTHER_ID = "SELECT * FROM org WHERE other_id_kind = $1 AND other_id = $2"

BY_NAME = "SELECT * FROM org WHERE name_norm = $1 AND status = 1 AND id <> $2 ORDER BY id LIMIT 5"

INSERT = """
INSERT INTO org (uscc, other_id_kind, other_id, name, name_norm, short_name, type, sub_type, region, address,
    parent_id, domestic_agent_id, contact_name, contact_phone, contact_email, status)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) RETURNING *"""

UPDATE = """
UPDATE org SET uscc = $2, other_id_kind = $3, other_id = $4, name = $5, name_norm = $6, short_name = $7, type = $8,
    sub_type = $9, region = $10, address = $11, parent_id = $12, domestic_agent_id = $13, contact_name = $14,
    contact_phone = $15, contact_email = $16, status = $17, version = version + 1, updated_at = now()
WHERE id = $1 RETURNING *"""

# the whole directory by number: cheap whatever the offset, because the cursor is the last id. Places inside an
# organisation are shown to its own people ($6 is their organisation), and to all who may look everywhere ($6 = 0)
PAGE = """
SELECT * FROM org WHERE id > $1 AND ($2 = '' OR region LIKE $2 || '%') AND ($3::smallint IS NULL OR type = $3)
    AND ($4::int IS NULL OR parent_id = $4) AND (NOT place OR $6::int = 0 OR parent_id = $6)
ORDER BY id LIMIT $5"""

# names beginning with the words first: an index range, whatever the number of organisations
SEARCH_BEGIN = """
SELECT * FROM org WHERE name_norm >= $1 AND name_norm < $5 AND ($2::smallint IS NULL OR type = $2)
    AND region LIKE $3 || '%' AND (NOT place OR $6::int = 0 OR parent_id = $6)
ORDER BY name_norm, id LIMIT $4"""

# then names containing them: one pass over the names (about 40 ms for 100,000), ended by the limit
SEARCH_WITHIN = """
SELECT * FROM org WHERE position($1 IN name_norm) > 1 AND ($2::smallint IS NULL OR type = $2)
    AND region LIKE $3 || '%' AND (NOT place OR $5::int = 0 OR parent_id = $5) LIMIT $4"""

PARENTS = """
WITH RECURSIVE up (id, parent_id, depth) AS (
    SELECT id, parent_id, 0 FROM org WHERE id = $1
    UNION ALL SELECT o.id, o.parent_id, up.depth + 1 FROM org o JOIN up ON o.id = up.parent_id WHERE up.depth < 20)
SELECT id FROM up"""

# the organisation whose places somebody of $1 sees: its own, or for people of a place the one around it
FAMILY = "SELECT CASE WHEN place THEN parent_id ELSE id END FROM org WHERE id = $1"

# the places inside an organisation, those in use first
PLACES = "SELECT * FROM org WHERE parent_id = $1 AND place ORDER BY status DESC, sub_type, id"

RENAME_PLACE = """
UPDATE org SET name = $2, name_norm = $3, short_name = $4, version = version + 1, updated_at = now()
WHERE id = $1 RETURNING *"""

LICENCES = "SELECT * FROM org_licence WHERE org_id = $1 ORDER BY kind, number"

LICENCE_BY_NUMBER = "SELECT * FROM org_licence WHERE org_id = $1 AND kind = $2 AND number = $3 FOR UPDATE"

LICENCE_PUT = """
INSERT INTO org_licence (org_id, kind, number, issued_on, expires_on, scope) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (org_id, kind, number) DO UPDATE SET issued_on = excluded.issued_on, expires_on = excluded.expires_on,
    scope = excluded.scope, version = org_licence.version + 1, updated_at = now()
RETURNING *"""

# what lapses soon or has lapsed, for one organisation or all in use
LICENCES_ENDING = """
SELECT l.* FROM org_licence l JOIN org o ON o.id = l.org_id
WHERE l.expires_on < $1 AND o.status = 1 AND ($2::int IS NULL OR l.org_id = $2) ORDER BY l.expires_on, l.id LIMIT $3"""

# names for references in exports and pages
BY_IDS = "SELECT id, uscc, name FROM org WHERE id = ANY ($1)"


async def lock(conn: Connection) -> None:
    """Wait for the turn to write; held until the transaction ends."""
    await conn.execute(LOCK, WRITE_LOCK)


async def one(conn: Connection, statement: str, *values: object) -> Org | None:
    """The organisation a statement of this file finds, or None."""
    row = await conn.fetchrow(statement, *values)
    return rows.org(row) if row is not None else None


async def many(conn: Connection, statement: str, *values: object) -> list[Org]:
    """The organisations a statement of this file finds."""
    return [rows.org(r) for r in await conn.fetch(statement, *values)]


def values(draft: OrgDraft, name_norm: str) -> tuple[object, ...]:
    """Parameters of `INSERT`, and of `UPDATE` after the id."""
    return (
        draft.uscc or None,
        draft.other_id_kind if draft.other_id else None,
        draft.other_id or None,
        draft.name,
        name_norm,
        draft.short_name,
        draft.type,
        draft.sub_type,
        draft.region,
        draft.address,
        draft.parent_id,
        draft.domestic_agent_id,
        draft.contact_name,
        draft.contact_phone,
        draft.contact_email,
        draft.status,
    )


async def search(
    conn: Connection, text: str, org_type: int | None, region: str, limit: int, family: int
) -> list[OrgCard]:
    """Directory entries whose normalised name begins with, then contains `text`."""
    found = await conn.fetch(SEARCH_BEGIN, text, org_type, region, limit, text + "\U0010ffff", family)
    if len(found) < limit:
        found += await conn.fetch(SEARCH_WITHIN, text, org_type, region, limit - len(found), family)
    return [rows.card(r) for r in found]


async def ancestors(conn: Connection, org_id: int) -> list[int]:
    """The organisation and its parents upward."""
    return [r["id"] for r in await conn.fetch(PARENTS, org_id)]


async def licences(conn: Connection, org_id: int) -> list[Licence]:
    """All licences of an organisation."""
    return [rows.licence(r) for r in await conn.fetch(LICENCES, org_id)]


async def licences_ending(conn: Connection, before: date, org_id: int | None, limit: int) -> list[Licence]:
    """Licences that end before the day."""
    return [rows.licence(r) for r in await conn.fetch(LICENCES_ENDING, before, org_id, limit)]


async def put_licence(conn: Connection, org_id: int, draft: LicenceDraft) -> Licence:
    """Write one licence; the same kind and number is replaced."""
    row = await conn.fetchrow(
        LICENCE_PUT, org_id, draft.kind, draft.number, draft.issued_on, draft.expires_on, draft.scope
    )
    assert row is not None
    return rows.licence(row)
