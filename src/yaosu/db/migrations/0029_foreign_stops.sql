-- Recalls and locks that another trace system tells of its own codes (R-E4, R-B9), and the systems a firm works in.

-- What is stopped there is stopped here, also where batches or codes of it enter our books only later.
CREATE TABLE foreign_stop (
    home      int NOT NULL,                              -- trace system of the codes
    kind      text COLLATE "C" NOT NULL CHECK (kind IN ('recall', 'lock')),
    number    text NOT NULL,                             -- theirs
    drug_id   int NOT NULL,
    ours      int,                                       -- recall_order or goods_lock; NULL: withdrawn before it took hold
    live      boolean NOT NULL DEFAULT true,             -- still stops what comes in
    batch_nos text[] NOT NULL DEFAULT '{}',
    codes     text[] COLLATE "C" NOT NULL DEFAULT '{}',
    told_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (home, kind, number)
);
CREATE INDEX foreign_stop_live ON foreign_stop (drug_id) WHERE live;

-- A firm may work in several other systems; each of them may speak for it.
CREATE TABLE xietong_customer (
    org    int NOT NULL,
    origin text COLLATE "C" NOT NULL,                    -- app_id
    PRIMARY KEY (org, origin)
);
INSERT INTO xietong_customer (org, origin)
SELECT o.ours, o.origin FROM xietong_origin o JOIN foreign_org f ON f.org = o.ours WHERE o.kind = 'org';

-- An event is known by its number in the mailbox. Its id is its sender's choice: two systems may choose the same one.
ALTER TABLE xietong_inbox DROP CONSTRAINT xietong_inbox_connection_event_id_key;
