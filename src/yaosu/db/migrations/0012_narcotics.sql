-- Places inside an organisation, and narcotics and psychotropics in hospitals (R-C4).

-- A place (药库, 药房, 病区, 仓库) is a child organisation that its parent makes for itself: it holds stock and moves
-- goods as every organisation does, but has no 统一社会信用代码, and nobody outside finds it.
ALTER TABLE org ADD COLUMN place boolean NOT NULL DEFAULT false;
ALTER TABLE org ADD CHECK (NOT place OR (parent_id IS NOT NULL AND uscc IS NULL));
