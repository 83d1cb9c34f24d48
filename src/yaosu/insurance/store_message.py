"""SQL of received calls: messages, replays, reported rows, fee lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from yaosu.db.engine import Connection

# What several calls need to know before they are judged, and the numbers that what they add gets: 1 messages taken in
# before under the same numbers, 2 records that stand, 3 institutions as they are now, 4 to 6 numbers of messages,
# records and rows of the settlement ledger.
BEFORE = """
SELECT 1 AS what, m.institution, m.msgid AS key, '' AS stage, m.content, m.answer, NULL::timestamptz AS at, 0 AS id
FROM unnest($1::int[], $2::text[]) AS a(institution, msgid)
JOIN insurance_message m ON m.institution = a.institution AND m.msgid = a.msgid AND m.kept
UNION ALL
SELECT 2, r.institution, r.key, r.stage, r.content, NULL, NULL, 0
FROM unnest($3::int[], $4::text[], $5::text[]) AS a(institution, stage, key)
JOIN insurance_report r ON r.institution = a.institution AND r.stage = a.stage AND r.key = a.key
    AND r.deleted_at IS NULL
UNION ALL
SELECT 3, i.id, '', '', NULL, NULL, i.changed_at, 0
FROM insurance_institution i WHERE i.id = ANY($6::int[]) AND i.active
UNION ALL SELECT 4, 0, '', '', NULL, NULL, NULL, nextval('insurance_message_id_seq') FROM generate_series(1, $7)
UNION ALL SELECT 5, 0, '', '', NULL, NULL, NULL, nextval('insurance_report_id_seq') FROM generate_series(1, $8)
UNION ALL SELECT 6, 0, '', '', NULL, NULL, NULL, nextval('insurance_settlement_id') FROM generate_series(1, $9)"""
# Whether an institution's keys are still those a call was verified with.
CURRENT = "SELECT true FROM insurance_institution WHERE id = $1 AND changed_at = $2 AND active"
SIGN_IN = "INSERT INTO insurance_sign (sign_no, institution, opter, day) VALUES ($1, $2, $3, $4)"
SIGN_OUT = """
UPDATE insurance_sign SET ended_at = now() WHERE sign_no = $1 AND institution = $2 AND ended_at IS NULL
RETURNING true"""
SIGNED = """
SELECT true FROM insurance_sign WHERE sign_no = $1 AND institution = $2 AND day = $3 AND ended_at IS NULL"""
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
NEW_REPORT_IDS = "SELECT nextval('insurance_report_id_seq') FROM generate_series(1, $1)"
DELETE_REPORT = """
UPDATE insurance_report r SET deleted_at = now()
WHERE r.institution = $1 AND r.key = $2 AND r.stage = ANY($3::text[]) AND r.deleted_at IS NULL
RETURNING r.id, r.stage, r.data"""
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


MESSAGE_COLUMNS = (
    "id",
    "institution",
    "infno",
    "msgid",
    "rows",
    "refused",
    "kept",
    "content",
    "answer",
    "body",
)
REPORT_COLUMNS = (
    "id", "message_id", "institution", "stage", "key", "drug_id", "happened_at", "med_list_codg", "content", "person",
    "data", "codes",
)  # fmt: skip


async def new_report_ids(conn: Connection, count: int) -> list[int]:
    """Numbers of records to be added."""
    return [r[0] for r in await conn.fetch(NEW_REPORT_IDS, count)] if count else []


async def add_messages(conn: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Calls with their answers, in the order of `MESSAGE_COLUMNS`."""
    await conn.copy_records_to_table("insurance_message", records=rows, columns=MESSAGE_COLUMNS)


async def add_reports(
    conn: Connection, rows: Sequence[Mapping[str, Any]], codes: Sequence[tuple[Any, ...]]
) -> None:
    """Records under their numbers, and the codes they name: (product, code, record)."""
    if rows:
        await conn.copy_records_to_table(
            "insurance_report",
            records=[tuple(r[c] for c in REPORT_COLUMNS) for r in rows],
            columns=REPORT_COLUMNS,
        )
    if codes:
        await conn.copy_records_to_table(
            "insurance_report_code", records=codes, columns=("drug_id", "code", "report_id")
        )
