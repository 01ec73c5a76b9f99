"""Torch modules and their weights. Never pyspark."""
