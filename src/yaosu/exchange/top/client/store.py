"""SQL of the client."""

from __future__ import annotations

# Who had the goods before a receipt that named its notice only.
# ungated: the owner's own bill, read by the software to report it
SENDER = """
SELECT pre_holder FROM bill_line WHERE bill_id = $1 AND drug_id = ANY($2::int[])
GROUP BY pre_holder ORDER BY count(*) DESC LIMIT 1"""
