-- 医保: what a platform said of a row that it took and doubts, and sign-ins (9001) of institutions at a bureau (R-C7).
ALTER TABLE yibao_row ADD COLUMN warned text NOT NULL DEFAULT '';  -- word for word; '' taken without a word
CREATE INDEX yibao_row_warned ON yibao_row (owner, bill_id) WHERE warned <> '';

-- 签到: one number for an operator and a day; calls of profiles that demand it name it (sign_no).
CREATE TABLE insurance_sign (
    sign_no     text COLLATE "C" PRIMARY KEY,
    institution int NOT NULL,
    opter       text NOT NULL,
    day         date NOT NULL,                        -- of China; the number holds for this day
    at          timestamptz NOT NULL DEFAULT now(),
    ended_at    timestamptz                           -- 9002
);
CREATE INDEX insurance_sign_of ON insurance_sign (institution, day);
