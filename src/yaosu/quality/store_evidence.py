"""SQL of the evidence beside self-check answers: figures of one organisation, bound to it ($1), over a year ($2)."""

from __future__ import annotations

from asyncpg import Record

from yaosu.db.engine import Connection

SYSTEM = """
SELECT count(*)::int AS filings, count(*) FILTER (WHERE s.own)::int AS own,
    coalesce(string_agg(DISTINCT s.name, '、'), '') AS systems
FROM filing f JOIN trace_system s ON s.id = f.system_id
WHERE f.org_id = $1 AND f.status = 1 AND $2::timestamptz IS NOT NULL"""

CONFORMANCE = """
SELECT count(*)::int AS products,
    count(*) FILTER (WHERE EXISTS (SELECT 1 FROM product_link k WHERE k.drug_id = p.id))::int AS linked,
    count(*) FILTER (WHERE p.approval_no <> '' OR p.import_cert_no <> '' OR p.import_permit_no <> '')::int
    AS approved
FROM product p WHERE p.status = 1 AND (p.mah_id = $1 OR p.manufacturer_id = $1) AND $2::timestamptz IS NOT NULL"""

# ungated: batches the organisation itself activated ($1).
COVERAGE = """
SELECT (SELECT count(*) FROM package_level l JOIN product p ON p.id = l.drug_id
        WHERE p.status = 1 AND (p.mah_id = $1 OR p.manufacturer_id = $1))::int AS levels,
    (SELECT count(*) FROM package_level l JOIN product p ON p.id = l.drug_id
        JOIN code_prefix c ON c.prefix = l.identifier
        WHERE p.status = 1 AND (p.mah_id = $1 OR p.manufacturer_id = $1))::int AS filed,
    (SELECT count(*) FROM batch b WHERE b.maker = $1)::int AS batches,
    coalesce((SELECT -sum(x.qty) FROM balance x WHERE x.org = $1 AND x.status = 'P'), 0)::bigint AS activated,
    $2::timestamptz AS since"""

# ungated: notes of the organisation's own bills ($1).
ONE_SYSTEM = """
SELECT count(*) FILTER (WHERE n.verdict = 'registered_elsewhere')::int AS foreign_codes,
    count(*) FILTER (WHERE n.verdict IN ('duplicate_in_bill', 'never_issued'))::int AS doubtful
FROM bill b JOIN bill_note n ON n.bill_id = b.id WHERE b.owner = $1 AND b.recorded_at >= $2"""

# ungated: activation bills of the organisation itself ($1).
FILED_FIRST = """
SELECT count(*)::int AS products, count(*) FILTER (WHERE filed_on > first_on OR filed_on IS NULL)::int AS after,
    $2::timestamptz AS since FROM (
    SELECT e.drug_id, min(b.happened_at AT TIME ZONE 'Asia/Shanghai')::date AS first_on,
        (SELECT min(f.filed_on) FROM code_prefix c JOIN filing f ON f.id = c.filing_id WHERE c.drug_id = e.drug_id)
            AS filed_on
    FROM entry e JOIN bill b ON b.id = e.bill_id WHERE e.from_org = $1 AND e.from_status = 'P' GROUP BY 1) a"""

# ungated: the organisation's own bills and the notices it sent ($1).
NOTICES_SENT = """
SELECT count(*)::int AS bills, count(n.bill_id)::int AS noticed FROM bill b
LEFT JOIN notice n ON n.to_org = b.to_org AND n.bill_id = b.id
WHERE b.owner = $1 AND b.recorded_at >= $2 AND b.status = 'A' AND b.type = ANY($3::int[]) AND b.to_org IS NOT NULL"""

# ungated: notices the organisation sent, and the checks that came back to it ($1).
DOWNSTREAM = """
SELECT (SELECT count(*) FROM notice n WHERE n.from_org = $1 AND n.shipped_at >= $2)::int AS sent,
    (SELECT count(*) FROM notice n WHERE n.from_org = $1 AND n.shipped_at >= $2 AND n.state = 'received')::int
        AS received,
    (SELECT count(*) FROM receipt_check c WHERE c.seller = $1 AND c.made_at >= $2)::int AS checks,
    (SELECT count(*) FROM receipt_check c WHERE c.seller = $1 AND c.made_at >= $2 AND c.outcome <> 'mismatch')::int
        AS matched"""

# ungated: how often the public asked for codes of the organisation's own products ($1); codes are not returned.
PUBLIC = """
SELECT coalesce(sum(q.count), 0)::bigint AS queries, count(*)::bigint AS codes, $2::timestamptz AS since
FROM public_query_count q JOIN product p ON p.id = q.drug_id WHERE p.mah_id = $1 OR p.manufacturer_id = $1"""

# ungated: the organisation's own receipts ($1); flag 4 is goods nobody announced.
RECEIPTS = """
SELECT count(*)::int AS bills, count(*) FILTER (WHERE b.flags & 4 = 0)::int AS noticed
FROM bill b WHERE b.owner = $1 AND b.recorded_at >= $2 AND b.status = 'A' AND b.type = ANY($3::int[])"""

