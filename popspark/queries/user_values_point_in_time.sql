-- The five user values from what was there when the post went up: posts of the same user with a strictly earlier
-- posted_at, whatever their views were when they were collected (no origin has the history of a count).
--
-- {inputs}  social_inputs
--
-- Running sums in two levels, so that no user is one task's work: sums per user and day, cumulated over the days
-- (one row a day), then within each day. The rank is that of the user's average at the start of the post's month
-- (UTC) among the users who had known views by then: one sort per month, of one row per user.
WITH inputs AS (
    SELECT
        *,
        cast(posted_at AS date) AS day,
        12 * year(posted_at) + month(posted_at) AS month
    FROM {inputs}
),

days AS (
    SELECT
        origin,
        user_id,
        month,
        day,
        count(*) AS n_posts,
        count(views) AS n_known,
        coalesce(sum(views), 0) AS views
    FROM inputs
    WHERE posted_at IS NOT NULL
    GROUP BY origin, user_id, month, day
),

days_before AS (
    SELECT
        origin,
        user_id,
        month,
        day,
        sum(n_posts) OVER earlier AS n_posts,
        sum(n_known) OVER earlier AS n_known,
        sum(views) OVER earlier AS views
    FROM days
    WINDOW earlier AS (
        PARTITION BY origin, user_id ORDER BY day ASC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
),

user_months AS (
    SELECT
        origin,
        user_id,
        month,
        sum(n_known) AS n_known,
        sum(views) AS views
    FROM days
    GROUP BY origin, user_id, month
),

-- The sums at the end of each month in which the user posted, with the next such month.
month_ends AS (
    SELECT
        origin,
        user_id,
        month,
        lead(month) OVER (PARTITION BY origin, user_id ORDER BY month ASC) AS next_month,
        sum(n_known) OVER up_to AS n_known,
        sum(views) OVER up_to AS views
    FROM user_months
    WINDOW up_to AS (
        PARTITION BY origin, user_id ORDER BY month ASC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),

-- Months with posts only: one post dated 2999 must not make ten thousand snapshots.
origin_months AS (
    SELECT
        origin,
        collect_set(month) AS months
    FROM user_months
    GROUP BY origin
),

-- Each average holds from the month after it was reached until the month of the user's next post.
snapshots AS (
    SELECT
        e.origin,
        e.user_id,
        e.views / e.n_known AS mean_views,
        explode(filter(o.months, m -> m > e.month AND m <= coalesce(e.next_month, m))) AS month
    FROM month_ends AS e
    INNER JOIN origin_months AS o ON e.origin = o.origin
    WHERE e.n_known > 0
),

ranks AS (
    SELECT
        origin,
        user_id,
        month,
        row_number() OVER (PARTITION BY origin, month ORDER BY mean_views ASC, user_id ASC) AS user_rank
    FROM snapshots
),

day_starts AS (
    SELECT
        d.*,
        r.user_rank
    FROM days_before AS d
    LEFT JOIN ranks AS r ON d.origin = r.origin AND d.user_id = r.user_id AND d.month = r.month
),

within_days AS (
    SELECT
        *,
        count(*) OVER earlier AS n_posts_today,
        count(views) OVER earlier AS n_known_today,
        sum(views) OVER earlier AS views_today
    FROM inputs
    WINDOW earlier AS (
        PARTITION BY origin, user_id, day
        ORDER BY unix_micros(posted_at) ASC RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
)

SELECT
    w.post_id,
    w.posted_at,
    w.collected_at,
    w.n_hashtags,
    w.n_title_chars,
    w.n_caption_chars,
    w.has_people,
    cast(0 AS bigint) AS n_comments,  -- comments come after posting
    d.user_rank,
    (coalesce(d.views, 0) + coalesce(w.views_today, 0))
    / nullif(coalesce(d.n_known, 0) + w.n_known_today, 0)
    / w.views_per_unit AS user_mean_views,
    w.n_user_groups,
    w.user_mean_group_members,
    if(w.posted_at IS NULL, 0, coalesce(d.n_posts, 0) + w.n_posts_today) AS n_user_posts
FROM within_days AS w
LEFT JOIN day_starts AS d ON w.origin = d.origin AND w.user_id = d.user_id AND w.day = d.day
