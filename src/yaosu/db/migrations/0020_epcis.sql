-- GS1 EPCIS 2.0 (exchange/epcis): capture documents, events as they came, what became of them, and what queries need.

-- One capture (EPCIS 2.0 §8.1). The document is kept as received; events, bills and the job's end are written in one
-- transaction, so a job that did not end has done nothing and is taken up again.
CREATE TABLE epcis_job (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    org         int NOT NULL,
    account_id  int,
    state       text COLLATE "C" NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed')),
    behaviour   text COLLATE "C" NOT NULL CHECK (behaviour IN ('rollback', 'proceed')),
    media       text COLLATE "C" NOT NULL,            -- json or xml
    success     boolean NOT NULL DEFAULT true,
    events      int NOT NULL DEFAULT 0,               -- in the document
    captured    int NOT NULL DEFAULT 0,               -- on record because of it, repeats included
    tries       int NOT NULL DEFAULT 0,
    caller      jsonb NOT NULL,                       -- who captured, with what rights
    errors      jsonb NOT NULL DEFAULT '[]',
    warnings    jsonb NOT NULL DEFAULT '[]',
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at  timestamptz,
    finished_at timestamptz,
    body        bytea NOT NULL                        -- zlib
);
ALTER TABLE epcis_job ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX epcis_job_org ON epcis_job (org, created_at DESC, id);
CREATE INDEX epcis_job_open ON epcis_job (created_at) WHERE state IN ('queued', 'running');

-- An event as captured. `epcs` are its identifiers in inner form (exchange/epcis/identifiers.py), each with the field it
-- stands in: c class, e object, p parent, i input, o output.
CREATE TABLE epcis_event (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org          int NOT NULL,                        -- who captured it
    n            int NOT NULL,                        -- its place in the document
    job          uuid NOT NULL,
    event_time   timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL,
    declared     boolean NOT NULL,                    -- says that the event of that id was wrong
    state        text COLLATE "C" NOT NULL,           -- acted, kept, undone (declared wrong since)
    type         text COLLATE "C" NOT NULL,
    action       text COLLATE "C" NOT NULL DEFAULT '',
    biz_step     text COLLATE "C" NOT NULL DEFAULT '',
    disposition  text COLLATE "C" NOT NULL DEFAULT '',
    read_point   text COLLATE "C" NOT NULL DEFAULT '',
    biz_location text COLLATE "C" NOT NULL DEFAULT '',
    event_id     text COLLATE "C" NOT NULL,
    content      bytea NOT NULL,                      -- digest of what it says, without record time and id
    epcs         text[] COLLATE "C" NOT NULL,
    prefixes     jsonb NOT NULL,
    body         bytea NOT NULL                       -- JSON as captured, zlib
);
CREATE UNIQUE INDEX epcis_event_id ON epcis_event (org, event_id) WHERE NOT declared;
CREATE UNIQUE INDEX epcis_event_declared ON epcis_event (org, event_id) WHERE declared;
CREATE INDEX epcis_event_by_id ON epcis_event (event_id);
CREATE INDEX epcis_event_epcs ON epcis_event USING gin (epcs);
CREATE INDEX epcis_event_recorded ON epcis_event (recorded_at, id);
CREATE INDEX epcis_event_org ON epcis_event (org, recorded_at, id);

-- The bills that an event made. They are shown as the event that made them, not once more as an event of their own.
CREATE TABLE epcis_act (
    event   bigint NOT NULL,
    bill_id bigint NOT NULL,
    PRIMARY KEY (event, bill_id)
);
CREATE INDEX epcis_act_bill ON epcis_act (bill_id);

-- Master data as captured (EPCIS 2.0 §9.4): one organisation's word on locations, parties and classes.
CREATE TABLE epcis_vocabulary (
    org        int NOT NULL,
    kind       text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL,             -- inner form
    attributes jsonb NOT NULL,
    children   text[] COLLATE "C" NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org, kind, id)
);

-- Which organisation a GLN means. An organisation's word on its own GLN holds for everybody, its word on others for itself.
CREATE TABLE epcis_party (
    keeper int NOT NULL,
    uri    text COLLATE "C" NOT NULL,                 -- GLN, or GLN/extension
    party  int NOT NULL,
    PRIMARY KEY (keeper, uri)
);
CREATE UNIQUE INDEX epcis_party_own ON epcis_party (uri) WHERE keeper = party;
CREATE INDEX epcis_party_of ON epcis_party (party) WHERE keeper = party;

-- GS1 company prefixes met in EPC URNs: a Digital Link does not say where the prefix ends.
CREATE TABLE epcis_prefix (
    prefix text COLLATE "C" PRIMARY KEY
);

CREATE TABLE epcis_query (
    org        int NOT NULL,
    name       text COLLATE "C" NOT NULL,
    query      jsonb NOT NULL,
    made_by    int,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org, name)
);

CREATE TABLE epcis_subscription (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    org          int NOT NULL,
    query        text COLLATE "C" NOT NULL,
    dest         text NOT NULL,
    secret       bytea,                               -- signatureToken, sealed with the master secret
    schedule     jsonb,                               -- NULL: stream
    style        jsonb NOT NULL,
    caller       jsonb NOT NULL,                      -- whose sight it has
    report_empty boolean NOT NULL DEFAULT false,
    since        timestamptz NOT NULL,                -- events recorded from here on
    next_at      timestamptz NOT NULL DEFAULT now(),
    failures     int NOT NULL DEFAULT 0,
    notified_at  timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX epcis_subscription_query ON epcis_subscription (org, query);
CREATE INDEX epcis_subscription_due ON epcis_subscription (next_at);

-- Events of the last hour that a subscriber has been sent: one that commits late is neither lost nor sent twice.
CREATE TABLE epcis_sent (
    subscription uuid NOT NULL,
    event        text COLLATE "C" NOT NULL,
    recorded_at  timestamptz NOT NULL,
    PRIMARY KEY (subscription, event)
);

-- Packing bills are found by the package that they filled, which has no line on them.
CREATE INDEX epcis_bill_container ON bill ((header ->> 'container')) WHERE type = 2;
