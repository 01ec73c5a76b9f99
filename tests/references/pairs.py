"""The pair rules in plain Python, every post against every other: slow, and nothing to get wrong."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import NormalDist
from typing import Any

from popspark.pairs.settings import PairRules

Post = Mapping[str, Any]


def tag_set(tags: Sequence[str | None] | None) -> frozenset[str] | None:
    if tags is None:
        return None
    folded = [unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", t).casefold()) for t in tags if t is not None]
    return frozenset(t.strip().lstrip("#@").strip() for t in folded) - {""}


def n_words(caption: str, count_tag_words: bool) -> int:
    return sum(count_tag_words or word[0] not in "#@" for word in caption.split())


def popularity(post: Post, rules: PairRules) -> float:
    shares = rules.shares_weight * post["n_shares"] if rules.shares_weight else 0
    likes = rules.likes_weight * post["n_likes"] if rules.likes_weight else 0
    return shares + likes


def is_eligible(post: Post, rules: PairRules) -> bool:
    """All rules of a single post, except those that look at other rows of the table."""
    needs_shares = rules.shares_weight > 0 or rules.strict_share > 0
    needs_likes = rules.likes_weight > 0 or rules.min_likes > 0
    counts = [post["n_shares"]] * needs_shares + [post["n_likes"]] * needs_likes
    if post["posted_at"] is None or any(c is None or c < 0 for c in counts):
        return False
    if popularity(post, rules) + rules.log_offset <= 0:
        return False
    tags = tag_set(post["hashtags"])
    if (rules.hashtags != "any" and tags is None) or (rules.hashtags == "shared" and not tags):
        return False
    if rules.mentions == "identical" and post["mentions"] is None:
        return False
    if post["caption"] is None:
        if rules.max_caption_words is not None or rules.max_word_difference is not None:
            return False
    elif rules.max_caption_words is not None and (
        n_words(post["caption"], rules.count_tag_words) > rules.max_caption_words
    ):
        return False
    if rules.one_image and post["n_media"] != 1:
        return False
    if rules.min_likes and post["n_likes"] < rules.min_likes:
        return False
    if rules.min_age_days:
        if post["collected_at"] is None:
            return False
        age = post["collected_at"] - post["posted_at"]
        return bool(age.total_seconds() >= rules.min_age_days * 86400)
    return True


def log_popularity(post: Post, rules: PairRules) -> float:
    base = math.e if rules.log_base == "e" else rules.log_base
    return math.log(popularity(post, rules) + rules.log_offset) / math.log(base)


def probability(a: Post, b: Post, rules: PairRules) -> float:
    """That a is the more popular picture (Ding, Ma and Wang 2019, equation 3)."""
    margin = log_popularity(a, rules) - log_popularity(b, rules)
    return NormalDist().cdf(margin / (math.sqrt(2) * rules.sigma))


def is_pair(a: Post, b: Post, rules: PairRules, is_strict: bool) -> bool:
    if (a["origin"], a["user_id"]) != (b["origin"], b["user_id"]):
        return False
    if abs((a["posted_at"] - b["posted_at"]).total_seconds()) > rules.max_days * 86400:
        return False
    if a["image_id"] is not None and a["image_id"] == b["image_id"]:
        return False
    if rules.hashtags == "shared" and not tag_set(a["hashtags"]) & tag_set(b["hashtags"]):  # type: ignore[operator]
        return False
    if rules.hashtags == "identical" and tag_set(a["hashtags"]) != tag_set(b["hashtags"]):
        return False
    if rules.mentions == "identical" and tag_set(a["mentions"]) != tag_set(b["mentions"]):
        return False
    if rules.max_word_difference is not None:
        lengths = [n_words(p["caption"], rules.count_tag_words) for p in (a, b)]
        if abs(lengths[0] - lengths[1]) > rules.max_word_difference:
            return False
    if popularity(a, rules) == popularity(b, rules):
        return False
    if is_strict and (a["n_shares"] == b["n_shares"] or max(a["n_shares"], b["n_shares"]) <= rules.strict_min_shares):
        return False
    p = probability(a, b, rules)
    return max(p, 1 - p) >= rules.min_probability


def draws(a: Post, b: Post, hashes: Mapping[str, int]) -> tuple[float, int]:
    """The strict draw in [0, 1) and the order of sampling, both from the hashes of the ids, the earlier post first."""
    first, second = sorted((a, b), key=lambda p: (p["posted_at"], p["post_id"]))
    l, r, modulus = hashes[first["post_id"]], hashes[second["post_id"]], 2**31 - 1  # noqa: E741
    return (l * 48271 + r * 16807) % modulus / modulus, (l * 69621 + r * 39373) % modulus


def all_pairs(posts: Sequence[Post], rules: PairRules, hashes: Mapping[str, int]) -> dict[tuple[str, str], int]:
    """(smaller id, larger id) -> order of sampling, of all before the cap and the matching. posts: of unique ids."""
    eligible = sorted((p for p in posts if is_eligible(p, rules)), key=lambda p: (p["posted_at"], p["post_id"]))
    if rules.each_image_once:
        first_use: dict[str, Post] = {}
        for post in eligible:
            first_use.setdefault(f"image {post['image_id']}" if post["image_id"] else f"post {post['post_id']}", post)
        eligible = list(first_use.values())
    pairs = {}
    for a, b in combinations(sorted(eligible, key=lambda p: p["post_id"]), 2):
        strict_draw, order = draws(a, b, hashes)
        if is_pair(a, b, rules, strict_draw < rules.strict_share):
            pairs[a["post_id"], b["post_id"]] = order
    return pairs


def greedy_matching(pairs: Mapping[tuple[str, str], int]) -> set[tuple[str, str]]:
    taken: set[str] = set()
    matching = set()
    for pair in sorted(pairs, key=lambda pair: (pairs[pair], pair)):
        if not taken & set(pair):
            taken |= set(pair)
            matching.add(pair)
    return matching
