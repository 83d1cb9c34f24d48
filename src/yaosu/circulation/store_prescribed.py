"""SQL of prescriptions of narcotics whose dispensing is corrected or voided (R-C4)."""

from __future__ import annotations

# What the revision before handed out, by product and batch, of which prescription, and what came back of its ampoules.
# Locked: who takes ampoules back, or dispenses the prescription elsewhere, comes before or after.
# ungated: write path; the bill that its owner corrects
HANDED_OUT = """
SELECT d.drug_id, d.batch_id, d.act_id, d.prescription_id, d.units, d.due, d.returned, p.number, p.units AS prescribed,
    t.batch_no
FROM narcotic_dispensing d JOIN narcotic_prescription p ON p.id = d.prescription_id
JOIN batch t ON t.drug_id = d.drug_id AND t.id = d.batch_id
WHERE d.bill_id = $1 ORDER BY d.drug_id, d.batch_id FOR NO KEY UPDATE OF d, p"""

# What other bills in force, and acts that are being carried out, hand out of a prescription.
# ungated: write path; a total that names nobody
OTHERS = """
SELECT (SELECT coalesce(sum(d.units), 0)::int FROM narcotic_dispensing d
        JOIN bill v ON v.id = d.bill_id AND v.status = 'A' WHERE d.prescription_id = $1 AND d.bill_id <> $2)
    + (SELECT coalesce(sum((a.payload ->> 'units')::int), 0)::int FROM narcotic_act a
        WHERE a.kind = 'dispense' AND a.state = 'running' AND (a.payload ->> 'prescription')::bigint = $1)"""

PER_PACKAGE = "SELECT p.prep_units_per FROM product p WHERE p.id = $1"

FOLLOW = """
INSERT INTO narcotic_dispensing (drug_id, bill_id, batch_id, org, act_id, prescription_id, units, due, returned,
    happened_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"""

# A prescription that was used up is so no longer when one of its dispensings is taken back.
REOPEN = """
UPDATE narcotic_prescription SET state = 'open' WHERE state = 'dispensed'
    AND id IN (SELECT d.prescription_id FROM narcotic_dispensing d WHERE d.bill_id = $1)"""

CLOSE = "UPDATE narcotic_prescription SET state = 'dispensed' WHERE id = $1 AND state = 'open'"
