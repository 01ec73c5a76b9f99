"""The entry of popspark.jobs.train_vscnn for spark-submit."""

from popspark.jobs import train_vscnn as job
from popspark.runtime.command import run

run(__file__, job.__doc__, job.Config, job.main)
