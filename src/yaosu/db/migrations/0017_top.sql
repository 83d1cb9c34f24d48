-- 码上放心 (TOP) gateway: app keys, the two names of an organisation there, uploads of which nothing moved, repeats.

-- An app key of an organisation's program. The secret is sealed under the master secret, which is kept outside: the
-- protocol's signature needs the secret itself, so a digest would not do.
CREATE TABLE top_key (
    app_key    text COLLATE "C" PRIMARY KEY CHECK (app_key ~ '^[0-9]{8}$'),
    org        int NOT NULL,
    title      text NOT NULL,
    role       text NOT NULL,                         -- permissions follow the role
    secret     bytea NOT NULL,
    old_secret bytea,                                 -- still good until old_until, after a rotation
    old_until  timestamptz,
    made_by    int,
    made_at    timestamptz NOT NULL DEFAULT now(),
    rotated_at timestamptz,
    revoked_at timestamptz,
    used_at    timestamptz                            -- to the minute
);
CREATE INDEX top_key_org ON top_key (org);

-- ent_id and ref_ent_id: two stable names of our one id, made at first need. A reference table on a cluster, like org.
CREATE TABLE top_alias (
    org        int PRIMARY KEY,
    ent_id     text COLLATE "C" NOT NULL UNIQUE,
    ref_ent_id text COLLATE "C" NOT NULL UNIQUE
);

-- An upload of which nothing moved, as the status queries tell of it until a bill of that number is recorded.
CREATE TABLE top_refusal (
    owner       int NOT NULL,
    bill_no     text NOT NULL,
    submitter   int NOT NULL,
    type        smallint NOT NULL,
    from_org    int,
    to_org      int,
    happened_at timestamptz NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    reason      text NOT NULL,
    codes       jsonb NOT NULL DEFAULT '[]',          -- [code, verdict, text] of each
    PRIMARY KEY (owner, bill_no)
);
CREATE INDEX top_refusal_at ON top_refusal (owner, at);

-- Signed requests of methods that are not idempotent by a number: a repeat gets the first answer. Kept for an hour.
CREATE TABLE top_repeat (
    digest bytea PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT now(),
    answer jsonb
);
CREATE INDEX top_repeat_at ON top_repeat (at);

-- Partners that an organisation asked to have entered in the directory (往来单位新增): they wait for the operator's audit.
-- `ref_ent_id` is promised at once and becomes the organisation's own name when it is entered.
CREATE TABLE top_partner (
    id           int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org          int NOT NULL,                        -- who asked
    org_code     text COLLATE "C" NOT NULL,           -- 统一社会信用代码
    name         text NOT NULL,
    org_type     smallint NOT NULL,
    sub_type     smallint,
    region       char(6) NOT NULL,
    address      text NOT NULL DEFAULT '',
    licence_kind smallint,
    contact      jsonb NOT NULL DEFAULT '{}',
    picture      bytea NOT NULL,                      -- of the licence, at most 2 MB
    ref_ent_id   text COLLATE "C" NOT NULL,
    state        text COLLATE "C" NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'accepted', 'refused')),
    reason       text NOT NULL DEFAULT '',
    made_org     int,
    made_by      int,
    asked_at     timestamptz NOT NULL DEFAULT now(),
    decided_at   timestamptz,
    decided_by   int,
    UNIQUE (org, org_code)
);
CREATE INDEX top_partner_waiting ON top_partner (id) WHERE state = 'waiting';

-- Relation files that came by the gateway: what became of each, as its status queries tell (codeprocess).
CREATE TABLE top_relation (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org          int NOT NULL,
    file_name    text NOT NULL,
    sha256       bytea NOT NULL,
    size         int NOT NULL,
    operator     jsonb NOT NULL DEFAULT '{}',         -- oper_ic_code, oper_ic_name, business_type as given
    state        text COLLATE "C" NOT NULL CHECK (state IN ('done', 'failed')),
    bill_id      bigint,                              -- the activation
    note         text NOT NULL DEFAULT '',            -- why it failed, every finding with its line
    uploaded_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX top_relation_org ON top_relation (org, id);
CREATE INDEX top_relation_bill ON top_relation (bill_id) WHERE bill_id IS NOT NULL;

-- Codes asked to be watched for warnings (码预警): one row per code and task, with what was found at the time.
CREATE TABLE top_warning (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org        int NOT NULL,
    task_id    bigint NOT NULL,
    code       text COLLATE "C" NOT NULL,
    bill_no    text NOT NULL DEFAULT '',
    made_at    timestamptz NOT NULL DEFAULT now(),
    made_by    text NOT NULL DEFAULT '',
    drug_id    int,
    level      smallint,
    qty        int NOT NULL DEFAULT 0,
    batch_no   text NOT NULL DEFAULT '',
    found      jsonb NOT NULL DEFAULT '[]'            -- warnings, empty where there is nothing against the code
);
CREATE INDEX top_warning_org ON top_warning (org, id);
CREATE SEQUENCE top_warning_task;

-- Files that land at an enterprise (数据落地): what it took over, by bill.
CREATE TABLE top_landing (
    org      int NOT NULL,
    bill_id  bigint NOT NULL,
    kind     text COLLATE "C" NOT NULL,               -- bill, relation
    accepted boolean NOT NULL,
    reason   text NOT NULL DEFAULT '',
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org, kind, bill_id)
);
