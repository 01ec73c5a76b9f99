"""The entry of popspark.jobs.extract_features for spark-submit."""

from popspark.jobs import extract_features as job
from popspark.runtime.command import run

run(__file__, job.__doc__, job.Config, job.main)
