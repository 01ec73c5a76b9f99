-- The five user values from what was there when the post went up: posts of the same user with a strictly earlier
-- posted_at, whatever their views were when they were collected (no origin has the history of a count).
--
-- {inputs}  social_inputs
--
-- Running sums in two levels, so that no user is one task's work: sums per user and month, cumulated over the months
-- (one row a month), then within each month. The rank is that of the user's average at the start of the post's month
-- (UTC) among the users who had known views by then: one sort per month, of one row per user.
--
-- Keys begin with user_id: Spark sorts by the first eight bytes of the first key, and reads the others of two rows only
-- where these are equal, as those of an origin always are.
WITH inputs AS (
    SELECT
        *,
        trunc(date_from_unix_date(cast(floor(unix_seconds(posted_at) / 86400) AS int)), 'MONTH') AS month  -- in UTC
    FROM {inputs}
),

-- Brought together by user once, for the sums and for the window over them. However many posts a user has, they are
-- added up as they pass.
dated_posts AS (
    SELECT /*+ REPARTITION(user_id, origin) */
        user_id,
        origin,
        month,
        views
    FROM inputs
    WHERE posted_at IS NOT NULL
),

user_months AS (
    SELECT
        user_id,
        origin,
        month,
        count(*) AS n_posts,
        count(views) AS n_known,
        sum(views) AS views
    FROM dated_posts
    GROUP BY user_id, origin, month
),

-- The sums at the end of each month in which the user posted, with the next such month.
month_ends AS (
    SELECT
        user_id,
        origin,
        month,
        lead(month) OVER (PARTITION BY user_id, origin ORDER BY month ASC) AS next_month,
        sum(n_posts) OVER up_to AS n_posts,
        sum(n_known) OVER up_to AS n_known,
        sum(views) OVER up_to AS views
    FROM user_months
    WINDOW up_to AS (
        PARTITION BY user_id, origin ORDER BY month ASC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),

-- Months with posts only: one post dated 2999 must not make ten thousand snapshots.
origin_months AS (
    SELECT DISTINCT
        origin,
        month
    FROM inputs
    WHERE posted_at IS NOT NULL
),

-- Sums and average hold from the month after they were reached until the month of the user's next post.
snapshots AS (
    SELECT /*+ BROADCAST(o) */
        e.user_id,
        e.origin,
        o.month,
        coalesce(o.month = e.next_month, false) AS has_posts,
        e.n_posts,
        e.n_known,
        e.views,
        e.views / nullif(e.n_known, 0) AS mean_views
    FROM month_ends AS e
    INNER JOIN origin_months AS o
        ON e.origin = o.origin AND o.month > e.month AND o.month <= coalesce(e.next_month, o.month)
),

ranks AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY month, origin ORDER BY mean_views ASC NULLS LAST, user_id ASC
        ) AS rank_of_mean
    FROM snapshots
),

month_starts AS (
    SELECT
        user_id,
        origin,
        month,
        n_posts,
        n_known,
        views,
        if(n_known > 0, rank_of_mean, 0) AS user_rank
    FROM ranks
    WHERE has_posts
),

-- A post without a time is earlier than none, and none than it: its id takes the user's place, so that they are not
-- together however many the user has.
keyed_posts AS (
    SELECT
        post_id,
        if(posted_at IS NULL, post_id, user_id) AS user_id,
        origin,
        month,
        unix_micros(posted_at) AS posted_us,
        collected_at,
        views,
        views_per_unit,
        n_user_groups,
        user_mean_group_members,
        n_hashtags,
        n_title_chars,
        n_caption_chars,
        has_people
    FROM inputs
),

within_months AS (
    SELECT
        *,
        timestamp_micros(posted_us) AS posted_at,  -- one column less to carry here
        count(*) OVER earlier AS n_posts,
        count(views) OVER earlier AS n_known,
        coalesce(sum(views) OVER earlier, 0) AS views_before
    FROM keyed_posts
    WINDOW earlier AS (
        PARTITION BY user_id, origin, month
        ORDER BY posted_us ASC RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
)

-- The hint saves a sort. What a task then holds in memory is at most a row for each month of its users.
SELECT /*+ SHUFFLE_HASH(m) */
    w.post_id,
    w.posted_at,
    w.collected_at,
    w.n_hashtags,
    w.n_title_chars,
    w.n_caption_chars,
    w.has_people,
    cast(0 AS bigint) AS n_comments,  -- comments come after posting
    m.user_rank,
    if(
        w.posted_at IS NULL,
        NULL,
        (coalesce(m.views, 0) + w.views_before) / nullif(coalesce(m.n_known, 0) + w.n_known, 0) / w.views_per_unit
    ) AS user_mean_views,
    w.n_user_groups,
    w.user_mean_group_members,
    if(w.posted_at IS NULL, 0, coalesce(m.n_posts, 0) + w.n_posts) AS n_user_posts
FROM within_months AS w
LEFT JOIN month_starts AS m ON w.user_id = m.user_id AND w.origin = m.origin AND w.month = m.month
