-- A key that was made by another key: the account that answers for that one answers for it too (access.keys).
-- Until now it stood under nobody, and kept what the account was no longer allowed.
WITH RECURSIVE made AS (
    SELECT k.id, p.id AS by, p.created_by
    FROM audit a JOIN api_key k ON k.id::text = a.object_id JOIN api_key p ON p.prefix = a.subject_id
    WHERE a.object_type = 'key' AND a.action = 'key.create' AND a.subject_kind = 'key' AND k.created_by IS NULL
), climbed AS (
    SELECT id, by, created_by FROM made
    UNION
    SELECT c.id, m.by, m.created_by FROM climbed c JOIN made m ON m.id = c.by WHERE c.created_by IS NULL
)
UPDATE api_key k SET created_by = c.created_by
FROM climbed c WHERE c.id = k.id AND c.created_by IS NOT NULL AND k.created_by IS NULL;
