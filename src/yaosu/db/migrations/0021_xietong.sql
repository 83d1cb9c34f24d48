-- 协同平台: the coordination platform between trace systems, and what a trace system keeps as its client (R-A1, R-A4).

-- Trace systems that take part; the platform's side.
CREATE TABLE xietong_system (
    id           int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app_id       text COLLATE "C" NOT NULL UNIQUE,
    name         text NOT NULL UNIQUE,
    operator     text NOT NULL DEFAULT '',
    usc_id       text COLLATE "C" NOT NULL DEFAULT '',   -- 统一社会信用代码 of the operating firm
    resolver_url text NOT NULL DEFAULT '',               -- where systems ask about a code
    query_url    text NOT NULL DEFAULT '',               -- where the public asks; {code} is replaced
    receive_url  text NOT NULL DEFAULT '',               -- where events are pushed to; empty: it pulls
    key          bytea NOT NULL,                         -- shared key, sealed with the master secret
    public_key   text COLLATE "C" NOT NULL DEFAULT '',   -- SM2, hexadecimal; where set, the system signs with it
    state        text COLLATE "C" NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'held', 'ended')),
    box          bigint NOT NULL DEFAULT 0,              -- number of the last event put into its mailbox
    pushed       bigint NOT NULL DEFAULT 0,              -- up to which it took what was pushed
    pulled       bigint NOT NULL DEFAULT 0,              -- up to which it said to have pulled
    push_at      timestamptz NOT NULL DEFAULT now(),
    push_fails   int NOT NULL DEFAULT 0,
    push_said    text NOT NULL DEFAULT '',
    refused      bigint NOT NULL DEFAULT 0,              -- transmissions of it that were refused
    refused_said text NOT NULL DEFAULT '',
    seen_at      timestamptz,
    made_at      timestamptz NOT NULL DEFAULT now(),
    made_by      int
);

-- Every event taken, as it came: the zip, byte for byte.
CREATE TABLE xietong_event (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    system_id   int NOT NULL REFERENCES xietong_system (id),
    event_id    uuid NOT NULL,
    process_id  text COLLATE "C" NOT NULL DEFAULT '',
    event_type  smallint NOT NULL,
    sub_type    text COLLATE "C" NOT NULL,
    usc_id      text COLLATE "C" NOT NULL DEFAULT '',
    sent_at     timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    digest      bytea NOT NULL,                          -- SM3 of type, sub type, usc_id and content
    said        jsonb NOT NULL DEFAULT '{}',             -- what was answered beyond success (filing number, …)
    data        bytea NOT NULL,
    UNIQUE (system_id, event_id)
);
ALTER TABLE xietong_event ALTER COLUMN data SET STORAGE EXTERNAL;

-- Mailboxes: numbers without gaps, given under a lock on the receiving system, so that they stand in commit order.
CREATE TABLE xietong_mail (
    system_id int NOT NULL,
    n         bigint NOT NULL,
    event     bigint NOT NULL,
    PRIMARY KEY (system_id, n)
);
CREATE INDEX xietong_mail_event ON xietong_mail (event);

-- Base data in force, by the system that filed it.
CREATE TABLE xietong_firm (
    firm      text COLLATE "C" NOT NULL,                 -- 统一社会信用代码, or kind:number of those without
    system_id int NOT NULL REFERENCES xietong_system (id),
    customer  boolean NOT NULL,                          -- works in that system: notices for it go there
    event     bigint NOT NULL,
    body      jsonb NOT NULL,
    PRIMARY KEY (firm, system_id)
);
CREATE INDEX xietong_firm_system ON xietong_firm (system_id, firm);
CREATE TABLE xietong_rule (
    id            int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    system_id     int NOT NULL REFERENCES xietong_system (id),
    rule_no       text COLLATE "C" NOT NULL,             -- the system's own number of the rule
    firm          text COLLATE "C" NOT NULL,
    scheme        text COLLATE "C" NOT NULL CHECK (scheme IN ('cn20', 'gs1', 'custom')),
    issuer        text NOT NULL DEFAULT '',
    pattern       text NOT NULL DEFAULT '',
    pattern_upper boolean NOT NULL DEFAULT false,
    samples       text[] NOT NULL DEFAULT '{}',
    query_url     text NOT NULL DEFAULT '',
    filing_no     text COLLATE "C" NOT NULL UNIQUE,
    status        smallint NOT NULL,
    event         bigint NOT NULL,
    body          jsonb NOT NULL,
    UNIQUE (system_id, rule_no)
);
CREATE UNIQUE INDEX xietong_rule_issuer ON xietong_rule (issuer) WHERE issuer <> '';
CREATE TABLE xietong_prefix (
    prefix    text COLLATE "C" PRIMARY KEY,              -- one prefix, one system (R-A4)
    rule_id   int NOT NULL REFERENCES xietong_rule (id),
    system_id int NOT NULL
);
CREATE INDEX xietong_prefix_rule ON xietong_prefix (rule_id);
CREATE TABLE xietong_product (
    product   text COLLATE "C" PRIMARY KEY,              -- 药品标识码 of its smallest package
    system_id int NOT NULL REFERENCES xietong_system (id),
    event     bigint NOT NULL,
    body      jsonb NOT NULL
);
CREATE TABLE xietong_product_code (
    identifier text COLLATE "C" PRIMARY KEY,             -- 药品标识码 of any level: one product, one system (R-A1)
    product    text COLLATE "C" NOT NULL,
    system_id  int NOT NULL,
    level      smallint NOT NULL
);
CREATE INDEX xietong_product_code_product ON xietong_product_code (product);

