-- 异常协查: what buyer and seller settle when goods and data do not match (R-B3, R-B4, R-B5), and stock counts (R-B6).

-- One case per kind of mismatch of a delivery. `buyer` has the goods in hand (or misses them), `seller` announced them.
CREATE TABLE exception_case (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_no text NOT NULL UNIQUE,
    kind text NOT NULL,                 -- list exception_kind
    buyer int NOT NULL,
    seller int NOT NULL,
    opened_by int NOT NULL,             -- organisation: buyer or seller
    account_id int,
    check_id bigint,                    -- receipt_check it came from
    receipt_bill bigint,
    notice_bill bigint,                 -- the seller's shipping bill
    drug_ids int[] NOT NULL DEFAULT '{}',
    qty bigint NOT NULL DEFAULT 0,      -- smallest packages concerned; scans where packages are not known
    note text NOT NULL DEFAULT '',      -- what the opener said
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed', 'withdrawn')),
    resolution text NOT NULL DEFAULT '',-- list exception_resolution, once closed
    opened_at timestamptz NOT NULL DEFAULT now(),
    answer_due timestamptz NOT NULL,
    resolve_due timestamptz NOT NULL,
    answered_at timestamptz,            -- first word of the side that did not open it
    level smallint NOT NULL DEFAULT 0,  -- 0 the parties, 1 the MAH was told, 2 the regulator was told
    done text[] NOT NULL DEFAULT '{}',  -- clock stages already acted on
    next_at timestamptz,                -- when the clock has to look again; NULL = never
    closed_at timestamptz
);
CREATE UNIQUE INDEX exception_case_check ON exception_case (check_id, kind) WHERE check_id IS NOT NULL AND state = 'open';
CREATE INDEX exception_case_next ON exception_case (next_at) WHERE state = 'open';
CREATE INDEX exception_case_notice ON exception_case (notice_bill) WHERE notice_bill IS NOT NULL;
CREATE INDEX exception_case_receipt ON exception_case (receipt_bill) WHERE receipt_bill IS NOT NULL;

-- Who takes part and therefore sees it: buyer, seller, and the MAH from the moment it is told.
CREATE TABLE exception_party (
    case_id bigint NOT NULL,
    org int NOT NULL,
    role text NOT NULL CHECK (role IN ('buyer', 'seller', 'mah')),
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (case_id, org)
);
CREATE INDEX exception_party_org ON exception_party (org, case_id);

-- What the case is about: single scans, or a product and batch with a count (missing or uncoded goods).
CREATE TABLE exception_item (
    case_id bigint NOT NULL,
    n int NOT NULL,
    drug_id int,
    batch_id int,
    batch_no text NOT NULL DEFAULT '',
    code text NOT NULL DEFAULT '',
    qty bigint NOT NULL DEFAULT 0,
    verdict text NOT NULL DEFAULT '',
    quarantine_id bigint,
    PRIMARY KEY (case_id, n)
);

-- Everything said and done, in order. `what`: opened, message, evidence, proposal, accepted, declined, taken_back,
-- correction, suspended, lifted, reminder, escalated, closed, withdrawn.
CREATE TABLE exception_entry (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    org int,                            -- NULL: the system's clock
    account_id int,
    what text NOT NULL,
    text text NOT NULL DEFAULT '',
    params jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX exception_entry_case ON exception_entry (case_id, id);

-- Photographs, drawn anew from their pixels: nothing of the uploaded file but the picture is kept.
CREATE TABLE exception_photo (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id bigint NOT NULL,
    org int NOT NULL,
    account_id int,
    at timestamptz NOT NULL DEFAULT now(),
    title text NOT NULL,
    media text NOT NULL CHECK (media IN ('image/jpeg', 'image/png')),
    width int NOT NULL,
    height int NOT NULL,
    sha256 bytea NOT NULL,              -- of the file as uploaded
    body bytea NOT NULL
);
ALTER TABLE exception_photo ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX exception_photo_case ON exception_photo (case_id, id);

CREATE TABLE exception_proposal (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id bigint NOT NULL,
    org int NOT NULL,
    kind text NOT NULL,                 -- list exception_resolution
    text text NOT NULL DEFAULT '',
    bill_id bigint,                     -- correction or shipment it rests on
    amount numeric(14, 2),
    credit_no text NOT NULL DEFAULT '',
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accepted', 'declined', 'taken_back')),
    made_at timestamptz NOT NULL DEFAULT now(),
    answered_at timestamptz
);
CREATE INDEX exception_proposal_case ON exception_proposal (case_id, id);
CREATE UNIQUE INDEX exception_proposal_open ON exception_proposal (case_id) WHERE state = 'open';

-- An owner's suspension of sale out of a case (R-B5).
CREATE TABLE exception_suspension (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id bigint NOT NULL,
    stop_id int NOT NULL,
    org int NOT NULL,
    reason text NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT now(),
    lifted_at timestamptz,
    lift_reason text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX exception_suspension_one ON exception_suspension (case_id, org) WHERE lifted_at IS NULL;

-- 盘点: what was scanned on the shelf, compared with the books until it is posted.
CREATE TABLE stock_count (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org int NOT NULL,
    count_no text NOT NULL,
    drug_id int,                        -- NULL: the whole stock
    batch_id int,                       -- NULL: every batch
    codes text[] NOT NULL,
    account_id int,
    made_at timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz,
    reason text NOT NULL DEFAULT '',
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'posting', 'posted', 'dropped')),
    short_bill bigint,
    over_bill bigint,
    matched bigint NOT NULL DEFAULT 0,  -- smallest packages, as posted
    short bigint NOT NULL DEFAULT 0,
    over bigint NOT NULL DEFAULT 0,
    UNIQUE (org, count_no)
);
