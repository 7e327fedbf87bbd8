SELECT v.key, v.type, v.logical_id, v.version_id, v.last_updated, v.method, v.created, v.body
FROM resource r
JOIN version v ON v.seq = r.seq
WHERE (r.deleted = 0
AND r.type = ?
AND NOT (EXISTS (SELECT 1
FROM number t2
WHERE t2.key = r.key
AND +t2.parameter = ?)))
ORDER BY r.key
LIMIT ?
-- 140
-- 5
-- 20
