SELECT v.key, v.type, v.logical_id, v.version_id, v.last_updated, v.method, v.created, v.body
FROM token l
JOIN resource r ON r.key = l.key
JOIN version v ON v.seq = r.seq
WHERE ((l.parameter = ?
AND l.code = ?)
AND NOT EXISTS (SELECT 1
FROM token d
WHERE d.parameter = l.parameter
AND d.code = l.code
AND d.key = l.key
AND d.system < l.system)
AND (r.deleted = 0
AND +r.type = ?))
ORDER BY l.key
LIMIT ?
-- 1
-- 'free'
-- 125
-- 20
