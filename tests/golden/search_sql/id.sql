SELECT v.key, v.type, v.logical_id, v.version_id, v.last_updated, v.method, v.created, v.body
FROM resource r
JOIN version v ON v.seq = r.seq
WHERE (r.key IN (SELECT t1.key
FROM resource t1
WHERE (t1.type = ?
AND t1.logical_id IN (?, ?, ?, ?)))
AND (r.deleted = 0
AND +r.type = ?))
ORDER BY r.key
LIMIT ?
-- 140
-- '3'
-- '1'
-- 'gone'
-- 'p'
-- 140
-- 20
