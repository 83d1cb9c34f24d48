-- Split dispensing (拆零, R-C9) beyond the boxes themselves: which part went to which prescription, and pools of
-- pre-scanned boxes (预扫码池) for wards and dispensing machines. The boxes are split_pack and split_entry (0006).

-- One act of dispensing or taking back parts. Written before its bill is submitted (planned) and confirmed after it
-- (done), so that neither a lost answer nor a crash in between separates the bill from who got what.
CREATE TABLE split_order (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org int NOT NULL,                   -- owner of the bill
    kind text NOT NULL CHECK (kind IN ('dispense', 'return')),
    state text NOT NULL CHECK (state IN ('planned', 'done')),
    pool_id int,                        -- drawn from this pool; NULL = boxes scanned at a station
    bill_type smallint NOT NULL,
    bill_id bigint,
    account_id int,
    happened_at timestamptz NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    number text NOT NULL,               -- number of the caller and of the bill: same number, same content, same answer
    content_hash bytea NOT NULL,
    refused jsonb NOT NULL DEFAULT '[]', -- lines that could not be filled, with the reason
    UNIQUE (org, number)
);
CREATE INDEX split_order_planned ON split_order (made_at) WHERE state = 'planned';
CREATE INDEX split_order_pool ON split_order (pool_id, id) WHERE pool_id IS NOT NULL;

-- What one line of it took out of (or gave back to) one box, in preparation units.
CREATE TABLE split_share (
    order_id bigint NOT NULL,
    drug_id int NOT NULL,
    n int NOT NULL,                     -- line of the request, from 0
    units int NOT NULL CHECK (units > 0),
    person_id bigint,                   -- people.person; no personal data here
    whole boolean NOT NULL,             -- a closed box given as it is: no 拆零标志
    code text COLLATE "C" NOT NULL,
    prescription_no text NOT NULL DEFAULT '',
    dosage text NOT NULL DEFAULT '',    -- 用法用量, for the label
    PRIMARY KEY (drug_id, order_id, n, code)
);
CREATE INDEX split_share_order ON split_share (order_id);
CREATE INDEX split_share_code ON split_share (drug_id, code);

CREATE TABLE pool (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org int NOT NULL,
    kind text NOT NULL CHECK (kind IN ('ward', 'machine', 'counter')),
    name text NOT NULL,
    bill_type smallint NOT NULL,        -- how a draw is recorded: 321, 323, 327 …
    opens boolean NOT NULL,             -- boxes are opened when they are loaded (a machine takes loose units)
    made_by int,
    made_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz
);
CREATE UNIQUE INDEX pool_name ON pool (org, name) WHERE closed_at IS NULL;

-- From which level on a product of a pool is reported for refilling, in preparation units.
CREATE TABLE pool_level (
    pool_id int NOT NULL,
    drug_id int NOT NULL,
    refill_below int NOT NULL CHECK (refill_below > 0),
    PRIMARY KEY (pool_id, drug_id)
);

-- A box in a pool. What is left in an opened one is split_pack.unit_left; `reserved` is promised to draws whose bill is
-- being recorded, so that two machines never plan the same units.
CREATE TABLE pool_box (
    id bigint GENERATED ALWAYS AS IDENTITY,
    pool_id int NOT NULL,
    drug_id int NOT NULL,
    batch_id int NOT NULL,
    total int NOT NULL CHECK (total > 0),
    reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    loaded_by int,
    closed boolean NOT NULL,            -- not opened yet, as far as the pool knows; with `until` the order of drawing
    until timestamptz NOT NULL,         -- first moment at which it may no longer be dispensed
    loaded_at timestamptz NOT NULL DEFAULT now(),
    left_at timestamptz,
    left_why text NOT NULL DEFAULT '' CHECK (left_why IN ('', 'drawn', 'taken', 'counted', 'closed')),
    blocked text NOT NULL DEFAULT '',   -- verdict that refused it (recalled, held elsewhere …): left out of draws
    code text COLLATE "C" NOT NULL,
    PRIMARY KEY (drug_id, id)
);
CREATE UNIQUE INDEX pool_box_in ON pool_box (drug_id, code) WHERE left_at IS NULL;
CREATE INDEX pool_box_pool ON pool_box (pool_id, drug_id, until, closed, id) WHERE left_at IS NULL;

-- The split ledger newest first, finished boxes included.
CREATE INDEX split_pack_opened ON split_pack (org, opened_at);
