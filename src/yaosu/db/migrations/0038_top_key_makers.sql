-- An app key that was made by another program with an API key: the account that answers for that one answers for it too
-- (exchange.top.keys). Until now it stood under nobody.
UPDATE top_key k SET made_by = p.created_by
FROM audit a JOIN api_key p ON p.prefix = a.subject_id
WHERE a.object_type = 'top_key' AND a.action = 'top_key.add' AND a.subject_kind = 'key' AND a.object_id = k.app_key
  AND k.made_by IS NULL AND p.created_by IS NOT NULL;
