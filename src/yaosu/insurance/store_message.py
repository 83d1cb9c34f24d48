"""SQL of received calls: messages, replays, reported rows, fee lines."""

from __future__ import annotations

from hashlib import blake2b

LOCK = "SELECT pg_advisory_xact_lock($1)"
# A message that was taken in, by the sender's number for it.
MESSAGE = "SELECT content, answer FROM insurance_message WHERE institution = $1 AND msgid = $2 AND kept"
KEEP = """
INSERT INTO insurance_message (institution, infno, msgid, rows, refused, kept, content, answer, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id"""
ANSWERED = "UPDATE insurance_message SET rows = $2, refused = $3, kept = $4, answer = $5 WHERE id = $1"
NONCE = """
INSERT INTO insurance_nonce (institution, nonce, content) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING RETURNING true"""
NONCE_CONTENT = "SELECT content FROM insurance_nonce WHERE institution = $1 AND nonce = $2"
MESSAGES = """
SELECT m.id, m.received_at, m.infno, m.msgid, m.rows, m.refused, m.kept, m.answer, i.code AS institution_code, i.name
FROM insurance_message m JOIN insurance_institution i ON i.id = m.institution
WHERE (CASE WHEN $1::text IS NULL THEN m.institution = ANY($2::int[]) ELSE starts_with(i.region, $1) END)
    AND (NOT $3 OR m.refused > 0 OR NOT m.kept) AND m.id < $4 ORDER BY m.id DESC LIMIT $5"""

# Rows with these keys that are on record already.
STANDING = """
SELECT r.key, r.content FROM insurance_report r
WHERE r.institution = $1 AND r.stage = $2 AND r.key = ANY($3::text[]) AND r.deleted_at IS NULL"""
ADD_REPORTS = """
INSERT INTO insurance_report (message_id, institution, stage, key, drug_id, happened_at, med_list_codg, content, person,
    data, codes)
SELECT $2, $3, $4, r.key, r.drug_id, r.happened_at, r.med_list_codg, decode(r.content, 'hex'), decode(r.person, 'hex'),
    r.data, ARRAY(SELECT jsonb_array_elements_text(r.codes))
FROM jsonb_to_recordset($1::jsonb) AS r(key text, drug_id int, happened_at timestamptz, med_list_codg text,
    content text, person text, data jsonb, codes jsonb)
RETURNING id, key"""
ADD_CODES = """
INSERT INTO insurance_report_code (drug_id, code, report_id)
SELECT DISTINCT a.drug_id, a.code, a.report_id
FROM unnest($1::int[], $2::text[], $3::bigint[]) AS a(drug_id, code, report_id)"""
DELETE_REPORT = """
UPDATE insurance_report r SET deleted_at = now()
WHERE r.institution = $1 AND r.key = $2 AND r.stage = ANY($3::text[]) AND r.deleted_at IS NULL
RETURNING r.id, r.stage, r.data"""
NOTE_RETURNED = (
    "UPDATE insurance_report SET data = data || jsonb_build_object('returned', $2::jsonb) WHERE id = $1"
)
# A withdrawn report of a sale: rows only it told are withdrawn; rows that a settlement told too lose its word.
WITHDRAW = """
UPDATE insurance_settlement s SET
    state = CASE WHEN s.settled_at IS NULL THEN 'W' ELSE s.state END,
    ended_at = CASE WHEN s.settled_at IS NULL THEN now() ELSE s.ended_at END,
    collected_at = CASE WHEN s.settled_at IS NULL THEN s.collected_at END,
    keys = CASE WHEN s.settled_at IS NULL THEN s.keys ELSE array_remove(s.keys, $1) END
WHERE s.keys && ARRAY[$1::text] AND s.state IN ('S', 'D') AND s.collected_at IS NOT NULL RETURNING s.id"""
# A withdrawn report of a return: what it took back counts again, unless the box was sold since.
RESTORE = """
UPDATE insurance_settlement s SET state = 'S', ended_at = NULL
FROM unnest($1::int[], $2::text[], $3::bigint[]) AS a(drug_id, code, id)
WHERE s.drug_id = a.drug_id AND s.code = a.code AND s.id = a.id AND s.state = 'B' AND NOT EXISTS (
    SELECT 1 FROM insurance_settlement o WHERE o.drug_id = s.drug_id AND o.code = s.code AND o.state = 'S')"""

FEES = """
SELECT feedetl_sn, med_list_codg, cnt FROM insurance_fee WHERE institution = $1 AND feedetl_sn = ANY($2::text[])"""
ADD_FEES = """
INSERT INTO insurance_fee (institution, feedetl_sn, med_list_codg, cnt)
SELECT $1, a.sn, a.med, a.cnt FROM unnest($2::text[], $3::text[], $4::numeric[]) AS a(sn, med, cnt)
ON CONFLICT (institution, feedetl_sn) DO UPDATE SET med_list_codg = excluded.med_list_codg,
    cnt = excluded.cnt, at = now()"""

# 3513: what the institution itself reported as sold, one row per code.
SALES = """
SELECT r.id, r.key, r.data, r.person, r.happened_at, r.codes, count(*) OVER () AS total
FROM insurance_report r
WHERE r.institution = $1 AND r.stage = '3505' AND r.deleted_at IS NULL
    AND ($2::timestamptz IS NULL OR r.happened_at >= $2) AND ($3::timestamptz IS NULL OR r.happened_at < $3)
    AND ($4 = '' OR r.med_list_codg = $4) AND ($5 = '' OR $5 = ANY(r.codes)) AND ($6::bytea IS NULL OR r.person = $6)
    AND ($7 = '' OR r.key = $7) AND ($8 = '' OR r.data ->> 'mdtrt_sn' = $8 OR r.data ->> 'mdtrt_id' = $8)
ORDER BY r.id LIMIT $9 OFFSET $10"""

# Reports that name a code, for its dossier.
OF_CODE = """
SELECT r.id, r.stage, r.key, r.happened_at, r.deleted_at, r.data, m.received_at, m.msgid
FROM insurance_report_code c JOIN insurance_report r ON r.id = c.report_id
JOIN insurance_message m ON m.id = r.message_id
WHERE c.drug_id = ANY($1::int[]) AND c.code = $2 AND r.institution = ANY($3::int[]) ORDER BY r.id LIMIT 200"""


def lock_of(institution_id: int) -> int:
    """The advisory lock of an institution: its messages are taken in one after the other."""
    data = f"institution {institution_id}".encode()
    return int.from_bytes(blake2b(data, digest_size=8, person=b"insurance").digest(), signed=True)
