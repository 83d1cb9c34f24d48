-- Quality management: periodic checks, findings as tasks, stock counts, self-check tables, controlled documents, clues.
-- Rows belong to one organisation each and are small: none of these tables is keyed by product.

-- How often an organisation checks itself, and who answers for it (R-E2).
CREATE TABLE quality_plan (
    org        int PRIMARY KEY,
    every      text NOT NULL CHECK (every IN ('day', 'week', 'month')),
    account_id int NOT NULL,                -- responsible person; findings are theirs unless given to another
    active     boolean NOT NULL DEFAULT true,
    next_at    timestamptz NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX quality_plan_due ON quality_plan (next_at) WHERE active;

CREATE TABLE quality_check (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org        int NOT NULL,
    origin     text NOT NULL CHECK (origin IN ('clock', 'hand')),
    account_id int,
    made_at    timestamptz NOT NULL DEFAULT now(),
    since      timestamptz NOT NULL,        -- what is counted over a period is counted from here
    figures    jsonb NOT NULL,              -- per rule: measured, threshold, of, whether it held
    found      int NOT NULL                 -- rules that did not hold
);
CREATE INDEX quality_check_org ON quality_check (org, id);

-- A rule that did not hold, as a task. One open task per rule and organisation: the next check brings it up to date.
CREATE TABLE quality_finding (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org         int NOT NULL,
    rule        text NOT NULL,              -- code of list quality_rule
    area        text NOT NULL,
    params      jsonb NOT NULL,
    evidence    jsonb NOT NULL,             -- links: [{"text", "href"}]
    first_check bigint NOT NULL,
    last_check  bigint NOT NULL,
    owner       int,                        -- account whose task it is
    due_at      timestamptz NOT NULL,
    state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'answered', 'closed')),
    answer      text NOT NULL DEFAULT '',
    answered_by int,
    answered_at timestamptz,
    closed_at   timestamptz
);
CREATE UNIQUE INDEX quality_finding_open ON quality_finding (org, rule) WHERE state <> 'closed';
CREATE INDEX quality_finding_org ON quality_finding (org, id);
CREATE INDEX quality_finding_due ON quality_finding (due_at) WHERE state = 'open';

-- What became of it, step by step; never changed (R-E3).
CREATE TABLE quality_finding_event (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    finding_id bigint NOT NULL REFERENCES quality_finding (id),
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    account_id int,
    kind       text NOT NULL,               -- found, again, reopened, assigned, answered, closed, gone
    text       text NOT NULL DEFAULT ''
);
CREATE INDEX quality_finding_event_of ON quality_finding_event (finding_id, id);
CREATE TRIGGER quality_finding_event_append_only BEFORE UPDATE OR DELETE ON quality_finding_event
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- What stood on the shelf against what the books said at that moment.
CREATE TABLE quality_count (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org        int NOT NULL,
    account_id int,
    made_at    timestamptz NOT NULL DEFAULT now(),
    mode       text NOT NULL CHECK (mode IN ('codes', 'quantities')),
    drug_id    int,                         -- counted this product only
    batch_no   text,
    booked     bigint NOT NULL,
    counted    bigint NOT NULL,
    differing  int NOT NULL,                -- accounts that differ
    unexplained bigint NOT NULL,            -- smallest packages that no bill and no scan explains
    result     jsonb NOT NULL
);
CREATE INDEX quality_count_org ON quality_count (org, id);

-- 自查自纠对照表 (R-E5). Evidence is computed afresh until the table is signed, and kept as it was then.
CREATE TABLE quality_selfcheck (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org          int NOT NULL,
    kind         text NOT NULL,             -- maker, trade, medical
    state        text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'signed', 'filed')),
    checked_on   date NOT NULL,
    firm         text NOT NULL,             -- name and address as printed
    address      text NOT NULL DEFAULT '',
    filler       text NOT NULL DEFAULT '',  -- 填报人
    contact      text NOT NULL DEFAULT '',  -- 联系方式
    created_by   int,
    created_at   timestamptz NOT NULL DEFAULT now(),
    signed_by    int,
    signed_name  text NOT NULL DEFAULT '',  -- 企业负责人, as typed
    signed_at    timestamptz,
    content_hash text NOT NULL DEFAULT '',  -- SHA-256 of the content as signed
    filed_at     timestamptz,
    filed_by     int,
    regulator    int
);
CREATE INDEX quality_selfcheck_org ON quality_selfcheck (org, id);
CREATE INDEX quality_selfcheck_filed ON quality_selfcheck (filed_at) WHERE state = 'filed';
CREATE TABLE quality_selfcheck_item (
    selfcheck_id bigint NOT NULL REFERENCES quality_selfcheck (id),
    code         text NOT NULL,
    n            int NOT NULL,
    answer       text NOT NULL DEFAULT '' CHECK (answer IN ('', 'yes', 'no', 'na')),
    done_on      date,
    remark       text NOT NULL DEFAULT '',
    evidence     jsonb,                     -- as it was when the table was signed
    PRIMARY KEY (selfcheck_id, code)
);

-- 受控文件 (R-E1).
CREATE TABLE quality_document (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org         int NOT NULL,
    kind        text NOT NULL,              -- list quality_document_kind
    number      text NOT NULL,
    title       text NOT NULL,
    department  text NOT NULL DEFAULT '',   -- 责任部门
    responsible text NOT NULL DEFAULT '',   -- 责任岗位或人员
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (org, number)
);
CREATE TABLE quality_document_version (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document_id  bigint NOT NULL REFERENCES quality_document (id),
    version      int NOT NULL,
    content      text NOT NULL,
    change_note  text NOT NULL DEFAULT '',
    in_qms       boolean NOT NULL DEFAULT false, -- 纳入企业质量管理体系
    created_by   int NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    approved_by  int,
    approved_at  timestamptz,
    effective_on date,
    content_hash text NOT NULL DEFAULT '',
    UNIQUE (document_id, version),
    CHECK (approved_by <> created_by),      -- the second person
    CHECK ((approved_by IS NULL) = (effective_on IS NULL))
);
-- What was approved stays as it was approved.
CREATE FUNCTION refuse_approved_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.approved_at IS NOT NULL THEN
        RAISE EXCEPTION 'an approved version does not change' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER quality_document_version_fixed BEFORE UPDATE OR DELETE ON quality_document_version
    FOR EACH ROW EXECUTE FUNCTION refuse_approved_change();
CREATE TABLE quality_training (
    version_id bigint NOT NULL REFERENCES quality_document_version (id),
    account_id int NOT NULL,
    name       text NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (version_id, account_id)
);

-- 线索报告 (R-E6). Evidence is frozen when the clue is sent.
CREATE TABLE quality_clue (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org           int NOT NULL,
    kind          text NOT NULL,            -- list quality_clue_kind
    title         text NOT NULL,
    text          text NOT NULL,
    codes         text[] NOT NULL DEFAULT '{}',
    bills         bigint[] NOT NULL DEFAULT '{}',
    evidence      jsonb NOT NULL,
    evidence_hash text NOT NULL,            -- SHA-256 of the evidence as canonical JSON
    regulator     int,
    sent_by       int,
    sent_at       timestamptz NOT NULL DEFAULT now(),
    state         text NOT NULL DEFAULT 'sent' CHECK (state IN ('sent', 'noted', 'answered')),
    noted_by      int,
    noted_at      timestamptz,
    answer        text NOT NULL DEFAULT '',
    answered_by   int,
    answered_at   timestamptz
);
CREATE INDEX quality_clue_org ON quality_clue (org, id);
