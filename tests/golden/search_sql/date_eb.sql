SELECT v.key, v.type, v.logical_id, v.version_id, v.last_updated, v.method, v.created, v.body
FROM resource r
JOIN version v ON v.seq = r.seq
WHERE (r.deleted = 0
AND r.type = ?
AND EXISTS (SELECT 1
FROM date t1
WHERE t1.key = r.key
AND (+t1.parameter = ?
AND t1.high <= ?)))
ORDER BY r.key
LIMIT ?
-- 140
-- 4
-- 15
-- 20
