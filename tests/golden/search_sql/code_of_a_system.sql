SELECT v.key, v.type, v.logical_id, v.version_id, v.last_updated, v.method, v.created, v.body
FROM token l
JOIN resource r ON r.key = l.key
JOIN version v ON v.seq = r.seq
WHERE ((l.parameter = ?
AND (l.code = ?
AND l.system = ?))
AND (r.deleted = 0
AND +r.type = ?))
ORDER BY l.key
LIMIT ?
-- 1
-- 'a'
-- 26410879374579709
-- 140
-- 20
