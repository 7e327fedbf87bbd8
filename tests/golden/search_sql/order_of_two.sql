SELECT v.key, v.type, v.logical_id, v.version_id, v.last_updated, v.method, v.created, v.body, q.s0, q.s1
FROM (SELECT q.*
FROM (SELECT r.key, r.seq, (SELECT MIN(s.low)
FROM date s
WHERE s.key = r.key
AND s.parameter = ?) AS s0, r.logical_id AS s1
FROM resource r
WHERE (r.key IN (SELECT t1.key
FROM reference t1
WHERE (t1.parameter = ?
AND (t1.target_id = ?
AND t1.url = ''
AND t1.target_type = ?)))
AND (r.deleted = 0
AND +r.type = ?))) q
WHERE ((q.s0 > ? OR q.s0 IS NULL) OR (q.s0 = ?
AND (q.s1 < ? OR q.s1 IS NULL)) OR (q.s0 = ?
AND q.s1 = ?
AND q.key > ?))
ORDER BY (q.s0 IS NULL), q.s0, (q.s1 IS NULL), q.s1 DESC, q.key
LIMIT ?) q
JOIN version v ON v.seq = q.seq
ORDER BY (q.s0 IS NULL), q.s0, (q.s1 IS NULL), q.s1 DESC, q.key
-- 4
-- 3
-- 'p'
-- 103
-- 140
-- 5
-- 5
-- 'a'
-- 5
-- 'a'
-- 7
-- 20
