-- Access: who may act, for whom, with what permission, and what they did.
-- Organisation numbers carry no foreign key: the table org comes with 0002 and is a reference table (D2).

CREATE TABLE account (
    id            int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- ASCII by rule of access.service, so that lower() means the same under every collation
    login         text NOT NULL CHECK (login ~ '^[A-Za-z0-9][A-Za-z0-9._@-]{2,63}$'),
    name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    password_hash text NOT NULL,
    org_id        int,
    role          text NOT NULL,
    lang          text NOT NULL DEFAULT 'zh' CHECK (lang IN ('zh', 'en')),
    active        boolean NOT NULL DEFAULT true,
    must_change   boolean NOT NULL DEFAULT false,
    failed_count  int NOT NULL DEFAULT 0 CHECK (failed_count >= 0),
    locked_until  timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    -- only the operator of the platform belongs to no organisation
    CHECK (org_id IS NOT NULL OR role = 'operator')
);
CREATE UNIQUE INDEX account_login ON account (lower(login));
CREATE INDEX account_org ON account (org_id);

CREATE TABLE api_key (
    id            int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    prefix        text NOT NULL UNIQUE,
    secret_sha256 bytea NOT NULL UNIQUE CHECK (length(secret_sha256) = 32),
    org_id        int,
    name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    scopes        text[] NOT NULL,
    created_by    int REFERENCES account (id),
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz,
    revoked_at    timestamptz,
    last_used_at  timestamptz
);
CREATE INDEX api_key_org ON api_key (org_id);

-- Table "session" of the browser: only the digest of the token is kept, so a copy of the database signs nobody in.
CREATE TABLE session (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_sha256 bytea NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
    account_id   int NOT NULL REFERENCES account (id),
    csrf         text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    address      text NOT NULL DEFAULT '',
    agent        text NOT NULL DEFAULT ''
);
CREATE INDEX session_account ON session (account_id);
CREATE INDEX session_expiry ON session (expires_at);

-- Who did what (R-E3). Outlives what it speaks of: no foreign keys, no cascade, no change, no removal.
CREATE TABLE audit (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    subject_kind text NOT NULL,
    subject_id   text NOT NULL,
    org_id       int,
    action       text NOT NULL,
    object_type  text NOT NULL,
    object_id    text NOT NULL,
    address      text NOT NULL DEFAULT '',
    details      jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_org ON audit (org_id, id);
CREATE INDEX audit_object ON audit (object_type, object_id, id);

-- Who read records that are not their own organisation's (D10).
CREATE TABLE read_record (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    subject_kind text NOT NULL,
    subject_id   text NOT NULL,
    org_id       int,
    what         text NOT NULL,
    owner_org    int
);
CREATE INDEX read_record_owner ON read_record (owner_org, id);
CREATE INDEX read_record_reader ON read_record (org_id, id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'table % is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_keep BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER read_record_append_only BEFORE UPDATE OR DELETE ON read_record
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER read_record_keep BEFORE TRUNCATE ON read_record
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Data grants (R-B10): the grantor lets the grantee see its records of one product, or of all.
CREATE TABLE data_grant (
    id           int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    grantor_org  int NOT NULL,
    grantee_org  int NOT NULL CHECK (grantee_org <> grantor_org),
    drug_id      int,
    fields       text[] NOT NULL DEFAULT '{flow}',
    granted_at   timestamptz NOT NULL DEFAULT now(),
    until        timestamptz,
    withdrawn_at timestamptz
);
CREATE INDEX data_grant_grantee ON data_grant (grantee_org, grantor_org);
CREATE INDEX data_grant_grantor ON data_grant (grantor_org);
