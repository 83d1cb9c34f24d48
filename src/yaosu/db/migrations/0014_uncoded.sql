-- 无码库 (R-C8, R-D1): what papers stand behind goods without codes. Quantities are not here: they are in the ledger
-- (balance status U), so that nothing can say otherwise than the books.

-- A purchase invoice or another proof, as a picture or PDF, whole. Served only to its organisation and its regulator.
CREATE TABLE uncoded_proof (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org int NOT NULL,
    media text NOT NULL CHECK (media IN ('application/pdf', 'image/jpeg', 'image/png')),
    name text NOT NULL,                  -- as uploaded; shown, never used as a path
    sha256 bytea NOT NULL,
    body bytea NOT NULL,
    made_by int,                         -- account; NULL for an API key
    made_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (org, sha256)
);
ALTER TABLE uncoded_proof ALTER COLUMN body SET STORAGE EXTERNAL;

-- What stands behind one product and batch of one 无码入库 (bill type 21), named by the bill's number so that it
-- outlives corrections of the bill. Goods of such a bill without a row here lack their proof.
CREATE TABLE uncoded_lot (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org int NOT NULL,
    drug_id int NOT NULL,
    batch_id int NOT NULL,
    bill_no text NOT NULL,
    zone text NOT NULL,                  -- 专区: where the goods stand apart
    supplier int,                        -- organisation, when it is registered here
    supplier_name text NOT NULL,
    invoice_no text NOT NULL,
    invoice_date date NOT NULL,
    proof_id bigint NOT NULL REFERENCES uncoded_proof (id),
    made_by int,
    made_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (org, bill_no, drug_id, batch_id)
);

-- Which lot a bill (22–25) takes goods from. Written just before the bill, under a lock of the lot, so that two
-- people cannot take the same goods; a row whose bill never came about counts for a few minutes only.
CREATE TABLE uncoded_draw (
    org int NOT NULL,
    bill_no text NOT NULL,
    lot_id int NOT NULL REFERENCES uncoded_lot (id),
    qty int NOT NULL CHECK (qty > 0),
    made_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org, bill_no)
);
CREATE INDEX uncoded_draw_lot ON uncoded_draw (lot_id);

-- 补码: a holder asks its supplier for codes (R-D1).
CREATE TABLE uncoded_request (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org int NOT NULL,                    -- who asks
    supplier int NOT NULL,               -- who is asked
    lot_id int NOT NULL REFERENCES uncoded_lot (id),
    qty int NOT NULL CHECK (qty > 0),
    reason text NOT NULL DEFAULT '',
    state text NOT NULL DEFAULT 'asked', -- asked, in_place, replaced, declined, done, withdrawn
    answer text NOT NULL DEFAULT '',
    ship_bill_no text NOT NULL DEFAULT '', -- the supplier's shipping bill that brings the codes
    done_qty int NOT NULL DEFAULT 0,
    asked_by int,
    asked_at timestamptz NOT NULL DEFAULT now(),
    answered_by int,
    answered_at timestamptz,
    closed_at timestamptz
);
CREATE INDEX uncoded_request_org ON uncoded_request (org, id);
CREATE INDEX uncoded_request_supplier ON uncoded_request (supplier, id);
CREATE INDEX uncoded_request_lot ON uncoded_request (lot_id);

-- 专项核验: the goods of a lot counted by two people, and what became of a difference.
CREATE TABLE uncoded_count (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org int NOT NULL,
    lot_id int NOT NULL REFERENCES uncoded_lot (id),
    booked int NOT NULL,
    counted int NOT NULL CHECK (counted >= 0),
    counter text NOT NULL,
    checker text NOT NULL CHECK (checker <> counter),
    explanation text NOT NULL DEFAULT '',
    bill_no text NOT NULL DEFAULT '',    -- the loss (25) that posts a shortage
    made_by int,
    made_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX uncoded_count_lot ON uncoded_count (lot_id, id);

-- The day up to which the holders of uncoded stock have been reminded; one row.
CREATE TABLE uncoded_reminded (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    day date NOT NULL
);

-- The ledger's uncoded part alone: what came into and went out of U by account, and who holds any.
CREATE INDEX entry_uncoded_in ON entry (to_org, drug_id, batch_id) WHERE to_status = 'U';
CREATE INDEX entry_uncoded_out ON entry (from_org, drug_id, batch_id) WHERE from_status = 'U';
CREATE INDEX balance_uncoded ON balance (org) WHERE status = 'U';
