"""SQL of code requests. All reads are of the owner's own records: the organisation is in every condition."""

from __future__ import annotations

# the lock that keeps the ranges of one prefix apart; made at the first request
COUNTER = """
INSERT INTO code_counter (prefix, key_id) VALUES ($1, $2)
ON CONFLICT (prefix) DO UPDATE SET next_no = code_counter.next_no RETURNING key_id, next_no"""

ADVANCE = "UPDATE code_counter SET next_no = next_no + $2 WHERE prefix = $1"

INSERT = """
INSERT INTO code_request (org, drug_id, filing_id, purpose, client_ref, total, requested_by)
VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id"""

INSERT_RANGE = """
INSERT INTO code_range (request_id, level, scheme, prefix, key_id, start_no, count)
VALUES ($1, $2, $3, $4, $5, $6, $7)"""

_COLUMNS = """
SELECT r.id, r.org, r.drug_id, r.filing_id, r.state, r.purpose, r.client_ref, r.total, r.requested_by, r.made_at,
    r.downloaded_at, r.downloads,
    (SELECT jsonb_agg(jsonb_build_object('level', g.level, 'scheme', g.scheme, 'prefix', g.prefix,
        'key_id', g.key_id, 'start_no', g.start_no, 'count', g.count) ORDER BY g.level)
     FROM code_range g WHERE g.request_id = r.id) AS ranges
FROM code_request r"""

BY_ID = _COLUMNS + " WHERE r.org = $1 AND r.id = $2"
BY_REF = _COLUMNS + " WHERE r.org = $1 AND r.client_ref = $2"
LIST = _COLUMNS + " WHERE r.org = $1 AND r.id < $2 ORDER BY r.id DESC LIMIT $3"

DOWNLOADED = """
UPDATE code_request SET downloads = downloads + 1, downloaded_at = now(), state = 'downloaded' WHERE id = $1"""

# «whose»: the one range of a prefix that could hold a number
RANGE_OF = """
SELECT g.request_id, g.level, g.start_no, g.count, r.org, r.drug_id, r.made_at
FROM code_range g JOIN code_request r ON r.id = g.request_id
WHERE g.prefix = $1 AND g.start_no <= $2 ORDER BY g.start_no DESC LIMIT 1"""

KEYS_OF = "SELECT DISTINCT key_id FROM code_range WHERE prefix = $1"

# a product whose codes were requested or activated keeps its levels
IN_USE = """
SELECT EXISTS (SELECT 1 FROM code_request WHERE drug_id = $1) OR EXISTS (SELECT 1 FROM unit WHERE drug_id = $1)"""
