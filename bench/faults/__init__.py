"""Nightly runs that are hurt at random points: `python -m bench.faults`."""
