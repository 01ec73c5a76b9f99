"""Fitting on the driver: the petastorm feed, the loops, the reduction, the baselines. Never pyspark."""
