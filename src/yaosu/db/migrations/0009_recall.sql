-- Recall orders, where the goods were when they were published, what each holder did; locks and suspensions (R-E4, R-X7, R-B5).
-- What holds batches, units or accounts has the product first in its key (D2).

CREATE TABLE recall_order (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    drug_id int NOT NULL,
    issuer int NOT NULL,                -- who recalls: the product's MAH or maker, or the office that orders it
    owner int NOT NULL,                 -- the product's MAH: who is responsible for it
    maker int NOT NULL,
    return_to int NOT NULL,             -- where the goods go back to
    level smallint NOT NULL CHECK (level BETWEEN 1 AND 3),
    kind text NOT NULL CHECK (kind IN ('active', 'ordered')),  -- 主动, 责令
    simulated boolean NOT NULL,         -- a drill: nothing is stopped, no stock is touched
    is_public boolean NOT NULL,         -- 是否向消费者公开
    measure text NOT NULL,              -- list recall_measure: what is asked of holders
    state text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'approved', 'published', 'finished', 'cancelled')),
    number text NOT NULL UNIQUE,
    title text NOT NULL,
    reason text NOT NULL,
    hazard text NOT NULL,
    regions text[] NOT NULL,            -- GB/T 2260, whose holders are asked; empty = nationwide
    contact text NOT NULL,
    drafted_by int,                     -- account; NULL for an API key
    drafted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    approved_by int,
    approved_org int,
    approved_at timestamptz,
    published_by int,
    published_at timestamptz,
    ended_by int,
    ended_at timestamptz,               -- finished or cancelled
    end_reason text NOT NULL DEFAULT '',
    stop_id int,                        -- the stop it placed; NULL for a drill
    bill_mark bigint,                   -- bills with a higher number were made after the publication
    located_ms real,                    -- finding every holder in the ledger, milliseconds
    clock jsonb,                        -- notice_hours, progress_days, summary_working_days in force at publication
    version int NOT NULL DEFAULT 1
);
CREATE INDEX recall_order_issuer ON recall_order (issuer, id);
CREATE INDEX recall_order_owner ON recall_order (owner, id);
CREATE INDEX recall_order_live ON recall_order (state, id) WHERE state IN ('approved', 'published');

CREATE TABLE recall_batch (
    drug_id int NOT NULL,
    batch_id int NOT NULL,
    order_id int NOT NULL,
    PRIMARY KEY (drug_id, batch_id, order_id)
);
CREATE INDEX recall_batch_order ON recall_batch (order_id);

-- Single codes as they were named, any package level.
CREATE TABLE recall_code (
    drug_id int NOT NULL,
    order_id int NOT NULL,
    code text COLLATE "C" NOT NULL,
    level smallint NOT NULL,
    qty int NOT NULL,
    PRIMARY KEY (drug_id, order_id, code)
);
CREATE INDEX recall_code_order ON recall_code (order_id);

-- The innermost packages of the single codes, and where each was when the order was published.
CREATE TABLE recall_unit (
    drug_id int NOT NULL,
    order_id int NOT NULL,
    batch_id int NOT NULL,
    org int NOT NULL,
    dest int NOT NULL DEFAULT 0,
    qty int NOT NULL,
    status text COLLATE "C" NOT NULL,
    code text COLLATE "C" NOT NULL,
    PRIMARY KEY (drug_id, order_id, code)
);

-- Accounts that held recalled goods when the order was published; O with dest: between two organisations.
CREATE TABLE recall_holding (
    drug_id int NOT NULL,
    order_id int NOT NULL,
    org int NOT NULL,
    dest int NOT NULL DEFAULT 0,
    batch_id int NOT NULL,
    qty bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    single boolean NOT NULL,            -- of single codes rather than whole batches
    PRIMARY KEY (drug_id, order_id, org, dest, batch_id, status, single)
);

-- One per organisation that holds, sent, expects or has sold recalled goods.
CREATE TABLE recall_task (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id int NOT NULL,
    drug_id int NOT NULL,
    org int NOT NULL,
    on_hand bigint NOT NULL,            -- smallest packages in hand at publication
    coming bigint NOT NULL,             -- on the way to it
    sent bigint NOT NULL,               -- on the way from it
    sold bigint NOT NULL,               -- sold or used by it
    told_at timestamptz,
    read_by int,
    read_at timestamptz,                -- 签收
    counted_by int,
    counted_at timestamptz,
    counted bigint,                     -- found by hand or by scanning
    ledger_then bigint,                 -- in hand by the ledger when it was counted
    sealed bigint,                      -- kept apart where it is
    missing bigint,                     -- looked for and not found
    note text NOT NULL DEFAULT '',
    done_by int,
    done_at timestamptz,
    reminded_at timestamptz,
    overdue_at timestamptz,             -- when the office was told that the time ran out
    UNIQUE (order_id, org)
);
CREATE INDEX recall_task_org ON recall_task (org, id);
CREATE INDEX recall_task_untold ON recall_task (order_id) WHERE told_at IS NULL;
CREATE INDEX recall_task_unread ON recall_task (order_id) WHERE read_at IS NULL;

-- Codes scanned for a count: the evidence of it.
CREATE TABLE recall_scan (
    drug_id int NOT NULL,
    task_id bigint NOT NULL,
    qty int NOT NULL,
    code text COLLATE "C" NOT NULL,
    scanned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (drug_id, task_id, code)
);

-- Progress and summary reports as they were filed; the figures are those of that moment.
CREATE TABLE recall_report (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id int NOT NULL,
    n int NOT NULL,
    kind text NOT NULL CHECK (kind IN ('progress', 'summary')),
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    made_by int,
    figures jsonb NOT NULL,
    findings text NOT NULL,             -- cause and assessment, in words
    UNIQUE (order_id, n)
);

-- Reports whose time came: reminded once, told to the office once.
CREATE TABLE recall_due (
    order_id int NOT NULL,
    kind text NOT NULL,                 -- progress, summary, followed by :overdue for the office
    due_at timestamptz NOT NULL,
    told_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (order_id, kind, due_at)
);

-- A lock (by the MAH or an office) or a suspension of sale by the firm itself.
CREATE TABLE goods_lock (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('lock', 'suspension')),
    drug_id int NOT NULL,
    issuer int NOT NULL,
    org int,                            -- only this firm's bills are stopped; NULL = everybody's
    number text NOT NULL UNIQUE,
    reason text NOT NULL,               -- list lock_reason
    reason_text text NOT NULL,
    placed_by int,
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    stop_id int,
    released_by int,
    released_org int,
    released_at timestamptz,
    release_reason text NOT NULL DEFAULT ''
);
CREATE INDEX goods_lock_issuer ON goods_lock (issuer, id);
CREATE INDEX goods_lock_org ON goods_lock (org, id) WHERE org IS NOT NULL;
CREATE INDEX goods_lock_live ON goods_lock (drug_id, id) WHERE released_at IS NULL;
CREATE TABLE goods_lock_batch (
    drug_id int NOT NULL,
    batch_id int NOT NULL,
    lock_id int NOT NULL,
    PRIMARY KEY (drug_id, batch_id, lock_id)
);
CREATE INDEX goods_lock_batch_lock ON goods_lock_batch (lock_id);
CREATE TABLE goods_lock_code (
    drug_id int NOT NULL,
    lock_id int NOT NULL,
    code text COLLATE "C" NOT NULL,
    PRIMARY KEY (drug_id, lock_id, code)
);
CREATE INDEX goods_lock_code_lock ON goods_lock_code (lock_id);
