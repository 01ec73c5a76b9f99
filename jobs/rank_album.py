"""The entry of popspark.jobs.rank_album for spark-submit."""

from popspark.jobs import rank_album as job
from popspark.runtime.command import run

run(__file__, job.__doc__, job.Config, job.main)
