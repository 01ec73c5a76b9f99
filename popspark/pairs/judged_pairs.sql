-- Each pair with what is known of its two images; status is 'ok', or why a ranker cannot learn from the pair.
--
-- An image that users of several splits have posted belongs to one of them, drawn by its hash, each split as likely as
-- its share of the image's pairs; in the others its pairs are left out. So what a ranker is tested on are users and
-- images that it never saw.
--
-- {pairs}  pairs
-- {posts}  pair_posts
-- {thumbnails}  thumbnails; only their small columns are read
-- :seed
WITH usable_posts AS (
    SELECT
        post_id,
        image_id,
        avg(popularity) OVER (PARTITION BY user_key) AS user_popularity
    FROM {posts}
    WHERE removed_by IS NULL
),

posts_with_images AS (
    SELECT
        usable_posts.post_id,
        usable_posts.image_id,
        usable_posts.user_popularity,
        thumbnails.sha256,
        thumbnails.n_bytes,
        thumbnails.brightness,
        CASE
            WHEN usable_posts.image_id IS NULL THEN 'no_image'
            WHEN thumbnails.image_id IS NULL THEN 'missing'
            ELSE thumbnails.status
        END AS status
    FROM usable_posts
    LEFT JOIN {thumbnails} AS thumbnails ON usable_posts.image_id = thumbnails.image_id
),

pairs_with_images AS (
    SELECT
        pairs.*,
        l.image_id AS image_id_l,
        r.image_id AS image_id_r,
        l.sha256 AS sha256_l,
        r.sha256 AS sha256_r,
        l.n_bytes AS n_bytes_l,
        r.n_bytes AS n_bytes_r,
        l.brightness AS brightness_l,
        r.brightness AS brightness_r,
        l.user_popularity AS user_popularity_l,
        r.user_popularity AS user_popularity_r,
        CASE
            WHEN l.status <> 'ok' THEN l.status
            WHEN r.status <> 'ok' THEN r.status
            WHEN l.sha256 = r.sha256 THEN 'same_image'
        END AS fault
    FROM {pairs} AS pairs
    INNER JOIN posts_with_images AS l ON pairs.post_id_l = l.post_id
    INNER JOIN posts_with_images AS r ON pairs.post_id_r = r.post_id
),

uses AS (
    SELECT
        sha256,
        split,
        count(*) AS n_pairs
    FROM (SELECT explode(array(sha256_l, sha256_r)) AS sha256, split FROM pairs_with_images WHERE fault IS NULL)
    GROUP BY sha256, split
),

-- of exponential variables with these rates, each is the smallest with a probability in proportion to its rate
homes AS (
    SELECT
        sha256,
        min_by(split, -ln((pmod(xxhash64(sha256, split, :seed), 2147483647) + 0.5) / 2147483647) / n_pairs) AS split
    FROM uses
    GROUP BY sha256
)

SELECT
    pairs_with_images.*,
    CASE
        WHEN pairs_with_images.fault IS NOT NULL THEN pairs_with_images.fault
        WHEN home_l.split <> pairs_with_images.split OR home_r.split <> pairs_with_images.split THEN 'image_of_other_split'
        ELSE 'ok'
    END AS status
FROM pairs_with_images
LEFT JOIN homes AS home_l ON pairs_with_images.sha256_l = home_l.sha256
LEFT JOIN homes AS home_r ON pairs_with_images.sha256_r = home_r.sha256
