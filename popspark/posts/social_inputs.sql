-- One row per post: what the 34 social values are made from. Nothing here looks at another post, except for the
-- unit of views, which belongs to the origin.
--
-- {posts}  the posts table
--
-- views is a whole number of 1 / views_per_unit, so that sums are exact and do not depend on the order of rows:
-- n_views where the origin counts views; else thousandths of views per day, 2^(popularity - 1), the inverse of the
-- label's formula (the SMP origins ship that label and no views). The sum with 0.5 is rounded by the cast, as round()
-- makes a decimal of each value. More views than any picture has are unknown: neither the cast nor a sum may overflow,
-- which under ANSI ends the query and else gives nonsense. NaN is greater than any number to Spark.
--
-- Origins are few, but Spark cannot know: without the hint it sorts all posts by their origin, in one task for each.
WITH counting_origins AS (
    SELECT DISTINCT origin
    FROM {posts}
    WHERE n_views IS NOT NULL
)

SELECT /*+ BROADCAST(o) */
    p.post_id,
    p.origin,
    p.user_id,
    p.posted_at,
    p.collected_at,
    CASE
        WHEN o.origin IS NOT NULL THEN if(p.n_views <= 1000000000000, p.n_views, NULL)
        WHEN p.popularity <= 30 THEN cast(1000 * pow(2, p.popularity - 1) + 0.5D AS bigint)
    END AS views,
    if(o.origin IS NULL, 1000, 1) AS views_per_unit,
    p.user_mean_views AS stated_mean_views,
    p.n_user_posts AS stated_n_posts,
    p.n_user_groups,
    p.user_mean_group_members,
    coalesce(p.n_hashtags, array_size(p.hashtags)) AS n_hashtags,
    coalesce(p.n_title_chars, char_length(p.title)) AS n_title_chars,
    coalesce(p.n_caption_chars, char_length(p.caption)) AS n_caption_chars,
    p.has_people,
    p.n_comments
FROM {posts} AS p
LEFT JOIN counting_origins AS o ON p.origin = o.origin
