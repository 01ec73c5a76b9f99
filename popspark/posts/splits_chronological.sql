-- The earliest posts train, the latest test. A cut lies between two UTC hours, at the first hour by whose end the
-- share is reached: hours are few (90,000 in ten years), so that sorting them is one small task at any size. An hour is
-- its first second since 1970, for date_trunc goes by the session's zone.
--
-- {rows}              post_id, posted_at
-- :train_until, :valid_until   cumulated shares, e.g. 0.6 and 0.8
WITH hours AS (
    SELECT
        unix_seconds(posted_at) - pmod(unix_seconds(posted_at), 3600) AS hour,
        count(*) AS n
    FROM {rows}
    WHERE posted_at IS NOT NULL
    GROUP BY unix_seconds(posted_at) - pmod(unix_seconds(posted_at), 3600)
),

shares AS (
    SELECT
        hour,
        (sum(n) OVER (ORDER BY hour ASC) - n) / (sum(n) OVER ()) AS share_before
    FROM hours
),

hour_splits AS (
    SELECT
        hour,
        CASE
            WHEN share_before < :train_until THEN 'train'
            WHEN share_before < :valid_until THEN 'valid'
            ELSE 'test'
        END AS split
    FROM shares
)

SELECT
    r.*,
    h.split
FROM {rows} AS r
LEFT JOIN hour_splits AS h ON unix_seconds(r.posted_at) - pmod(unix_seconds(r.posted_at), 3600) = h.hour
