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

-- Events of one system have numbers without gaps at the platform: both sides can tell when one of them went back. What
-- the platform makes itself (10xx about systems) has none.
ALTER TABLE xietong_event ADD COLUMN n bigint;
UPDATE xietong_event e SET n = x.n FROM (
    SELECT id, row_number() OVER (PARTITION BY system_id ORDER BY id) AS n FROM xietong_event
    WHERE sub_type <> '1000') x WHERE x.id = e.id;
CREATE UNIQUE INDEX xietong_event_n ON xietong_event (system_id, n) WHERE n IS NOT NULL;
ALTER TABLE xietong_system
    ADD COLUMN held bigint NOT NULL DEFAULT 0,           -- number of the last event taken of it
    ADD COLUMN ahead bigint NOT NULL DEFAULT 0,          -- how many events it proved that we had and have no more
    ADD COLUMN ahead_at timestamptz;
UPDATE xietong_system s SET held = x.n FROM (SELECT system_id, max(n) AS n FROM xietong_event GROUP BY 1) x
WHERE x.system_id = s.id;

-- Which of our events stands under which of the platform's numbers.
CREATE TABLE xietong_told (
    connection  int NOT NULL,
    n           bigint NOT NULL,
    event_id    uuid NOT NULL,
    delivery_id bigint,                                  -- NULL: a filing
    PRIMARY KEY (connection, n)
);

-- A mailbox whose numbers went back begins a new era; what was booked in the one before is known by its sender and id.
ALTER TABLE xietong_inbox ADD COLUMN era int NOT NULL DEFAULT 0;
ALTER TABLE xietong_inbox DROP CONSTRAINT xietong_inbox_connection_n_key;
ALTER TABLE xietong_inbox ADD UNIQUE (connection, era, n);
CREATE INDEX xietong_inbox_event ON xietong_inbox (connection, event_id);
ALTER TABLE xietong_place
    ADD COLUMN era int NOT NULL DEFAULT 0,
    ADD COLUMN doubted boolean NOT NULL DEFAULT false;   -- something does not fit: compared before the next event is taken

-- Each time that a platform was found behind.
CREATE TABLE xietong_behind (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    connection int NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    what       text COLLATE "C" NOT NULL CHECK (what IN ('sent', 'mail')),
    agreed     bigint NOT NULL,                          -- up to here both hold the same
    ours       bigint NOT NULL,                          -- up to here we know of
    again      int NOT NULL DEFAULT 0,                   -- events sent again
    lost       int NOT NULL DEFAULT 0                    -- whose content is kept no more
);
CREATE INDEX xietong_behind_of ON xietong_behind (connection, id);
