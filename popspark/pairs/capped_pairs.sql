-- At most so many pairs of a user: those with the smallest draw, ties by the ids.
--
-- {pairs}  pairs
-- :max_pairs_per_user
WITH ordered AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY user_key ORDER BY draw, post_id_l, post_id_r) AS nth_pair
    FROM {pairs}
)

SELECT *
FROM ordered
WHERE nth_pair <= :max_pairs_per_user
