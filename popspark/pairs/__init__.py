"""Pairs of posts of one user that differ in popularity and in little else."""
