-- Popularity as one count, or any other number of a post: as it is, or log2(count + 1).
--
-- {posts}          the posts table
-- :column          the count
-- :scale           'log2' or 'linear'
-- :min_age_days    posts collected younger than this have no label; 0 asks for no times
WITH ages AS (
    SELECT
        post_id,
        cast(identifier(:column) AS double) AS n,
        (unix_micros(collected_at) - unix_micros(posted_at)) / 86400e6D AS age_days
    FROM {posts}
),

statuses AS (
    SELECT
        *,
        CASE
            WHEN n IS NULL THEN 'missing_counts'
            WHEN n < 0 THEN 'negative_counts'
            WHEN isnan(n) OR n = double('infinity') THEN 'label_not_finite'
            WHEN age_days < 0 THEN 'collected_before_posted'
            WHEN age_days IS NULL AND :min_age_days > 0 THEN 'missing_times'
            WHEN age_days < :min_age_days THEN 'collected_too_early'
            ELSE 'ok'
        END AS status
    FROM ages
)

SELECT
    post_id,
    if(status = 'ok', if(:scale = 'log2', log2(n + 1), n), NULL) AS label,
    status
FROM statuses
