-- Of the splits that an image stands in, one keeps its posts; the posts in the others are left out (split null).
-- A post without sha256 is alone.
--
-- {assigned}  post_id, origin, user_id, sha256, split
-- :seed
WITH images AS (
    SELECT
        sha256,
        array_sort(collect_set(split)) AS splits
    FROM {assigned}
    WHERE sha256 IS NOT NULL
    GROUP BY sha256
),

draws AS (
    SELECT
        sha256,
        get(splits, cast(pmod(xxhash64(sha256, cast(:seed AS bigint)), size(splits)) AS int)) AS image_split
    FROM images
)

SELECT
    a.post_id,
    a.origin,
    a.user_id,
    a.sha256,
    if(d.sha256 IS NULL OR a.split = d.image_split, a.split, NULL) AS split
FROM {assigned} AS a
LEFT JOIN draws AS d ON a.sha256 = d.sha256
