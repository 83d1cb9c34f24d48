-- Goods of a case that was settled without letting them into stock (returned, credited) are not released from quarantine
-- until a later case decides otherwise (R-B4).
ALTER TABLE quarantine ADD COLUMN decided_by bigint;
ALTER TABLE quarantine ADD COLUMN decided_case text NOT NULL DEFAULT '';  -- its number, for the refusal's words
UPDATE quarantine q SET decided_by = d.id, decided_case = d.case_no
FROM (
    SELECT DISTINCT ON (i.quarantine_id) i.quarantine_id, c.id, c.case_no, c.resolution
    FROM exception_item i JOIN exception_case c ON c.id = i.case_id AND c.state = 'closed'
    WHERE i.quarantine_id IS NOT NULL ORDER BY i.quarantine_id, c.closed_at DESC, c.id DESC
) d
WHERE q.id = d.quarantine_id AND q.closed_at IS NULL AND q.moved AND d.resolution IN ('returned', 'credited');
