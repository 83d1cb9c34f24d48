"""SQL of makers' methods: relation files and what became of them, replaced codes, batches."""

from __future__ import annotations

# A file that came by the gateway and what became of it.
ADD = """
INSERT INTO top_relation (org, file_name, sha256, size, operator, state, bill_id, note)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id"""

# Files of one organisation: those activated by any way in, and those of the gateway that failed; the newest first.
# A file that failed and was activated later by the same bytes is only the activation.
_FILES = """
SELECT 'done' AS state, f.bill_id, NULL::bigint AS failed_id, f.file_name, f.received_at AS at, f.codes, f.boxes,
    f.batches, '' AS note,
    (SELECT t.operator FROM top_relation t WHERE t.bill_id = f.bill_id ORDER BY t.id LIMIT 1) AS operator
FROM relation_file f WHERE f.org = $1
UNION ALL
SELECT 'failed', NULL, t.id, t.file_name, t.uploaded_at, 0, 0, '[]'::jsonb, t.note, t.operator
FROM top_relation t WHERE t.org = $1 AND t.state = 'failed'
    AND NOT EXISTS (SELECT 1 FROM relation_file f WHERE f.org = t.org AND f.sha256 = t.sha256)"""
# ungated: the organisation's own files
FILES = f"""
SELECT x.*, count(*) OVER () AS total FROM ({_FILES}) x
WHERE ($2::timestamptz IS NULL OR x.at >= $2) AND ($3::timestamptz IS NULL OR x.at < $3)
    AND ($4::text = '' OR x.state = $4)
    AND ($5::text = '' OR x.batches @> jsonb_build_array(jsonb_build_object('batch_no', $5::text)))
    AND ($6::int = 0 OR x.batches @> jsonb_build_array(jsonb_build_object('drug_id', $6::int)))
ORDER BY x.at DESC LIMIT $7 OFFSET $8"""  # noqa: S608 - constants

# One file by the activation's bill, or by the number of a failure.
# ungated: the organisation's own files
ONE_FILE = f"""
SELECT x.* FROM ({_FILES}) x WHERE ($2::bigint <> 0 AND x.bill_id = $2) OR ($3::bigint <> 0 AND x.failed_id = $3)"""  # noqa: S608

# What batches of a file were made with.
# ungated: the organisation's own batches
BATCHES = """
SELECT drug_id, id, batch_no, produced_on, expires_on, workshop, line_name, line_manager FROM batch
WHERE maker = $1 AND batch_no = ANY ($2::text[])"""

# Codes one replaced, either of the two looked for.
# ungated: the organisation's own replacements
REPLACED = """
SELECT r.drug_id, r.old_code, r.new_code, r.bill_id, b.recorded_at, b.account_id, u.level, count(*) OVER () AS total
FROM unit_replaced r JOIN bill b ON b.id = r.bill_id
LEFT JOIN unit u ON u.drug_id = r.drug_id AND u.code = r.new_code
WHERE b.owner = $1 AND b.recorded_at >= $2 AND b.recorded_at < $3
    AND ($4::text = '' OR r.old_code = $4 OR r.new_code = $4) AND ($5::int = 0 OR r.drug_id = $5)
ORDER BY r.bill_id DESC LIMIT $6 OFFSET $7"""
