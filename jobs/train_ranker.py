"""The entry of popspark.jobs.train_ranker for spark-submit."""

from popspark.jobs import train_ranker as job
from popspark.runtime.command import run

run(__file__, job.__doc__, job.Config, job.main)
