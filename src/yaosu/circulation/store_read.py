"""SQL of the circulation room's reads. Whatever a caller sees goes through `access.visibility` (D10)."""

from __future__ import annotations

# Whether the second organisation may act for the first at this moment (R-B8).
DELEGATED = """
SELECT EXISTS (SELECT 1 FROM delegation WHERE principal = $1 AND agent = $2 AND revoked_at IS NULL
    AND valid_from <= now() AND (valid_until IS NULL OR valid_until > now()))"""

# The shipment that a receipt names by the seller's bill number; newest first when a number was used twice.
NOTICE_BY_NUMBER = """
SELECT n.bill_id FROM notice n JOIN bill b ON b.id = n.bill_id
WHERE n.to_org = $1 AND b.bill_no = $2 AND ($3::int IS NULL OR n.from_org = $3) AND n.state <> 'cancelled'
ORDER BY n.bill_id DESC LIMIT 2"""
