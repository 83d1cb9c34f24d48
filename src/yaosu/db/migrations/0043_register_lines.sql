-- The special register (专册) keeps what was written: a line that is wrong is taken back by a line of its own, with the
-- quantity below nothing, that names the line it corrects. Who did it, when and why is told by the bill it stands on.
-- No line is altered or deleted; the net is the sum.

ALTER TABLE people.purchase ADD COLUMN corrects bigint;    -- the bill whose line this one takes back
-- lines that were marked as taken back until now
INSERT INTO people.purchase (bill_id, person, agent, happened_at, drug_id, batch_id, org, qty, bill_type, codes,
    prescription_no, doctor, second_person, corrects)
SELECT b.id, p.person, p.agent, p.happened_at, p.drug_id, p.batch_id, p.org, -p.qty, p.bill_type, p.codes,
    p.prescription_no, p.doctor, p.second_person, p.bill_id
FROM people.purchase p JOIN bill b ON b.owner = p.org AND b.replaces = p.bill_id AND b.flags & 8 <> 0
WHERE p.taken_back_at IS NOT NULL;
ALTER TABLE people.purchase DROP COLUMN taken_back_at;
ALTER TABLE people.purchase ADD CHECK ((corrects IS NULL AND qty > 0) OR (corrects IS NOT NULL AND qty < 0));
-- a line is taken back once
CREATE UNIQUE INDEX purchase_corrects ON people.purchase (drug_id, corrects, batch_id) WHERE corrects IS NOT NULL;

CREATE FUNCTION people.as_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a line of the special register is corrected by another line, never altered or deleted';
END $$;
CREATE TRIGGER purchase_as_written BEFORE UPDATE OR DELETE ON people.purchase
    FOR EACH ROW EXECUTE FUNCTION people.as_written();
