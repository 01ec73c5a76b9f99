-- Of the posts of one image the earliest that may pair stays; the others are removed_by each_image_once.
--
-- {posts}  pair_posts
WITH uses AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY image_id, if(image_id IS NULL, post_id, NULL)
            ORDER BY removed_by IS NOT NULL, posted_us, post_id
        ) AS use_of_image
    FROM {posts}
)

SELECT
    * EXCEPT (use_of_image, removed_by),
    CASE WHEN removed_by IS NOT NULL THEN removed_by WHEN use_of_image > 1 THEN 'each_image_once' END AS removed_by
FROM uses
