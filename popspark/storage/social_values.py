"""The social values of a post by name and group, for those that know Spark and those that do not."""

from __future__ import annotations

SOCIAL_GROUPS: dict[str, tuple[str, ...]] = {
    "user": ("user_rank", "user_mean_views", "n_user_groups", "user_mean_group_members", "n_user_posts"),
    "post": ("n_hashtags", "n_title_chars", "n_caption_chars", "has_people", "n_comments"),
    "time": (
        *(f"is_{d}" for d in ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")),
        *(f"is_{m}" for m in ("january", "february", "march", "april", "may", "june")),
        *(f"is_{m}" for m in ("july", "august", "september", "october", "november", "december")),
        *(f"is_{q}" for q in ("night", "morning", "afternoon", "evening")),
        "days_online",
    ),
}
"""The 34 social values of VSCNN (section III-B) by the paper's groups: 5 + 5 + 24."""

SOCIAL_NAMES: tuple[str, ...] = tuple(name for names in SOCIAL_GROUPS.values() for name in names)
"""The 34 in the order in which a model takes them."""

SOCIAL_COLUMNS: dict[str, slice] = {
    group: slice(SOCIAL_NAMES.index(names[0]), SOCIAL_NAMES.index(names[-1]) + 1)
    for group, names in SOCIAL_GROUPS.items()
}
"""Where each group stands in that order."""
