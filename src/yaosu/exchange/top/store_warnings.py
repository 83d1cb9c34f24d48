"""SQL of 码预警 tasks: the asking organisation's own rows of table top_warning."""

from __future__ import annotations

NEXT_TASK = "SELECT nextval('top_warning_task')"

ADD = """
INSERT INTO top_warning (org, task_id, code, bill_no, made_by, drug_id, level, qty, batch_no, found)
SELECT $1, $2, v.code, $3, $4, nullif(v.drug_id, 0), nullif(v.level, 0), v.qty, v.batch_no, v.found::jsonb
FROM unnest($5::text[], $6::int[], $7::int[], $8::int[], $9::text[], $10::text[])
    AS v(code, drug_id, level, qty, batch_no, found)"""

# ungated: the organisation's own requests and what was told to it then
LIST = """
SELECT w.*, count(*) OVER () AS total FROM top_warning w
WHERE w.org = $1 AND ($2::timestamptz IS NULL OR w.made_at >= $2) AND ($3::timestamptz IS NULL OR w.made_at < $3)
    AND ($4::bool IS NULL OR (w.found <> '[]'::jsonb) = $4) AND ($5::text = '' OR w.code = $5)
    AND ($6::int = 0 OR w.drug_id = $6) AND ($7::text = '' OR w.batch_no = $7) AND ($8::bigint = 0 OR w.task_id = $8)
    AND ($9::text = '' OR w.bill_no = $9)
ORDER BY w.id DESC LIMIT $10 OFFSET $11"""

# ungated: the organisation's own
ONE = "SELECT found FROM top_warning WHERE org = $1 AND id = $2"
