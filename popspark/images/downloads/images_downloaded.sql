-- The images table as the downloads stand: of each image the last answer that says something about it. A copy that was
-- not modified stays; one that could not be fetched again stays too; without any copy, the last refusal is the row.
--
-- {downloads}  the downloads table
WITH ranked AS (
    SELECT
        image_id,
        fetched_at,
        row_number() OVER (
            PARTITION BY image_id ORDER BY (status = 'ok') DESC, fetched_at DESC
        ) AS nth_answer
    FROM {downloads}
    WHERE status != 'not_modified'
)

SELECT d.*
FROM {downloads} AS d
INNER JOIN ranked AS r ON d.image_id = r.image_id AND d.fetched_at = r.fetched_at
WHERE r.nth_answer = 1
