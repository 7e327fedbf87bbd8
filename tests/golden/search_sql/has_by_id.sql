SELECT v.key, v.type, v.logical_id, v.version_id, v.last_updated, v.method, v.created, v.body
FROM resource r
JOIN version v ON v.seq = r.seq
WHERE (r.key IN (SELECT t2.key
FROM resource t3
JOIN reference t1 ON t1.key = t3.key
JOIN resource t2 ON t2.type = t1.target_type
AND t2.logical_id = t1.target_id
WHERE t3.key IN (SELECT t4.key
FROM resource t4
WHERE (t4.type = ?
AND t4.logical_id = ?))
AND t3.deleted = 0
AND t3.type = ?
AND t1.parameter = ?)
AND (r.deleted = 0
AND +r.type = ?))
ORDER BY r.key
LIMIT ?
-- 140
-- '1'
-- 140
-- 3
-- 103
-- 20
