"""The entry of popspark.jobs.generate_pairs for spark-submit."""

from popspark.jobs import generate_pairs as job
from popspark.runtime.command import run

run(__file__, job.__doc__, job.Config, job.main)
