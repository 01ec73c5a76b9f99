"""The entry of popspark.jobs.build_examples for spark-submit."""

from popspark.jobs import build_examples as job
from popspark.runtime.command import run

run(__file__, job.__doc__, job.Config, job.main)
