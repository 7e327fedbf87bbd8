SELECT v.key, v.type, v.logical_id, v.version_id, v.last_updated, v.method, v.created, v.body
FROM resource r
JOIN version v ON v.seq = r.seq
WHERE (r.deleted = 0
AND r.type = ?
AND EXISTS (SELECT 1
FROM reference t1
JOIN resource t2 ON t2.type = ?
AND t2.logical_id = t1.target_id
AND t2.deleted = 0
WHERE t1.key = r.key
AND t1.parameter = ?
AND t1.target_type = ?
AND 1 = 1))
ORDER BY r.key
LIMIT ?
-- 140
-- 58
-- 3
-- 58
-- 20
