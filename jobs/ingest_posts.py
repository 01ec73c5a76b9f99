"""The entry of popspark.jobs.ingest_posts for spark-submit."""

from popspark.jobs import ingest_posts as job
from popspark.runtime.command import run

run(__file__, job.__doc__, job.Config, job.main)
