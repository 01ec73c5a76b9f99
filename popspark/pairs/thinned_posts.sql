-- The posts that may pair. Those of a user whose posts make more candidates than the cap are thinned out before
-- anything is joined: each stays with probability sqrt(cap / candidates), drawn by the hash of its id, so that about
-- as many candidates as the cap remain. Candidates are the pairs that candidate_pairs.sql would join.
--
-- {posts}  pair_posts
-- :max_candidates_per_user
WITH busy_users AS (  -- the only ones who could be heavy: few, or none
    SELECT user_key
    FROM {posts}
    WHERE removed_by IS NULL
    GROUP BY user_key
    HAVING count(*) * (count(*) - 1) / 2 > :max_candidates_per_user
),

counts AS (
    SELECT /*+ BROADCAST(busy_users) */
        posts.user_key,
        posts.match_key,
        posts.bucket,
        count(*) AS n_posts
    FROM {posts} AS posts
    INNER JOIN busy_users ON posts.user_key = busy_users.user_key
    WHERE posts.removed_by IS NULL
    GROUP BY posts.user_key, posts.match_key, posts.bucket
),

neighbours AS (
    SELECT
        *,
        sum(n_posts) OVER (
            PARTITION BY user_key, match_key
            ORDER BY bucket RANGE BETWEEN 1 FOLLOWING AND 2 FOLLOWING
        ) AS n_later_posts
    FROM counts
),

heavy_users AS (
    SELECT
        user_key,
        sum(n_posts * (n_posts - 1) / 2 + n_posts * coalesce(n_later_posts, 0)) AS n_candidates
    FROM neighbours
    GROUP BY user_key
    HAVING n_candidates > :max_candidates_per_user
)

SELECT /*+ BROADCAST(heavy_users) */ posts.*
FROM {posts} AS posts
LEFT JOIN heavy_users ON posts.user_key = heavy_users.user_key
WHERE
    posts.removed_by IS NULL
    AND coalesce(posts.post_hash / 2147483647D < sqrt(:max_candidates_per_user / heavy_users.n_candidates), true)
