"""SQL of the client."""

from __future__ import annotations

# Who had the goods before a receipt that named its notice only.
# ungated: the owner's own bill, read by the software to report it
SENDER = """
SELECT pre_holder FROM bill_line WHERE bill_id = $1 AND drug_id = ANY($2::int[])
GROUP BY pre_holder ORDER BY count(*) DESC LIMIT 1"""

# Whose word counts for a trace system: the address the operator entered.
GATEWAY = "SELECT gateway_url FROM trace_system WHERE id = $1 AND NOT own"
SET_GATEWAY = "UPDATE trace_system SET gateway_url = $2 WHERE id = $1 AND NOT own RETURNING id"
