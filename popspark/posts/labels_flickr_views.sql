-- Popularity of a Flickr post: log2(views / days) + 1 (VSCNN, section III-B; days since posting, with fraction).
--
-- {posts}          the posts table
-- :min_age_days    posts collected younger than this have no label
-- :zero_views      'one' labels 0 views as if it were 1, 'drop' gives no label
WITH ages AS (
    SELECT
        post_id,
        n_views,
        (unix_micros(collected_at) - unix_micros(posted_at)) / 86400e6D AS age_days
    FROM {posts}
),

statuses AS (
    SELECT
        *,
        CASE
            WHEN n_views IS NULL THEN 'missing_counts'
            WHEN n_views < 0 THEN 'negative_counts'
            WHEN age_days IS NULL THEN 'missing_times'
            WHEN age_days < 0 THEN 'collected_before_posted'
            WHEN age_days = 0 THEN 'zero_age'
            WHEN age_days < :min_age_days THEN 'collected_too_early'
            WHEN n_views = 0 AND :zero_views = 'drop' THEN 'zero_views'
            WHEN n_views = 0 THEN 'zero_views_as_one'
            ELSE 'ok'
        END AS status
    FROM ages
)

SELECT
    post_id,
    if(status IN ('ok', 'zero_views_as_one'), log2(greatest(n_views, 1) / age_days) + 1, NULL) AS label,
    status
FROM statuses
