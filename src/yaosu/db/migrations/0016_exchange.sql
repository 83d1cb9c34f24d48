-- Exchange with other systems (R-X9): connections to them, what each bill owes to whom, and how each delivery fared.

-- Bills that wait to be routed: written in the bill's own transaction when its owner has a connection, taken out in
-- the transaction that makes the deliveries. A crash in between loses nothing and doubles nothing.
CREATE TABLE bill_due (
    bill_id bigint PRIMARY KEY,
    owner   int NOT NULL
);

-- The same for single connections: what a channel could not build yet, and what was asked for again (backfill).
CREATE TABLE route_due (
    connection_id int NOT NULL,
    bill_id  bigint NOT NULL,
    owner    int NOT NULL,
    next_at  timestamptz NOT NULL DEFAULT now(),
    tries    smallint NOT NULL DEFAULT 0,
    error    text NOT NULL DEFAULT '',
    PRIMARY KEY (connection_id, bill_id)
);
CREATE INDEX route_due_owner ON route_due (owner, bill_id);

-- Raised whenever the connections in force change: server processes keep the set of routed owners in memory.
CREATE TABLE route_version (
    version bigint NOT NULL
);
INSERT INTO route_version (version) VALUES (1);

-- A counterpart as one organisation reaches it: address, identity, credentials.
CREATE TABLE connection (
    id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org        int NOT NULL,                          -- whose it is; the operator's own for those of the platform
    everyone   boolean NOT NULL DEFAULT false,        -- bills of every organisation (the operator's connections only)
    state      text COLLATE "C" NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'held', 'ended')),
    channel    text COLLATE "C" NOT NULL,             -- top, yibao, epcis, xietong, jianguan, webhook, …
    profile    text COLLATE "C" NOT NULL DEFAULT '',  -- variant of the channel, e.g. a province (list exchange_profile)
    title      text NOT NULL,
    url        text NOT NULL,
    account    jsonb NOT NULL DEFAULT '{}',           -- how they know the organisation; nothing secret
    secret     bytea,                                 -- sealed with the master secret, which is kept outside
    region     text COLLATE "C" NOT NULL DEFAULT '',  -- only bills of organisations in this region; empty: all
    since      timestamptz NOT NULL DEFAULT now(),    -- bills recorded from here on are owed
    cursor     jsonb NOT NULL DEFAULT '{}',           -- how far pulling from them has come
    pulled_at  timestamptz,
    pull_error text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    made_by    int,
    ended_at   timestamptz
);
CREATE INDEX connection_org ON connection (org) WHERE state <> 'ended';

-- What they call our organisations and products, asked once and kept (R-X10: identities are mapped once).
CREATE TABLE counterpart (
    connection_id int NOT NULL,
    kind       text COLLATE "C" NOT NULL,             -- org, product, …
    ours       bigint NOT NULL,
    theirs     text COLLATE "C" NOT NULL,
    more       jsonb NOT NULL DEFAULT '{}',
    checked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (connection_id, kind, ours)
);
CREATE INDEX counterpart_theirs ON counterpart (connection_id, kind, theirs);

-- Deliveries learn the four levels of an answer, order within a lane, and what bill they come from.
ALTER TABLE delivery DROP CONSTRAINT delivery_state_check;
UPDATE delivery SET state = 'processed' WHERE state = 'sent';
UPDATE delivery SET next_at = 'infinity' WHERE state = 'given_up';
ALTER TABLE delivery
    ADD CHECK (state IN ('pending', 'sent', 'accepted', 'processed', 'partly', 'failed', 'unknown', 'given_up', 'held')),
    ADD COLUMN bill_id   bigint,
    ADD COLUMN key       text COLLATE "C" NOT NULL DEFAULT '', -- same (target, target_id, key): the same thing, once
    ADD COLUMN lane      text COLLATE "C" NOT NULL DEFAULT '', -- deliveries of one lane go one after the other; '' any
    ADD COLUMN remote    text NOT NULL DEFAULT '',             -- their reference, to ask them about it later
    ADD COLUMN details   jsonb,                                -- what they said of single codes or lines
    ADD COLUMN note      text NOT NULL DEFAULT '',             -- why a person held it or gave it up
    ADD COLUMN done_by   int,
    ADD COLUMN digest    bytea,                                -- SHA-256 of the content; stays when the content is pruned
    ADD COLUMN pruned    boolean NOT NULL DEFAULT false,
    ADD COLUMN tries     smallint NOT NULL DEFAULT 0,          -- attempts since the last progress, for the pauses
    ADD COLUMN claimed   boolean NOT NULL DEFAULT false,       -- somebody is at it, or died at it
    ADD COLUMN waits     boolean NOT NULL DEFAULT false,       -- another one of its lane goes first
    ALTER COLUMN attempts TYPE int;
CREATE UNIQUE INDEX delivery_key ON delivery (target, target_id, key) WHERE key <> '';
CREATE INDEX delivery_bill ON delivery (bill_id) WHERE bill_id IS NOT NULL;
CREATE INDEX delivery_lane ON delivery (target, target_id, lane, id) WHERE settled_at IS NULL AND lane <> '';
DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (target, target_id, next_at) WHERE settled_at IS NULL AND NOT waits;
CREATE INDEX delivery_kept ON delivery (target, settled_at) WHERE settled_at IS NOT NULL AND NOT pruned;
CREATE INDEX delivery_org ON delivery (org, id);

-- Every attempt, word for word.
CREATE TABLE delivery_attempt (
    delivery_id bigint NOT NULL,
    n        int NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    what     text COLLATE "C" NOT NULL,               -- send or ask
    state    text COLLATE "C" NOT NULL,               -- what was known of the delivery afterwards
    status   smallint,
    took_ms  int NOT NULL DEFAULT 0,
    answer   text NOT NULL DEFAULT '',
    PRIMARY KEY (delivery_id, n)
);

-- Organisations that work in another trace system: their goods move here only as that system tells (R-A4, R-B9).
CREATE TABLE foreign_org (
    org       int PRIMARY KEY,
    system_id int NOT NULL,
    told_at   timestamptz NOT NULL DEFAULT now()
);

-- How fast an address may be called, and until when it is left alone (their own word, or a person's).
CREATE TABLE delivery_gate (
    target    text COLLATE "C" NOT NULL,
    target_id int NOT NULL,
    next_call timestamptz NOT NULL DEFAULT now(),     -- theoretical arrival time of the next call (GCRA)
    shut_till timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (target, target_id)
);

-- What was decided for a bill and a connection: deliveries made, or why nothing is owed.
CREATE TABLE route_decision (
    bill_id       bigint NOT NULL,
    connection_id int NOT NULL,
    owed          boolean NOT NULL,
    parcels       smallint NOT NULL DEFAULT 0,
    rule          text COLLATE "C" NOT NULL DEFAULT '',   -- item of route_rule that decided; '' none fits
    reason        text COLLATE "C" NOT NULL DEFAULT '',   -- a message code, for "why"
    left_out      jsonb,                                  -- {reason: [codes]}: lines that are not owed
    at            timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (bill_id, connection_id)
);
CREATE INDEX route_decision_of ON route_decision (connection_id, bill_id);
