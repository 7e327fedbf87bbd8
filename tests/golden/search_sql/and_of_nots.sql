SELECT v.key, v.type, v.logical_id, v.version_id, v.last_updated, v.method, v.created, v.body
FROM resource r
JOIN version v ON v.seq = r.seq
WHERE (r.deleted = 0
AND r.type = ?
AND NOT (EXISTS (SELECT 1
FROM token t2
WHERE t2.key = r.key
AND (+t2.parameter = ?
AND t2.code = ?)))
AND NOT (EXISTS (SELECT 1
FROM token t4
WHERE t4.key = r.key
AND (+t4.parameter = ?
AND t4.code = ?))))
ORDER BY r.key
LIMIT ?
-- 140
-- 1
-- 'a'
-- 1
-- 'A'
-- 20
