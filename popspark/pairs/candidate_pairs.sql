-- Each pair of posts of one user that stand in the same bucket of half of max_days or in one of the next two, once;
-- every pair within max_days is among them. removed_by is the first rule of a pair that it fails, NULL for a pair to keep.
--
-- A bucket is in the key, so that a user costs posts x (posts in 15 days), not posts x posts. The tags are not: of two
-- posts with several tags in common there is one row, and nothing has to be made distinct.
--
-- {posts}  pair_posts, thinned
-- the parameters are the fields of PairRules; :max_us is max_days in microseconds
WITH earlier AS (
    SELECT
        *,
        explode(array(bucket, bucket + 1, bucket + 2)) AS joined_bucket
    FROM {posts}
),

candidates AS (
    SELECT /*+ MERGE(l, r) */
        l.user_id,
        l.user_key,
        l.split,
        l.post_id AS l_id,
        r.post_id AS r_id,
        l.popularity AS l_popularity,
        r.popularity AS r_popularity,
        l.log_popularity - r.log_popularity AS l_margin,
        -- two draws from the hashes of both posts (Lehmer's multipliers), independent of each other, in [0, 2^31 - 1)
        (l.post_hash * 48271 + r.post_hash * 16807) % 2147483647 < :strict_share * 2147483647 AS is_strict,
        (l.post_hash * 69621 + r.post_hash * 39373) % 2147483647 AS draw,
        CASE
            WHEN r.posted_us - l.posted_us > :max_us THEN 'max_days'
            WHEN :different_images AND l.image_id = r.image_id THEN 'different_images'
            WHEN abs(l.n_words - r.n_words) > :max_word_difference THEN 'max_word_difference'
            -- the masks say no at the price of a machine instruction; only then the arrays are looked at, tag by tag
            -- because arrays_overlap makes a set of objects
            WHEN (l.tag_mask & r.tag_mask) = 0 THEN 'hashtags'
            WHEN
                :hashtags = 'shared'
                AND NOT coalesce(
                    array_contains(r.tags, get(l.tags, 0))
                    OR array_contains(r.tags, get(l.tags, 1))
                    OR array_contains(r.tags, get(l.tags, 2))
                    OR array_contains(r.tags, get(l.tags, 3))
                    OR array_contains(r.tags, get(l.tags, 4))
                    OR (size(l.tags) > 5 AND arrays_overlap(l.tags, r.tags)),
                    false
                )
                THEN 'hashtags'
            WHEN abs(l.log_popularity - r.log_popularity) < :min_margin THEN 'min_probability'
            WHEN :different_popularity AND l.popularity = r.popularity THEN 'different_popularity'
            WHEN
                (l.post_hash * 48271 + r.post_hash * 16807) % 2147483647 < :strict_share * 2147483647
                AND (l.n_shares = r.n_shares OR greatest(l.n_shares, r.n_shares) <= :strict_min_shares)
                THEN 'strict_share'
        END AS removed_by
    FROM earlier AS l
    INNER JOIN {posts} AS r
        ON
            -- numbers first, which a sort compares faster than texts; the user as well, for match_key is a hash
            l.match_key = r.match_key
            AND l.joined_bucket = r.bucket
            AND l.user_key = r.user_key
            AND (l.posted_us < r.posted_us OR (l.posted_us = r.posted_us AND l.post_id < r.post_id))
)

SELECT
    least(l_id, r_id) AS post_id_l,
    greatest(l_id, r_id) AS post_id_r,
    user_id,
    user_key,
    if(l_id < r_id, l_popularity, r_popularity) AS popularity_l,
    if(l_id < r_id, r_popularity, l_popularity) AS popularity_r,
    if(l_id < r_id, l_margin, -l_margin) AS margin,
    if(is_strict, concat(:preset, '_strict'), :preset) AS rule,
    split,
    draw,
    removed_by
FROM candidates
