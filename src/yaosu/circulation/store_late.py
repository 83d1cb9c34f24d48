"""SQL of a unit's past on the write path."""

from __future__ import annotations

# ungated: the write path judges with it and shows none of it
# Own events of the asked units, newest first, with the state before each.
CHAIN = """
WITH RECURSIVE chain AS (
    SELECT l.drug_id, l.code, l.bill_id, l.prev_bill, l.pre, l.pre_holder, l.pre_dest, 1 AS depth
    FROM unnest($1::int[], $2::text[]) AS a(drug_id, code)
    JOIN unit u ON u.drug_id = a.drug_id AND u.code = a.code
    JOIN bill_line l ON l.drug_id = u.drug_id AND l.bill_id = u.last_bill AND l.code = u.code
    UNION ALL
    SELECT l.drug_id, l.code, l.bill_id, l.prev_bill, l.pre, l.pre_holder, l.pre_dest, c.depth + 1
    FROM chain c JOIN bill_line l ON l.drug_id = c.drug_id AND l.bill_id = c.prev_bill AND l.code = c.code
    WHERE c.depth < 50
) SELECT c.drug_id, c.code, c.pre, c.pre_holder, c.pre_dest, b.happened_at
FROM chain c JOIN bill b ON b.id = c.bill_id ORDER BY c.drug_id, c.code, c.depth"""
