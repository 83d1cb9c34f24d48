-- Persons who buy or receive listed drugs (R-C2, R-C4). Nothing here is readable without the key, which lives
-- outside the database: numbers, names and phones are AES-256-GCM ciphers, the match is an HMAC-SHA-256.
CREATE SCHEMA people;

-- Generations of the encryption key; the key itself is derived from the master secret and this number.
CREATE TABLE people.cipher_key (
    id         smallint PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO people.cipher_key (id) VALUES (1);

-- One person, as far as a document number tells persons apart. When retention ends the row stays as a number
-- without cipher, match or salt, so that quantities of old purchases keep their meaning.
CREATE TABLE people.person (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    last_at    timestamptz NOT NULL,    -- latest purchase or identification: nothing is due before
    created_at timestamptz NOT NULL DEFAULT now(),
    erased_at  timestamptz,
    kind       smallint NOT NULL,       -- list id_kind_person
    key_id     smallint NOT NULL,       -- people.cipher_key of `cipher`
    adult      boolean,                 -- of full age when last registered; NULL: the document does not tell
    used       boolean NOT NULL DEFAULT false, -- a sale or use names the person
    hash       bytea UNIQUE,            -- HMAC over kind and normalised number
    cipher     bytea,                   -- nonce, ciphertext and tag of the number
    salt       bytea,                   -- part of the key of sealed submissions that name the person
    CHECK ((erased_at IS NULL) = (hash IS NOT NULL)),
    CHECK ((hash IS NULL) = (cipher IS NULL) AND (hash IS NULL) = (salt IS NULL))
);
CREATE INDEX person_kept ON people.person (id) WHERE erased_at IS NULL;
CREATE INDEX person_unused ON people.person (last_at) WHERE erased_at IS NULL AND NOT used;

-- What one organisation was told of a person: name and phone are its own, never another's.
CREATE TABLE people.given (
    person bigint NOT NULL,
    org    int NOT NULL,
    at     timestamptz NOT NULL DEFAULT now(),
    key_id smallint NOT NULL,
    cipher bytea NOT NULL,
    PRIMARY KEY (person, org)
);
CREATE INDEX given_org ON people.given (org);

-- The special register (专册): one product and batch of one bill. Rows are taken back, never deleted.
CREATE TABLE people.purchase (
    bill_id         bigint NOT NULL,
    person          bigint,             -- who it is for
    agent           bigint,             -- 代办人 who came instead
    happened_at     timestamptz NOT NULL,
    taken_back_at   timestamptz,        -- the bill was voided or corrected
    drug_id         int NOT NULL,
    batch_id        int NOT NULL,
    org             int NOT NULL,
    qty             int NOT NULL,       -- smallest packages
    bill_type       smallint NOT NULL,
    codes           text[] COLLATE "C" NOT NULL,
    prescription_no text NOT NULL DEFAULT '',
    doctor          text NOT NULL DEFAULT '',
    second_person   text NOT NULL DEFAULT '',
    PRIMARY KEY (drug_id, bill_id, batch_id)
);
CREATE INDEX purchase_person ON people.purchase (person, happened_at);
CREATE INDEX purchase_agent ON people.purchase (agent) WHERE agent IS NOT NULL;
CREATE INDEX purchase_org ON people.purchase (org, bill_id);
CREATE INDEX purchase_bill ON people.purchase (bill_id);
