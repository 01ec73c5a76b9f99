"""The entry of popspark.jobs.run_study for spark-submit."""

from popspark.jobs import run_study as job
from popspark.runtime.command import run

run(__file__, job.__doc__, job.Config, job.main)
