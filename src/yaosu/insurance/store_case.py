"""SQL of cases, statements, files and the lists of the pages. Who may read what is said by `remit.Reader`."""

from __future__ import annotations

from yaosu.access.reach import newest

# One statement for all cases of an act; what is on record is told once more, never opened twice.
OPEN = """
INSERT INTO insurance_case (institution, other, settlement, earlier, drug_id, due_at, rule, severity, hint, code, act,
    findings)
SELECT r.institution, r.other, r.settlement, r.earlier, r.drug_id, $2, r.rule, r.severity, r.hint, r.code, r.act,
    r.findings
FROM jsonb_to_recordset($1::jsonb) AS r(institution int, other int, settlement bigint, earlier bigint, drug_id int,
    rule text, severity text, hint text, code text, act text, findings jsonb)
ON CONFLICT (institution, code, act) DO UPDATE SET times = insurance_case.times + 1, last_at = now()
RETURNING id, code, act, other, opened_at, (xmax = 0) AS fresh"""

_CASE = """c.id, c.institution, c.other, c.settlement, c.earlier, c.drug_id, c.times, c.opened_at, c.last_at, c.due_at,
    c.answered_at, c.closed_at, c.closed_by, c.rule, c.severity, c.hint, c.state, c.result, c.code, c.act, c.findings,
    c.closing, i.name, i.code AS institution_code, i.region, i.org, o.name AS other_name, o.region AS other_region,
    o.org AS other_org"""
_FROM = """insurance_case c JOIN insurance_institution i ON i.id = c.institution
    LEFT JOIN insurance_institution o ON o.id = c.other"""
# A bureau sees cases of its region, on either side ($1); an institution those that are about it ($2).
_SEEN = """CASE WHEN $1::text IS NULL THEN c.institution = ANY($2::int[]) OR c.other = ANY($2::int[])
    ELSE starts_with(i.region, $1) OR coalesce(starts_with(o.region, $1), false) END"""
_FILTERS = """($3::text[] IS NULL OR c.state = ANY($3)) AND (NOT $4::bool OR (c.state = 'open' AND c.due_at < now()))
    AND ($5::text IS NULL OR c.code = $5) AND ($6::text IS NULL OR c.rule = $6) AND c.id < $7"""
CASES = f"""
SELECT {_CASE} FROM {_FROM} WHERE {_SEEN} AND {_FILTERS} ORDER BY c.id DESC LIMIT $8"""  # noqa: S608 - constants
# An institution's own: its newest on either side.
_SIDES = [("$2::int[]", "c.institution = u.org"), ("$2::int[]", "c.other = u.org")]
CASES_OF = f"""
SELECT {_CASE} FROM ({newest("insurance_case c", "c.id", _SIDES, _FILTERS, "$8")}) k
JOIN insurance_case c ON c.id = k.id JOIN insurance_institution i ON i.id = c.institution
LEFT JOIN insurance_institution o ON o.id = c.other
WHERE {_SEEN} ORDER BY c.id DESC"""  # noqa: S608 - constants
CASE = f"SELECT {_CASE} FROM {_FROM} WHERE {_SEEN} AND c.id = $3"  # noqa: S608 - constants
LOCK = "SELECT state FROM insurance_case WHERE id = $1 FOR UPDATE"
COUNTS = f"""
SELECT count(*) FILTER (WHERE c.state = 'open') AS open, count(*) FILTER (WHERE c.state = 'answered') AS answered,
    count(*) FILTER (WHERE c.state = 'open' AND c.due_at < now()) AS overdue,
    count(*) FILTER (WHERE c.state = 'closed') AS closed
FROM {_FROM} WHERE {_SEEN}"""  # noqa: S608 - constants
OF_CODE = f"""
SELECT {_CASE} FROM {_FROM} WHERE {_SEEN} AND c.drug_id = ANY($3::int[]) AND c.code = $4 ORDER BY c.id"""  # noqa: S608 - constants

SAY = """
INSERT INTO insurance_statement (institution, drug_id, case_id, account_id, code, text)
VALUES ($1, $2, $3, $4, $5, $6) RETURNING id"""
ANSWERED = """
UPDATE insurance_case SET answered_at = coalesce(answered_at, now()),
    state = CASE WHEN state = 'open' THEN 'answered' ELSE state END WHERE id = $1"""
