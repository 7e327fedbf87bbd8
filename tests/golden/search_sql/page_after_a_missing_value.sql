SELECT v.key, v.type, v.logical_id, v.version_id, v.last_updated, v.method, v.created, v.body, q.s0
FROM (SELECT q.*
FROM (SELECT r.key, r.seq, (SELECT MIN(s.low)
FROM date s
WHERE s.key = r.key
AND s.parameter = ?) AS s0
FROM resource r
WHERE (r.key IN (SELECT t1.key
FROM reference t1
WHERE (t1.parameter = ?
AND (t1.target_id = ?
AND t1.url = ''
AND t1.target_type = ?)))
AND (r.deleted = 0
AND +r.type = ?))) q
WHERE (q.s0 IS NULL
AND q.key > ?)
ORDER BY (q.s0 IS NULL), q.s0, q.key
LIMIT ?) q
JOIN version v ON v.seq = q.seq
ORDER BY (q.s0 IS NULL), q.s0, q.key
-- 4
-- 3
-- 'p'
-- 103
-- 140
-- 7
-- 20
