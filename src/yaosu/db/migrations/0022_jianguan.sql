-- 监管: the regulator feed (R-F1, R-F2, R-H1): every accepted bill of a region and the base data, numbered without gaps.

-- The sender's side. A feed is a connection of channel jianguan.
CREATE TABLE jianguan_feed (
    connection int PRIMARY KEY,
    seq        bigint NOT NULL DEFAULT 0,               -- last number given
    low        bigint NOT NULL DEFAULT 0,               -- every bill up to this id has been looked at
    marks      jsonb NOT NULL DEFAULT '[]',             -- [bill id, time]: when no older transaction is left, low may rise to it
    acked      bigint NOT NULL DEFAULT 0,               -- the regulator holds everything up to here, says its signed receipt
    sent_at    timestamptz,
    next_at    timestamptz NOT NULL DEFAULT now(),
    fails      int NOT NULL DEFAULT 0,
    said       text NOT NULL DEFAULT ''
);
CREATE TABLE jianguan_event (
    feed     int NOT NULL,
    seq      bigint NOT NULL,
    event_id uuid NOT NULL,
    kind     text COLLATE "C" NOT NULL,                 -- bill, firm, rule, product
    org      text COLLATE "C" NOT NULL,                 -- whose: 统一社会信用代码
    day      date NOT NULL,                             -- business day, Beijing
    qty      bigint NOT NULL,                           -- smallest packages
    codes    int NOT NULL,
    bill_id  bigint,
    part     int NOT NULL DEFAULT 1,
    digest   bytea NOT NULL,                            -- SM3 of the event as canonical JSON
    body     bytea NOT NULL,                            -- the canonical JSON, zlib
    made_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (feed, seq),
    UNIQUE (feed, event_id)
);
CREATE INDEX jianguan_event_bill ON jianguan_event (feed, bill_id) WHERE bill_id IS NOT NULL;
CREATE INDEX jianguan_event_day ON jianguan_event (feed, day, org);
-- What of the base data was told last.
CREATE TABLE jianguan_base (
    feed   int NOT NULL,
    kind   text COLLATE "C" NOT NULL,
    key    text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    turn   int NOT NULL DEFAULT 1,                      -- how often it changed: part of the event's id
    PRIMARY KEY (feed, kind, key)
);

-- The regulator's side.
CREATE TABLE jianguan_source (
    id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id  text COLLATE "C" NOT NULL UNIQUE,
    name       text NOT NULL UNIQUE,
    region     text COLLATE "C" NOT NULL DEFAULT '',
    key        bytea NOT NULL,                          -- sealed with the master secret
    state      text COLLATE "C" NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'ended')),
    told       bigint NOT NULL DEFAULT 0,               -- last number the source said to have given
    contiguous bigint NOT NULL DEFAULT 0,               -- everything up to here is held
    refused    bigint NOT NULL DEFAULT 0,
    said       text NOT NULL DEFAULT '',
    seen_at    timestamptz,
    made_at    timestamptz NOT NULL DEFAULT now(),
    made_by    int
);
CREATE TABLE jianguan_received (
    source      int NOT NULL REFERENCES jianguan_source (id),
    seq         bigint NOT NULL,
    event_id    uuid NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    org         text COLLATE "C" NOT NULL,
    day         date NOT NULL,
    qty         bigint NOT NULL,
    codes       int NOT NULL,
    digest      bytea NOT NULL,
    body        bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, seq)
);
CREATE INDEX jianguan_received_event ON jianguan_received (source, event_id);
CREATE INDEX jianguan_received_day ON jianguan_received (source, day, org);
-- What reconciliation replaced stays on record.
CREATE TABLE jianguan_replaced (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      int NOT NULL,
    seq         bigint NOT NULL,
    event_id    uuid NOT NULL,
    digest      bytea NOT NULL,
    body        bytea NOT NULL,
    received_at timestamptz NOT NULL,
    replaced_at timestamptz NOT NULL DEFAULT now()
);

-- Results of reconciliation, on both sides.
CREATE TABLE jianguan_check (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    feed    int,                                        -- the sender's connection
    source  int,                                        -- or the regulator's source
    at      timestamptz NOT NULL DEFAULT now(),
    first   bigint NOT NULL,
    last    bigint NOT NULL,
    equal   boolean NOT NULL,
    ours    jsonb NOT NULL,                             -- count, qty, digest
    theirs  jsonb NOT NULL,
    days    jsonb NOT NULL DEFAULT '[]',                -- day and organisation where both differed
    differing jsonb NOT NULL DEFAULT '[]',              -- events that differed (at most 1,000)
    resent  int NOT NULL DEFAULT 0,
    said    text NOT NULL DEFAULT ''
);
CREATE INDEX jianguan_check_feed ON jianguan_check (feed, id) WHERE feed IS NOT NULL;
CREATE INDEX jianguan_check_source ON jianguan_check (source, id) WHERE source IS NOT NULL;
