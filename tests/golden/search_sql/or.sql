SELECT v.key, v.type, v.logical_id, v.version_id, v.last_updated, v.method, v.created, v.body
FROM resource r
JOIN version v ON v.seq = r.seq
WHERE (r.deleted = 0
AND r.type = ?
AND (EXISTS (SELECT 1
FROM token t2
WHERE t2.key = r.key
AND (+t2.parameter = ?
AND t2.code = ?)) OR EXISTS (SELECT 1
FROM number t3
WHERE t3.key = r.key
AND (+t3.parameter = ?
AND (t3.low >= ?
AND t3.low <= ?
AND t3.high <= ?)))))
ORDER BY r.key
LIMIT ?
-- 140
-- 1
-- 'A'
-- 5
-- 2.0
-- 2.0
-- 2.0
-- 20
