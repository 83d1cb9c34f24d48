-- Units, bills, lines, ledger: the trunk of the data (design D2, D3, D4, D8, D14).
-- Everything keyed by drug_id carries it first in its primary key, so that the same tables shard by it (D2).
-- No foreign key crosses shard keys; the one write path (circulation.apply) keeps them consistent.

CREATE TABLE batch (
    drug_id int NOT NULL,
    id int GENERATED ALWAYS AS IDENTITY,
    batch_no text NOT NULL,
    maker int NOT NULL,                 -- organisation that activated it
    produced_on date NOT NULL,
    expires_on date NOT NULL,
    workshop text NOT NULL DEFAULT '',
    line_name text NOT NULL DEFAULT '',
    line_manager text NOT NULL DEFAULT '',
    PRIMARY KEY (drug_id, id),
    UNIQUE (drug_id, batch_no)
);

-- One row per coded package. State (status, holder, dest, since) sits on the outermost package only; what is
-- inside inherits it and has these columns NULL (D3). Not-null columns first and widest first: no padding.
CREATE TABLE unit (
    last_bill bigint NOT NULL,          -- its own latest event; for a package inside another: when it was packed
    drug_id int NOT NULL,
    batch_id int NOT NULL,              -- 0 on a logistics container that holds several batches, see container_batch
    level smallint NOT NULL,            -- 1 = smallest sales package; 90 = logistics container
    code text COLLATE "C" NOT NULL,
    parent text COLLATE "C",            -- package it is inside of now; NULL = outermost
    status text COLLATE "C",                      -- A I O S C X N, and Q (quarantine); NULL = inherited from the outermost package
    holder int,                         -- organisation whose account it is in (for O: the sender)
    dest int,                           -- for O: the organisation it is on its way to
    qty int,                            -- smallest packages in it now; NULL = 1 (a smallest package itself)
    notice bigint,                      -- for O: the bill by which it is on its way, which is the buyer's notice
    since timestamptz,                  -- happened_at of last_bill
    PRIMARY KEY (drug_id, code)
);
CREATE INDEX unit_parent ON unit (drug_id, parent) WHERE parent IS NOT NULL;

-- Batches in a logistics container whose unit.batch_id is 0.
CREATE TABLE container_batch (
    drug_id int NOT NULL,
    code text COLLATE "C" NOT NULL,
    batch_id int NOT NULL,
    qty int NOT NULL CHECK (qty >= 0),
    PRIMARY KEY (drug_id, code, batch_id)
);

-- Where a logistics container's rows are: its code says nothing about products. A reference table.
CREATE TABLE logistics_container (
    code text COLLATE "C" PRIMARY KEY,
    packed_by int NOT NULL,
    drug_ids int[] NOT NULL
);

CREATE SEQUENCE bill_id_seq;

-- What arrived, byte for byte (D8). Small submissions that commit together share a row: a zlib stream of
-- length-prefixed parts, because a hundred similar bodies compress tenfold and one alone not at all.
CREATE TABLE submission (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now(),
    parts int NOT NULL,
    body bytea NOT NULL
);
ALTER TABLE submission ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE bill (
    id bigint NOT NULL DEFAULT nextval('bill_id_seq'),
    owner int NOT NULL,                 -- 货主
    submitter int NOT NULL,             -- 上传方 (organisation)
    account_id int,                     -- who pressed the button; NULL for an API key
    from_org int,
    to_org int,
    principal int,                      -- 委托方
    carrier int,                        -- 配送方
    direct_org int,                     -- 直调企业
    type smallint NOT NULL,
    revision smallint NOT NULL DEFAULT 1,
    flags smallint NOT NULL DEFAULT 0,  -- bits: rules.flags
    status text COLLATE "C" NOT NULL DEFAULT 'A', -- A in force, R replaced by a later revision, V void
    mode text COLLATE "C" NOT NULL DEFAULT 'P',   -- P per-code, T atomic
    lines int NOT NULL,                 -- accepted codes
    qty bigint NOT NULL,                -- smallest packages moved
    refused int NOT NULL DEFAULT 0,     -- refused codes
    happened_at timestamptz NOT NULL,   -- business time
    recorded_at timestamptz NOT NULL DEFAULT now(),
    submission_id bigint NOT NULL,
    part int NOT NULL DEFAULT 0,        -- which part of the submission
    replaces bigint,                    -- the bill id this revision replaces
    notice_bill bigint,                 -- receipts: the notice it was checked against
    bill_no text NOT NULL,
    content_hash bytea NOT NULL,        -- SHA-256 of the canonical content: same number, same content, same answer
    leaf bytea NOT NULL,                -- SHA-256 leaf over submission and judgement, for the transparency log (D9)
    header jsonb,                       -- the other fields as given; NULL when there are none
    drug_ids int[] NOT NULL,            -- products it touches: routes reads to shards
    PRIMARY KEY (owner, id),
    UNIQUE (owner, bill_no, revision)
);
CREATE INDEX bill_id ON bill (id);
CREATE INDEX bill_to ON bill (to_org, id) WHERE to_org IS NOT NULL AND to_org <> owner;
CREATE INDEX bill_submitter ON bill (submitter, id) WHERE submitter <> owner;

