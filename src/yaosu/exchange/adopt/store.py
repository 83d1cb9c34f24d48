"""SQL of adoption."""

from __future__ import annotations

from collections.abc import Sequence

from asyncpg import Record

from yaosu.db.engine import Connection

# Where packages stand now, with the outermost package around each: state sits there (D3).
# ungated: read by the software itself to compare another system's word with the books; nothing is shown.
STANDING = """
WITH RECURSIVE up AS (
    SELECT u.drug_id, u.code AS asked, u.code, u.parent, u.status, u.holder, u.dest
    FROM unnest($1::int[], $2::text[]) AS a(drug_id, code) JOIN unit u ON u.drug_id = a.drug_id AND u.code = a.code
    UNION ALL
    SELECT p.drug_id, up.asked, p.code, p.parent, p.status, p.holder, p.dest
    FROM up JOIN unit p ON p.drug_id = up.drug_id AND p.code = up.parent
)
SELECT drug_id, asked AS code, code AS root, status, holder, coalesce(dest, 0) AS dest FROM up WHERE parent IS NULL"""

# ungated: whether the same bill was told before
BILL = "SELECT 1 FROM bill WHERE owner = $1 AND bill_no = $2 AND revision > 0"

FOREIGN = "SELECT org, system_id FROM foreign_org WHERE org = ANY($1::int[])"

WORKS_HERE = """
SELECT EXISTS (SELECT 1 FROM account WHERE org_id = $1)
    OR EXISTS (SELECT 1 FROM api_key WHERE org_id = $1 AND revoked_at IS NULL)"""

SET_FOREIGN = """
INSERT INTO foreign_org (org, system_id) SELECT unnest($1::int[]), $2
ON CONFLICT (org) DO UPDATE SET system_id = excluded.system_id, told_at = now()"""

ENDED_FOREIGN = "DELETE FROM foreign_org WHERE org = ANY($1::int[])"


async def standing(conn: Connection, keys: Sequence[tuple[int, str]]) -> dict[tuple[int, str], Record]:
    """Root, status, holder and destination of those of `keys` (product, code) that exist."""
    rows = await conn.fetch(STANDING, [k[0] for k in keys], [k[1] for k in keys])
    return {(r["drug_id"], r["code"]): r for r in rows}
