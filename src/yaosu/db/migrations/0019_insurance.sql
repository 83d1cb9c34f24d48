-- 医保, the bureau's side (R-C7, R-F6, R-X11): institutions under agreement, their calls as received, what was settled
-- by code, cases about what does not fit, and the words and files of the institutions.
-- Nothing here names a person in the clear: calls are sealed whole, and a person is only a keyed hash.

-- 定点医药机构: who may call, how it is known to the bureau, and which organisation of ours it is, if it is one.
CREATE TABLE insurance_institution (
    id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bureau     int NOT NULL,                          -- organisation that registered it
    org        int,                                   -- NULL: it is not on this platform and only reports here
    code       text COLLATE "C" NOT NULL,             -- fixmedins_code
    name       text NOT NULL,
    region     text COLLATE "C" NOT NULL,             -- mdtrtarea_admvs, GB/T 2260; decides rules and whose remit it is
    app        text COLLATE "C" NOT NULL,             -- x-tif-paasid
    profile    text COLLATE "C" NOT NULL,             -- list insurance_profile: how it signs and encrypts
    secrets    bytea NOT NULL,                        -- sealed with the master secret, which is kept outside
    active     boolean NOT NULL DEFAULT true,
    made_by    int,
    made_at    timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX insurance_institution_code ON insurance_institution (code) WHERE active;
CREATE UNIQUE INDEX insurance_institution_app ON insurance_institution (app);
CREATE UNIQUE INDEX insurance_institution_org ON insurance_institution (org) WHERE active AND org IS NOT NULL;
CREATE INDEX insurance_institution_region ON insurance_institution (region, id);

-- A call as it was received, and the answer it got: the same message gets the same answer.
CREATE TABLE insurance_message (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    institution int NOT NULL,
    rows        int NOT NULL,
    refused     int NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    kept        boolean NOT NULL,                     -- false: refused as a whole, nothing of it counts
    infno       text COLLATE "C" NOT NULL,
    msgid       text COLLATE "C" NOT NULL,
    content     bytea NOT NULL,                       -- SHA-256 over number and input, keyed: equal or not, nothing more
    answer      jsonb NOT NULL,                       -- infcode, err_msg, warn_msg, output; never a person
    body        bytea NOT NULL                        -- sealed with the master secret
);
ALTER TABLE insurance_message ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX insurance_message_msgid ON insurance_message (institution, msgid) WHERE kept;
CREATE INDEX insurance_message_of ON insurance_message (institution, id);

-- Values used once within the time that a signature holds, against replays.
CREATE TABLE insurance_nonce (
    institution int NOT NULL,
    nonce       text COLLATE "C" NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    content     bytea NOT NULL,
    PRIMARY KEY (institution, nonce)
);
CREATE INDEX insurance_nonce_at ON insurance_nonce (at);

-- What institutions report of stock, purchase and sale (3501 to 3506), one row as they keep it; without persons.
CREATE TABLE insurance_report (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id  bigint NOT NULL,
    institution int NOT NULL,
    drug_id     int NOT NULL DEFAULT 0,               -- 0: med_list_codg names no single product of the registry
    happened_at timestamptz,
    deleted_at  timestamptz,                          -- withdrawn by 3507
    stage       text COLLATE "C" NOT NULL,            -- 3501 … 3506
    key         text COLLATE "C" NOT NULL,            -- fixmedins_bchno
    med_list_codg text COLLATE "C" NOT NULL,
    content     bytea NOT NULL,                       -- keyed hash of the row: the same again is a repeat
    person      bytea,                                -- keyed hash, to tell the same person from another
    data        jsonb NOT NULL,
    codes       text[] COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX insurance_report_key ON insurance_report (institution, stage, key) WHERE deleted_at IS NULL;
CREATE INDEX insurance_report_time ON insurance_report (institution, stage, happened_at);
CREATE TABLE insurance_report_code (
    drug_id   int NOT NULL,                           -- 0: the code's product is not registered here
    report_id bigint NOT NULL,
    code      text COLLATE "C" NOT NULL,
    PRIMARY KEY (drug_id, code, report_id)
);

-- The fee lines that settlements refer to (feedetl_sn), where the institution sends them: what is billed.
CREATE TABLE insurance_fee (
    institution int NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    feedetl_sn  text COLLATE "C" NOT NULL,
    med_list_codg text COLLATE "C" NOT NULL,
    cnt         numeric(16, 4) NOT NULL,
    PRIMARY KEY (institution, feedetl_sn)
);

CREATE SEQUENCE insurance_settlement_id;

-- Settled codes. One row is one code in one act of one institution, whichever of the two channels told it.
CREATE TABLE insurance_settlement (
    id          bigint NOT NULL DEFAULT nextval('insurance_settlement_id'),
    bill_id     bigint NOT NULL DEFAULT 0,            -- the sale in our own books that is the same act (R-C6); 0 none
    sold_at     timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    collected_at timestamptz,                         -- reported by the stock channel (3505)
    settled_at  timestamptz,                          -- attached to a settlement (2207, or the check of our own API)
    ended_at    timestamptz,                          -- when it was reversed or withdrawn
    drug_id     int NOT NULL,                         -- 0: the code's product is not registered here
    institution int NOT NULL,
    units       int NOT NULL DEFAULT 0,               -- preparation units, when split; 0 whole or not told
    split       boolean NOT NULL DEFAULT false,
    state       text COLLATE "C" NOT NULL CHECK (state IN ('S', 'D', 'R', 'B', 'W')),
        -- S settled, D sold and disputed, R refused: nothing paid, B taken back (3506, 2208), W withdrawn (3507, data error)
    severity    text COLLATE "C" NOT NULL CHECK (severity IN ('ok', 'examine', 'refuse')),
    code        text COLLATE "C" NOT NULL,
    med_list_codg text COLLATE "C" NOT NULL DEFAULT '',
    keys        text[] COLLATE "C" NOT NULL,          -- '<institution>:<kind>:<number>' of the act, every number known
    person      bytea,
    findings    jsonb NOT NULL,                       -- what was said of it then: a repeat is answered the same
    PRIMARY KEY (drug_id, code, id)
);
-- A whole package is paid once, whatever two servers do at the same moment.
CREATE UNIQUE INDEX insurance_settlement_once ON insurance_settlement (drug_id, code) WHERE state = 'S' AND NOT split;
CREATE INDEX insurance_settlement_keys ON insurance_settlement USING gin (keys);
CREATE INDEX insurance_settlement_of ON insurance_settlement (institution, id);

-- A case: one code in one act that does not fit, told again and again as often as it is sent again, opened once.
CREATE TABLE insurance_case (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    institution int NOT NULL,                         -- whose act it is about
    other       int,                                  -- the institution that settled the code before, if another
    settlement  bigint NOT NULL,                      -- the row it is about
    earlier     bigint,                               -- the row it collides with
    drug_id     int NOT NULL,
    times       int NOT NULL DEFAULT 1,
    opened_at   timestamptz NOT NULL DEFAULT now(),
    last_at     timestamptz NOT NULL DEFAULT now(),
    due_at      timestamptz NOT NULL,
    answered_at timestamptz,
    closed_at   timestamptz,
    closed_by   int,
    overdue_told boolean NOT NULL DEFAULT false,
    rule        text COLLATE "C" NOT NULL,            -- list insurance_rule
    severity    text COLLATE "C" NOT NULL,
    hint        text COLLATE "C" NOT NULL DEFAULT '', -- list insurance_hint: what it probably comes from
    state       text COLLATE "C" NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'answered', 'closed')),
    result      text COLLATE "C" NOT NULL DEFAULT '', -- list insurance_result
    code        text COLLATE "C" NOT NULL,
    act         text COLLATE "C" NOT NULL,            -- the act's number as the institution gave it
    findings    jsonb NOT NULL,
    closing     text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX insurance_case_once ON insurance_case (institution, code, act);
CREATE INDEX insurance_case_due ON insurance_case (due_at) WHERE state = 'open' AND NOT overdue_told;
CREATE INDEX insurance_case_other ON insurance_case (other, id) WHERE other IS NOT NULL;
CREATE INDEX insurance_case_code ON insurance_case (drug_id, code);

-- What an institution says of a code, in a case or without one; never changed, only said again.
CREATE TABLE insurance_statement (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    institution int NOT NULL,
    drug_id     int NOT NULL,
    case_id     bigint,
    at          timestamptz NOT NULL DEFAULT now(),
    account_id  int,
    code        text COLLATE "C" NOT NULL,
    text        text NOT NULL
);
CREATE INDEX insurance_statement_code ON insurance_statement (drug_id, code, id);
CREATE INDEX insurance_statement_case ON insurance_statement (case_id, id) WHERE case_id IS NOT NULL;

CREATE TABLE insurance_file (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id     bigint NOT NULL,
    institution int NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    account_id  int,
    media       text COLLATE "C" NOT NULL CHECK (media IN ('application/pdf', 'image/jpeg', 'image/png')),
    name        text NOT NULL,                        -- as uploaded; shown, never used as a path
    sha256      bytea NOT NULL,
    body        bytea NOT NULL,
    UNIQUE (case_id, institution, sha256)
);
ALTER TABLE insurance_file ALTER COLUMN body SET STORAGE EXTERNAL;
