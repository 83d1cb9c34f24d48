-- Messages to organisations, webhooks and their deliveries (R-X2); data grants with acceptance, products and fields
-- (R-B10).

-- What an organisation is told. The text is the message registry's entry `kind` with `params`; `ref` makes the same
-- news news only once.
CREATE TABLE message (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org     int NOT NULL,
    kind    text COLLATE "C" NOT NULL,
    ref     text COLLATE "C" NOT NULL,
    params  jsonb NOT NULL,
    link    text NOT NULL,                            -- a page of ours that shows what it is about
    event   uuid NOT NULL DEFAULT gen_random_uuid(),  -- the same on every delivery of it, however often sent
    at      timestamptz NOT NULL DEFAULT now(),
    read_at timestamptz,
    read_by int,                                      -- account; NULL for a program
    UNIQUE (org, kind, ref)
);
CREATE INDEX message_org ON message (org, id);
CREATE INDEX message_unread ON message (org, id) WHERE read_at IS NULL;

-- Where an organisation wants to be told by machine. The secret is not here: it is derived from `salt` with the
-- master secret, which is kept outside the database.
CREATE TABLE webhook (
    id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org        int NOT NULL,
    url        text NOT NULL,
    kinds      text[] NOT NULL DEFAULT '{}',          -- empty: every kind
    salt       bytea NOT NULL,
    active     boolean NOT NULL DEFAULT true,
    made_by    int,
    created_at timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz
);
CREATE INDEX webhook_org ON webhook (org) WHERE removed_at IS NULL;

-- The outbox: what is to be sent to somebody outside, whatever the way (`target` names it: webhook, …). A claim moves
-- next_at ahead by a lease, so a sender that dies leaves its work to others.
CREATE TABLE delivery (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org           int NOT NULL,                       -- whose delivery it is
    target_id     int NOT NULL,                       -- which of the target's addresses, e.g. webhook.id
    attempts      smallint NOT NULL DEFAULT 0,
    answer_status smallint,                           -- HTTP status of the last answer
    next_at       timestamptz NOT NULL DEFAULT now(), -- when it is due
    created_at    timestamptz NOT NULL DEFAULT now(),
    settled_at    timestamptz,
    event         uuid NOT NULL,                      -- the receiver's key against doubling
    target        text COLLATE "C" NOT NULL,
    kind          text COLLATE "C" NOT NULL,
    state         text COLLATE "C" NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'sent', 'failed', 'given_up')),
    answer        text NOT NULL DEFAULT '',           -- beginning of the last answer, or why there was none
    body          jsonb NOT NULL
);
CREATE INDEX delivery_due ON delivery (target, target_id, next_at) WHERE state IN ('pending', 'failed');
CREATE INDEX delivery_of ON delivery (target, target_id, id);

-- Grants: an offer is made by one side and holds from the other's acceptance. Rows of before were in force.
ALTER TABLE data_grant
    ADD COLUMN drug_ids    int[],                     -- NULL: every product the grantee answers for
    ADD COLUMN accepted_at timestamptz DEFAULT now(),
    ADD COLUMN offered_by  int,                       -- the organisation that made the first step
    ADD COLUMN declined_at timestamptz,
    ADD COLUMN note        text NOT NULL DEFAULT '',
    ADD COLUMN replaces    int;                       -- the grant whose terms this one changes
UPDATE data_grant SET drug_ids = ARRAY[drug_id] WHERE drug_id IS NOT NULL;
ALTER TABLE data_grant
    DROP COLUMN drug_id,
    ADD CHECK (fields <@ '{flow,parties,bills,codes}'::text[] AND 'flow' = ANY (fields));
