-- Sandboxes (R-I1): organisations to try an integration on. Nothing recorded is ever deleted, so a reset makes a new
-- generation of organisations, products and goods and moves keys and accounts over; the old one is abolished.
CREATE TABLE sandbox (
    id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org        int NOT NULL UNIQUE,                  -- the firm that tries something out
    generation int NOT NULL DEFAULT 0,               -- 0: being built for the first time
    building   boolean NOT NULL DEFAULT true,
    roles      jsonb NOT NULL DEFAULT '{}',          -- maker, wholesaler, pharmacy, hospital → organisation
    drugs      int[] NOT NULL DEFAULT '{}',
    made_at    timestamptz NOT NULL DEFAULT now(),
    reset_at   timestamptz
);

-- Every organisation of every generation: what happens to them is nobody's trade and is told to no authority.
CREATE TABLE sandbox_org (
    org        int PRIMARY KEY,
    sandbox_id int NOT NULL,
    generation int NOT NULL,
    role       text COLLATE "C" NOT NULL
);

-- Identifiers no real product has: 20-digit codes of medicine begin with 8, ours here with 7.
CREATE SEQUENCE sandbox_prefix AS int MAXVALUE 333332;
