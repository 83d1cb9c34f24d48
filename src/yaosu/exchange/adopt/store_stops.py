"""SQL of stops that other trace systems told."""

from __future__ import annotations

KNOWN = "SELECT ours, live FROM foreign_stop WHERE home = $1 AND kind = $2 AND number = $3 FOR UPDATE"
KEEP = """
INSERT INTO foreign_stop (home, kind, number, drug_id, ours, live, batch_nos, codes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING"""
ENDED = "UPDATE foreign_stop SET live = false WHERE home = $1 AND kind = $2 AND number = $3"

LIVE = """
SELECT kind, drug_id, ours, batch_nos, codes FROM foreign_stop
WHERE live AND ours IS NOT NULL AND drug_id = ANY($1::int[]) ORDER BY home, kind, number FOR UPDATE"""

# Whether it can still be ended, in the words of recall orders.
STATE_OF = {
    "recall": "SELECT state FROM recall_order WHERE id = $1",
    "lock": "SELECT CASE WHEN released_at IS NULL THEN 'published' ELSE 'cancelled' END FROM goods_lock WHERE id = $1",
}
# What is stopped so far.
NAMED = {
    "recall": """
SELECT o.stop_id,
    coalesce((SELECT array_agg(b.batch_id) FROM recall_batch b WHERE b.order_id = o.id), '{}') AS batches,
    coalesce((SELECT array_agg(c.code) FROM recall_code c WHERE c.order_id = o.id), '{}') AS codes
FROM recall_order o WHERE o.id = $1""",
    "lock": """
SELECT l.stop_id,
    coalesce((SELECT array_agg(b.batch_id) FROM goods_lock_batch b WHERE b.lock_id = l.id), '{}') AS batches,
    coalesce((SELECT array_agg(c.code) FROM goods_lock_code c WHERE c.lock_id = l.id), '{}') AS codes
FROM goods_lock l WHERE l.id = $1""",
}
NO_REPORTS = "UPDATE recall_order SET clock = clock - 'progress_days' - 'summary_working_days' WHERE id = $1"
