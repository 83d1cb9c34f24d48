-- Goods under a recall go back up the chain, or where the order says (R-B5, R-E4): the stop knows it, so that judging a
-- bill asks nothing.
ALTER TABLE stop ADD COLUMN return_to int;
UPDATE stop s SET return_to = o.return_to FROM recall_order o WHERE s.kind = 'recall' AND o.stop_id = s.id;

-- What was lost from quarantine goes back there when it is found: by the bill that took it out (R-B4).
CREATE INDEX quarantine_closed ON quarantine (closed_bill) WHERE closed_bill IS NOT NULL;
