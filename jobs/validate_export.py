"""The entry of popspark.jobs.validate_export for spark-submit."""

from popspark.jobs import validate_export as job
from popspark.runtime.command import run

run(__file__, job.__doc__, job.Config, job.main)
