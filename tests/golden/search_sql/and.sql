SELECT v.key, v.type, v.logical_id, v.version_id, v.last_updated, v.method, v.created, v.body
FROM resource r
JOIN version v ON v.seq = r.seq
WHERE (r.key IN (SELECT t1.key
FROM reference t1
WHERE (t1.parameter = ?
AND t1.target_id = ''
AND t1.url = ?))
AND (r.deleted = 0
AND +r.type = ?
AND EXISTS (SELECT 1
FROM token t2
WHERE t2.key = r.key
AND (+t2.parameter = ?
AND t2.code = ?))
AND EXISTS (SELECT 1
FROM date t3
WHERE t3.key = r.key
AND (+t3.parameter = ?
AND t3.high > ?))))
ORDER BY r.key
LIMIT ?
-- 3
-- 'http://far/Patient/p'
-- 140
-- 1
-- 'a'
-- 4
-- 20
-- 20
