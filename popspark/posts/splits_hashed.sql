-- Each group of posts falls into a split by the hash of its key and the seed: the same in every run, on every
-- cluster, and unmoved by other rows that come or go.
--
-- {rows}   any columns, with split_key string
-- :seed, :train_until, :valid_until
WITH draws AS (
    SELECT
        *,
        shiftrightunsigned(xxhash64(split_key, cast(:seed AS bigint)), 11) / pow(2, 53) AS draw  -- uniform in [0, 1)
    FROM {rows}
)

SELECT
    *,
    CASE
        WHEN draw < :train_until THEN 'train'
        WHEN draw < :valid_until THEN 'valid'
        ELSE 'test'
    END AS split
FROM draws
