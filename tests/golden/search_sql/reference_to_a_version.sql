SELECT v.key, v.type, v.logical_id, v.version_id, v.last_updated, v.method, v.created, v.body
FROM resource r
JOIN version v ON v.seq = r.seq
WHERE (r.key IN (SELECT t1.key
FROM reference t1
WHERE (t1.parameter = ?
AND (t1.target_id = ?
AND t1.url = ''
AND t1.target_type = ?
AND t1.version = ?)))
AND (r.deleted = 0
AND +r.type = ?))
ORDER BY r.key
LIMIT ?
-- 3
-- 'p'
-- 58
-- '2'
-- 140
-- 20
