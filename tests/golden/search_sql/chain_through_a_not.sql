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
AND NOT (EXISTS (SELECT 1
FROM token t4
WHERE t4.key = t2.key
AND (+t4.parameter = ?
AND t4.code = ?)))))
ORDER BY r.key
LIMIT ?
-- 140
-- 103
-- 3
-- 103
-- 1
-- 'zzz'
-- 20
