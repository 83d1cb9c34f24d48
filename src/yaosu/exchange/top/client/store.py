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

# The next turn of an AppKey: how long to wait for it; no row where that is longer than the caller's patience. The first
# caller of a key goes at once.
TURN = """
INSERT INTO delivery_gate AS g (target, target_id, next_call)
VALUES ('top.key', $1, clock_timestamp() + make_interval(secs => $2))
ON CONFLICT (target, target_id) DO UPDATE
SET next_call = greatest(g.next_call, g.shut_till, clock_timestamp()) + make_interval(secs => $2)
WHERE greatest(g.next_call, g.shut_till) <= clock_timestamp() + make_interval(secs => $3)
RETURNING greatest(0, extract(epoch FROM g.next_call - clock_timestamp())::float - $2)"""
SHUT = """
INSERT INTO delivery_gate AS g (target, target_id, shut_till)
VALUES ('top.key', $1, clock_timestamp() + make_interval(secs => $2))
ON CONFLICT (target, target_id) DO UPDATE SET shut_till = greatest(g.shut_till, excluded.shut_till)"""

# Who a sale was to, and who prescribed and dispensed, so that it can be filled in when it is sent (never before).
# ungated: the owner's own bill and the person it names, read by the sender alone
BUYER = """
SELECT b.header, p.person, p.org FROM bill b
LEFT JOIN people.purchase p ON p.bill_id = b.id AND p.person IS NOT NULL WHERE b.id = $1 LIMIT 1"""
