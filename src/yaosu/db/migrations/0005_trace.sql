-- Reading: public queries counted, and two small indexes for where-is and for stock at a past time.

-- How often the public asked about a code, and since when (standards §7.1 "码查询次数、第一次查询时间"). Only codes
-- that exist are counted, so that strangers cannot fill the table. One row per code ever asked about.
CREATE TABLE public_query_count (
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    drug_id int NOT NULL,
    count int NOT NULL CHECK (count > 0),
    code text COLLATE "C" NOT NULL,
    PRIMARY KEY (drug_id, code)
) WITH (fillfactor = 80);

-- Goods on their way, by batch: only lines that are still expected are in it, so it stays small whatever was shipped.
CREATE INDEX notice_line_open ON notice_line (drug_id, batch_id)
    WHERE received + quarantined + refused < expected;

-- Bills arrive nearly in the order of recorded_at: a block-range index of a few pages finds where a time begins.
CREATE INDEX bill_recorded ON bill USING brin (recorded_at) WITH (pages_per_range = 32);

-- What left a package. Boxes of one case share the key, so the index keeps them as one list: 11 bytes a
-- box that was taken out, measured with boxes leaving 2,000 cases in mixed order.
CREATE INDEX bill_line_left ON bill_line (drug_id, left_parent) WHERE left_parent <> '';

-- Own events of logistics containers by their label: the container's row goes when it is empty, its history stays.
CREATE INDEX bill_line_container ON bill_line (drug_id, code, bill_id) WHERE code >= '(00)' AND code < '(00*';
