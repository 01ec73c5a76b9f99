"""Exports of posts to posts and rejects: each row of an export becomes one of the two."""
