"""Bundles, what they predict, and what each group of inputs adds."""
