-- Acting for others: delegations with a scope that both sides agreed to (R-B7, R-B8), the domestic responsible person
-- (R-A7), medical groups and what their members may transfer to each other (R-C5).

-- A delegation is offered by one side and holds from the other's acceptance. Rows of before were in force.
ALTER TABLE delegation
    ADD COLUMN accepted_at timestamptz DEFAULT now(),
    ADD COLUMN accepted_by int,                       -- account
    ADD COLUMN offered_by  int,                       -- the organisation that made the first step
    ADD COLUMN declined_at timestamptz,
    ADD COLUMN kinds       text[],                    -- list delegation_kind: in, out, return …; NULL: all
    ADD COLUMN bill_types  smallint[],                -- single bill types besides the kinds; NULL: none
    ADD COLUMN drug_ids    int[],                     -- NULL: every product
    ADD COLUMN places      int[],                     -- warehouses (child organisations); NULL: all, and the principal itself
    ADD COLUMN may_read    boolean NOT NULL DEFAULT false,
    ADD COLUMN note        text NOT NULL DEFAULT '';

CREATE INDEX org_domestic_agent ON org (domestic_agent_id) WHERE domestic_agent_id IS NOT NULL;

-- A bill says whose logistics firm moved the goods: the principal follows it live.
CREATE INDEX bill_direct ON bill (direct_org, id) WHERE direct_org IS NOT NULL;

-- 医联体/医共体. A reference table on a cluster, like org.
CREATE TABLE care_group (
    id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL,
    kind       text NOT NULL,                         -- list care_group_kind
    lead_org   int NOT NULL REFERENCES org (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    version    int NOT NULL DEFAULT 1
);
CREATE INDEX care_group_lead ON care_group (lead_org);

-- Who belongs to a group. The lead hospital is a member from the beginning; others are asked and accept.
CREATE TABLE care_group_member (
    group_id    int NOT NULL REFERENCES care_group (id),
    org         int NOT NULL REFERENCES org (id),
    invited_at  timestamptz NOT NULL DEFAULT now(),
    accepted_at timestamptz,
    left_at     timestamptz,
    PRIMARY KEY (group_id, org)
);
CREATE INDEX care_group_member_org ON care_group_member (org);

-- What members may transfer, and why: urgent or short supply. Validity by day, both inclusive.
CREATE TABLE care_group_drug (
    id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    group_id   int NOT NULL REFERENCES care_group (id),
    drug_id    int NOT NULL,
    reason     text NOT NULL,                         -- list transfer_reason
    valid_from date NOT NULL,
    valid_to   date,
    added_by   int,
    added_at   timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    CHECK (valid_to IS NULL OR valid_to >= valid_from)
);
CREATE INDEX care_group_drug_of ON care_group_drug (group_id, drug_id);
