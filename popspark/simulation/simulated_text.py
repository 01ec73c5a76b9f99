"""Titles, captions, hashtags and mentions of simulated posts; all read the columns id and user_number."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from popspark.simulation.hashing import power_law_rank, uniform

WORDS = """
a an the my our this one in on at by near with without under over after before during light morning evening night
walk trip day week summer autumn winter spring city village river lake sea mountain valley forest garden street
house tower wall bridge church temple palace market cafe cat dog horse bird flower tree stone cloud sky sun moon
rain snow wind colour shadow detail view moment friend family home journey old new quiet busy bright dark warm cold
first last again finally slowly love found seen taken waiting looking walking travelling remembering
""".split()  # noqa: SIM905  # a list would take a line a word
HASHTAGS = """
photography nature travel landscape art sky city architecture street light summer sunset macro flower animal history
portrait water blue green mountain old morning europe india france walk weekend trip holiday heritage monument
castle temple garden forest river winter autumn spring night clouds sun wildlife cat dog bird farm coffee food color
blackandwhite bokeh minimal detail texture stone tower space bridge road village
""".split()  # noqa: SIM905  # a list would take a line a word

MAX_HASHTAGS = 12
FAVOURITES = 6  # hashtags that a user comes back to, so that posts of one user share some
SHARE_OF_FAVOURITES = 0.6
SHARE_WITHOUT_HASHTAGS = 0.05


def hashtag_numbers(seed: int, n_hashtags: int, skew: float) -> Column:
    """Distinct numbers 0..n_hashtags-1, none to `MAX_HASHTAGS`; low numbers are the heavy ones."""
    post, user = F.col("id"), F.col("user_number")
    wanted = 1 + F.floor(-3.5 * F.ln(uniform(seed, "hashtags", post)))
    n = F.least(F.lit(MAX_HASHTAGS), wanted).cast("int")

    def pick(i: Column) -> Column:
        favourite = F.floor(F.pow(uniform(seed, "which favourite", post, i), F.lit(2.0)) * FAVOURITES)
        share = F.when(
            uniform(seed, "favourite or not", post, i) < SHARE_OF_FAVOURITES,
            uniform(seed, "favourite", user, favourite),
        ).otherwise(uniform(seed, "hashtag", post, i))
        return power_law_rank(share, n_hashtags, skew)

    some = F.array_distinct(F.transform(F.sequence(F.lit(1), n), pick))
    without = uniform(seed, "without hashtags", post) < SHARE_WITHOUT_HASHTAGS
    return F.when(without, F.array().cast("array<bigint>")).otherwise(some)


def hashtags(seed: int, numbers: Column) -> Column:
    """The text of each number: a word, with a number behind it from the second round on; some in other cases."""
    words = F.array(*map(F.lit, HASHTAGS))

    def spell(tag: Column) -> Column:
        n_words = len(HASHTAGS)
        suffix = F.when(tag >= n_words, F.floor(tag / n_words).cast("string")).otherwise("")
        text = F.concat(F.get(words, (tag % n_words).cast("int")), suffix)
        case = uniform(seed, "case", F.col("id"), tag)
        return F.when(case < 0.04, F.upper(text)).when(case < 0.16, F.initcap(text)).otherwise(text)

    return F.transform(numbers, spell)


def mentions(seed: int, n_users: int, skew: float) -> Column:
    """User ids; most posts have none, a few two."""
    chance = uniform(seed, "mentions", F.col("id"))
    n = F.when(chance < 0.8, 0).when(chance < 0.95, 1).otherwise(2)

    def pick(i: Column) -> Column:
        return F.format_string("u%06d", power_law_rank(uniform(seed, "mention", F.col("id"), i), n_users, skew))

    return F.slice(F.transform(F.array(F.lit(1), F.lit(2)), pick), 1, n)


def sentence(seed: int, purpose: str, n_words: Column) -> Column:
    """`n_words` (int) words with a capital at the front; null for 0."""
    words = F.array(*map(F.lit, WORDS))

    def pick(i: Column) -> Column:
        return F.get(words, F.floor(uniform(seed, purpose, F.col("id"), i) * len(WORDS)).cast("int"))

    text = F.array_join(F.transform(F.sequence(F.lit(1), F.greatest(n_words, F.lit(1))), pick), " ")
    return F.when(n_words > 0, F.concat(F.upper(F.substring(text, 1, 1)), F.substr(text, F.lit(2))))


def title(seed: int) -> Column:
    """One to five words."""
    return sentence(seed, "title", (1 + F.floor(uniform(seed, "title length", F.col("id")) * 5)).cast("int"))


def caption(seed: int) -> Column:
    """None to 26 words: each user has a usual length, each post differs from it by up to 4."""
    usual = uniform(seed, "usual caption length", F.col("user_number")) * 22
    differs = uniform(seed, "caption length", F.col("id")) * 9 - 4.5
    return sentence(seed, "caption", F.greatest(F.round(usual + differs).cast("int"), F.lit(0)))