# ungated: receipt checks the organisation made as the buyer ($1).
RECEIPT_CHECKS = """
SELECT count(*)::int AS checks, count(*) FILTER (WHERE c.outcome = 'mismatch')::int AS mismatched,
    count(*) FILTER (WHERE c.outcome = 'mismatch' AND c.state <> 'open')::int AS settled
FROM receipt_check c WHERE c.buyer = $1 AND c.made_at >= $2"""

# ungated: the organisation's own sales and uses ($1).
SALES = """
SELECT count(*)::int AS bills, coalesce(sum(b.lines), 0)::bigint AS codes,
    coalesce(sum(b.qty) FILTER (WHERE b.type = 23), 0)::bigint AS uncoded
FROM bill b WHERE b.owner = $1 AND b.recorded_at >= $2 AND b.status = 'A' AND b.type = ANY($3::int[])"""

# ungated: scans of the organisation's own bills ($1).
SCANS = """
SELECT count(*)::int AS bills, coalesce(sum(b.lines), 0)::bigint AS taken,
    coalesce(sum(b.refused), 0)::bigint AS refused
FROM bill b WHERE b.owner = $1 AND b.recorded_at >= $2"""

PEOPLE = """
SELECT count(*)::int AS people, count(*) FILTER (WHERE a.role IN ('quality', 'admin'))::int AS quality
FROM account a WHERE a.org_id = $1 AND a.active AND $2::timestamptz IS NOT NULL"""

# ungated: the organisation's own account of goods without codes ($1).
UNCODED = """
SELECT count(DISTINCT x.drug_id)::int AS products, coalesce(sum(x.qty), 0)::bigint AS qty FROM balance x
WHERE x.org = $1 AND x.status = 'U' AND x.qty > 0 AND $2::timestamptz IS NOT NULL"""

PERIODIC = """
SELECT (SELECT count(*) FROM quality_check c WHERE c.org = $1 AND c.made_at >= $2)::int AS checks,
    (SELECT count(*) FROM quality_finding f JOIN quality_check c ON c.id = f.first_check
        WHERE f.org = $1 AND c.made_at >= $2)::int AS findings,
    (SELECT count(*) FROM quality_finding f WHERE f.org = $1 AND f.state = 'open')::int AS open,
    (SELECT count(*) FROM quality_finding f WHERE f.org = $1 AND f.state = 'open' AND f.due_at < now())::int
        AS overdue"""

IN_FORCE = """
SELECT d.id, d.number, d.title, v.version, v.effective_on, v.in_qms,
    (SELECT count(*) FROM quality_training t WHERE t.version_id = v.id)::int AS trained FROM quality_document d
JOIN LATERAL (SELECT * FROM quality_document_version v WHERE v.document_id = d.id AND v.approved_at IS NOT NULL
    AND v.effective_on <= $2::date ORDER BY v.version DESC LIMIT 1) v ON true
WHERE d.org = $1 AND d.kind = $3 ORDER BY d.id"""

# What the regulators' feeds of the place owe of the organisation's bills: numbered and received, waiting, waiting for
# more than a day. A feed takes every bill of its region (exchange/jianguan).
# ungated: the organisation's own bills ($1); of a feed only its title and when it last agreed
FEEDS = """
WITH feed AS (
    SELECT c.id, c.title, c.since, coalesce(f.acked, 0) AS acked FROM connection c
    JOIN org o ON o.id = $1 AND o.region LIKE c.region || '%'
    LEFT JOIN jianguan_feed f ON f.connection = c.id
    WHERE c.channel = 'jianguan' AND c.everyone AND c.state <> 'ended'
        AND NOT EXISTS (SELECT 1 FROM sandbox_org x WHERE x.org = $1)
), owed AS (
    SELECT b.recorded_at, coalesce((
        SELECT max(e.seq) <= f.acked FROM jianguan_event e WHERE e.feed = f.id AND e.bill_id = b.id), false) AS held
    FROM feed f JOIN bill b ON b.owner = $1 AND b.revision > 0 AND b.recorded_at >= greatest($2, f.since)
)
SELECT (SELECT count(*)::int FROM feed) AS feeds, (SELECT coalesce(string_agg(title, '、' ORDER BY id), '') FROM feed)
        AS titles,
    count(*)::int AS owed, count(*) FILTER (WHERE held)::int AS held, count(*) FILTER (WHERE NOT held)::int AS waiting,
    count(*) FILTER (WHERE NOT held AND recorded_at < $3::timestamptz - interval '1 day')::int AS late,
    coalesce((SELECT to_char(max(k.at) AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD') FROM jianguan_check k
        WHERE k.feed IN (SELECT id FROM feed) AND k.equal), '—') AS agreed
FROM owed"""


async def one(conn: Connection, query: str, *args: object) -> Record:
    """The figures of one query."""
    found = await conn.fetchrow(query, *args)
    assert found is not None
    return found


async def in_force(conn: Connection, org: int, day: object, kind: str) -> list[Record]:
    """Documents of a kind in force on a day."""
    return await conn.fetch(IN_FORCE, org, day, kind)
