"""SQL of products, their ladders and linked codes."""

from __future__ import annotations

from collections.abc import Sequence

from asyncpg import Record

from yaosu.db.engine import Connection
from yaosu.registry import rows
from yaosu.registry.drafts import ProductDraft
from yaosu.registry.model import Level, Product

_COLUMNS = ", ".join(rows.PRODUCT_COLUMNS)
_INSERTED = ", ".join(f"${i}" for i in range(1, len(rows.PRODUCT_COLUMNS) + 1))
_UPDATED = ", ".join(f"{name} = ${i}" for i, name in enumerate(rows.PRODUCT_COLUMNS, 2))

# column names come from our own tuple, so that a column is named once in this room
INSERT = f"INSERT INTO product ({_COLUMNS}) VALUES ({_INSERTED}) RETURNING id"  # noqa: S608

UPDATE = f"""
UPDATE product SET {_UPDATED}, version = version + 1, updated_at = now() WHERE id = $1 RETURNING version"""  # noqa: S608

BY_IDS = "SELECT * FROM product WHERE id = ANY ($1) ORDER BY id"

LEVELS = """
SELECT drug_id, level, name, contains, units_per, identifier, scheme
FROM package_level WHERE drug_id = ANY ($1) ORDER BY drug_id, level"""

LINKS = "SELECT drug_id, kind, value, level FROM product_link WHERE drug_id = ANY ($1)"

VERSION = "SELECT version FROM product WHERE id = $1 FOR UPDATE"

DROP_LEVELS = "DELETE FROM package_level WHERE drug_id = $1"

DROP_LINKS = "DELETE FROM product_link WHERE drug_id = $1"

PUT_LEVEL = """
INSERT INTO package_level (drug_id, level, name, contains, units_per, scheme, identifier)
VALUES ($1, $2, $3, $4, $5, $6, $7)"""

PUT_LINK = "INSERT INTO product_link (kind, value, drug_id, level) VALUES ($1, $2, $3, $4)"

# who has these identifiers or linked codes already, apart from the product being written
TAKEN = """
SELECT l.identifier AS value, 'identifier' AS kind, p.id, p.generic_name, p.strength FROM package_level l
JOIN product p ON p.id = l.drug_id WHERE l.identifier = ANY ($1) AND p.id <> $4
UNION ALL
SELECT k.value, k.kind, p.id, p.generic_name, p.strength FROM product_link k
JOIN unnest($2::text[], $3::text[]) AS w (kind, value) ON k.kind = w.kind AND k.value = w.value
JOIN product p ON p.id = k.drug_id WHERE p.id <> $4"""

# a prefix belongs to the product whose level has it; linking follows the ladder in both directions
UNLINK_PREFIXES = """
UPDATE code_prefix SET drug_id = NULL, level = NULL
WHERE drug_id = $1 AND NOT (prefix = ANY ($2))"""

LINK_PREFIXES = """
UPDATE code_prefix p SET drug_id = l.drug_id, level = l.level FROM package_level l
WHERE l.drug_id = $1 AND p.prefix = l.identifier
    AND (p.drug_id, p.level) IS DISTINCT FROM (l.drug_id, l.level)"""

# every code that leads to a product: identifiers of levels and linked codes of any kind (R-A2)
FIND = """
SELECT drug_id FROM package_level WHERE identifier = ANY ($1)
UNION SELECT drug_id FROM product_link WHERE value = ANY ($1) ORDER BY 1 LIMIT 20"""

# an organisation's own products when $2 is given; by name when $3 is
PAGE = """
SELECT * FROM product WHERE id > $1 AND ($2::int IS NULL OR mah_id = $2 OR manufacturer_id = $2
        OR mah_id IN (SELECT id FROM org WHERE domestic_agent_id = $2))
    AND ($3 = '' OR position($3 IN lower(generic_name)) > 0 OR position($3 IN lower(trade_name)) > 0
        OR position($3 IN lower(approval_no)) > 0)
ORDER BY id LIMIT $4"""

FROZEN_LEVELS = """
SELECT level, identifier, contains FROM package_level WHERE drug_id = $1 ORDER BY level"""


def values(draft: ProductDraft) -> list[object]:
    """Parameters of the written columns, in their order."""
    found: list[object] = [getattr(draft, name) for name in rows.PRODUCT_COLUMNS]
    found[rows.PRODUCT_COLUMNS.index("flags")] = sorted(draft.flags)
    return found


async def _filled(conn: Connection, found: Sequence[Record]) -> list[Product]:
    ids = [r["id"] for r in found]
    levels: dict[int, list[Level]] = {}
    for row in await conn.fetch(LEVELS, ids):
        levels.setdefault(row["drug_id"], []).append(rows.level(row))
    links: dict[int, list[tuple[str, str, int | None]]] = {}
    for row in await conn.fetch(LINKS, ids):
        links.setdefault(row["drug_id"], []).append((row["kind"], row["value"], row["level"]))
    return [rows.product(r, levels.get(r["id"], ()), links.get(r["id"], ())) for r in found]


async def by_ids(conn: Connection, ids: Sequence[int]) -> list[Product]:
    """Products in full, by number."""
    return await _filled(conn, await conn.fetch(BY_IDS, list(ids)))


async def page(conn: Connection, after: int, org_id: int | None, text: str, limit: int) -> list[Product]:
    """Products in full after the number `after`, of one organisation or of all."""
    return await _filled(conn, await conn.fetch(PAGE, after, org_id, text, limit))


async def find(conn: Connection, codes: Sequence[str]) -> list[int]:
    """Numbers of products that carry one of `codes` in any of their codes."""
    return [r["drug_id"] for r in await conn.fetch(FIND, list(codes))]


async def write_ladder(
    conn: Connection,
    drug_id: int,
    levels: Sequence[Level],
    links: Sequence[tuple[str, str, int | None]],
) -> None:
    """Replace ladder and linked codes, and point the filed prefixes to them."""
    await conn.execute(DROP_LEVELS, drug_id)
    await conn.execute(DROP_LINKS, drug_id)
    await conn.executemany(
        PUT_LEVEL,
        [(drug_id, v.level, v.name, v.contains, v.units_per, v.scheme, v.identifier) for v in levels],
    )
    await conn.executemany(PUT_LINK, [(kind, value, drug_id, level) for kind, value, level in links])
    await conn.execute(UNLINK_PREFIXES, drug_id, [v.identifier for v in levels])
    await conn.execute(LINK_PREFIXES, drug_id)