-- One accepted code of one bill. A unit's own history is the chain unit.last_bill -> line.prev_bill -> …,
-- so one index in arrival order serves both the bill and the history.
CREATE TABLE bill_line (
    bill_id bigint NOT NULL,
    prev_bill bigint NOT NULL,          -- the unit's last_bill before this one; 0 for its first
    notice bigint NOT NULL DEFAULT 0,   -- the notice it was on before this bill; 0 for none
    drug_id int NOT NULL,
    batch_id int NOT NULL,
    qty int NOT NULL,
    pre_holder int NOT NULL,
    pre_dest int NOT NULL DEFAULT 0,
    pre text COLLATE "C" NOT NULL,
    post text COLLATE "C" NOT NULL,
    code text COLLATE "C" NOT NULL,
    left_parent text COLLATE "C" NOT NULL DEFAULT '', -- package it was taken out of by this bill
    PRIMARY KEY (drug_id, bill_id, code)
);

-- What was said of a code beyond plain acceptance: refused codes with the reason and the raw scan (R-X2; nothing
-- of them moved), and accepted ones with a warning.
CREATE TABLE bill_note (
    bill_id bigint NOT NULL,
    n int NOT NULL,                     -- position in the submission
    evidence_bill bigint NOT NULL DEFAULT 0,
    severity text COLLATE "C" NOT NULL,           -- R refused, W accepted with a warning
    quarantined boolean NOT NULL DEFAULT false,
    code text COLLATE "C" NOT NULL,     -- canonical where it could be read, else empty
    raw text NOT NULL,
    verdict text NOT NULL,
    params jsonb NOT NULL,
    PRIMARY KEY (bill_id, n)
);

-- Double entry: one row moves qty smallest packages from one account to another (D4).
-- An account is (organisation, product, batch, status); status P of the maker is the contra account of activation.
CREATE TABLE entry (
    bill_id bigint NOT NULL,
    drug_id int NOT NULL,
    batch_id int NOT NULL,
    from_org int NOT NULL,
    to_org int NOT NULL,
    qty int NOT NULL CHECK (qty > 0),
    from_status text COLLATE "C" NOT NULL,
    to_status text COLLATE "C" NOT NULL,
    PRIMARY KEY (drug_id, bill_id, batch_id, from_org, from_status, to_org, to_status)
);
CREATE INDEX entry_from ON entry (from_org, bill_id);
CREATE INDEX entry_to ON entry (to_org, bill_id) WHERE to_org <> from_org;

CREATE TABLE balance (
    qty bigint NOT NULL,
    drug_id int NOT NULL,
    batch_id int NOT NULL,
    org int NOT NULL,
    status text COLLATE "C" NOT NULL,
    PRIMARY KEY (drug_id, batch_id, org, status)
    -- Only the contra account P may go below nothing. A CHECK cannot say so (it looks at the row an upsert proposes,
    -- before the conflict is resolved), so the write path looks at what each upsert returns and stops the bill.
) WITH (fillfactor = 70);
CREATE INDEX balance_org ON balance (org, status, drug_id);

