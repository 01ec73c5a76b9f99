"""The entry of popspark.jobs.fetch_images for spark-submit."""

from popspark.jobs import fetch_images as job
from popspark.runtime.command import run

run(__file__, job.__doc__, job.Config, job.main)
