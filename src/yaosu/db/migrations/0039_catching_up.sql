-- Catching up with another system: what was recorded before a connection (R-X9, R-B9), and what the other side lost when
-- it was restored from an older backup.

-- A back-fill walks the bills from a date on in their order, a portion at a time, and keeps its place.
CREATE TABLE route_backfill (
    connection_id int PRIMARY KEY,
    since      timestamptz NOT NULL,
    first      bigint NOT NULL,                          -- bill number before the first one
    upto       bigint NOT NULL,                          -- last number handed out when it began: later ones go by themselves
    at         bigint NOT NULL,                          -- everything up to this number has been looked at
    looked     bigint NOT NULL DEFAULT 0,                -- bills looked at
    state      text COLLATE "C" NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'paused', 'done')),
    started_at timestamptz NOT NULL DEFAULT now(),
    started_by int,
    ended_at   timestamptz
);
