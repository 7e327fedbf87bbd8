SELECT v.key, v.type, v.logical_id, v.version_id, v.last_updated, v.method, v.created, v.body
FROM resource r
JOIN version v ON v.seq = r.seq
WHERE (r.deleted = 0
AND r.type = ?
AND EXISTS (SELECT 1
FROM string t1
WHERE t1.key = r.key
AND (+t1.parameter = ?
AND (t1.folded LIKE ? ESCAPE '\' OR t1.folded LIKE ? ESCAPE '\'))))
ORDER BY r.key
LIMIT ?
-- 140
-- 2
-- '%s\\%h%'
-- '%s\\_ith%'
-- 20
