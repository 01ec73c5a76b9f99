-- The five user values as published: over all posts of the user, later ones and the post itself included. They know
-- the views that a model is asked for; every result that uses them has to say so.
--
-- {inputs}  social_inputs
--
-- What the origin states (average views, number of posts) wins over what the posts at hand give.
--
-- Keys begin with user_id: Spark sorts by the first eight bytes of the first key, which an origin's rows share.
WITH users AS (
    SELECT
        user_id,
        origin,
        coalesce(
            max(stated_mean_views),
            sum(views) / count(views) / max(views_per_unit)
        ) AS user_mean_views,
        max(n_user_groups) AS n_user_groups,
        max(user_mean_group_members) AS user_mean_group_members,
        coalesce(max(stated_n_posts), count(*)) AS n_user_posts
    FROM {inputs}
    GROUP BY user_id, origin
),

-- One row per user: an origin's users are sorted in one task, which spills.
ranks AS (
    SELECT
        *,
        if(
            user_mean_views IS NULL,
            0,
            row_number() OVER (PARTITION BY origin ORDER BY user_mean_views ASC NULLS LAST, user_id ASC)
        ) AS user_rank
    FROM users
)

-- The hint saves a sort of all posts. What a task then holds in memory is a row for each of its users.
SELECT /*+ SHUFFLE_HASH(r) */
    i.post_id,
    i.posted_at,
    i.collected_at,
    i.n_hashtags,
    i.n_title_chars,
    i.n_caption_chars,
    i.has_people,
    i.n_comments,
    r.user_rank,
    r.user_mean_views,
    r.n_user_groups,
    r.user_mean_group_members,
    r.n_user_posts
FROM {inputs} AS i
INNER JOIN ranks AS r ON i.user_id = r.user_id AND i.origin = r.origin
