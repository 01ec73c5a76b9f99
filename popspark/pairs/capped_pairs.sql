-- At most so many pairs of a user: those with the smallest draw, ties by the ids.
--
-- {pairs}  pairs
-- :max_pairs_per_user
WITH places AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY user_key ORDER BY draw, post_id_l, post_id_r) AS place
    FROM {pairs}
)

SELECT *
FROM places
WHERE place <= :max_pairs_per_user
