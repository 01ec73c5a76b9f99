-- One row per row of the posts table, as the pair rules see it. removed_by is the first rule of a post that it fails,
-- NULL where it may pair.
--
-- {posts}  the posts table, with normal_hashtags, normal_mentions and tags, the hashes of the former
--          (see `pair_posts` in pairing.py)
-- :seed, :train_until, :valid_until  of the split by user
-- the others are the fields of PairRules, times in microseconds
--
-- What is long (captions, hashtags, mentions) is measured before the rows are brought together, and does not travel.
WITH measured AS (
    SELECT
        post_id,
        concat_ws('/', origin, user_id) AS user_key,
        user_id,
        image_id,
        unix_micros(posted_at) AS posted_us,
        unix_micros(collected_at) - unix_micros(posted_at) AS age_us,
        mentions IS NOT NULL AS has_mentions,
        tags,
        -- what must be identical
        xxhash64(
            user_key,
            if(:hashtags = 'identical', normal_hashtags, NULL),
            '@',
            if(:mentions = 'identical', normal_mentions, NULL)
        ) AS match_key,
        CASE
            -- plain text with one space between words, without the price of finding each
            WHEN :count_tag_words AND caption RLIKE r'^[ -~]*\z' AND NOT contains(caption, '  ')
                THEN
                    octet_length(trim(caption)) - octet_length(replace(trim(caption), ' ', ''))
                    + if(trim(caption) = '', 0, 1)
            WHEN :count_tag_words THEN regexp_count(caption, r'(?U)\S+')
            ELSE regexp_count(caption, r'(?U)(?<!\S)[^\s#@]\S*')
        END AS n_words,
        n_shares,
        n_likes,
        n_media,
        if(:shares_weight = 0, 0, :shares_weight * n_shares) + if(:likes_weight = 0, 0, :likes_weight * n_likes)
            AS popularity,
        least(
            if(:shares_weight > 0 OR :strict_share > 0, n_shares, NULL),
            if(:likes_weight > 0 OR :min_likes > 0, n_likes, NULL)
        ) AS lowest_count,
        pmod(xxhash64(post_id, cast(:seed AS bigint)), 2147483647) AS post_hash,
        -- the row with the newest counts stays; the rest of the order is there to be the same every time. A hash comes
        -- first because a sort compares numbers faster than texts
        row_number() OVER (
            PARTITION BY xxhash64(post_id), post_id
            ORDER BY collected_at DESC NULLS LAST, posted_at, origin, user_id, image_id, n_shares, n_likes, n_media,
                xxhash64(caption, hashtags, mentions)
        ) AS copy
    FROM {posts}
),

judged AS (
    SELECT
        *,
        shiftrightunsigned(xxhash64(user_key, cast(:seed AS bigint)), 11) / pow(2, 53) AS user_draw,  -- as splits_hashed
        CASE
            WHEN copy > 1 THEN 'unique_post_id'
            WHEN posted_us IS NULL THEN 'posted_at_known'
            WHEN lowest_count < 0 THEN 'counts_not_negative'
            WHEN popularity IS NULL OR (:strict_share > 0 AND n_shares IS NULL) THEN 'counts_known'
            WHEN popularity + :log_offset <= 0 THEN 'log_defined'
            WHEN :hashtags <> 'any' AND (tags IS NULL OR (:hashtags = 'shared' AND size(tags) = 0))
                THEN 'hashtags_known'
            WHEN :mentions <> 'any' AND NOT has_mentions THEN 'mentions_known'
            WHEN n_words IS NULL AND (:max_caption_words IS NOT NULL OR :max_word_difference IS NOT NULL)
                THEN 'caption_known'
            WHEN n_words > :max_caption_words THEN 'max_caption_words'
            WHEN :one_image AND coalesce(n_media <> 1, true) THEN 'one_image'
            WHEN :min_likes > 0 AND coalesce(n_likes < :min_likes, true) THEN 'min_likes'
            WHEN :min_age_us > 0 AND coalesce(age_us < :min_age_us, true) THEN 'min_age_days'
        END AS failed
    FROM measured
)

SELECT
    post_id,
    user_id,
    user_key,
    image_id,
    posted_us,
    posted_us DIV ((:max_us + 1) DIV 2) AS bucket,
    if(:hashtags = 'shared', tags, NULL) AS tags,
    -- one bit of 64 per tag, all of them for many tags: two posts without a common bit have no common tag
    CASE
        WHEN :hashtags <> 'shared' THEN 1L
        WHEN size(tags) > 8 THEN -1L
        ELSE
        coalesce(shiftleft(1L, cast(get(tags, 0) & 63 AS int)), 0L)
        | coalesce(shiftleft(1L, cast(get(tags, 1) & 63 AS int)), 0L)
        | coalesce(shiftleft(1L, cast(get(tags, 2) & 63 AS int)), 0L)
        | coalesce(shiftleft(1L, cast(get(tags, 3) & 63 AS int)), 0L)
        | coalesce(shiftleft(1L, cast(get(tags, 4) & 63 AS int)), 0L)
        | coalesce(shiftleft(1L, cast(get(tags, 5) & 63 AS int)), 0L)
        | coalesce(shiftleft(1L, cast(get(tags, 6) & 63 AS int)), 0L)
        | coalesce(shiftleft(1L, cast(get(tags, 7) & 63 AS int)), 0L)
    END AS tag_mask,
    match_key,
    n_words,
    n_shares,
    popularity,
    CASE WHEN popularity + :log_offset > 0 THEN ln(popularity + :log_offset) / ln(:log_base) END AS log_popularity,
    post_hash,
    CASE
        WHEN user_draw < :train_until THEN 'train'
        WHEN user_draw < :valid_until THEN 'valid'
        ELSE 'test'
    END AS split,
    failed AS removed_by
FROM judged