-- What a seller told the buyer is coming (上游出库信息), one row per shipping bill, its lines per product and batch.
CREATE TABLE notice (
    to_org int NOT NULL,
    bill_id bigint NOT NULL,
    from_org int NOT NULL,
    state text NOT NULL DEFAULT 'open',  -- open, part, received, refused, cancelled
    shipped_at timestamptz NOT NULL,
    expected bigint NOT NULL,
    received bigint NOT NULL DEFAULT 0,
    quarantined bigint NOT NULL DEFAULT 0,
    refused bigint NOT NULL DEFAULT 0,
    closed_at timestamptz,
    PRIMARY KEY (to_org, bill_id)
);
CREATE INDEX notice_from ON notice (from_org, bill_id);
CREATE INDEX notice_open ON notice (to_org, shipped_at) WHERE state IN ('open', 'part');

CREATE TABLE notice_line (
    drug_id int NOT NULL,
    bill_id bigint NOT NULL,
    batch_id int NOT NULL,
    expected bigint NOT NULL,
    received bigint NOT NULL DEFAULT 0,
    quarantined bigint NOT NULL DEFAULT 0,
    refused bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (drug_id, bill_id, batch_id)
);
CREATE INDEX notice_line_bill ON notice_line (bill_id);

-- The result of a receipt check as it goes back to the seller (R-B2), and the seller's answer.
CREATE TABLE receipt_check (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    receipt_bill bigint NOT NULL,
    notice_bill bigint,                 -- NULL: received without any notice
    buyer int NOT NULL,
    seller int,
    made_at timestamptz NOT NULL DEFAULT now(),
    outcome text NOT NULL,              -- matched, mismatch, refused
    counts jsonb NOT NULL,              -- by kind: matched, short, over, wrong, not_activated, unknown, elsewhere, sold, refused
    details jsonb NOT NULL,             -- per product and batch, and per code that did not match (at most 10,000)
    state text NOT NULL DEFAULT 'open', -- open, answered, closed
    answer text NOT NULL DEFAULT '',
    answer_kind text NOT NULL DEFAULT '',
    answered_by int,
    answered_at timestamptz
);
CREATE INDEX receipt_check_seller ON receipt_check (seller, id);
CREATE INDEX receipt_check_buyer ON receipt_check (buyer, id);
CREATE INDEX receipt_check_notice ON receipt_check (notice_bill) WHERE notice_bill IS NOT NULL;

-- 待处理区: goods in hand that must not enter stock (R-B4). moved: the unit itself is in status Q with us;
-- otherwise only its scan is recorded, because the unit belongs to somebody else's books.
CREATE TABLE quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org int NOT NULL,
    drug_id int,
    code text NOT NULL,
    raw text NOT NULL,
    qty int NOT NULL DEFAULT 0,
    moved boolean NOT NULL,
    verdict text NOT NULL,
    params jsonb NOT NULL,
    bill_id bigint NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    closed_bill bigint,
    disposition text NOT NULL DEFAULT ''
);
CREATE INDEX quarantine_open ON quarantine (org, id) WHERE closed_at IS NULL;
CREATE INDEX quarantine_code ON quarantine (code) WHERE closed_at IS NULL;

-- Who may submit for whom (R-B8, R-B7 beyond a chain's own stores). A chain's headquarters needs no row for its stores.
CREATE TABLE delegation (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    principal int NOT NULL,
    agent int NOT NULL,
    valid_from timestamptz NOT NULL DEFAULT now(),
    valid_until timestamptz,
    revoked_at timestamptz,
    made_by int
);
CREATE INDEX delegation_agent ON delegation (agent, principal);
CREATE INDEX delegation_principal ON delegation (principal);

-- Bills larger than one synchronous call, and every other long work, as a job a caller can watch.
CREATE TABLE job (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind text NOT NULL,
    org int NOT NULL,
    account_id int,
    state text NOT NULL DEFAULT 'queued',  -- queued, running, done, refused, failed
    done bigint NOT NULL DEFAULT 0,
    total bigint NOT NULL DEFAULT 0,
    input jsonb NOT NULL,
    result jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz
);
CREATE INDEX job_org ON job (org, created_at);
