-- The 34 social values of VSCNN (section III-B), all double, none null: an unknown count or length is 0, an unknown
-- time has no flag set.
--
-- {values}  user_values_paper or user_values_point_in_time
-- :mode     its name
--
-- Times are UTC, whatever the session's zone is, which weekday(), month() and hour() of a timestamp go by. Quarters of the day: night 00-05, morning 06-11, afternoon 12-17, evening 18-23.
WITH days AS (
    SELECT
        *,
        date_from_unix_date(cast(floor(unix_seconds(posted_at) / 86400) AS int)) AS posted_day
    FROM {values}
),

clock AS (
    SELECT
        *,
        weekday(posted_day) AS weekday,  -- 0 = Monday
        month(posted_day) AS month,
        pmod(unix_seconds(posted_at), 86400) DIV 21600 AS quarter
    FROM days
)

SELECT
    post_id,
    :mode AS mode,
    coalesce(cast(user_rank AS double), 0D) AS user_rank,
    coalesce(user_mean_views, 0D) AS user_mean_views,
    coalesce(cast(n_user_groups AS double), 0D) AS n_user_groups,
    coalesce(user_mean_group_members, 0D) AS user_mean_group_members,
    coalesce(cast(n_user_posts AS double), 0D) AS n_user_posts,
    coalesce(cast(n_hashtags AS double), 0D) AS n_hashtags,
    coalesce(cast(n_title_chars AS double), 0D) AS n_title_chars,
    coalesce(cast(n_caption_chars AS double), 0D) AS n_caption_chars,
    if(has_people, 1D, 0D) AS has_people,
    coalesce(cast(n_comments AS double), 0D) AS n_comments,
    if(weekday = 0, 1D, 0D) AS is_monday,
    if(weekday = 1, 1D, 0D) AS is_tuesday,
    if(weekday = 2, 1D, 0D) AS is_wednesday,
    if(weekday = 3, 1D, 0D) AS is_thursday,
    if(weekday = 4, 1D, 0D) AS is_friday,
    if(weekday = 5, 1D, 0D) AS is_saturday,
    if(weekday = 6, 1D, 0D) AS is_sunday,
    if(month = 1, 1D, 0D) AS is_january,
    if(month = 2, 1D, 0D) AS is_february,
    if(month = 3, 1D, 0D) AS is_march,
    if(month = 4, 1D, 0D) AS is_april,
    if(month = 5, 1D, 0D) AS is_may,
    if(month = 6, 1D, 0D) AS is_june,
    if(month = 7, 1D, 0D) AS is_july,
    if(month = 8, 1D, 0D) AS is_august,
    if(month = 9, 1D, 0D) AS is_september,
    if(month = 10, 1D, 0D) AS is_october,
    if(month = 11, 1D, 0D) AS is_november,
    if(month = 12, 1D, 0D) AS is_december,
    if(quarter = 0, 1D, 0D) AS is_night,
    if(quarter = 1, 1D, 0D) AS is_morning,
    if(quarter = 2, 1D, 0D) AS is_afternoon,
    if(quarter = 3, 1D, 0D) AS is_evening,
    coalesce(greatest(unix_micros(collected_at) - unix_micros(posted_at), 0) / 86400e6D, 0D) AS days_online
FROM clock
