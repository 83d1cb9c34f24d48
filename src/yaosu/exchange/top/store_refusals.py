"""SQL of uploads of which nothing moved (table top_refusal), as the trade's status queries tell of them."""

from __future__ import annotations

# Uploads that were refused as a whole, of a number that no bill has by now; the newest first.
# ungated: the organisation's own, whose the handler made sure it may ask for
REFUSALS = """
SELECT r.owner, r.bill_no, r.submitter, r.type, r.from_org, r.to_org, r.happened_at, r.at, r.reason, r.codes
FROM top_refusal r
WHERE r.owner = $1 AND r.type = ANY ($2::int[])
    AND ($3::timestamptz IS NULL OR r.happened_at >= $3) AND ($4::timestamptz IS NULL OR r.happened_at < $4)
    AND ($5::timestamptz IS NULL OR r.at >= $5) AND ($6::timestamptz IS NULL OR r.at < $6)
    AND ($7::text = '' OR r.bill_no = $7)
    AND ($8::int IS NULL OR coalesce(r.from_org, r.owner) = $8)
    AND ($9::int IS NULL OR coalesce(r.to_org, r.owner) = $9)
    AND NOT EXISTS (SELECT 1 FROM bill b WHERE b.owner = r.owner AND b.bill_no = r.bill_no)
ORDER BY r.at DESC LIMIT 1000"""
