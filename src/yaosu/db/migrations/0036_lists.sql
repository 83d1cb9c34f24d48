-- Lists that answer in time bound by the page shown (design §5): a way from every organisation to its rows in their order.

-- Bills that name an organisation as sender without being its own: the receipts of its buyers. The only index that bill
-- gets here; a bill whose owner sends the goods itself has no entry.
CREATE INDEX bill_from ON bill (from_org, id) WHERE from_org <> owner;

-- Bills that name an organisation beside the trade: principal, carrier, directing firm. Few bills name any, so they stand in
-- a table of their own rather than in three indexes that every bill would look at.
CREATE TABLE bill_beside (
    org     int NOT NULL,
    bill_id bigint NOT NULL,
    PRIMARY KEY (org, bill_id)
);
CREATE INDEX bill_beside_bill ON bill_beside (bill_id);
CREATE FUNCTION bill_beside_add() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO bill_beside (org, bill_id)
    SELECT DISTINCT o, NEW.id FROM unnest(ARRAY[NEW.principal, NEW.carrier, NEW.direct_org]) AS o WHERE o IS NOT NULL
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER bill_beside_add AFTER INSERT ON bill FOR EACH ROW
    WHEN (NEW.principal IS NOT NULL OR NEW.carrier IS NOT NULL OR NEW.direct_org IS NOT NULL)
    EXECUTE FUNCTION bill_beside_add();
INSERT INTO bill_beside (org, bill_id)
SELECT DISTINCT o, b.id FROM bill b CROSS JOIN unnest(ARRAY[b.principal, b.carrier, b.direct_org]) AS o WHERE o IS NOT NULL;

-- The whole quarantine of an organisation in its order; the part that is open has an index since 0003.
CREATE INDEX quarantine_org ON quarantine (org, id);

-- Open notices of both sides in the order of the lists; and one notice by its bill.
DROP INDEX notice_open;
CREATE INDEX notice_open_to ON notice (to_org, bill_id) WHERE state IN ('open', 'part');
CREATE INDEX notice_open_from ON notice (from_org, bill_id) WHERE state IN ('open', 'part');
CREATE INDEX notice_bill ON notice (bill_id);

-- Receipts that did not match, of both sides.
CREATE INDEX receipt_check_odd_seller ON receipt_check (seller, id) WHERE outcome <> 'matched';
CREATE INDEX receipt_check_odd_buyer ON receipt_check (buyer, id) WHERE outcome <> 'matched';
CREATE INDEX receipt_check_receipt ON receipt_check (receipt_bill);

-- Cases of a receipt check, whatever their state; open ones in order, for the offices.
CREATE INDEX exception_case_of_check ON exception_case (check_id) WHERE check_id IS NOT NULL;
CREATE INDEX exception_case_open ON exception_case (id) WHERE state = 'open';

-- Deliveries that are not through, or want a person.
CREATE INDEX delivery_open ON delivery (org, id)
    WHERE settled_at IS NULL OR state IN ('failed', 'partly', 'unknown', 'given_up', 'held');

-- Cases of an institution in order; those about another's act have an index since 0019.
CREATE INDEX insurance_case_of ON insurance_case (institution, id);
