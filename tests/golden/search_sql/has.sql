SELECT v.key, v.type, v.logical_id, v.version_id, v.last_updated, v.method, v.created, v.body
FROM resource r
JOIN version v ON v.seq = r.seq
WHERE (r.deleted = 0
AND r.type = ?
AND EXISTS (SELECT 1
FROM reference t1
JOIN resource t2 ON t2.key = t1.key
AND t2.deleted = 0
AND t2.type = ?
WHERE t1.parameter = ?
AND t1.target_id = r.logical_id
AND t1.target_type = r.type
AND EXISTS (SELECT 1
FROM token t3
WHERE t3.key = t2.key
AND (+t3.parameter = ?
AND t3.code = ?))))
ORDER BY r.key
LIMIT ?
-- 103
-- 140
-- 3
-- 1
-- 'free'
-- 20
