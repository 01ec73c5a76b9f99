-- Popularity of a tweet: p = w retweets + (1 - w) likes (Twitter paper, equation 2; w = 0.7, also 0.6 and 0.8).
--
-- {posts}          the posts table
-- :shares_weight   w
-- :min_age_days    posts collected younger than this have no label; 0 asks for no times
WITH ages AS (
    SELECT
        post_id,
        n_shares,
        n_likes,
        (unix_micros(collected_at) - unix_micros(posted_at)) / 86400e6D AS age_days
    FROM {posts}
),

statuses AS (
    SELECT
        *,
        CASE
            WHEN n_shares IS NULL OR n_likes IS NULL THEN 'missing_counts'
            WHEN n_shares < 0 OR n_likes < 0 THEN 'negative_counts'
            WHEN age_days < 0 THEN 'collected_before_posted'
            WHEN age_days IS NULL AND :min_age_days > 0 THEN 'missing_times'
            WHEN age_days < :min_age_days THEN 'collected_too_early'
            ELSE 'ok'
        END AS status
    FROM ages
)

SELECT
    post_id,
    if(status = 'ok', :shares_weight * n_shares + (1 - :shares_weight) * n_likes, NULL) AS label,
    status
FROM statuses
