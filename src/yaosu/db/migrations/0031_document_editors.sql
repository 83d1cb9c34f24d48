-- Whoever changed the draft of a controlled document wrote part of it, and is no second person to approve it (R-E1).
ALTER TABLE quality_document_version ADD COLUMN editors int[] NOT NULL DEFAULT '{}';
ALTER TABLE quality_document_version ADD CHECK (approved_by <> ALL (editors));
