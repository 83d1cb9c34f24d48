-- Places inside an organisation, and narcotics and psychotropics in hospitals (R-C4).

-- A place (药库, 药房, 病区, 仓库) is a child organisation that its parent makes for itself: it holds stock and moves
-- goods as every organisation does, but has no 统一社会信用代码, and nobody outside finds it.
ALTER TABLE org ADD COLUMN place boolean NOT NULL DEFAULT false;
ALTER TABLE org ADD CHECK (NOT place OR (parent_id IS NOT NULL AND uscc IS NULL));

-- One thing done with narcotics: prepared by one person, in force when others have confirmed it. Nothing is posted to
-- the ledger before; the payload names codes, products and persons by number only, never documents or names.
CREATE TABLE narcotic_act (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org int NOT NULL,                   -- the place it happens in
    hospital int NOT NULL,              -- the organisation around it, whose people may confirm
    kind text NOT NULL CHECK (kind IN
        ('issue', 'receive', 'dispense', 'ampoule_return', 'ampoule_destroy', 'residue_destroy', 'count')),
    state text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'running', 'done', 'refused', 'cancelled')),
    confirmations smallint NOT NULL,    -- how many other people must confirm
    made_by int NOT NULL,               -- account
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    happened_at timestamptz NOT NULL,
    payload jsonb NOT NULL,
    request_no text NOT NULL DEFAULT '',-- the caller's number: the same request sent again is the same act
    bill_no text NOT NULL DEFAULT '',
    bill_id bigint,
    closed_at timestamptz,
    closed_by int,                      -- who cancelled it
    outcome jsonb                       -- what the write path said, where it refused
);
CREATE INDEX narcotic_act_open ON narcotic_act (hospital, id) WHERE state IN ('waiting', 'running');
CREATE UNIQUE INDEX narcotic_act_request ON narcotic_act (org, request_no) WHERE request_no <> '';
CREATE INDEX narcotic_act_org ON narcotic_act (org, id);
CREATE UNIQUE INDEX narcotic_act_bill ON narcotic_act (bill_id) WHERE bill_id IS NOT NULL;

CREATE TABLE narcotic_confirmation (
    act_id bigint NOT NULL REFERENCES narcotic_act (id),
    account_id int NOT NULL,
    way text NOT NULL CHECK (way IN ('session', 'password')),
    confirmed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (act_id, account_id)
);

-- 麻醉、精神药品处方: one product each. Patient and agent are numbers of people.person.
CREATE TABLE narcotic_prescription (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org int NOT NULL,                   -- the place that dispenses it
    hospital int NOT NULL,
    number text NOT NULL,
    drug_id int NOT NULL,
    case_kind text NOT NULL,            -- list narcotic_case: 门急诊, 癌痛及慢性重度疼痛, 住院
    patient bigint NOT NULL,
    agent bigint,                       -- 代办人
    department text NOT NULL,
    doctor text NOT NULL,
    diagnosis text NOT NULL,
    dose_units numeric(8, 2) NOT NULL CHECK (dose_units > 0),       -- preparation units at a time
    times_per_day smallint NOT NULL CHECK (times_per_day BETWEEN 1 AND 24),
    days smallint NOT NULL CHECK (days BETWEEN 1 AND 60),
    units int NOT NULL CHECK (units > 0),       -- preparation units prescribed in all
    reason text NOT NULL DEFAULT '',    -- why beyond the ordinary limit, where that is allowed
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'dispensed', 'cancelled')),
    prescribed_on date NOT NULL,
    made_by int,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (hospital, number)
);
CREATE INDEX narcotic_prescription_open ON narcotic_prescription (org, id) WHERE state = 'open';
CREATE INDEX narcotic_prescription_patient ON narcotic_prescription (patient);

-- What a dispensing handed out, by batch; and where empty ampoules or used patches must come back, how many have.
CREATE TABLE narcotic_dispensing (
    drug_id int NOT NULL,
    bill_id bigint NOT NULL,
    batch_id int NOT NULL,
    org int NOT NULL,
    act_id bigint NOT NULL,
    prescription_id bigint NOT NULL,
    units int NOT NULL CHECK (units > 0),
    due int NOT NULL DEFAULT 0 CHECK (due >= 0),
    returned int NOT NULL DEFAULT 0 CHECK (returned BETWEEN 0 AND due),
    happened_at timestamptz NOT NULL,
    PRIMARY KEY (drug_id, bill_id, batch_id)
);
CREATE INDEX narcotic_dispensing_due ON narcotic_dispensing (org, drug_id) WHERE returned < due;
CREATE INDEX narcotic_dispensing_prescription ON narcotic_dispensing (prescription_id);

CREATE TABLE narcotic_ampoule (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    act_id bigint NOT NULL,
    org int NOT NULL,
    drug_id int NOT NULL,
    batch_id int NOT NULL,
    bill_id bigint,                     -- the dispensing they come back from; NULL for a destruction
    qty int NOT NULL CHECK (qty <> 0),  -- received; negative when destroyed
    handed_by text NOT NULL DEFAULT '', -- patient, agent or nurse, with the member of staff's name
    happened_at timestamptz NOT NULL
);
CREATE INDEX narcotic_ampoule_org ON narcotic_ampoule (org, drug_id, batch_id);
CREATE UNIQUE INDEX narcotic_ampoule_once ON narcotic_ampoule (act_id, drug_id, batch_id, coalesce(bill_id, 0));

-- 剩余药液: what was left in an opened ampoule and destroyed before witnesses.
CREATE TABLE narcotic_residue (
    act_id bigint PRIMARY KEY,
    org int NOT NULL,
    drug_id int NOT NULL,
    batch_id int NOT NULL,
    bill_id bigint NOT NULL,
    amount numeric(10, 3) NOT NULL CHECK (amount > 0),
    unit text NOT NULL,
    method text NOT NULL,
    happened_at timestamptz NOT NULL
);
CREATE INDEX narcotic_residue_org ON narcotic_residue (org, drug_id);

-- 交接班清点: what lay in the safe and what the books said at that moment, in preparation units.
CREATE TABLE narcotic_count (
    act_id bigint NOT NULL,
    org int NOT NULL,
    drug_id int NOT NULL,
    batch_id int NOT NULL,
    shift text NOT NULL,
    counted int NOT NULL CHECK (counted >= 0),
    booked int NOT NULL,
    note text NOT NULL DEFAULT '',
    happened_at timestamptz NOT NULL,
    PRIMARY KEY (act_id, drug_id, batch_id)
);
CREATE INDEX narcotic_count_org ON narcotic_count (org, act_id);
