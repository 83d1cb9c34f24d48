-- An app key that was made by another program with an API key: the account that answers for that one answers for it too
-- (exchange.top.keys). Until now it stood under nobody.
UPDATE top_key k SET made_by = p.created_by
FROM audit a JOIN api_key p ON p.prefix = a.subject_id
WHERE a.object_type = 'top_key' AND a.action = 'top_key.add' AND a.subject_kind = 'key' AND a.object_id = k.app_key
  AND k.made_by IS NULL AND p.created_by IS NOT NULL;

-- Cold chain of vaccines (疫苗储存、运输温度) as the gateway's clients upload it. Equipment belongs to an organisation; readings
-- of a transport name the owner's bill; bills bound to equipment say whose readings of storage are theirs.
CREATE TABLE top_equipment (
    id       int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner    int NOT NULL,
    code     text COLLATE "C" NOT NULL,
    name     text NOT NULL DEFAULT '',
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (owner, code)
);
CREATE TABLE top_equipment_bill (
    owner        int NOT NULL,
    bill_no      text NOT NULL,
    equipment_id int NOT NULL REFERENCES top_equipment,
    at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, bill_no, equipment_id)
);
CREATE TABLE top_temperature (
    equipment_id int NOT NULL REFERENCES top_equipment,
    bill_no      text NOT NULL,                       -- of the transported goods, the equipment owner's; '' in storage
    at           timestamptz NOT NULL,
    low          numeric(5, 2) NOT NULL,              -- degrees Celsius
    high         numeric(5, 2) NOT NULL CHECK (high >= low),
    carrier      int,
    carrier_name text NOT NULL DEFAULT '',
    uploader     int NOT NULL,
    uploaded_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (equipment_id, bill_no, at)
);
CREATE INDEX top_temperature_bill ON top_temperature (bill_no, equipment_id) WHERE bill_no <> '';
