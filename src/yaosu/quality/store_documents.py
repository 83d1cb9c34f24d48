"""SQL of controlled documents and clues: rows of one organisation, seen through mark `org`."""

from __future__ import annotations

from asyncpg import Record

from yaosu.access.visibility import Sight
from yaosu.db.engine import Connection

ADD = """
INSERT INTO quality_document (org, kind, number, title, department, responsible) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (org, number) DO NOTHING RETURNING id"""
ADD_VERSION = """
INSERT INTO quality_document_version (document_id, version, content, change_note, in_qms, created_by)
VALUES ($1, $2, $3, $4, $5, $6) RETURNING id"""
LOCK = "SELECT id, title, department, responsible FROM quality_document WHERE id = $1 AND org = $2 FOR UPDATE"
SET_HEAD = "UPDATE quality_document SET title = $2, department = $3, responsible = $4 WHERE id = $1"
SAVE = """
UPDATE quality_document_version SET content = $2, change_note = $3, in_qms = $4, updated_at = now(),
    editors = CASE WHEN $5 = ANY (editors) THEN editors ELSE editors || $5::int END
WHERE id = $1"""
APPROVE = """
UPDATE quality_document_version SET approved_by = $2, approved_at = now(), effective_on = $3, content_hash = $4
WHERE id = $1"""
TRAIN = """
INSERT INTO quality_training (version_id, account_id, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"""
TRAINED = """
SELECT a.id, a.name, a.role, t.at FROM account a
LEFT JOIN quality_training t ON t.account_id = a.id AND t.version_id = $2
WHERE a.org_id = $1 AND a.active ORDER BY t.at NULLS LAST, a.name"""
MANY = """
SELECT d.id, d.org, d.kind, d.number, d.title, d.department, d.responsible, v.version, v.effective_on,
    n.version AS draft, (SELECT count(*) FROM quality_training t WHERE t.version_id = v.id)::int AS trained,
    (SELECT count(*) FROM account a WHERE a.org_id = d.org AND a.active)::int AS people
FROM quality_document d
LEFT JOIN LATERAL (SELECT * FROM quality_document_version v WHERE v.document_id = d.id AND v.approved_at IS NOT NULL
    AND v.effective_on <= $1::date ORDER BY v.version DESC LIMIT 1) v ON true
LEFT JOIN quality_document_version n ON n.document_id = d.id AND n.approved_at IS NULL
WHERE /*visible:org d.org*/ AND ($2::int IS NULL OR d.org = $2) AND (NOT $3 OR v.id IS NOT NULL)
ORDER BY d.number, d.id LIMIT 500"""
ONE = """
SELECT d.id, d.org, d.kind, d.number, d.title, d.department, d.responsible, o.name AS org_name FROM quality_document d
JOIN org o ON o.id = d.org WHERE /*visible:org d.org*/ AND d.id = $1"""
VERSIONS = """
SELECT v.id, v.version, v.content, v.change_note, v.in_qms, v.created_by, v.editors, v.created_at, v.approved_by,
    v.approved_at, v.effective_on, v.content_hash, c.name AS writer, p.name AS approver FROM quality_document_version v
LEFT JOIN account c ON c.id = v.created_by LEFT JOIN account p ON p.id = v.approved_by
WHERE v.document_id = $1 ORDER BY v.version DESC"""

ADD_CLUE = """
INSERT INTO quality_clue (org, kind, title, text, codes, bills, evidence, evidence_hash, regulator, sent_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id"""
CLUES = """
SELECT k.id, k.org, k.kind, k.title, k.state, k.sent_at, k.noted_at, k.answered_at, cardinality(k.codes) AS codes,
    cardinality(k.bills) AS bills, o.name AS org_name FROM quality_clue k JOIN org o ON o.id = k.org
WHERE /*visible:org k.org*/ AND k.id < $1 AND ($2::text IS NULL OR k.state = $2) ORDER BY k.id DESC LIMIT $3"""
CLUE = """
SELECT k.id, k.org, k.kind, k.title, k.text, k.codes, k.bills, k.evidence, k.evidence_hash, k.regulator, k.state,
    k.sent_at, k.noted_at, k.answer, k.answered_at, o.name AS org_name, r.name AS regulator_name
FROM quality_clue k JOIN org o ON o.id = k.org LEFT JOIN org r ON r.id = k.regulator
WHERE /*visible:org k.org*/ AND k.id = $1"""
# What an office has before it: clues nobody took up, those taken up and not answered, tables filed lately.
OFFICE = """
SELECT (SELECT count(*) FROM quality_clue k WHERE k.state = 'sent' AND /*visible:org k.org*/) AS sent,
    (SELECT count(*) FROM quality_clue k WHERE k.state = 'noted' AND /*visible:org k.org*/) AS noted,
    (SELECT count(*) FROM quality_selfcheck s WHERE s.state = 'filed' AND s.filed_at > now() - make_interval(days => $1)
        AND /*visible:org s.org*/) AS filed"""
NOTE = "UPDATE quality_clue SET state = 'noted', noted_by = $2, noted_at = now() WHERE id = $1 AND state = 'sent'"
ANSWER = """
UPDATE quality_clue SET state = 'answered', answer = $2, answered_by = $3, answered_at = now(),
    noted_by = coalesce(noted_by, $3), noted_at = coalesce(noted_at, now())
WHERE id = $1 AND state <> 'answered' RETURNING id"""


async def seen(conn: Connection, sight: Sight, query: str, *args: object) -> list[Record]:
    """Rows of one of the marked queries."""
    sql, values = sight.apply(query, *args)
    return await conn.fetch(sql, *values)


async def seen_one(conn: Connection, sight: Sight, query: str, *args: object) -> Record | None:
    """One row of a marked query."""
    sql, values = sight.apply(query, *args)
    return await conn.fetchrow(sql, *values)
