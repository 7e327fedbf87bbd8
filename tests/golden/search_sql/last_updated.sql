SELECT v.key, v.type, v.logical_id, v.version_id, v.last_updated, v.method, v.created, v.body
FROM resource r
JOIN version v ON v.seq = r.seq
WHERE (r.deleted = 0
AND r.type = ?
AND (r.last_updated + 1 >= ?
AND (r.last_updated + 1 > ? OR r.last_updated >= ?)))
ORDER BY r.key
LIMIT ?
-- 140
-- 1700000002000000
-- 1700000002000000
-- 1700000002000000
-- 20