-- The client's side: what of the registry is filed with the platform, and what was answered.
CREATE TABLE xietong_filed (
    connection int NOT NULL,
    kind       text COLLATE "C" NOT NULL CHECK (kind IN ('firm', 'rule', 'product')),
    key        text COLLATE "C" NOT NULL,
    ours       int NOT NULL,                             -- org, filing or product
    state      text COLLATE "C" NOT NULL CHECK (state IN ('due', 'filed', 'refused')),
    digest     bytea NOT NULL,                           -- of the content that is due or filed
    event_id   uuid NOT NULL,
    body       jsonb NOT NULL,
    said       text NOT NULL DEFAULT '',                 -- what the platform said, word for word
    filing_no  text NOT NULL DEFAULT '',
    tries      int NOT NULL DEFAULT 0,
    next_at    timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (connection, kind, key)
);
CREATE INDEX xietong_filed_open ON xietong_filed (connection) WHERE state <> 'filed';

-- What came from the platform, in the order of the mailbox, and what became of it.
CREATE TABLE xietong_inbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    connection  int NOT NULL,
    n           bigint NOT NULL,
    event_id    uuid NOT NULL,
    event_type  smallint NOT NULL,
    sub_type    text COLLATE "C" NOT NULL,
    usc_id      text COLLATE "C" NOT NULL DEFAULT '',
    origin      text COLLATE "C" NOT NULL,               -- app_id of the system it comes from
    received_at timestamptz NOT NULL DEFAULT now(),
    state       text COLLATE "C" NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'partly', 'refused')),
    tries       int NOT NULL DEFAULT 0,
    next_at     timestamptz NOT NULL DEFAULT now(),
    done_at     timestamptz,
    bill_id     bigint,
    said        jsonb NOT NULL DEFAULT '{}',
    data        bytea NOT NULL,
    UNIQUE (connection, event_id),
    UNIQUE (connection, n)
);
CREATE INDEX xietong_inbox_waiting ON xietong_inbox (connection, next_at, id) WHERE state = 'waiting';

CREATE TABLE xietong_place (
    connection int PRIMARY KEY,
    pulled     bigint NOT NULL DEFAULT 0,                -- mailbox number up to which everything is in the inbox
    asked_at   timestamptz,
    said       text NOT NULL DEFAULT ''
);

-- Other systems and their base data, by our numbers.
CREATE TABLE xietong_origin (
    kind   text COLLATE "C" NOT NULL CHECK (kind IN ('system', 'org', 'rule', 'product')),
    ours   int NOT NULL,
    origin text COLLATE "C" NOT NULL,                    -- app_id
    theirs text COLLATE "C" NOT NULL,
    PRIMARY KEY (kind, ours),
    UNIQUE (kind, origin, theirs)
);

-- Bills of firms of other systems, as booked here: which of their revisions ours stands for.
CREATE TABLE xietong_bill (
    owner    int NOT NULL,
    bill_no  text NOT NULL,
    revision int NOT NULL,                               -- theirs
    void     boolean NOT NULL DEFAULT false,
    bill_id  bigint,
    PRIMARY KEY (owner, bill_no)
);
