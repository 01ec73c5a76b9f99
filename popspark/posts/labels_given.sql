-- Popularity as the origin ships it.
--
-- {posts}  the posts table
WITH statuses AS (
    SELECT
        post_id,
        popularity,
        CASE
            WHEN popularity IS NULL THEN 'missing_label'
            WHEN isnan(popularity) OR abs(popularity) = double('infinity') THEN 'label_not_finite'
            ELSE 'ok'
        END AS status
    FROM {posts}
)

SELECT
    post_id,
    if(status = 'ok', popularity, NULL) AS label,
    status
FROM statuses
