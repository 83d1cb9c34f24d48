-- What the write path knows beyond plain movement: stops, split packs, uncoded goods, holds, corrections by difference.

-- A recall, lock or suspension in force: bills that would move affected goods are refused (R-E4, R-X7, R-B5).
CREATE TABLE stop (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('recall', 'lock', 'suspension')),
    ref int NOT NULL,                   -- the order, lock or case it belongs to
    number text NOT NULL,
    title text NOT NULL,
    level smallint,                     -- recall class 1-3
    org int,                            -- only this owner's bills are stopped; NULL = everybody's
    placed_by int NOT NULL,
    reason text NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lifted_at timestamptz,
    lift_reason text NOT NULL DEFAULT ''
);
CREATE INDEX stop_ref ON stop (kind, ref);
CREATE TABLE stop_batch (
    drug_id int NOT NULL,
    batch_id int NOT NULL,
    stop_id int NOT NULL,
    PRIMARY KEY (drug_id, batch_id, stop_id)
);
CREATE TABLE stop_code (
    drug_id int NOT NULL,
    code text COLLATE "C" NOT NULL,
    stop_id int NOT NULL,
    PRIMARY KEY (drug_id, code, stop_id)
);
-- The first refusal of each organisation: how fast a stop took hold (R-X7).
CREATE TABLE stop_hit (
    stop_id int NOT NULL,
    org int NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    count bigint NOT NULL DEFAULT 1,
    first_code text NOT NULL,
    PRIMARY KEY (stop_id, org)
);
-- Rises with every change, so that each server's memory of the stops is known to be the newest before it judges.
CREATE TABLE stop_version (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version bigint NOT NULL
);
INSERT INTO stop_version (version) VALUES (1);

-- 拆零 (R-C9): an opened box and what is left of it, in preparation units. Status D of the unit.
CREATE TABLE split_pack (
    drug_id int NOT NULL,
    code text COLLATE "C" NOT NULL,
    batch_id int NOT NULL,
    org int NOT NULL,
    total int NOT NULL CHECK (total > 1),
    unit_left int NOT NULL CHECK (unit_left BETWEEN 0 AND total),
    unit_out int NOT NULL CHECK (unit_out >= 0),    -- dispensed and not returned
    unit_lost int NOT NULL CHECK (unit_lost >= 0),
    opened_bill bigint NOT NULL,
    opened_at timestamptz NOT NULL,
    use_before timestamptz,             -- how long an opened box may be used; NULL = as long as its batch
    PRIMARY KEY (drug_id, code),
    CHECK (unit_left + unit_out + unit_lost = total)
);
CREATE INDEX split_pack_org ON split_pack (org, drug_id, code) WHERE unit_left > 0;
CREATE TABLE split_entry (
    bill_id bigint NOT NULL,
    drug_id int NOT NULL,
    qty int NOT NULL CHECK (qty <> 0),  -- preparation units; negative when a void or correction takes it back
    kind text NOT NULL CHECK (kind IN ('open', 'dispense', 'return', 'loss')),
    code text COLLATE "C" NOT NULL,
    PRIMARY KEY (drug_id, code, bill_id, kind)
);
CREATE INDEX split_entry_bill ON split_entry (bill_id);

-- Goods in dispute do not leave quarantine until the case closes (R-B4).
ALTER TABLE quarantine ADD COLUMN held_by bigint;
ALTER TABLE quarantine ADD COLUMN held_case text NOT NULL DEFAULT '';  -- the case's number, for the refusal's words
CREATE INDEX quarantine_held ON quarantine (held_by) WHERE held_by IS NOT NULL;

-- A correction leaves alone what moved on since and what it says just as before: these lines stay with the earlier
-- revision and belong to the later one too.
CREATE TABLE bill_kept (
    bill_id bigint NOT NULL,            -- the revision in force
    drug_id int NOT NULL,
    from_bill bigint NOT NULL,          -- the bill whose line it is
    code text COLLATE "C" NOT NULL,
    PRIMARY KEY (drug_id, bill_id, code)
);
CREATE INDEX bill_kept_bill ON bill_kept (bill_id);
