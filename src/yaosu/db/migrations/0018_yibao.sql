-- 医保 from the institution's side (R-C6, R-C7): which rows of which bill went out under which number, so that each goes
-- once, can be deleted or returned by its number, and a return names its sale. No personal data stands here.
CREATE TABLE yibao_row (
    connection_id int NOT NULL,
    bchno     text COLLATE "C" NOT NULL,            -- 定点医药机构批次流水号: unique for the institution, our making
    owner     int NOT NULL,
    bill_id   bigint NOT NULL,
    drug_id   int NOT NULL,
    revision  smallint NOT NULL,
    split     boolean NOT NULL,                     -- 拆零: counted in preparation units
    state     text COLLATE "C" NOT NULL DEFAULT 'owed'
              CHECK (state IN ('owed', 'done', 'refused', 'gone')),
    infno     text COLLATE "C" NOT NULL,            -- 3501–3506
    bill_no   text COLLATE "C" NOT NULL,
    batch_no  text NOT NULL,
    count     numeric(16, 4) NOT NULL,
    codes     text[] COLLATE "C" NOT NULL,
    digest    bytea NOT NULL,                       -- what it says: an unchanged row stays when its bill is corrected
    facts     jsonb NOT NULL,                       -- settlement, visit and paper numbers a return repeats
    key       text COLLATE "C" NOT NULL,            -- delivery that carries it
    gone_key  text COLLATE "C" NOT NULL DEFAULT '', -- delivery that takes it back
    said      text NOT NULL DEFAULT '',             -- msgRslt, word for word
    made_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (connection_id, bchno)
);
CREATE INDEX yibao_row_bill ON yibao_row (owner, bill_no, connection_id);
CREATE INDEX yibao_row_codes ON yibao_row USING gin (codes);

-- Last number in a connection's messages (msgid).
CREATE TABLE yibao_counter (
    connection_id int PRIMARY KEY,
    last bigint NOT NULL
);
