SELECT v.key, v.type, v.logical_id, v.version_id, v.last_updated, v.method, v.created, v.body
FROM resource r
JOIN version v ON v.seq = r.seq
WHERE (r.key IN (SELECT t1.key
FROM reference t1
WHERE t1.parameter = ?
AND t1.target_type = ?
AND t1.target_id IN (SELECT t2.logical_id
FROM resource t2
WHERE t2.key IN (SELECT t3.key
FROM resource t3
WHERE (t3.type = ?
AND t3.logical_id = ?))
AND t2.type = ?
AND t2.deleted = 0))
AND (r.deleted = 0
AND +r.type = ?))
ORDER BY r.key
LIMIT ?
-- 3
-- 103
-- 103
-- 'p'
-- 103
-- 140
-- 20
