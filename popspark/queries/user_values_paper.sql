-- The five user values as published: over all posts of the user, later ones and the post itself included. They know
-- the views that a model is asked for; every result that uses them has to say so.
--
-- {inputs}  social_inputs
--
-- What the origin states (average views, number of photographs) wins over what the posts at hand give.
WITH users AS (
    SELECT
        origin,
        user_id,
        coalesce(
            max(stated_mean_views),
            sum(views) / count(views) / max(views_per_unit)
        ) AS user_mean_views,
        max(n_user_groups) AS n_user_groups,
        max(user_mean_group_members) AS user_mean_group_members,
        coalesce(max(stated_n_posts), count(*)) AS n_user_posts
    FROM {inputs}
    GROUP BY origin, user_id
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

SELECT
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
INNER JOIN ranks AS r ON i.origin = r.origin AND i.user_id = r.user_id
