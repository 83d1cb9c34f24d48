-- Files in and out (R-I1, R-X10): what was dropped, what it holds, what became of every line.

-- A file as received, and how far it has come.
CREATE TABLE exchange_file (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org         int NOT NULL,                            -- whose it is
    account_id  int,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    way         text COLLATE "C" NOT NULL,               -- page, api, cli, folder
    state       text COLLATE "C" NOT NULL DEFAULT 'preview' CHECK (state IN ('preview', 'sending', 'done', 'dropped')),
    kind        text COLLATE "C" NOT NULL,               -- movements, relation
    format      text COLLATE "C" NOT NULL,               -- scan_xml, client_txt, code_list, csv, xlsx, xls, relation
    name        text NOT NULL,
    size        int NOT NULL,
    sha256      bytea NOT NULL,                          -- of the bytes as received
    choices     jsonb NOT NULL DEFAULT '{}',             -- what a person chose in the preview
    job         uuid,                                    -- the job that sends it, if it is large
    repeats     bigint,                                  -- the same bytes before, whose result this one took over
    summary     jsonb NOT NULL DEFAULT '{}',             -- counts of the preview, then of the result
    finished_at timestamptz
);
CREATE INDEX exchange_file_org ON exchange_file (org, id);
CREATE INDEX exchange_file_digest ON exchange_file (org, sha256, id);
CREATE INDEX exchange_file_open ON exchange_file (received_at) WHERE state IN ('preview', 'dropped');

-- Its bytes in pieces, each a zlib stream (D8: as received).
CREATE TABLE exchange_chunk (
    file_id bigint NOT NULL,
    n       int NOT NULL,
    body    bytea NOT NULL,
    PRIMARY KEY (file_id, n)
);

-- What became of each bill of a file; `answer` is a zlib stream of one JSON row per line of the file.
CREATE TABLE exchange_file_bill (
    file_id  bigint NOT NULL,
    n        int NOT NULL,                               -- as in the file; 0: lines that belong to no bill
    bill_no  text NOT NULL,
    type     int NOT NULL,
    bill_id  bigint,
    status   text COLLATE "C" NOT NULL,                  -- accepted, partial, refused, ignored
    lines    int NOT NULL,
    accepted int NOT NULL,
    refused  int NOT NULL,
    ignored  int NOT NULL,
    error    jsonb,                                      -- why the bill was refused as a whole
    answer   bytea NOT NULL,
    PRIMARY KEY (file_id, n)
);

-- How a firm's files call its partners: asked once, remembered.
CREATE TABLE exchange_partner (
    org       int NOT NULL,
    name_norm text COLLATE "C" NOT NULL,                 -- registry.names.normalise of the text in the file
    shown     text NOT NULL,                             -- as it was written
    partner   int NOT NULL,
    made_by   int,
    made_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org, name_norm)
);

-- A folder that the server itself watches for an organisation whose ERP can only drop files.
CREATE TABLE exchange_folder (
    org        int PRIMARY KEY,
    path       text NOT NULL,                            -- '' is the one under the data folder
    active     boolean NOT NULL DEFAULT true,
    set_by     int,
    set_at     timestamptz NOT NULL DEFAULT now(),
    looked_at  timestamptz,
    note       text NOT NULL DEFAULT ''                  -- what was wrong the last time, empty when nothing was
);
