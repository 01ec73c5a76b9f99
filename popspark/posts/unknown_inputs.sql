-- One row: how many posts lack each input of the social values, and so have 0 in its place.
--
-- {posts}  the posts table
SELECT
    count_if(n_views IS NULL AND popularity IS NULL) AS views,
    count_if(n_user_groups IS NULL) AS n_user_groups,
    count_if(user_mean_group_members IS NULL) AS user_mean_group_members,
    count_if(n_hashtags IS NULL AND hashtags IS NULL) AS n_hashtags,
    count_if(n_title_chars IS NULL AND title IS NULL) AS n_title_chars,
    count_if(n_caption_chars IS NULL AND caption IS NULL) AS n_caption_chars,
    count_if(has_people IS NULL) AS has_people,
    count_if(n_comments IS NULL) AS n_comments,
    count_if(posted_at IS NULL) AS posted_at,
    count_if(collected_at IS NULL) AS collected_at
FROM {posts}
