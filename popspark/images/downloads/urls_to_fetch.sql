-- What is left to ask for: URLs without an answer, and on purpose those that failed in a way that may pass, and those
-- at hand, with what their last answer said to ask with.
--
-- {urls}            image_id
-- {downloads}       the downloads table
-- :is_retry, :is_refresh   whether to ask again for what failed, and for what is there
-- :asked_before_us  microseconds since 1970: only answers before this run count as old
WITH last AS (
    SELECT
        image_id,
        max_by(struct(status, fetched_at), fetched_at) AS answer,
        max_by(struct(etag, last_modified), fetched_at) FILTER (WHERE status = 'ok') AS copy
    FROM {downloads}
    GROUP BY image_id
)

SELECT
    u.image_id,
    l.copy.etag,
    l.copy.last_modified
FROM {urls} AS u
LEFT JOIN last AS l ON u.image_id = l.image_id
WHERE
    l.image_id IS NULL
    OR (
        unix_micros(l.answer.fetched_at) < :asked_before_us
        AND (
            (:is_refresh AND l.copy IS NOT NULL)
            OR (
                :is_retry AND l.copy IS NULL
                AND l.answer.status RLIKE '^(timeout|connection_failed|unknown_host|http_429|http_5..|robots_disallowed|noai)$'
            )
        )
    )