STATEMENTS = """
SELECT s.id, s.institution, s.at, s.text, s.case_id, i.name, a.name AS account FROM insurance_statement s
JOIN insurance_institution i ON i.id = s.institution LEFT JOIN account a ON a.id = s.account_id
WHERE (s.case_id = $1 OR ($1::bigint IS NULL AND s.drug_id = ANY($2::int[]) AND s.code = $3))
    AND ($4::int[] IS NULL OR s.institution = ANY($4)) ORDER BY s.id"""
ADD_FILE = """
INSERT INTO insurance_file (case_id, institution, account_id, media, name, sha256, body)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (case_id, institution, sha256) DO UPDATE SET name = insurance_file.name RETURNING id"""
FILES = """
SELECT f.id, f.institution, f.at, f.media, f.name, encode(f.sha256, 'hex') AS sha256, length(f.body) AS bytes,
    i.name AS institution_name
FROM insurance_file f JOIN insurance_institution i ON i.id = f.institution
WHERE f.case_id = $1 AND ($2::int[] IS NULL OR f.institution = ANY($2)) ORDER BY f.id"""
FILE = """
SELECT f.media, f.name, f.body FROM insurance_file f
WHERE f.id = $1 AND f.case_id = $2 AND ($3::int[] IS NULL OR f.institution = ANY($3))"""
COUNT_FILES = "SELECT count(*) FROM insurance_file WHERE case_id = $1 AND institution = $2"
CLOSE = """
UPDATE insurance_case SET state = 'closed', result = $2, closing = $3, closed_at = now(), closed_by = $4
WHERE id = $1 AND state <> 'closed'"""

# A case that somebody is working on is passed over: it is told a minute later, if still nobody explained it.
OVERDUE = """
UPDATE insurance_case c SET overdue_told = true FROM insurance_institution i
WHERE i.id = c.institution AND c.id IN (
    SELECT d.id FROM insurance_case d WHERE d.state = 'open' AND NOT d.overdue_told AND d.due_at < now()
    ORDER BY d.due_at LIMIT 200 FOR NO KEY UPDATE SKIP LOCKED)
RETURNING c.id, c.opened_at, c.code, i.org, i.bureau, i.name"""
FORGET = "DELETE FROM insurance_nonce WHERE at < now() - interval '1 day'"

# The settlement ledger as its readers see it; narrowed by code, act or time.
SETTLEMENTS = """
SELECT s.id, s.drug_id, s.code, s.institution, i.name, i.code AS institution_code, i.region, s.sold_at, s.recorded_at,
    s.collected_at, s.settled_at, s.ended_at, s.split, s.units, s.state, s.severity, s.med_list_codg, s.keys,
    s.bill_id, s.findings
FROM insurance_settlement s JOIN insurance_institution i ON i.id = s.institution
WHERE (CASE WHEN $1::text IS NULL THEN s.institution = ANY($2::int[]) ELSE starts_with(i.region, $1) END)
    AND ($3::text[] IS NULL OR (s.code = ANY($3) AND s.drug_id = ANY($4::int[])))
    AND ($5::text[] IS NULL OR s.state = ANY($5)) AND s.id < $6 ORDER BY s.id DESC LIMIT $7"""
# What was settled of a code by institutions beyond the reader's own: when and in which region, nothing else.
OTHERS = """
SELECT s.sold_at, i.region, s.split, s.state FROM insurance_settlement s
JOIN insurance_institution i ON i.id = s.institution
WHERE s.drug_id = ANY($1::int[]) AND s.code = $2 AND s.institution <> ALL($3::int[]) AND s.state IN ('S', 'D')
ORDER BY s.id LIMIT 100"""
NAMED = "SELECT id, code, name, region, org FROM insurance_institution WHERE id = ANY($1::int[]) ORDER BY id"
# How often a code was sold, for the public's page: no places, no persons, no quantities.
PUBLIC = """
SELECT count(*) FILTER (WHERE NOT s.split) AS whole, count(*) FILTER (WHERE s.split) AS split,
    count(DISTINCT s.institution) AS places, min(s.sold_at) AS first_at
FROM insurance_settlement s WHERE s.drug_id = ANY($1::int[]) AND s.code = $2 AND s.state IN ('S', 'D')"""
