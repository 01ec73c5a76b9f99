-- The usable pairs with the bytes of both thumbnails. Of a split with more pairs than its limit each stays with
-- probability limit / pairs, drawn by the hash of the ids, so that about as many as the limit remain.
--
-- {pairs}  judged_pairs
-- {thumbnails}  thumbnails
-- :train, :valid, :test  the limits
-- :seed
WITH counts AS (
    SELECT
        split,
        count(*) AS n_pairs
    FROM {pairs}
    WHERE status = 'ok'
    GROUP BY split
),

chosen AS (
    SELECT /*+ BROADCAST(counts) */ pairs.*
    FROM {pairs} AS pairs
    INNER JOIN counts ON pairs.split = counts.split
    WHERE
        pairs.status = 'ok'
        AND pmod(xxhash64(pairs.post_id_l, pairs.post_id_r, :seed), 2147483647) / 2147483647D
        < CASE pairs.split WHEN 'train' THEN :train WHEN 'valid' THEN :valid ELSE :test END / counts.n_pairs
)

SELECT
    chosen.*,
    l.thumbnail AS thumbnail_l,
    r.thumbnail AS thumbnail_r
FROM chosen
INNER JOIN {thumbnails} AS l ON chosen.image_id_l = l.image_id
INNER JOIN {thumbnails} AS r ON chosen.image_id_r = r.image_id
