-- The pairs to train on: those candidates that no rule removes, with the probability that l is the more popular.
--
-- P = Phi(margin / (sqrt(2) sigma)) (Ding, Ma and Wang 2019, equation 3). Spark SQL has no error function: Phi is
-- Abramowitz and Stegun's 26.2.17, off by at most 7.5e-8.
--
-- {candidates}  candidate_pairs
-- :sigma
WITH scaled AS (
    SELECT
        *,
        abs(margin) / (sqrt(2D) * :sigma) AS z
    FROM {candidates}
    WHERE removed_by IS NULL
),

tails AS (
    SELECT
        *,
        1 / (1 + 0.2316419D * z) AS t,
        exp(-z * z / 2) / sqrt(2 * pi()) AS density
    FROM scaled
),

bounded AS (
    SELECT
        *,
        density * t * (0.319381530D + t * (-0.356563782D + t * (1.781477937D + t * (-1.821255978D + t * 1.330274429D))))
            AS upset  -- the probability that the less popular one is the better one
    FROM tails
)

SELECT
    post_id_l,
    post_id_r,
    user_id,
    user_key,
    popularity_l,
    popularity_r,
    margin,
    CASE WHEN margin = 0 THEN 0.5D WHEN margin > 0 THEN 1 - upset ELSE upset END AS probability,
    rule,
    split,
    draw
FROM bounded
