"""Benchmarks: each module is a command, `python -m bench.NAME`, that measures against references in the same run."""
