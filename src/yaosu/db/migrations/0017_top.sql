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
