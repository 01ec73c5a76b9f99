"""The entry of `popspark build-examples` for spark-submit."""

from popspark.cli import main

if __name__ == "__main__":
    main("build-examples")
