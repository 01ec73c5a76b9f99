"""The entry of `popspark run-study` for spark-submit."""

from popspark.cli import main

if __name__ == "__main__":
    main("run-study")
